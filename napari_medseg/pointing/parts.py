"""Parts of a scan and answers in them: boxes about each other, and what an answer says within one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_medseg.segmenters.promptable.answer import FAINT, Answer
from napari_medseg.segmenters.promptable.pointed import Positions
from napari_medseg.volume import FloatArray
from napari_medseg.weaklabel.scene import Box


def box_of(low: Positions, high: Positions, shape: tuple[int, ...]) -> Box:
    """The voxels between two corners, (3,) voxel coordinates z, y, x, within the scan."""
    z, y, x = (slice(max(0, int(np.floor(a))), min(n, int(np.ceil(b)) + 1)) for a, b, n in zip(low, high, shape, strict=True))
    return z, y, x


def shifted(inner: Box, outer: Box) -> Box:
    """A box in the coordinates of another that holds it."""
    z, y, x = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True))
    return z, y, x


def shared(one: Box, other: Box) -> tuple[Box, Box] | None:
    """Where two boxes meet, in the coordinates of each; None where they do not."""
    both = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)]
    if any(a >= b for a, b in both):
        return None
    (z, y, x), (k, j, i) = ((slice(a - part.start, b - part.start) for (a, b), part in zip(both, of, strict=True)) for of in (one, other))
    return (z, y, x), (k, j, i)


def within(answer: Answer, box: Box) -> FloatArray:
    """An answer's probabilities in a part of the scan, float32 (z, y, x), 0-1; 0 beyond the answer's box."""
    out = np.zeros([part.stop - part.start for part in box], np.float32)
    met = shared(box, answer.box)
    if met is not None:
        out[met[0]] = answer.values[met[1]]
    return out


def joined(values: FloatArray, box: Box, rest: Answer) -> tuple[FloatArray, Box]:
    """Values of a part, float32 (z, y, x), with what an answer says beyond it, and the box of both."""
    z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(box, rest.box, strict=True))
    out = within(rest, (z, y, x))
    out[shifted(box, (z, y, x))] = values
    return out, (z, y, x)


def cropped(values: FloatArray, box: Box, like: Answer) -> Answer:
    """Values of a part, probabilities 0-1 (z, y, x), as an answer, cut to where they are worth keeping."""
    worth = values > FAINT
    sides = [np.flatnonzero(worth.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    ends = [(int(side[0]), int(side[-1]) + 1) if len(side) else (0, 1) for side in sides]
    kept = values[tuple(slice(a, b) for a, b in ends)].astype(np.float16)
    z, y, x = (slice(part.start + a, part.start + b) for part, (a, b) in zip(box, ends, strict=True))
    return replace(like, box=(z, y, x), values=kept, finished=True)
