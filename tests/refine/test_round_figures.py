"""What a round's Dice counts: the same as everywhere else."""

import numpy as np
import pytest

from napari_medseg.metrics import measure, over_classes
from napari_medseg.refine.figures import mean_dice


def test_rounds_average_as_measure_does():
    rng = np.random.default_rng(0)
    answers, truths = ({name: rng.integers(0, 3, (3, 5, 6)).astype(np.uint8) for name in "ab"} for _ in range(2))
    answers["b"][answers["b"] == 2] = truths["b"][truths["b"] == 2] = 0  # class 2 is in neither map of b: it does not count there
    expected = [over_classes(measure(answers[name], truths[name], (1.0, 1.0, 1.0)))["dice"] for name in "ab"]
    assert mean_dice(answers, truths, (1, 2)) == pytest.approx(np.mean(expected))


def test_a_case_where_no_class_is_known_counts_nowhere():
    empty, unknown, some = np.zeros((1, 2, 2), np.uint8), np.full((1, 2, 2), 255, np.uint8), np.eye(2, dtype=np.uint8)[None]
    assert mean_dice({"a": empty}, {"a": empty}, (1,)) is None
    assert mean_dice({"a": some, "b": some, "c": empty}, {"a": unknown, "b": some, "c": some}, (1,)) == 0.5
