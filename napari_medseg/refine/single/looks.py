"""What the corrected slices teach about looks: a pixel classifier that says, anywhere, how much more a voxel looks like a class than like the rest.

It learns from every voxel near the outlines of the corrected slices, several times from different draws (bagging). To see what that is worth, each slice is
also judged by a classifier that did not learn from it. Imports numba: load on demand.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medseg.refine.single.ground import Ground
from napari_medseg.volume import BoolArray, FloatArray, LabelArray
from napari_medseg.weaklabel.classifier import PixelClassifier
from napari_medseg.weaklabel.features import of_values

DRAWS = 6
PER_DRAW = 1000  # voxels
BELIEVED = 0.35  # of a draw, from what the weak label is believed to hold on other slices, when one slice is corrected; of two a half of it, and so on
LEAST = 1e-3  # chance
SUREST = 4.0  # log-odds: what a look alone may say
INSIDE, OUTSIDE = 10.0, 6.0  # pixels beyond the weak label's errors, to both sides of the true outline, that are learnt from

Places = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Log-odds of each class by looks, 0 where nobody was asked.

    Attributes
    ----------
    odds : float32 (classes, z, y, x)
        By all that was taught.
    unseen : float32 (classes, z, y, x)
        On each corrected slice by the others only; elsewhere as `odds`.
    fits : int
        Classifiers trained.
    """

    odds: FloatArray
    unseen: FloatArray
    fits: int


@dataclass(frozen=True, slots=True, eq=False)
class Teaching:
    """What is learnt from.

    Attributes
    ----------
    classes : label values
    folds : int (z, y, x)
        Which part each taught voxel belongs to, from 0; a part is judged by what the other parts teach.
    taught, asked : bool (z, y, x)
    assumed : uint8 (z, y, x)
        What the weak label is believed to hold elsewhere, far from its outline: 0 nothing is believed, 1 background, 2 the first class, and so on.
    extra : float32 (c, z, y, x) or None
        More to look at.
    seed : int
    deadline : float
        By `time.monotonic`; afterwards each part is learnt once only.
    """

    classes: Sequence[int]
    folds: npt.NDArray[np.intp]
    taught: BoolArray
    asked: BoolArray
    assumed: LabelArray
    extra: FloatArray | None
    seed: int
    deadline: float


def looking(own: Ground, teaching: Teaching) -> Iterator[tuple[float, Looks | None]]:
    """Learn and ask.

    Yields
    ------
    (float, Looks or None)
        Share done, and at the end the result.
    """
    features = of_values(own.image, own.spacing)
    if teaching.extra is not None:
        features = np.concatenate([features, teaching.extra])
    classes, folds, taught, asked = teaching.classes, teaching.folds, teaching.taught, teaching.asked
    places = np.flatnonzero(asked).astype(np.int32)
    parts = [int(fold) for fold in np.unique(folds[taught])]
    runs: list[int | None] = [None, *(parts if len(parts) > 1 else [])]
    found: dict[int | None, FloatArray] = {}
    fits = 0
    for index, left_out in enumerate(runs):
        use = taught if left_out is None else taught & (folds != left_out)
        sums: FloatArray = np.zeros((len(classes), places.size), np.float32)
        done = 0
        for draw in range(DRAWS):
            if draw and time.monotonic() > teaching.deadline:
                break
            answer = _answered(features, own.labels, teaching, use, places, [teaching.seed, index, draw])
            if answer is not None:
                sums, done = sums + answer, done + 1
            yield (index * DRAWS + draw + 1) / (len(runs) * DRAWS), None
        fits += done
        found[left_out] = _log_odds(np.asarray(sums / done, np.float32)) if done else np.zeros_like(sums)
    mean: FloatArray = np.mean(list(found.values()), axis=0, dtype=np.float32)
    odds, unseen = (np.zeros((len(classes), *asked.shape), np.float32) for _ in range(2))
    odds.reshape(len(classes), -1)[:, places] = mean
    unseen[:] = odds
    for part in parts if len(parts) > 1 else []:
        here = (folds.ravel()[places] == part) & taught.ravel()[places]
        unseen.reshape(len(classes), -1)[:, places[here]] = found[part][:, here]
    yield 1.0, Looks(odds, unseen, fits)


def _answered(
    features: FloatArray, labels: LabelArray, teaching: Teaching, use: BoolArray, places: Places, seed: Sequence[int],
) -> FloatArray | None:
    """Chances of the classes at places by one classifier, as if each were as frequent as the rest; None where there is nothing to tell apart."""
    flat = features.reshape(features.shape[0], -1)
    pool, rng = np.flatnonzero(use), np.random.default_rng(seed)
    settled, believed = labels.ravel()[pool], teaching.assumed.ravel()
    groups = [(pool[settled == value], np.flatnonzero(believed == rank + 1)) for rank, value in enumerate((0, *teaching.classes))]
    slices = max(1, int(np.count_nonzero(use.any((1, 2)))))
    present = sum(bool(sure.size) for sure, _ in groups)
    if present < 2:
        return None
    share = PER_DRAW // present
    chosen, ranks = [], []
    for rank, (sure, likely) in enumerate(groups):
        if sure.size:
            few = min(likely.size, int(BELIEVED / slices * share))
            drawn = [rng.choice(sure, min(sure.size, share - few), replace=False), rng.choice(likely, few, replace=False)]
            chosen += drawn
            ranks += [rank] * sum(part.size for part in drawn)
    classifier = PixelClassifier().fit(flat[:, np.concatenate(chosen)].T, np.array(ranks))
    answer = classifier.probabilities(features, places)
    out = np.full((len(teaching.classes), places.size), LEAST, np.float32)
    for column, rank in enumerate(classifier.classes):
        if rank:
            rest = (1 - answer[column]) / (present - 1)
            out[rank - 1] = answer[column] / np.maximum(answer[column] + rest, LEAST)
    return out


def _log_odds(chances: FloatArray) -> FloatArray:
    safe = np.clip(chances, LEAST, 1 - LEAST)
    return np.asarray(np.clip(np.log(safe / (1 - safe)), -SUREST, SUREST), np.float32)
