"""One step of an answer: where to look and how finely, what the network says, and what the prompts make of it.

The window begins as finely as the scan and as small as the prompts allow; while what was found runs out of it, it is laid coarser (Isensee et al.,
"nnInteractive", 2025, zoom out likewise). A step changes the last answer near the point that was added more than far from it: people correct what is wrong
there, and what they did not touch they hold to be right. At last every point is obeyed.

Imports torch, through what it uses: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.segmenters.promptable.asking import Asking
from napari_medseg.segmenters.promptable.encode import WINDOW
from napari_medseg.segmenters.promptable.grid import Box, Grid
from napari_medseg.segmenters.promptable.maps import marks
from napari_medseg.segmenters.promptable.obeying import alone, confined, held, kept, obeyed, pieces
from napari_medseg.segmenters.promptable.paths import nearest
from napari_medseg.segmenters.promptable.pointed import Pointed, Positions
from napari_medseg.volume import Array, FloatArray, Shape, Spacing

ZOOMS = (0.67, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
"""Spacing of the working grid in units of the scan's finest."""
FINEST = 1  # of a first look: finer than the scan is for what proved small
FIRST = 4  # zooms that a first click is looked at with
LOOKS = 5  # zooms tried in a later step, at most
PROMPTED = 0.9  # share of the window that what says "inside" may span
WHOLE = 0.6  # share of it up to which the window is centred on the last answer too
ROOM = 0.65  # share of it that the last answer may span where the window is laid finer again
CUT = 0.02  # share of the answer on the window's faces from which it runs out of it
CLEAR = 0.6  # of the clearest outline at any zoom: at first the finest zoom is taken whose outline is at least as clear
RIM = 2  # voxels on either side of an outline that tell how clear it is
FAINT = 0.02  # probability that is not worth keeping

Corners = tuple[Positions, Positions]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one object is held to be.

    Attributes
    ----------
    box : (z, y, x) slices of the turned scan
        Beyond it all is 0.
    values : float16, the box
        Probability.
    zoom : int
        How finely it was looked at: index of `ZOOMS`.
    finished : bool
        Whether it is the step's last word.
    """

    box: Box
    values: npt.NDArray[np.float16]
    zoom: int
    finished: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What the network says of one window."""

    grid: Grid
    zoom: int
    image: FloatArray
    previous: FloatArray | None
    logits: FloatArray
    cut: bool


def step(asking: Asking, view: Array, scan: Spacing, prompts: Pointed, before: Answer | None) -> Iterator[Answer]:
    """Answer prompts that hold one point more than the last time.

    Parameters
    ----------
    view : (z, y, x), any real dtype
        The turned scan; only read near the prompts.
    scan : (z, y, x) mm
    before : Answer, optional
        To the prompts without the newest point; None at the first.

    Yields
    ------
    Answer
        A first look, again at every place to cancel, then the answer.
    """
    shape: Shape = (view.shape[0], view.shape[1], view.shape[2])
    said = _corners(prompts.points[prompts.signs > 0], prompts.strokes, prompts.mask, *prompts.areas)
    assert said is not None
    last = None if before is None else _around(before)
    unsized = before is None and not prompts.areas and not len(prompts.mask)
    first = _finest(said, last, before, scan)
    looks: list[_Look] = []
    shown: Answer | None = None
    for zoom in range(first, min(first + LOOKS, len(ZOOMS))):
        look = _looked(asking, view, scan, prompts, before, zoom, _middle(said, last, zoom, scan))
        looks.append(look)
        if not look.cut and not (unsized and len(looks) < FIRST):
            break
        shown = shown or _placed(obeyed(look.logits, look.grid, prompts), look, shape, prompts)
        yield shown
    chosen = _clearest(looks) if unsized else looks[-1]
    logits = chosen.logits if chosen.previous is None else kept(chosen.logits, chosen.previous, chosen.grid, prompts)
    logits = alone(obeyed(logits, chosen.grid, prompts), chosen.grid, prompts)
    yield replace(_placed(logits, chosen, shape, prompts), finished=True)


def _finest(said: Corners, last: Corners | None, before: Answer | None, scan: Spacing) -> int:
    """The zoom to begin with: what says "inside" has room in the window; one finer than last time at most, and only where the last answer has room too."""
    fits = [i for i, zoom in enumerate(ZOOMS) if _span(said, scan) <= PROMPTED * WINDOW * min(scan) * zoom]
    first = fits[0] if fits else len(ZOOMS) - 1
    if before is None or before.zoom <= first:
        return max(first, FINEST if before is None else 0)
    finer = last is None or _span(last, scan) <= ROOM * WINDOW * min(scan) * ZOOMS[before.zoom - 1]
    return max(first, before.zoom - 1 if finer else before.zoom)


def _middle(said: Corners, last: Corners | None, zoom: int, scan: Spacing) -> Positions:
    """Where to lay the window: on all that is known of the object where that has room, else on what says "inside"."""
    known = said if last is None else (np.minimum(said[0], last[0]), np.maximum(said[1], last[1]))
    low, high = known if _span(known, scan) <= WHOLE * WINDOW * min(scan) * ZOOMS[zoom] else said
    return np.asarray((low + high) / 2)


