"""A segmenter that is pointed at something, asked class by class; runs beside the window.

Classes are asked one at a time and keep their answers, so that a click for one costs nothing for the others. What was asked and what came of it depend
on the prompts alone, so a version that keeps them can be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_medseg.annotation import Prompts
from napari_medseg.segmenters.protocol import Focus, Segmenter
from napari_medseg.session.history import Box, both
from napari_medseg.session.patches import NOWHERE, Patch
from napari_medseg.volume import Array, LabelArray, Shape, Volume

KEPT = np.float16
"""Type of the probabilities that are kept; whether a voxel belongs to a class is decided from these, so that it is decided alike every time."""


@dataclass(slots=True, eq=False)
class Outline:
    """What is thought of one class.

    Attributes
    ----------
    chance : float16 (z, y, x), 0-1
    box : (z, y, x) slices or None
        Around what a segmenter said anything about; elsewhere it is 0.
    apart : float16 (z, y, x) or None
        How far the members of an ensemble lie apart.
    """

    chance: Array
    box: Box | None = None
    apart: Array | None = None

    @classmethod
    def blank(cls, shape: Shape) -> Outline:
        """Nothing yet; memory is taken where something is written only."""
        return cls(np.zeros(shape, KEPT))


@dataclass(slots=True, eq=False)
class Answers:
    """What a segmenter thinks of each class of one scan.

    Attributes
    ----------
    outlines : class value to Outline
    reach : (z, y, x) slices or None
        Around all that any answer, also one that was cut short, may have shown.
    threshold : float
        Chance above which a voxel belongs to a class.
    """

    outlines: dict[int, Outline] = field(default_factory=dict)
    reach: Box | None = None
    threshold: float = 0.5

    def labels(self, box: Box, fresh: Mapping[int, Outline]) -> LabelArray:
        """Labels of a part of the scan; `fresh` are outlines that take the place of those kept."""
        outlines = {**self.outlines, **fresh}
        found = np.zeros([side.stop - side.start for side in box], np.uint8)
        best = np.full(found.shape, self.threshold, KEPT)
        for value in sorted(outlines):
            chance = outlines[value].chance[box]
            over = chance > best
            found[over] = value
            best = np.maximum(best, chance)
        return found


def outlined(
    segmenter: Segmenter, scan: Volume, asked: Mapping[int, Prompts], answers: Answers, *,
    wanted: Sequence[int], device: str = "auto", focus: Focus = None, answered: Callable[[int], None] = lambda value: None,
) -> Iterator[Patch]:
    """Ask a segmenter for some classes and show them beside those it was asked for before.

    Parameters
    ----------
    segmenter : Segmenter
        An interactive one.
    scan : Volume
        On the display grid.
    asked : class value to Prompts
        The classes to ask for now.
    answers : Answers
        What is known; changed here.
    wanted : class values
        All that shall be there in the end; answers for others are dropped.
    answered : callable
        Told each class once its answer is whole.

    Yields
    ------
    Patch
        The last holds everything that any answer has reached, so that nothing of an older one stays.
    """
    answers.threshold = segmenter.capabilities.threshold
    for value in [v for v in answers.outlines if v not in wanted]:
        answers.reach = both(answers.reach, answers.outlines.pop(value).box)
    message = ""
    for count, (value, prompts) in enumerate(asked.items()):
        fresh = Outline.blank(scan.geometry.shape)
        for piece in segmenter.predict(scan, prompts, device=device, focus=focus):
            fraction = None if piece.fraction is None else min((count + piece.fraction) / len(asked), 0.99)
            if not piece.probabilities.size:
                yield Patch(NOWHERE, np.zeros((0, 0, 0), np.uint8), fraction, piece.message)
                continue
            fresh.chance[piece.box] = piece.probabilities[0]
            if piece.disagreement is not None:
                fresh.apart = np.zeros(scan.geometry.shape, KEPT) if fresh.apart is None else fresh.apart
                fresh.apart[piece.box] = piece.disagreement
            fresh.box = both(fresh.box, piece.box)
            answers.reach, message = both(answers.reach, piece.box), piece.message
            yield Patch(piece.box, answers.labels(piece.box, {value: fresh}), fraction, message)
        answers.outlines[value] = fresh
        answered(value)
    box = answers.reach or NOWHERE
    yield Patch(box, answers.labels(box, {}), 1.0, message)


def outline_of(segmenter: Segmenter, scan: Volume, asked: Mapping[int, Prompts], device: str) -> LabelArray:
    """The whole answer at once, as the window would show it."""
    found = np.zeros(scan.geometry.shape, np.uint8)
    for patch in outlined(segmenter, scan, asked, Answers(), wanted=list(asked), device=device):
        found[patch.box] = patch.labels
    return found

