"""A round's labels taken into an open scan at once, as one step of its undo log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.session.history import change
from napari_medseg.session.making import Making
from napari_medseg.session.state import Scan, full_box
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:
    from napari_medseg.session.session import Session


def adopt(session: Session, scan: Scan, labels: LabelArray, made: Making) -> bool:
    """Give a scan these labels, in its file's voxel order; what a person settled stays. Whether anything changed."""
    now = scan.labels if scan.labels is not None else scan.hold_nothing()
    wanted = np.asarray(scan.axes.apply(labels)).astype(now.dtype)
    kept = session.verified.locked(scan)
    step = change(now, full_box(now), wanted if kept is None else np.where(kept, now, wanted))
    if step is None:
        return False
    scan.keep(step)
    scan.is_saved = False
    session.labels_changed.emit(scan, step.box)
    session.edited.emit(scan, step.boxes)
    session.accepted.emit(scan, made)
    return True
