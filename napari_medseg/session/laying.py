"""Labels of a case as they were left, laid on the display grid of its scan and counted; large ones take long, so it is done beside the window."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.session.history import count_values
from napari_medseg.session.state import Scan, labels_on
from napari_medseg.volume import AxisMap, Geometry, LabelArray, axis_map
from napari_medseg.volume.straighten import Straightening

if TYPE_CHECKING:
    from napari_medseg.session.study_state import Latest


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """Labels that a scan can hold as they are.

    Attributes
    ----------
    labels : uint8 (z, y, x) on the display grid
    voxels : Counter
        How many hold each value.
    by_hand : uint8 (z, y, x) or None
        1 where a person painted on them.
    """

    labels: LabelArray
    voxels: Counter[int]
    by_hand: LabelArray | None


def lay(stored: Geometry, left: Latest) -> Laid | None:
    """Lay them for a scan on this grid that is not open yet; None when there are none.

    Raises
    ------
    GridMismatchError
        When they do not lie on the scan's grid.
    """
    axes = axis_map(stored)
    return _lay(axes.geometry(stored), stored, axes, left)


def lay_on(scan: Scan, left: Latest) -> Laid | None:
    """Lay them for an open scan, on the patient's axes where it is shown on those; raises as `lay`."""
    return _lay(scan.display.geometry, scan.geometry, scan.axes, left)


def _lay(display: Geometry, stored: Geometry, axes: AxisMap | Straightening, left: Latest) -> Laid | None:
    if left.labels is None:
        return None
    labels = labels_on(display, stored, axes, left.labels)
    painted = left.by_hand if left.by_hand is not None and left.by_hand.any() else None
    return Laid(labels, count_values(labels), None if painted is None else np.asarray(axes.apply(painted), np.uint8))
