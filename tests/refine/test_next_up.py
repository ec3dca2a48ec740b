"""What to correct next: the slices that would teach most come first, with a reason, and one random pick stands beside them."""

from itertools import pairwise

import numpy as np
import pytest

from napari_medseg.refine.next_up import Candidate, rank

SPACING = (3.0, 1.0, 1.0)


def organ():
    labels = np.zeros((20, 24, 24), np.uint8)
    labels[3:17, 6:18, 6:18] = 1
    return labels


def without(labels, index, rows):
    out = labels.copy()
    out[index, 6:6 + rows] = 0
    return out


def candidate(case, **parts):
    return Candidate(case, organ(), SPACING, **parts)


def spots(places):
    return [(place.case, place.index) for place in places if not place.control]


def test_where_networks_disagree_most_comes_first_and_says_how_much():
    other = without(without(organ(), 5, 10), 12, 4)
    places = rank([candidate("a", others=(other,)), candidate("b", others=(without(organ(), 8, 7),))], count=4)
    assert spots(places) == [("a", 5), ("b", 8), ("a", 12)]
    assert places[0].reason == "networks disagree on 0.4 ml here"
    assert places[0].scores == {"disagreement": pytest.approx(10 * 12 * 3e-3)}


def test_every_hint_can_carry_a_slice_to_the_top():
    doubt = np.zeros((20, 24, 24), np.float32)
    doubt[9, 6:10] = 0.9
    assert spots(rank([candidate("a", doubt=doubt)], count=2)) == [("a", 9)]
    assert rank([candidate("a", doubt=doubt)], count=2)[0].reason.startswith("the network is unsure of")
    changed = rank([candidate("a", before=without(organ(), 14, 8))], count=2)
    assert spots(changed) == [("a", 14)]
    assert "changed here since the last version" in changed[0].reason


def test_a_slice_that_looks_unlike_the_corrected_ones_is_new():
    image = np.random.default_rng(0).normal(100, 5, (20, 24, 24)).astype(np.float32)
    image[11] += 400
    places = rank([candidate("a", image=image)], {"a": [4, 8]}, count=2)
    assert spots(places) == [("a", 11)]
    assert places[0].reason == "it looks unlike the slices corrected so far"


def test_where_every_slice_is_settled_there_is_nothing_to_correct():
    image = np.random.default_rng(0).normal(100, 5, (20, 24, 24)).astype(np.float32)
    everything = {"a": range(20), "b": range(20)}
    assert rank([candidate("a", image=image), candidate("b", image=image)], everything) == ()


def test_what_is_corrected_already_is_left_out():
    other = without(without(organ(), 5, 10), 12, 4)
    places = rank([candidate("a", others=(other,))], {"a": [5]}, count=20)
    assert ("a", 5) not in [(p.case, p.index) for p in places]
    assert spots(places)[0] == ("a", 12)


def test_one_random_pick_is_always_there_and_differs_with_the_seed():
    candidates = [candidate(name, others=(without(organ(), 5, 10),)) for name in "abc"]
    picks = set()
    for seed in range(12):
        places = rank(candidates, count=3, seed=seed)
        control = [place for place in places if place.control]
        assert len(control) == 1
        assert control[0] is places[-1]
        assert "random" in control[0].reason
        assert (control[0].case, control[0].index) not in spots(places)
        picks.add((control[0].case, control[0].index))
    assert len(picks) > 4


def test_neighbouring_slices_are_not_suggested_together():
    other = organ()
    other[7:12] = 0
    places = rank([candidate("a", others=(other,))], count=10)
    found = sorted(index for _, index in spots(places))
    assert all(b - a >= 3 for a, b in pairwise(found)), "8 mm are three slices of 3 mm"


def test_equals_come_in_the_order_of_case_and_slice_whatever_the_order_given():
    candidates = [candidate(name, others=(without(organ(), 9, 5),)) for name in "cab"]
    assert spots(rank(candidates, count=4)) == [("a", 9), ("b", 9), ("c", 9)]
    assert rank(candidates, count=4) == rank(candidates[::-1], count=4)


def test_unknown_voxels_are_no_disagreement_and_no_label():
    labels = np.full((20, 24, 24), 255, np.uint8)
    labels[4] = organ()[4]
    places = rank([Candidate("a", labels, SPACING, others=(organ(),))], count=9)
    assert {place.index for place in places} == {4}


def test_slices_run_along_the_thick_axis_of_the_file_or_the_one_asked_for():
    other = organ()
    other[:, 6:18, 9] = 0
    thick = Candidate("a", organ(), (1.0, 1.0, 4.0), others=(other,))
    assert [(p.axis, p.index) for p in rank([thick], count=2) if not p.control] == [(2, 9)]
    asked = Candidate("a", organ(), (1.0, 1.0, 4.0), others=(without(organ(), 5, 10),), axis=0)
    assert [(p.axis, p.index) for p in rank([asked], count=2) if not p.control] == [(0, 5)]


def test_with_nothing_to_go_by_only_the_random_pick_is_given():
    places = rank([candidate("a")], count=5)
    assert [place.control for place in places] == [True]
    assert rank([], count=5) == ()
    assert rank([candidate("a")], {"a": range(20)}, count=5) == ()
