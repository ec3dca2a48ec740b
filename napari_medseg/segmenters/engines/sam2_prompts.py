"""Prompts as SAM 2 takes them: points, a box and a mask on single slices of the scan."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_medseg.segmenters.engines.interactions import Interaction, interactions_of
from napari_medseg.segmenters.promptable.pointed import Pointed
from napari_medseg.volume import BoolArray, Shape

STROKE_POINTS = 8  # of one stroke's class on one slice
MASK_SLICES = 8  # of a label to start from


@dataclass(slots=True)
class FramePrompts:
    """What was pointed at on one slice.

    Attributes
    ----------
    points : list of (x, y)
        Pixels; the middle of the first one is (0.5, 0.5).
    signs : list of int
        1 inside, 0 outside, as SAM 2 counts them.
    box : (x0, y0, x1, y1) or None
        The newest.
    mask : bool (h, w) or None
    """

    points: list[tuple[float, float]] = field(default_factory=list)
    signs: list[int] = field(default_factory=list)
    box: tuple[float, float, float, float] | None = None
    mask: BoolArray | None = None

    @property
    def says_inside(self) -> bool:
        """Whether it alone can begin an object."""
        return self.box is not None or self.mask is not None or 1 in self.signs


def by_frame(pointed: Pointed, shape: Shape) -> dict[int, FramePrompts]:
    """Prompts of one object by slice (first axis), ascending.

    A thick box counts on its middle slice; an outline drawn across slices as the box round it; a stroke as a few points along it; a label to start from
    on at most eight slices that hold it.
    """
    found: dict[int, FramePrompts] = {}

    def at(frame: int) -> FramePrompts:
        return found.setdefault(frame, FramePrompts())

    for act in interactions_of(pointed, shape, solid_boxes=True):
        middle = (act.box[0].start + act.box[0].stop - 1) // 2
        match act.kind:
            case "mask":
                for frame, mask in _slices(act, shape, MASK_SLICES):
                    at(frame).mask = mask
            case "lasso" if act.box[0].stop - act.box[0].start == 1:
                for frame, mask in _slices(act, shape, 1):
                    held = at(frame).mask
                    at(frame).mask = mask if held is None else held | mask
            case "lasso" | "box":
                at(middle).box = (float(act.box[2].start), float(act.box[1].start), float(act.box[2].stop), float(act.box[1].stop))
            case "scribble":
                for frame, mask in _slices(act, shape, None):
                    for y, x in spread(np.argwhere(mask), STROKE_POINTS):
                        _add(at(frame), float(x), float(y), positive=act.positive)
            case _:
                _add(at(middle), act.box[2].start, act.box[1].start, positive=act.positive)
    return dict(sorted(found.items()))


def spread(pixels: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """At most `count` of the pixels (n, 2), far from each other: the first is nearest to their middle, each next one farthest from those taken."""
    if len(pixels) <= count:
        return pixels
    first = int(((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1).argmin())
    taken, away = [first], ((pixels - pixels[first]) ** 2).sum(axis=1)
    while len(taken) < count:
        taken.append(int(away.argmax()))
        away = np.minimum(away, ((pixels - pixels[taken[-1]]) ** 2).sum(axis=1))
    return pixels[taken]


def _add(prompts: FramePrompts, x: float, y: float, *, positive: bool) -> None:
    prompts.points.append((x + 0.5, y + 0.5))
    prompts.signs.append(int(positive))


def _slices(act: Interaction, shape: Shape, most: int | None) -> list[tuple[int, BoolArray]]:
    """Slices that an act marks, evenly chosen where there are more than `most`."""
    assert act.voxels is not None
    held = np.flatnonzero(act.voxels.any(axis=(1, 2)))
    if most is not None and len(held) > most:
        held = held[np.rint(np.linspace(0, len(held) - 1, most)).astype(int)]
    slices = []
    for index in held:
        mask = np.zeros(shape[1:], dtype=bool)
        mask[act.box[1:]] = act.voxels[index]
        slices.append((act.box[0].start + int(index), mask))
    return slices
