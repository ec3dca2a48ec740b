from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_medseg.refine.cases import Case
from napari_medseg.refine.examples import example, persons_word
from napari_medseg.refine.trust import Trust, weights
from napari_medseg.volume import Geometry, Volume

SHAPE = (2, 3, 4)
LABELS = arrays.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 255]))


def case_with(labels: np.ndarray) -> Case:
    geometry = Geometry(SHAPE)
    return Case("a", Volume(np.zeros(SHAPE, np.float32), geometry), Volume(labels, geometry))


@given(LABELS, LABELS, LABELS, LABELS, st.booleans())
@settings(deadline=None)
def test_what_a_person_settled_comes_out_of_any_proposal_to_the_bit(given_labels, corrected, verified, proposal, teach):
    word = persons_word(case_with(given_labels), corrected, verified, teach=teach)
    written = word.over(proposal)
    assert np.array_equal(written[verified != 255], verified[verified != 255])
    only_corrected = (corrected != 255) & (verified == 255)
    assert np.array_equal(written[only_corrected], corrected[only_corrected])
    nobody = (corrected == 255) & (verified == 255)
    assert np.array_equal(written[nobody], proposal[nobody])


@given(LABELS, LABELS, LABELS, LABELS)
@settings(deadline=None)
def test_what_checks_is_never_in_a_lesson_whatever_it_says(given_labels, corrected, verified, other):
    case = case_with(given_labels)
    changed = np.where(verified == 255, verified, np.where(other == 255, 0, other)).astype(np.uint8)
    one, two = (persons_word(case, corrected, check).lesson(given_labels, Trust.WEAK) for check in (verified, changed))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert np.array_equal(one[0][verified != 255], given_labels[verified != 255])


def test_each_voxel_is_believed_as_far_as_its_origin():
    labels = np.array([[[1, 255, 0, 1]]], np.uint8).repeat(2, 0).repeat(3, 1)
    corrected, verified = np.full(SHAPE, 255, np.uint8), np.full(SHAPE, 255, np.uint8)
    corrected[0, 0], verified[1, 0] = 1, 0
    word = persons_word(case_with(labels), corrected, verified, teach=True)
    weak, proposed = (example(case_with(labels), labels, level, word).trust for level in (Trust.WEAK, Trust.PROPOSED))
    assert weak[0, 0].tolist() == [Trust.CORRECTED] * 4
    assert weak[1, 0].tolist() == [Trust.VERIFIED] * 4
    assert weak[0, 1].tolist() == [Trust.WEAK, Trust.UNKNOWN, Trust.WEAK, Trust.WEAK]
    assert proposed[0, 1].tolist() == [Trust.PROPOSED, Trust.UNKNOWN, Trust.PROPOSED, Trust.PROPOSED]


@pytest.mark.parametrize("level", list(Trust))
def test_unknown_counts_exactly_nothing_and_a_person_more_than_a_machine(level):
    (weight,) = weights(np.array([level], np.uint8))
    assert (weight == 0) == (level is Trust.UNKNOWN)
    if level >= Trust.CORRECTED:
        assert weight > weights(np.array([Trust.PROPOSED], np.uint8))[0]
