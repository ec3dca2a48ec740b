"""How the window looks at a scan: which views are on, the place that they share, and the window while it is dragged.

The place is a point of the patient, LPS mm, so that it means the same in every plane, in 3D, in another scan of the same patient and on another grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_medseg.annotation.prompts import PointLPS
from napari_medseg.errors import InvalidInputError
from napari_medseg.session import showing
from napari_medseg.session.place import SIDES
from napari_medseg.session.state import Scan
from napari_medseg.volume import Geometry
from napari_medseg.volume.windows import Preset, Window, unit_words

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

Places = npt.NDArray[np.float64]
PLANES = ("Sagittal", "Coronal", "Axial")  # across the patient's x, y and z
OWN = Preset("", "Own window")
DOUBLES = 300.0  # pixels of a drag that double a window's width
THINNEST = 0.01  # of the width a drag began with
STEEPEST = 89.0  # degrees


@dataclass(frozen=True, slots=True)
class Slice:
    """Where a slice is.

    Attributes
    ----------
    axis : int
        Of the display grid, the one across it.
    index, count : int
        Which of how many, from 0.
    plane : "Axial", "Coronal" or "Sagittal"
        What it is nearest to.
    mm : float
        Its place along the patient's axis, LPS, at the middle of the slice.
    letter : str
        The side of the scanner's origin it is on: R, L, A, P, I or S.
    """

    axis: int
    index: int
    count: int
    plane: str
    mm: float
    letter: str

    @property
    def words(self) -> str:
        """As people say it: "S 43.5 mm, 87/144"."""
        return f"{self.place}, {self.index + 1}/{self.count}"

    @property
    def place(self) -> str:
        """Its millimetres with their side: "S 43.5 mm"."""
        return f"{self.letter} {abs(self.mm):.1f} mm"


@dataclass(frozen=True, slots=True)
class Turn:
    """How the 3D view is turned.

    Attributes
    ----------
    round, down : degrees
        Round the patient's long axis: 0 looks from the front, 90 at the patient's left side. Down on the patient, -89 to 89.
    zoom : float
        1 shows the whole scan.
    """

    round: float = 20.0
    down: float = 15.0
    zoom: float = 1.0

    def dragged(self, right: float, down: float) -> Turn:
        """What a drag of so many pixels makes of it."""
        return replace(self, round=(self.round - right / 2) % 360.0, down=float(np.clip(self.down + down / 2, -STEEPEST, STEEPEST)))

    def zoomed(self, factor: float) -> Turn:
        """Nearer or farther."""
        return replace(self, zoom=float(np.clip(self.zoom * factor, 0.2, 20.0)))

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """LPS to the screen, (3, 3): its rows point to the right, up, and towards the person. A rotation: nothing is mirrored."""
        about, tilt = np.radians(self.round), np.radians(self.down)
        right = np.array([np.cos(about), np.sin(about), 0.0])
        level = np.array([np.sin(about), -np.cos(about), 0.0])  # towards the person, without tilt; from the front that is A
        near = np.cos(tilt) * level + np.sin(tilt) * np.array([0.0, 0.0, 1.0])
        return np.stack([right, np.cross(near, right), near])


class Views:
    """The views of one window.

    Attributes
    ----------
    ortho : bool
        Whether axial, coronal, sagittal and 3D are shown together.
    crosshair : bool
        Whether the shared place is drawn in the main view too.
    levelling : bool
        Whether a drag with the right button changes the window.
    turn : Turn
    shown : Geometry or None
        The grid in view where no scan is open: somebody's own layer, taken as it is shown.
    changed : signal
        Other views are on.
    moved : signal
        The place is another one.
    turned : signal
        3D is looked at from elsewhere.
    """

    changed = Signal()
    moved = Signal()
    turned = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self.ortho = self.crosshair = self.levelling = False
        self.turn = Turn()
        self.shown: Geometry | None = None
        self._place: PointLPS | None = None
        self._began: Window | None = None

    # -- what is on ------------------------------------------------------------------------------------------------------------------------------------

    def toggle_ortho(self) -> None:
        """Axial, coronal, sagittal and 3D together, or the one view; a fault becomes `problem`."""
        if not self.ortho and self.grid is None:
            what = "there is nothing in view that can be cut along other planes"
            self._session.report(InvalidInputError(what, where="Orthogonal views", todo="Open a three-dimensional scan first"))
            return
        self.ortho = not self.ortho
        self.changed.emit()

    def toggle_crosshair(self) -> None:
        """Draw the shared place in the main view, or do not."""
        self.crosshair = not self.crosshair
        self.changed.emit()

    def toggle_levelling(self) -> None:
        """Give the right button to the window, or back."""
        self.levelling = not self.levelling
        self._began = None
        self.changed.emit()

    # -- the place -------------------------------------------------------------------------------------------------------------------------------------

    @property
    def grid(self) -> Geometry | None:
        """The grid that is looked at; None while there is none."""
        scan = self._session.current
        return scan.display.geometry if scan is not None else self.shown

    @property
    def place(self) -> PointLPS | None:
        """The shared place, LPS mm, inside the grid; its middle until a person went elsewhere, or where they went is not in this scan."""
        grid = self.grid
        if grid is None:
            return None
        if self._place is not None and bool(grid.contains(grid.voxel(self._place))):
            return self._place
        return _point(grid.world((np.array(grid.shape) - 1) / 2))

    @property
    def voxel(self) -> tuple[int, int, int] | None:
        """The voxel of the shared place, (z, y, x)."""
        grid, place = self.grid, self.place
        if grid is None or place is None:
            return None
        z, y, x = (int(v) for v in np.rint(grid.voxel(place)))
        return z, y, x

    def go(self, point: Sequence[float]) -> None:
        """Look at a point, LPS mm; one outside the scan is brought to its nearest voxel."""
        grid = self.grid
        if grid is not None and np.isfinite(np.asarray(point, float)).all():
            self.go_voxel(grid.voxel(point))

    def go_voxel(self, voxel: npt.ArrayLike) -> None:
        """Look at a voxel (z, y, x) of the grid."""
        grid = self.grid
        if grid is None:
            return
        here = np.clip(np.asarray(voxel, float), 0, np.array(grid.shape) - 1)
        place = _point(grid.world(here))
        if place != self._place:
            self._place = place
            self.moved.emit()

    def go_slice(self, axis: int, index: float) -> None:
        """Look at another slice across an axis of the grid; the place within it stays."""
        grid, place = self.grid, self.place
        if grid is None or place is None:
            return
        voxel = grid.voxel(place)
        voxel[axis] = index
        self.go_voxel(voxel)

    def step(self, axis: int, by: int) -> None:
        """So many slices on."""
        voxel = self.voxel
        if voxel is not None:
            self.go_slice(axis, voxel[axis] + by)

    # -- slices in mm ------------------------------------------------------------------------------------------------------------------------------------

    def slice(self, axis: int) -> Slice | None:
        """The slice across an axis that the shared place lies in."""
        grid, voxel = self.grid, self.voxel
        if grid is None or voxel is None:
            return None
        along, first = _along(grid, axis)
        mm = float(first + voxel[axis] * grid.spacing[axis] * grid.matrix[along, 2 - axis])
        return Slice(axis, voxel[axis], grid.shape[axis], PLANES[along], mm, SIDES[along][0 if mm >= 0 else 1])

    def span(self, axis: int) -> tuple[float, float, float] | None:
        """The places of the first and the last slice across an axis, LPS mm, and the way from one to the next."""
        grid = self.grid
        if grid is None:
            return None
        along, first = _along(grid, axis)
        step = float(grid.spacing[axis] * grid.matrix[along, 2 - axis])
        return first, first + step * (grid.shape[axis] - 1), step

    def jump(self, axis: int, mm: float) -> None:
        """Look at the slice nearest to a place along the patient's axis, LPS mm."""
        span = self.span(axis)
        if span is not None:
            self.go_slice(axis, round((mm - span[0]) / span[2]))

    # -- 3D and the window ---------------------------------------------------------------------------------------------------------------------------------

    def look(self, turn: Turn) -> None:
        """Look at 3D from elsewhere."""
        if turn != self.turn:
            self.turn = turn
            self.turned.emit()

    def begin_drag(self) -> Window | None:
        """The right button went down; the window it begins with, None when nothing can be dragged."""
        scan = self._session.current
        self._began = scan.window if scan is not None else None
        return self._began

    def drag(self, right: float, down: float) -> Window | None:
        """The mouse is so many pixels from where the button went down."""
        scan = self._session.current
        if scan is None or self._began is None:
            return None
        window = dragged(self._began, right, down)
        showing.set_window(self._session, scan, window)
        return window

    @property
    def window_words(self) -> str:
        """The window of the current scan, with its unit."""
        scan = self._session.current
        if scan is None or scan.window is None:
            return ""
        return scan.window.words(unit_words(scan.display.modality, scan.display.units))

    def end_drag(self) -> None:
        """The button was let go; the next scan of this kind begins with this window."""
        scan, began = self._session.current, self._began
        self._began = None
        if scan is not None and scan.window is not None and began is not None and scan.window != began:
            self._session.windows.remember(scan.display, replace(OWN, window=scan.window))


