"""A pixel classifier that learns from strokes while one watches: extremely randomised trees (Geurts et al., Machine Learning 2006).

Thresholds drawn at random between the strokes' values fall midway on average, which suits strokes: they lie deep inside what they mark and hardly ever
at its border. Every class weighs the same, however long its strokes are. Trees draw from generators of their own, so that the answer is always the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import FloatArray
from napari_medseg.weaklabel.compiled import compiled, in_parts

TREES = 24
DEPTH = 10
MOST_SAMPLES = 4000
CAUTION = 1.0  # voxels of every class that each leaf pretends to have seen
LEAST = 4096

IntArray = npt.NDArray[np.int32]
Order = npt.NDArray[np.intp]
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
        samples, index = np.ascontiguousarray(values[chosen], np.float32), index[chosen].astype(np.int32)
        counts = np.bincount(index, minlength=present.size)
        weights = (index.size / (present.size * counts)).astype(np.float32)[index]
        size = (TREES, min(2 * index.size - 1, 2 ** (DEPTH + 1) - 1))
        self._feature, self._child = np.zeros(size, np.int32), np.full(size, -1, np.int32)
        self._threshold, self._leaf = np.zeros(size, np.float32), np.zeros((*size, present.size), np.float32)
        in_parts(_grow_trees, TREES, samples, index, weights, self._feature, self._child, self._threshold, self._leaf)
        self.classes = tuple(int(v) for v in present)
        return self

    def probabilities(self, features: FloatArray) -> FloatArray:
        """How likely each class is.

        Parameters
        ----------
        features : float32 (features, z, y, x)

        Returns
        -------
        float32 (classes, z, y, x)
            Adds up to one.
        """
        shape = features.shape[1:]
        flat = np.ascontiguousarray(features, np.float32).reshape(features.shape[0], -1)
        out = np.zeros((len(self.classes), flat.shape[1]), np.float32)
        in_parts(_ask_trees, flat.shape[1], flat, self._feature, self._child, self._threshold, self._leaf, out, least=LEAST)
        return out.reshape(len(self.classes), *shape)


def _thinned(index: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """At most so many samples, every class evenly thinned."""
    if index.size <= MOST_SAMPLES:
        return np.arange(index.size)
    share = MOST_SAMPLES // int(index.max() + 1)
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
def _count(classes: IntArray, weights: FloatArray, order: Order, begin: int, end: int, whole: Weights) -> tuple[float, float]:
    """Fill `whole` with the classes' weights; all of it, and the heaviest class."""
    for c in range(whole.size):
        whole[c] = 0.0
    for i in range(begin, end):
        whole[classes[order[i]]] += weights[order[i]]
    total = largest = 0.0
    for c in range(whole.size):
        total, largest = total + whole[c], max(largest, whole[c])
    return total, largest


@compiled
def _purity(
    samples: FloatArray, feature: int, cut: np.float32, classes: IntArray, weights: FloatArray,
    order: Order, begin: int, end: int, whole: Weights, below: Weights,
) -> float:
    """How pure the two sides of a cut are (Gini); larger is better."""
    for c in range(below.size):
        below[c] = 0.0
    for i in range(begin, end):
        if samples[order[i], feature] <= cut:
            below[classes[order[i]]] += weights[order[i]]
    under = under_squared = above = above_squared = 0.0
    for c in range(below.size):
        over = whole[c] - below[c]
        under, under_squared = under + below[c], under_squared + below[c] * below[c]
        above, above_squared = above + over, above_squared + over * over
    return under_squared / under + above_squared / above


@compiled
def _parted(samples: FloatArray, feature: int, cut: np.float32, order: Order, begin: int, end: int) -> int:
    """Bring samples up to the cut to the front; where the others begin."""
    middle = begin
    for i in range(begin, end):
        if samples[order[i], feature] <= cut:
            order[i], order[middle] = order[middle], order[i]
            middle += 1
    return middle


@compiled
def _grow_trees(
    start: int, stop: int, samples: FloatArray, classes: IntArray, weights: FloatArray,
    feature: IntArray, child: IntArray, threshold: FloatArray, leaf: FloatArray,
) -> None:
    count, features = samples.shape
    kinds, room = leaf.shape[2], child.shape[1]
    tries = int(np.ceil(np.sqrt(features)))
    order = np.empty(count, np.intp)
    first, last, depth = np.empty(room, np.intp), np.empty(room, np.intp), np.empty(room, np.intp)
    whole, below = np.empty(kinds), np.empty(kinds)
    state = np.empty(1, np.uint64)
    for tree in range(start, stop):
        state[0] = np.uint64(tree + 1) * np.uint64(11400714819323198485)
        for i in range(count):
            order[i] = i
        first[0], last[0], depth[0] = 0, count, 0
        used = 1
        node = 0
        while node < used:
            begin, end = first[node], last[node]
            total, largest = _count(classes, weights, order, begin, end, whole)
            for c in range(kinds):
                leaf[tree, node, c] = (whole[c] + CAUTION) / (total + kinds * CAUTION)
            best, chosen, cut = -1.0, -1, np.float32(0)
            if depth[node] < DEPTH and used + 2 <= room and largest < total:
                for _ in range(tries):
                    f = min(int(_drawn(state) * features), features - 1)
                    low, high = samples[order[begin], f], samples[order[begin], f]
                    for i in range(begin + 1, end):
                        value = samples[order[i], f]
                        low, high = min(low, value), max(high, value)
                    t = np.float32(low + _drawn(state) * (high - low))
                    if not low < high or t >= high:
                        continue
                    purity = _purity(samples, f, t, classes, weights, order, begin, end, whole, below)
                    if purity > best:
                        best, chosen, cut = purity, f, t
            if chosen >= 0:
                middle = _parted(samples, chosen, cut, order, begin, end)
                feature[tree, node], threshold[tree, node], child[tree, node] = chosen, cut, used
                first[used], last[used], depth[used] = begin, middle, depth[node] + 1
                first[used + 1], last[used + 1], depth[used + 1] = middle, end, depth[node] + 1
                used += 2
            node += 1


@compiled
def _ask_trees(
    start: int, stop: int, features: FloatArray, feature: IntArray, child: IntArray, threshold: FloatArray, leaf: FloatArray, out: FloatArray,
) -> None:
    trees, kinds = child.shape[0], leaf.shape[2]
    share = np.float32(1.0 / trees)
    here = np.empty(features.shape[0], np.float32)
    for voxel in range(start, stop):
        for f in range(here.size):
            here[f] = features[f, voxel]
        for tree in range(trees):
            node = 0
            while child[tree, node] >= 0:
                node = child[tree, node] + (here[feature[tree, node]] > threshold[tree, node])
            for c in range(kinds):
                out[c, voxel] += share * leaf[tree, node, c]
