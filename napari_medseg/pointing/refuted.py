"""When a click says that the last answer is of the wrong size: then it is begun anew with all clicks, and not built upon.

A click is made in the middle of what is wrong. Lies it deep inside the answer, or well beyond it, as measured by the answer's own size, then the answer was
looked for at the wrong scale: a first click on a lesion that outlined half the brain, or on an organ that outlined one of its lobes. What is kept of such an
answer from click to click, by its voxels and by the scale it was looked at with, takes many clicks to undo. A click farther away still tells of another piece.
What is answered anew may be worse: it is taken only where the click lies about where one would click who wanted just that change (`explained`).
"""

from __future__ import annotations

import numpy as np

from napari_medseg.pointing.explained import explained
from napari_medseg.pointing.parts import box_of, shared, within
from napari_medseg.segmenters.promptable.answer import Answer
from napari_medseg.segmenters.promptable.pointed import Pointed, Positions
from napari_medseg.volume import Spacing

SHARE = 0.35  # of the answer's radius (that of a ball of its volume): so far from its outline a click must lie,
VOXELS, SLICES = 5.0, 1.2  # and so many of the scan's finest voxels and of its thickest slices;
PIECE = 0.9  # of the radius: beyond it, a click inside is another piece of the object
BORNE_OUT = 0.8  # of how deep the change to a new answer is anywhere, it must be at the click
EARLY = 5  # points: what was corrected more often than that is not begun anew


def refuted(prompts: Pointed, last: Answer, shape: tuple[int, ...], spacing: Spacing) -> bool:
    """Whether the newest point shows that the last answer is of the wrong size. Only where there is nothing but points.

    Parameters
    ----------
    last : Answer
        To the prompts without the newest point.
    shape, spacing : (z, y, x) and mm
        Of the scan.
    """
    volume = int(np.count_nonzero(last.values > 0.5)) * float(np.prod(spacing))
    if not volume or not 1 < len(prompts.points) <= EARLY or prompts.areas or len(prompts.strokes) or len(prompts.mask):
        return False
    radius = (3 * volume / (4 * np.pi)) ** (1 / 3)
    least = max(SHARE * radius, VOXELS * min(spacing), SLICES * max(spacing))
    at, missed = prompts.points[-1], bool(prompts.signs[-1] > 0)
    if _near(last, at, least, shape, spacing, inside=missed):
        return False
    return not missed or _near(last, at, PIECE * radius, shape, spacing, inside=True)


def borne_out(prompts: Pointed, anew: Answer, last: Answer, spacing: Spacing) -> bool:
    """Whether the newest point is where one would click who wants the last answer to become the new one; spacing in mm."""
    z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(anew.box, last.box, strict=True))
    change = (within(anew, (z, y, x)) > 0.5) != (within(last, (z, y, x)) > 0.5)
    return explained(change, prompts.points[-1] - np.array([z.start, y.start, x.start]), spacing) >= BORNE_OUT


def _near(answer: Answer, at: Positions, reach: float, shape: tuple[int, ...], spacing: Spacing, *, inside: bool) -> bool:
    """Whether a voxel that an answer holds to be inside, or one that it holds to be outside, lies closer to a place than `reach` mm."""
    centre, steps = np.rint(at), np.array(spacing)
    around = box_of(centre - reach / steps, centre + reach / steps, shape)
    if inside:  # beyond its box there is none
        met = shared(around, answer.box)
        if met is None:
            return False
        z, y, x = (slice(part.start + cut.start, part.start + cut.stop) for part, cut in zip(around, met[0], strict=True))
        around = (z, y, x)
    away = [((np.arange(part.start, part.stop) - c) * step).astype(np.float32) ** 2 for part, c, step in zip(around, centre, spacing, strict=True)]
    close = away[0][:, None, None] + away[1][:, None] + away[2] < reach**2
    return bool((close & ((within(answer, around) > 0.5) == inside)).any())
