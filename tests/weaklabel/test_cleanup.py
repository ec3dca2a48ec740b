import json

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.weaklabel import cleanup_steps
from napari_medseg.weaklabel.cleanup import CleanupSettings, clean, cleaning
from napari_medseg.weaklabel.cleanup_steps import (
    CleanupChain,
    Close,
    Combine,
    EditMask,
    Fill,
    Grow,
    KeepClicked,
    KeepLargest,
    Open,
    RemoveSmall,
    Shrink,
    Smooth,
)

SPACING = (5.0, 1.0, 1.0)  # a voxel is 0.005 ml


@pytest.fixture
def labels():
    out = np.zeros((5, 30, 30), np.uint8)
    out[1:4, 5:15, 5:15] = 1
    out[2, 9:11, 9:11] = 0  # a hole
    out[2, 25, 25] = 1  # a crumb
    out[2, 20:24, 5:9] = 2
    return out


def test_small_pieces_go_and_are_counted(labels):
    cleaned = clean(labels, SPACING, CleanupSettings(min_ml=0.01))
    assert cleaned.removed_components == 1
    assert cleaned.labels[2, 25, 25] == 0
    assert (cleaned.labels == 2).sum() == 16
    assert labels[2, 25, 25] == 1


def test_only_the_largest_piece_of_each_class_stays(labels):
    labels[4, 0:2, 0:2] = 2
    cleaned = clean(labels, SPACING, CleanupSettings(largest=True))
    assert cleaned.removed_components == 2
    assert set(np.unique(cleaned.labels)) == {0, 1, 2}


@pytest.mark.parametrize("settings", [CleanupSettings(fill=True), CleanupSettings(close_mm=2.5)])
def test_holes_are_filled_or_closed(labels, settings):
    assert (clean(labels, SPACING, settings).labels[2, 9:11, 9:11] == 1).all()


def test_another_class_in_the_hole_is_not_taken(labels):
    labels[2, 9:11, 9:11] = 2
    assert (clean(labels, SPACING, CleanupSettings(fill=True, close_mm=3)).labels[2, 9:11, 9:11] == 2).all()


def test_nothing_asked_changes_nothing(labels):
    cleaned = clean(labels, SPACING)
    np.testing.assert_array_equal(cleaned.labels, labels)
    assert cleaned.removed_components == 0
    assert not clean(np.zeros_like(labels), SPACING, CleanupSettings(fill=True, largest=True)).labels.any()


def test_fractions_and_negative_sizes_are_refused(labels):
    with pytest.raises(InvalidInputError, match="label map"):
        clean(labels.astype(float), SPACING)
    with pytest.raises(InvalidInputError, match="zero or more"):
        CleanupSettings(min_ml=-1)


# -- steps, each on its own ------------------------------------------------------------------------------------------------------------------------------


def after(labels, *steps, spacing=SPACING, edit=None, **given):
    return clean(labels, spacing, CleanupChain(steps, edit or EditMask()), **given).labels


def ball(shape, centre, radius_mm, spacing):
    z, y, x = np.indices(shape)
    away = ((z - centre[0]) * spacing[0]) ** 2 + ((y - centre[1]) * spacing[1]) ** 2 + ((x - centre[2]) * spacing[2]) ** 2
    return away <= radius_mm**2


def test_growing_is_by_millimetres_and_meets_a_neighbour_midway():
    labels = np.zeros((5, 9, 30), np.uint8)
    labels[2, 4, 5], labels[2, 4, 12] = 1, 2
    spacing = (5.0, 1.0, 0.5)
    grown = after(labels, Grow(3.0), spacing=spacing)
    one, two = (ball(labels.shape, (2, 4, x), 3.0, spacing) for x in (5, 12))
    assert ((grown > 0) == (one | two)).all()
    assert not grown[[0, 1, 3, 4]].any(), "the next slice is 5 mm away"
    assert (grown[2, 4] == [1] * 9 + [2] * 10 + [0] * 11).all()


def test_growing_never_overwrites_and_shrinking_undoes_it_on_a_ball():
    spacing = (2.0, 0.7, 0.7)
    labels = ball((15, 50, 50), (7, 25, 25), 8.0, spacing).astype(np.uint8)
    labels[7, 25, 40] = 2
    grown = after(labels, Grow(4.0, classes=(1,)), spacing=spacing)
    assert grown[7, 25, 40] == 2
    back = after(grown, Shrink(4.0, classes=(1,)), spacing=spacing)
    lost = (labels == 1) & (back != 1)
    assert not ((back == 1) & (labels != 1)).any()
    assert not (lost & ~ball(labels.shape, (7, 25, 40), 4.0, spacing)).any(), "the other class is outside, so it shrinks away from it only"


