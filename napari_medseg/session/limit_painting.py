"""The limit brush: a ball in millimetres with a soft tip, stamped along the way of the pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.session.history import Box, change
from napari_medseg.session.state import Scan
from napari_medseg.volume import BoolArray

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

INSIDE = 127
"""Weights above this are inside the limit."""

LARGEST_MM = 80.0

Place = tuple[float, float, float]


def harden(scan: Scan, boxes: tuple[Box, ...]) -> None:
    """Bring the limit in step with its weights there."""
    if scan.limit is None or scan.limit_weight is None:
        return
    for box in boxes:
        scan.limit[box] = scan.limit_weight[box] > INSIDE


def paint(session: Session, scan: Scan, start: Place, end: Place, *, erase: bool = False) -> Box | None:
    """Draw the brush from one place to another, voxels (z, y, x); each stamp joins the log of the limit.

    Returns
    -------
    box or None
        Around what may have changed.
    """
    weights = scan.limit_weight
    if weights is None:
        return None
    from napari_medseg.weaklabel.soft_brush import reach, stamp

    brush, spacing = session.limit_brush, scan.display.geometry.spacing
    box = reach((weights.shape[0], weights.shape[1], weights.shape[2]), end, brush.radius_mm, spacing, brush.softness, since=start)
    if box is None:
        return None
    part = weights[box].copy()
    stamp(part, _within(end, box), brush.radius_mm, spacing, brush.softness, erase=erase, since=_within(start, box))
    step = change(weights, box, part)
    if step is None:
        return None
    scan.limit_log.push(step)
    session.limited(scan, step.boxes)
    session.painted_over.emit(scan, "limit")
    return step.box


def include(session: Session, scan: Scan, box: Box, inside: BoolArray) -> None:
    """Widen the limit by a mask in a box; one step of its log."""
    weights = scan.limit_weight
    if weights is None:
        return
    step = change(weights, box, np.where(inside, np.uint8(255), weights[box]))
    if step is not None:
        scan.limit_log.push(step)
        session.limited(scan, step.boxes)
        session.painted_over.emit(scan, "limit")


def clear(session: Session) -> None:
    """Take the whole limit of the current scan away; one step of its log."""
    scan = session.current
    if scan is None or scan.limit_weight is None:
        return
    box = (slice(0, scan.limit_weight.shape[0]), slice(0, scan.limit_weight.shape[1]), slice(0, scan.limit_weight.shape[2]))
    step = change(scan.limit_weight, box, np.zeros_like(scan.limit_weight))
    if step is not None:
        scan.limit_log.push(step)
        session.limited(scan, step.boxes)
        session.painted_over.emit(scan, "limit")


def _within(place: Place, box: Box) -> Place:
    z, y, x = (at - side.start for at, side in zip(place, box, strict=True))
    return z, y, x
