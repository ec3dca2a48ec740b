"""The random walker on strokes that come and go: it starts from where the walkers stood before the last stroke."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from napari_medseg.volume import FloatArray, LabelArray
from napari_medseg.weaklabel.scribble_region import Region
from napari_medseg.weaklabel.walker import Walk, walk

BETA = 90.0
"""How much an edge holds the walker back, classes being about 1 apart."""
BETA_LEARNED = 30.0
"""The same where a classifier's map holds it back too."""
LOOKS = 1.0
"""How much a change of what the classifier says counts beside a change of grey value."""


class StrokeWalk:
    """A random walk over a region that may move.

    Parameters
    ----------
    region : Region
    beta : float or None
        None takes `BETA`, or `BETA_LEARNED` with a classifier.
    device : "auto", "cpu" or "cuda"
        Automatic is the processor.
    """

    def __init__(self, region: Region, beta: float | None = None, device: str = "auto") -> None:
        self._region, self._beta, self._device = region, beta, device
        self._present: list[int] = []
        self._found = np.zeros((0, 0, 0, 0), np.float32)

    def follow(
        self, region: Region, marks: LabelArray, scale: float, guess: LabelArray, chances: Mapping[int, FloatArray] | None = None,
    ) -> Iterator[float]:
        """Walk; leaving early does no harm.

        Parameters
        ----------
        marks : uint8 (z, y, x)
            Where walkers end; 0 where they walk.
        scale : float
            Contrast between classes.
        guess : uint8 (z, y, x)
            Classes to start from where no walker stood; 0 and other values are none of them.
        chances : mapping of class to float32 (z, y, x), optional
            How likely each class is by its looks; walkers are held back where that changes.

        Yields
        ------
        float
            Share of the work done, 0-1.
        """
        present = [int(v) for v in np.flatnonzero(np.bincount(marks.ravel(), minlength=256)) if v]
        start = np.stack([(guess == value).astype(np.float32) for value in present])
        shift = self._region.shift(region)
        if present == self._present and shift is not None:
            sides = list(zip(shift, self._found.shape[1:], marks.shape, strict=True))
            there = tuple(slice(max(0, at), min(new, at + old)) for at, old, new in sides)
            here = tuple(slice(max(0, -at), min(old, new - at)) for at, old, new in sides)
            start[(slice(None), *there)] = self._found[(slice(None), *here)]
        channels = [region.contrast / np.float32(scale)]
        if chances is not None:
            channels += [np.float32(LOOKS) * chances[value] for value in list(chances)[:-1]]
        self._region, self._present, self._found = region, present, start
        beta = self._beta if self._beta is not None else BETA if chances is None else BETA_LEARNED
        for step in self._walk(np.stack(channels), marks, region, start, beta):
            self._found = step.probabilities
            yield step.fraction

    def _walk(self, channels: FloatArray, marks: LabelArray, region: Region, start: FloatArray, beta: float) -> Iterator[Walk]:
        if self._device in ("auto", "cpu"):
            return walk(channels, marks, region.spacing, beta, None, start)
        from napari_medseg.weaklabel import walker_torch

        return walker_torch.walk(channels, marks, region.spacing, beta, None, start, device=self._device)

    @property
    def labels(self) -> LabelArray:
        """The likeliest class, uint8 (z, y, x)."""
        found = np.full(self._found.shape[1:], self._present[0] if self._present else 0, np.uint8)
        best = self._found[0] if self._present else np.zeros(found.shape, np.float32)
        for value, chance in zip(self._present[1:], self._found[1:], strict=True):
            found[chance > best] = value
            best = np.maximum(best, chance)
        return found