def test_opening_cuts_a_bridge_that_closing_would_keep():
    labels = np.zeros((9, 30, 60), np.uint8)
    labels[1:8, 5:25, 5:25] = labels[1:8, 5:25, 35:55] = labels[4, 14:16, 25:35] = 1
    spacing = (1.0, 1.0, 1.0)
    assert not after(labels, Open(2.0), spacing=spacing)[4, 14:16, 28:32].any()
    assert (after(labels, Open(2.0), spacing=spacing)[4, 10:20, 10:20] == 1).all()
    assert (after(labels, Close(2.0), spacing=spacing) >= labels).all()


def test_a_hole_is_filled_in_its_slice_or_only_where_it_is_closed_all_round():
    labels = np.zeros((7, 20, 20), np.uint8)
    labels[1:6, 4:16, 4:16] = 1
    labels[3, 8:12, 8:12] = 0
    assert (after(labels, Fill("volume"))[3, 8:12, 8:12] == 1).all()
    labels[:, 9, 9] = 0  # a channel from top to bottom
    assert (after(labels, Fill("volume"))[3, 8:12, 8:12] == 0).all()
    assert (after(labels, Fill("slices"))[1:6, 4:16, 4:16] == 1).all()


def test_holes_of_a_single_slice_are_filled_either_way():
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, 4:16, 4:16], labels[0, 9, 9] = 1, 0
    for where in ("slices", "volume"):
        assert after(labels, Fill(where))[0, 9, 9] == 1


def test_the_largest_pieces_stay_and_of_two_as_large_the_first():
    labels = np.zeros((1, 10, 40), np.uint8)
    for count, x in enumerate((0, 10, 20, 30)):
        labels[0, : (4, 6, 4, 2)[count], x : x + 4] = 1
    kept = after(labels, KeepLargest(2))
    assert [bool(kept[0, 0, x]) for x in (0, 10, 20, 30)] == [True, True, False, False]


def test_only_clicked_pieces_stay_and_a_click_just_beside_one_means_it(labels):
    cleaned = clean(labels, SPACING, [KeepClicked(((2, 24, 24),))])
    assert cleaned.labels[2, 25, 25] == 1
    assert not cleaned.labels[:, 5:15, 5:15].any()
    assert (cleaned.labels == 2).sum() == 16, "a class that was not clicked stays as it is"
    assert cleaned.removed_components == 1
    with pytest.raises(InvalidInputError, match="within 3 mm"):
        clean(labels, SPACING, [KeepClicked(((0, 29, 0),))])
    with pytest.raises(InvalidInputError, match="outside the scan"):
        clean(labels, SPACING, [KeepClicked(((0, 30, 0),))])


def test_smoothing_keeps_the_volume_of_every_class():
    rng = np.random.default_rng(0)
    rough = ball((20, 60, 60), (10, 30, 30), 22.0, (2.0, 1.0, 1.0)) & (rng.random((20, 60, 60)) > 0.15)
    labels = np.where(rough, np.where(np.indices(rough.shape)[2] > 32, 7, 3), 0).astype(np.uint8)
    smoothed = after(labels, Smooth(1.5), spacing=(2.0, 1.0, 1.0))
    for value in (3, 7):
        assert (smoothed == value).sum() == pytest.approx((labels == value).sum(), rel=0.01)
    assert (smoothed[10, 20:40, 20:40] > 0).mean() > 0.99


# -- classes, one with another ---------------------------------------------------------------------------------------------------------------------------


def test_a_class_joins_another_or_gives_way_to_its_surroundings(labels):
    joined = after(labels, Combine("union", 2, classes=(1,)))
    assert not (joined == 2).any()
    assert ((joined == 1) == (labels > 0)).all()
    margin = ball(labels.shape, (2, 23, 8), 12.0, SPACING)
    near = after(labels, Combine("intersect", 2, 12.0, classes=(1,)))
    far = after(labels, Combine("subtract", 2, 12.0, classes=(1,)))
    assert ((near == 1) | (far == 1)).sum() == (labels == 1).sum()
    assert not ((near == 1) & (far == 1)).any()
    assert not (far[margin] == 1).any()
    with pytest.raises(InvalidInputError, match="one class only"):
        after(np.array([[[1, 2, 3]]], np.uint8), Combine("union", 3))