def dragged(window: Window, right: float, down: float) -> Window:
    """What a drag makes of a window: to the right it gets wider, downwards its level falls; 300 pixels are one width.

    Parameters
    ----------
    right, down : pixels
    """
    share = window.width / DOUBLES
    return Window(window.level - down * share, max(window.width + right * share, window.width * THINNEST))


def plane_of(grid: Geometry, axis: int) -> str:
    """What the slices across an axis of a grid are called: "Axial", "Coronal" or "Sagittal", whichever is nearest."""
    return PLANES[_along(grid, axis)[0]]


def hit(labels: Sequence[npt.NDArray[np.integer]], start: npt.ArrayLike, end: npt.ArrayLike) -> tuple[int, int, int] | None:
    """The first voxel that holds a label on a straight way through label maps of one shape; None when there is none.

    Parameters
    ----------
    start, end : fractional voxels (z, y, x)
    """
    if not labels:
        return None
    begin, way = np.asarray(start, float), np.asarray(end, float) - np.asarray(start, float)
    count = int(np.ceil(2 * np.abs(way).max())) + 1
    places = np.rint(begin + way * np.linspace(0.0, 1.0, count)[:, None]).astype(int)
    places = places[((places >= 0) & (places < labels[0].shape)).all(1)]
    held = np.zeros(len(places), bool)
    for array in labels:
        held |= array[tuple(places.T)] != 0
    if not held.any():
        return None
    z, y, x = (int(v) for v in places[int(held.argmax())])
    return z, y, x


def label_maps(scan: Scan) -> list[npt.NDArray[np.integer]]:
    """What a surface is drawn of: the accepted labels and the preview."""
    return [array for array in (scan.labels, scan.preview.labels if scan.preview is not None else None) if array is not None]


def _along(grid: Geometry, axis: int) -> tuple[int, float]:
    """The patient's axis that a grid's axis runs along most, and where its first slice is on it, in the middle of the slice."""
    along = int(np.abs(grid.matrix[:, 2 - axis]).argmax())
    middle = (np.array(grid.shape, float) - 1) / 2
    middle[axis] = 0
    return along, float(grid.world(middle)[along])


def _point(point: npt.ArrayLike) -> PointLPS:
    x, y, z = (float(v) for v in np.asarray(point, float))
    return x, y, z
