"""A pixel classifier that learns from strokes while one watches: random ferns (Ozuysal et al., PAMI 2010) whose questions are chosen.

A fern asks every voxel the same few questions, each whether one feature lies above one threshold, and looks the answers up in a table. Of some questions
drawn at random, with thresholds between the values of two strokes' voxels, the one is kept that parts the strokes best after those before it (as extremely
randomised trees do; Geurts et al., Machine Learning 2006). Such thresholds fall midway on average, which suits strokes: they lie deep inside what they mark
and hardly ever at its border. Answers that few strokes gave lean on the answers to one question less. Every class weighs the same, however long its strokes
are. Ferns draw from generators of their own, so that the answer is always the same. All voxels being asked the same, it is done many at a time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import FloatArray
from napari_medseg.weaklabel.compiled import compiled, in_parts

FERNS = 32
QUESTIONS = 8
TRIES = 4
MOST_SAMPLES = 1000
CAUTION = 2.0  # voxels that each answer pretends to have been given by,
INHERITED = 0.75  # of which so many are as the answer to one question less says, and the others of all classes alike
LEAST = 4096  # voxels that pay for a thread
BLOCK = 512  # voxels asked at a time

IntArray = npt.NDArray[np.int32]
Weights = npt.NDArray[np.float64]


class PixelClassifier:
    """Learns classes from the features of marked voxels, then says how likely each class is anywhere.

    Attributes
    ----------
    classes : tuple of int
        Ascending, as `probabilities` orders them.
    """

    def __init__(self) -> None:
        self.classes: tuple[int, ...] = ()

    def fit(self, values: FloatArray, classes: npt.NDArray[np.integer]) -> PixelClassifier:
        """Learn.

        Parameters
        ----------
        values : float32 (samples, features)
        classes : whole numbers (samples,)
            At least two different ones.

        Raises
        ------
        InvalidInputError
            When there is nothing to tell apart.
        """
        present, index = np.unique(classes, return_inverse=True)
        if present.size < 2:
            raise InvalidInputError("one class has nothing against it", where="strokes", todo="Draw a stroke of a second class or in the background")
        chosen = _thinned(index)
        samples, index = np.ascontiguousarray(values[chosen].T, np.float32), index[chosen].astype(np.int32)
        counts = np.bincount(index, minlength=present.size)
        weights = (index.size / (present.size * counts)).astype(np.float32)[index]
        self._feature, self._threshold = np.zeros((FERNS, QUESTIONS), np.int32), np.zeros((FERNS, QUESTIONS), np.float32)
        self._table = np.zeros((FERNS, present.size, 2**QUESTIONS), np.float32)
        in_parts(_learn, FERNS, samples, index, weights, self._feature, self._threshold, self._table)
        self._table /= FERNS
        self.classes = tuple(int(v) for v in present)
        return self

    def probabilities(self, features: FloatArray, places: IntArray | None = None) -> FloatArray:
        """How likely each class is.

        Parameters
        ----------
        features : float32 (features, ...)
        places : int32 (n,), optional
            Flat indices of the voxels asked for; None asks for all.

        Returns
        -------
        float32 (classes, ...) or (classes, n)
            Adds up to one.
        """
        flat = np.ascontiguousarray(features, np.float32).reshape(features.shape[0], -1)
        asked = np.arange(flat.shape[1], dtype=np.int32) if places is None else places
        out = np.zeros((len(self.classes), asked.size), np.float32)
        in_parts(_ask, asked.size, flat, asked, self._feature, self._threshold, self._table, out, least=LEAST)
        return out if places is not None else out.reshape(len(self.classes), *features.shape[1:])


def _thinned(index: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """At most so many samples, every class evenly thinned."""
    if index.size <= MOST_SAMPLES:
        return np.arange(index.size)
    share = max(1, MOST_SAMPLES // int(index.max() + 1))
    kept = [np.flatnonzero(index == c) for c in range(int(index.max()) + 1)]
    return np.sort(np.concatenate([which[np.linspace(0, which.size - 1, min(which.size, share)).astype(np.intp)] for which in kept]))


@compiled
def _drawn(state: npt.NDArray[np.uint64]) -> float:
    """The next number of a generator, 0 to 1 (xorshift64*, Marsaglia 2003, Vigna 2016)."""
    s = state[0]
    s ^= s >> np.uint64(12)
    s ^= s << np.uint64(25)
    s ^= s >> np.uint64(27)
    state[0] = s
    return float((s * np.uint64(2685821657736338717)) >> np.uint64(40)) / 16777216.0


@compiled
def _question(values: FloatArray, classes: IntArray, state: npt.NDArray[np.uint64]) -> float:
    """A threshold between the values of two samples, of two classes where a few draws find such."""
    count = values.size
    one, other = min(int(_drawn(state) * count), count - 1), min(int(_drawn(state) * count), count - 1)
    for _ in range(8):
        if classes[one] != classes[other]:
            break
        other = min(int(_drawn(state) * count), count - 1)
    return float(values[one] + (values[other] - values[one]) * _drawn(state))


@compiled
def _count(values: FloatArray, threshold: np.float32, answers: IntArray, classes: IntArray, weights: FloatArray, table: Weights) -> None:
    """Weights of the classes by the answers so far and one more."""
    table[:] = 0.0
    for i in range(values.size):
        table[2 * answers[i] + (values[i] > threshold), classes[i]] += weights[i]


@compiled
def _purity(table: Weights) -> float:
    """How pure all answers are (Gini); larger is better."""
    purity = 0.0
    for answer in range(table.shape[0]):
        total = squared = 0.0
        for c in range(table.shape[1]):
            total, squared = total + table[answer, c], squared + table[answer, c] * table[answer, c]
        if total > 0:
            purity += squared / total
    return purity


@compiled
def _learn(
    start: int, stop: int, samples: FloatArray, classes: IntArray, weights: FloatArray, feature: IntArray, threshold: FloatArray, table: FloatArray,
) -> None:
    features, count = samples.shape
    questions, kinds = feature.shape[1], table.shape[1]
    answers, state = np.empty(count, np.int32), np.empty(1, np.uint64)
    counted, chances, before = np.empty((2**questions, kinds)), np.empty((2**questions, kinds)), np.empty((2**questions, kinds))
    for fern in range(start, stop):
        state[0] = np.uint64(fern + 1) * np.uint64(11400714819323198485)
        answers[:] = 0
        chances[:] = 1.0 / kinds
        for question in range(questions):
            best, cells = -1.0, 2 ** (question + 1)
            for _ in range(TRIES):
                f = min(int(_drawn(state) * features), features - 1)
                cut = np.float32(_question(samples[f], classes, state))
                _count(samples[f], cut, answers, classes, weights, counted[:cells])
                purity = _purity(counted[:cells])
                if purity > best:
                    best, feature[fern, question], threshold[fern, question] = purity, f, cut
            chosen, cut = samples[feature[fern, question]], threshold[fern, question]
            _count(chosen, cut, answers, classes, weights, counted[:cells])
            for i in range(count):
                answers[i] = 2 * answers[i] + (chosen[i] > cut)
            before[: cells // 2] = chances[: cells // 2]
            for answer in range(cells):
                total = counted[answer].sum()
                for c in range(kinds):
                    expected = INHERITED * before[answer // 2, c] + (1.0 - INHERITED) / kinds
                    chances[answer, c] = (counted[answer, c] + CAUTION * expected) / (total + CAUTION)
        for answer in range(chances.shape[0]):
            for c in range(kinds):
                table[fern, c, answer] = chances[answer, c]


@compiled
def _ask(
    start: int, stop: int, features: FloatArray, places: IntArray, feature: IntArray, threshold: FloatArray, table: FloatArray, out: FloatArray,
) -> None:
    ferns, questions = feature.shape
    kinds, last = table.shape[1], table.shape[1] - 1
    seen, answers = np.empty((features.shape[0], BLOCK), np.float32), np.empty(BLOCK, np.int32)
    for begin in range(start, stop, BLOCK):
        count = min(BLOCK, stop - begin)
        for f in range(seen.shape[0]):
            for i in range(count):
                seen[f, i] = features[f, places[begin + i]]
        for fern in range(ferns):
            answers[:] = 0
            for question in range(questions):
                values, cut, bit = seen[feature[fern, question]], threshold[fern, question], np.int32(1 << (questions - 1 - question))
                for i in range(BLOCK):
                    answers[i] |= bit if values[i] > cut else np.int32(0)
            for c in range(last):
                chances, found = table[fern, c], out[c, begin : begin + count]
                for i in range(count):
                    found[i] += chances[answers[i]]
        for i in range(count):
            left = np.float32(1)
            for c in range(last):
                left -= out[c, begin + i]
            out[kinds - 1, begin + i] = max(left, np.float32(0))