def test_a_second_label_map_is_added_taken_away_or_met(labels):
    beside = np.zeros_like(labels)
    beside[1:3, 0:10, 0:10] = 4
    assert (after(labels, Combine("subtract", 4, classes=(1,)), beside=beside)[beside > 0] != 1).all()
    shared = after(labels, Combine("intersect", 4, classes=(1,)), beside=beside)
    assert ((shared == 1) == ((labels == 1) & (beside == 4))).all()
    both = after(labels, Combine("union", 4, classes=(1,)), beside=beside)
    assert ((both == 1) == ((labels == 1) | ((beside == 4) & (labels == 0)))).all()
    fresh = after(labels, Combine("union", 4, classes=(9,)), beside=beside)
    assert ((fresh == 9) == ((beside == 4) & (labels == 0))).all(), "a class that was not there yet"


# -- what stays as it is ---------------------------------------------------------------------------------------------------------------------------------


STEPS = [
    RemoveSmall(1.0), Close(3.0), Open(2.0), Fill(), KeepLargest(), KeepClicked(((2, 25, 25), (2, 21, 6))), Smooth(2.0), Grow(2.0), Shrink(1.0),
    Combine("subtract", 2, 9.0, classes=(1,)),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_every_step_heeds_the_edit_mask(labels, step):
    image = np.random.default_rng(0).normal(0, 1, labels.shape).astype(np.float32)
    image[2, 25, 25] = 0  # the crumb
    changed = after(labels, step) != labels
    assert changed.any()
    windowed = after(labels, step, edit=EditMask(window=(-0.5, 0.5)), image=image) != labels
    assert windowed.any()
    assert (np.abs(image[windowed]) <= 0.5).all()
    beside = (np.indices(labels.shape)[1] < 12).astype(np.uint8)
    inside = after(labels, step, edit=EditMask(inside=1), beside=beside) != labels
    assert (beside[inside] == 1).all()
    locked = after(labels, step, edit=EditMask(keep=(1,)))
    np.testing.assert_array_equal(locked == 1, labels == 1)
    others = after(labels, step, values=(2,)) != labels
    assert not (others & (labels == 1)).any()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_no_step_takes_a_voxel_from_another_class(labels, step):
    labels[2, 9:11, 9:11] = 2
    labels[1:4, 5:15, 15:18] = 3
    cleaned = after(labels, step)
    taken = (labels > 0) & (cleaned > 0) & (cleaned != labels)
    assert not taken.any() or isinstance(step, Smooth)


def test_classes_on_a_ground_grow_into_it_and_give_back_to_it():
    labels = np.zeros((3, 20, 20), np.uint8)
    labels[:, 2:18, 2:18] = 1
    labels[1, 8:12, 8:12] = 2
    on = EditMask(inside=1)
    grown = after(labels, Grow(2.0), edit=on)
    assert (grown == 2).sum() > (labels == 2).sum()
    assert ((grown > 0) == (labels > 0)).all()
    assert ((after(grown, Shrink(2.0), edit=on) > 0) == (labels > 0)).all()
    assert (after(labels, RemoveSmall(9.0), edit=on)[1, 8:12, 8:12] == 1).all()


# -- the chain -------------------------------------------------------------------------------------------------------------------------------------------


def test_steps_are_done_in_the_order_they_are_given(labels):
    crumbs_first = after(labels, RemoveSmall(0.01), Grow(3.0))
    grown_first = after(labels, Grow(3.0), RemoveSmall(0.01))
    assert not crumbs_first[2, 25, 25]
    assert grown_first[2, 25, 25] == 1


def test_each_step_can_be_seen_and_the_rest_left_out(labels):
    chain = CleanupChain((Close(2.5), RemoveSmall(0.01), KeepLargest()))
    seen = list(cleaning(labels, SPACING, chain))
    assert [each.steps_done for each in seen] == [1, 2, 3]
    assert [each.fraction for each in seen] == pytest.approx([1 / 3, 2 / 3, 1])
    assert [each.removed_components for each in seen] == [0, 1, 1]
    for count, each in enumerate(seen):
        alone = clean(labels, SPACING, chain.steps[: count + 1])
        np.testing.assert_array_equal(each.labels, alone.labels)
        before = labels if count == 0 else seen[count - 1].labels
        different = each.labels != before
        assert each.changed == different.sum()
        if each.box is not None:
            different[each.box] = False
        assert not different.any()
    running = cleaning(labels, SPACING, chain)
    next(running)
    running.close()
    np.testing.assert_array_equal(clean(labels, SPACING, chain).labels, seen[-1].labels)


def test_a_step_can_be_left_after_each_class_and_comes_to_the_same(labels):
    steps = [Close(2), RemoveSmall(0.01), Grow(1)]
    plain = list(cleaning(labels, SPACING, steps))
    finely = list(cleaning(labels, SPACING, steps, finely=True))
    assert [each.steps_done for each in plain] == [1, 2, 3]
    assert [each.steps_done for each in finely] == [0, 0, 1, 1, 1, 2, 2, 2, 3]  # two classes
    assert [round(each.fraction, 2) for each in finely] == [0, 0, 0.33, 0.33, 0.33, 0.67, 0.67, 0.67, 1]
    for one, other in zip(plain, [each for each, before in zip(finely[1:], finely, strict=False) if each.steps_done > before.steps_done], strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        assert (one.message, one.changed, one.removed_components) == (other.message, other.changed, other.removed_components)


def test_the_usual_settings_are_a_chain(labels):
    settings = CleanupSettings(close_mm=2.0, fill=True, min_ml=0.01, largest=True)
    np.testing.assert_array_equal(clean(labels, SPACING, settings).labels, clean(labels, SPACING, settings.chain()).labels)
    assert [step.name for step in settings.chain().steps] == ["close", "fill", "remove small", "keep largest"]


def test_a_chain_survives_json():
    chain = CleanupChain(tuple(STEPS), EditMask(3, (-10.0, 40.5), (2, 5)))
    assert cleanup_steps.chain_from(json.loads(json.dumps(chain.recorded()))) == chain
    assert all(step.words()[0].isupper() for step in STEPS)


@pytest.mark.parametrize("recorded", [
    {"steps": [{"step": "polish"}]}, {"steps": [{"step": "close"}]}, {"steps": [{"step": "close", "mm": 1, "colour": 2}]}, {"steps": ["close"]}, {"steps": 3},
    {"steps": [{"step": "grow", "mm": "much"}]}, {"edit": {"where": 1}}, {"mm": 3},
])
def test_a_record_that_is_no_chain_is_refused(recorded):
    with pytest.raises(InvalidInputError):
        cleanup_steps.chain_from(recorded)


@pytest.mark.parametrize("dtype", [bool, np.int16, np.uint16, np.int64])
def test_the_labels_keep_their_type_and_are_not_written_to(dtype, labels):
    given = (labels == 1).astype(dtype)
    before = given.copy()
    cleaned = after(given, Fill(), RemoveSmall(0.01), Smooth(1.0))
    assert cleaned.dtype == dtype
    np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(cleaned, after((labels == 1).astype(np.uint8), Fill(), RemoveSmall(0.01), Smooth(1.0)))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 1), (1, 30, 30), (2, 3, 40)])
