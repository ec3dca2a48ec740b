"""Where one looks in the patient: letters for the edges of a view, and what lies under the cursor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_medseg.annotation import LabelClass
from napari_medseg.session.state import Scan
from napari_medseg.volume import Geometry
from napari_medseg.volume.orientation import towards
from napari_medseg.volume.windows import unit_words

EDGES = ("left", "right", "top", "bottom")
TURNED = 0.42  # of a direction, about 25 degrees: from there on a side is named too
SIDES = (("L", "R"), ("P", "A"), ("S", "I"))  # towards +x, -x; +y, -y; +z, -z in LPS


def edge_letters(geometry: Geometry, displayed: Sequence[int], *, right: bool = True, down: bool = True) -> dict[str, str]:
    """Which side of the patient each edge of a flat view is.

    Parameters
    ----------
    geometry : Geometry
        The display grid.
    displayed : (vertical axis, horizontal axis)
        Of the grid: 0, 1 or 2 for z, y, x. Two letters where the grid is turned against the patient.
    right, down : bool
        Whether the axes grow to the right and downwards on screen, as napari's camera has them unless it was told otherwise.

    Returns
    -------
    dict
        "left", "right", "top", "bottom" to letters.
    """
    columns = geometry.matrix[:, ::-1]
    across, along = columns[:, displayed[1]] * (1 if right else -1), columns[:, displayed[0]] * (1 if down else -1)
    return {"left": towards(-across), "right": towards(across), "top": towards(-along), "bottom": towards(along)}


def turned_letters(right: npt.ArrayLike, up: npt.ArrayLike) -> dict[str, str]:
    """Which side of the patient each edge of a 3D view is.

    Parameters
    ----------
    right, up : LPS (x, y, z)
        Where the screen's right and its top point to.

    Returns
    -------
    dict
        "left", "right", "top", "bottom" to letters: the main side, and another one where the view is turned far enough.
    """
    across, along = np.asarray(right, float), np.asarray(up, float)
    return {"left": _main_sides(-across), "right": _main_sides(across), "top": _main_sides(along), "bottom": _main_sides(-along)}


def _main_sides(way: npt.NDArray[np.float64]) -> str:
    shares = np.abs(way) / max(float(np.linalg.norm(way)), 1e-12)
    return "".join(SIDES[axis][0 if way[axis] >= 0 else 1] for axis in np.argsort(-shares) if shares[axis] > TURNED)


def under_cursor(scan: Scan, voxel: npt.ArrayLike, classes: Sequence[LabelClass]) -> str:
    """The place in the patient, the value there with its unit, and the label; "" outside the scan.

    Parameters
    ----------
    voxel : fractional (z, y, x) on the display grid
    classes : to name the label by
    """
    grid = scan.display.geometry
    if not bool(grid.contains(voxel)):
        return ""
    index = tuple(int(v) for v in np.rint(np.asarray(voxel, float)))
    parts = [place_words(grid.world(voxel)), *(value_words(scan, i, index) for i in (scan.channel, scan.overlay) if i is not None)]
    label = int(scan.labels[index]) if scan.labels is not None else 0
    if label:
        parts.append(next((c.name for c in classes if c.value == label), f"label {label}"))
    return "   ".join(parts)


def place_words(point: npt.ArrayLike) -> str:
    """An LPS point as people say it: "L 12.3  A 4.0  S 101.5 mm"."""
    return "  ".join(f"{sides[0] if v >= 0 else sides[1]} {abs(v):.1f}" for sides, v in zip(SIDES, np.asarray(point, float), strict=True)) + " mm"


def value_words(scan: Scan, channel: int, index: tuple[int, ...]) -> str:
    """The value of a channel at a voxel, with its unit; its name too where there are several."""
    volume = scan.channels[channel]
    value, unit = float(volume.array[index]), unit_words(volume.modality, volume.units)
    number = "no number" if not np.isfinite(value) else f"{value:.0f}" if value == round(value) else f"{value:.4g}"
    words = f"{number} {unit}".strip() if unit else f"value {number}"
    return f"{volume.name}: {words}" if len(scan.channels) > 1 else words