def _looked(asking: Asking, view: Array, scan: Spacing, prompts: Pointed, before: Answer | None, zoom: int, middle: Positions) -> _Look:
    z, y, x = (float(v) for v in middle)
    grid = Grid((z, y, x), min(scan) * ZOOMS[zoom], WINDOW, scan)
    image, previous = grid.sample(view), _previous(grid, view.shape, before, prompts)
    drawn = marks(prompts, grid, previous)
    logits = confined(asking(image, drawn) + nearest(image, drawn, grid, view.shape), grid, prompts)
    return _Look(grid, zoom, image, previous, logits, _runs_out(logits, grid, view.shape, prompts))


def _clearest(looks: list[_Look]) -> _Look:
    """The finest look that holds its answer in a clear outline: a window that a large object fills shows none, and the network draws one into the noise."""
    whole = [look for look in looks if not look.cut] or looks[-1:]
    clear = [_clearness(look) for look in whole]
    return next(look for look, each in zip(whole, clear, strict=True) if each >= CLEAR * max(clear))


def _clearness(look: _Look) -> float:
    """How far the image differs across the outline, in standard deviations beside it."""
    found = np.asarray(look.logits > 0)
    inner, outer = found & ~ndi.binary_erosion(found, iterations=RIM), ndi.binary_dilation(found, iterations=RIM) & ~found
    if not inner.any() or not outer.any():
        return 0.0
    spread = np.sqrt((look.image[inner].var(dtype=float) + look.image[outer].var(dtype=float)) / 2)
    return float(abs(look.image[inner].mean(dtype=float) - look.image[outer].mean(dtype=float)) / spread) if spread > 0 else 0.0


def _placed(logits: FloatArray, look: _Look, shape: Shape, prompts: Pointed) -> Answer:
    """Logits on the working grid as probabilities on the scan's voxels, every point on its side."""
    box = look.grid.box(shape)
    values = held(look.grid.place(_probability(logits), box), box, prompts)
    corners = _corners(np.argwhere(values > FAINT).astype(float))
    low, high = corners if corners is not None else (np.zeros(3), np.zeros(3))
    part = tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    z, y, x = (slice(whole.start + inner.start, whole.start + inner.stop) for whole, inner in zip(box, part, strict=True))
    return Answer((z, y, x), values[part].astype(np.float16), look.zoom, finished=False)


def _probability(logits: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), dtype=np.float32)


def _previous(grid: Grid, shape: tuple[int, ...], before: Answer | None, prompts: Pointed) -> FloatArray | None:
    """The last answer on a working grid, or the mask to start from."""
    if before is None and not len(prompts.mask):
        return None
    around = grid.box((shape[0], shape[1], shape[2]))
    wide = tuple(slice(max(0, part.start - 2), min(n, part.stop + 2)) for part, n in zip(around, shape, strict=True))
    part = np.zeros([side.stop - side.start for side in wide], np.float32)
    corner = np.array([side.start for side in wide])
    if before is not None:
        shared = [(max(a.start, b.start), max(a.start, b.start, min(a.stop, b.stop))) for a, b in zip(wide, before.box, strict=True)]
        there = tuple(slice(a - side.start, b - side.start) for (a, b), side in zip(shared, wide, strict=True))
        here = tuple(slice(a - side.start, b - side.start) for (a, b), side in zip(shared, before.box, strict=True))
        if all(a < b for a, b in shared):
            part[there] = before.values[here]
    else:
        at = prompts.mask.astype(int) - corner
        at = at[((at >= 0) & (at < part.shape)).all(axis=1)]
        part[tuple(at.T)] = 1
    z, y, x = (float(c) for c in np.array(grid.centre) - corner)
    return replace(grid, centre=(z, y, x)).sample(part)


def _runs_out(logits: FloatArray, grid: Grid, shape: tuple[int, ...], prompts: Pointed) -> bool:
    """Whether the pieces that hold a prompt lie on faces of the window beyond which the scan goes on."""
    found = pieces(np.asarray(logits > 0), grid, prompts)
    first, last = grid.outside(np.zeros(3)), grid.outside(np.full(3, grid.side - 1.0))
    cut = 0
    for axis in range(3):
        cut += int(np.count_nonzero(found.take(0, axis))) if first[axis] > 0.5 else 0
        cut += int(np.count_nonzero(found.take(-1, axis))) if last[axis] < shape[axis] - 1.5 else 0
    return cut > CUT * int(np.count_nonzero(found))


def _corners(*groups: Positions) -> Corners | None:
    some = [group for group in groups if len(group)]
    return (np.min([group.min(axis=0) for group in some], axis=0), np.max([group.max(axis=0) for group in some], axis=0)) if some else None


def _around(answer: Answer) -> Corners | None:
    places = np.argwhere(answer.values > 0.5)
    return _corners(places + [part.start for part in answer.box])


def _span(corners: Corners, scan: Spacing) -> float:
    return float(((corners[1] - corners[0] + 1) * np.array(scan)).max())