@pytest.mark.parametrize("step", [each for each in STEPS if not isinstance(each, KeepClicked)], ids=lambda step: step.name)
def test_slabs_and_single_voxels_go_through_every_step(shape, step):
    labels = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    for given in (labels, np.zeros_like(labels), np.ones_like(labels)):
        assert after(given, step).shape == shape


@pytest.mark.parametrize(("fault", "said"), [
    (lambda labels: after(-labels.astype(np.int16), Fill()), "below 0"),
    (lambda labels: after(labels, Fill(), edit=EditMask(window=(0, 1))), "needs the scan"),
    (lambda labels: after(labels, Fill(), image=np.zeros((2, 2, 2))), "do not fit"),
    (lambda labels: after(labels, Fill(), beside=np.zeros((2, 2, 2), np.uint8)), "do not fit"),
    (lambda labels: Grow(-1.0), "zero or more"), (lambda labels: Close(float("nan")), "zero or more"), (lambda labels: KeepLargest(0), "at least one"),
    (lambda labels: KeepClicked(()), "no piece was clicked"), (lambda labels: Fill("rows"), "rows"), (lambda labels: Combine("xor", 1), "xor"),
    (lambda labels: Combine("union", 0), "no classes"), (lambda labels: Grow(1.0, classes=(0,)), "no classes"),
    (lambda labels: EditMask(window=(3, 1)), "no range"),
])
def test_what_cannot_be_done_is_said(labels, fault, said):
    with pytest.raises(InvalidInputError, match=said):
        fault(labels)
