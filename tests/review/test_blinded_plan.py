"""What is asked: drawn by chance from one seed, balanced, and refused when the files are others than those that were planned."""

import json
from dataclasses import replace

import blinded_cases as cases
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.errors import InvalidInputError, MissingFileError, NoLabelsError, UnreadableFileError, UnwritableFileError
from napari_medseg.io import read, write
from napari_medseg.review.blinded import FolderSource, PlanOptions, make_plan, read_plan, write_plan
from napari_medseg.review.blinded.pictures import shown
from napari_medseg.review.blinded.planning import choose_slices, draw
from napari_medseg.review.blinded.sources import require_unchanged, source_of
from napari_medseg.volume import orient

SLICES = st.lists(st.integers(0, 80), min_size=1, max_size=30, unique=True).map(sorted)
HELD = st.dictionaries(st.text("abc", min_size=1, max_size=3), SLICES, min_size=1, max_size=8)


def make(source, **options):
    *_, last = make_plan(source, PlanOptions(**options))
    return last.plan


@given(HELD, st.integers(1, 100), st.sampled_from(["spread", "random"]), st.integers(0, 9))
def test_slices_hold_labels_and_are_shared_evenly_among_cases(held, wanted, choice, seed):
    chosen = choose_slices(held, wanted, choice, np.random.default_rng(seed))
    assert len(chosen) == len(set(chosen)) == min(wanted, sum(map(len, held.values())))
    assert all(index in held[case] for case, index in chosen)
    shares = {case: sum(one == case for one, _ in chosen) for case in held}
    unfilled = [shares[case] for case in held if shares[case] < len(held[case])]
    assert not unfilled or max(shares.values()) - min(unfilled) <= 1


@given(st.integers(1, 90), st.floats(0, 1), st.integers(0, 99))
def test_sides_are_balanced_and_repeats_come_later_on_the_other_side(count, repeats, seed):
    places = [("case", "axial", i) for i in range(count)]
    questions = draw(places, repeats, np.random.default_rng(seed))
    first = [one for one in questions if one.repeats is None]
    again = [one for one in questions if one.repeats is not None]
    assert sorted(one.slice for one in first) == list(range(count))
    assert abs(sum(one.left == "a" for one in first) - count / 2) <= 0.5
    assert len(again) == round(repeats * count)
    assert [one.number for one in questions] == list(range(1, len(questions) + 1))
    for one in again:
        before = questions[one.repeats - 1]
        assert (before.case, before.slice) == (one.case, one.slice)
        assert before.left != one.left
        assert one.number - before.number >= max(1, count // 4)


def test_a_seed_gives_the_same_plan_and_another_seed_another(tmp_path):
    images, a, b = cases.made(tmp_path)
    once, twice, other = (make(FolderSource(images, a, b), slices=12, seed=seed) for seed in (3, 3, 4))
    assert once.questions == twice.questions
    assert once.questions != other.questions
    assert once.seed == 3


def test_a_plan_comes_back_from_the_disk_as_it_was(tmp_path):
    plan = cases.planned(tmp_path, PlanOptions(slices=8, repeats=0.25))
    assert read_plan(tmp_path / "review") == plan
    assert len(plan.questions) == 10
    assert (plan.a.title, plan.b.title, plan.images) == ("model", "expert", "../scans")


def test_a_folder_takes_one_plan_only(tmp_path):
    plan = cases.planned(tmp_path)
    with pytest.raises(UnwritableFileError, match="there is a plan already"):
        write_plan(plan, tmp_path / "review")


@pytest.mark.parametrize(("change", "said"), [
    (lambda facts: facts["questions"][3].update(left="b" if facts["questions"][3]["left"] == "a" else "a"), "changed after it was made"),
    (lambda facts: facts["questions"][3].update(left="c"), r"'questions\.3\.left' is 'c', not 'a' or 'b'"),
    (lambda facts: facts["questions"][2].update(case="nobody"), r"'questions\.2\.case'"),
    (lambda facts: facts.pop("seed"), "'seed' is missing"),
    (lambda facts: facts.update(seed="0"), "'seed' is '0', no whole number"),
    (lambda facts: facts.update(colour="red"), "'colour' is no field known here"),
    (lambda facts: facts.update(format="other"), "'format'"),
    (lambda facts: facts.update(version=2), "'version' is 2; this program knows 1"),
])
def test_a_plan_that_was_edited_is_refused_and_says_which_field(tmp_path, change, said):
    cases.planned(tmp_path)
    path = tmp_path / "review" / "plan.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    change(facts)
    path.write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=said) as caught:
        read_plan(path)
    assert caught.value.where == "plan.json"


def test_what_is_no_plan_is_said_to_be_none(tmp_path):
    with pytest.raises(MissingFileError, match="no plan"):
        read_plan(tmp_path)
    (tmp_path / "plan.json").write_text("[1, 2", encoding="utf-8")
    with pytest.raises(UnreadableFileError, match="is no JSON"):
        read_plan(tmp_path)


def test_pictures_lie_as_the_display_does_and_each_side_shows_its_set(tmp_path):
    plan = cases.planned(tmp_path)
    source = source_of(plan, tmp_path / "review")
    for question in plan.questions:
        seen = shown(plan, question, source.read(question.case))
        sets = ("model", "expert") if question.left == "a" else ("expert", "model")
        for mask, name in zip((seen.left, seen.right), sets, strict=True):
            stored = read(tmp_path / name / f"{question.case}.nii.gz")
            turned = orient(stored).array[question.slice]
            assert np.array_equal(mask, turned[None])
            assert int(turned.sum()) == int(stored.array[cases.SHAPE[0] - 1 - question.slice].sum())  # these files run up, the display down
        assert seen.spacing == (1.0, 1.0)


def test_a_whole_volume_begins_where_the_masks_are_largest(tmp_path):
    plan = cases.planned(tmp_path, PlanOptions(kind="volumes"))
    assert [one.slice for one in plan.questions] == [None] * 3
    seen = shown(plan, plan.questions[0], source_of(plan, tmp_path / "review").read(plan.questions[0].case))
    assert seen.image.shape == cases.SHAPE
    assert seen.held[0] < seen.start < seen.held[1]
    area = (seen.left > 0).sum((1, 2)) + (seen.right > 0).sum((1, 2))
    assert area[seen.start] == area.max()


def test_the_frame_holds_both_masks(tmp_path):
    plan = cases.planned(tmp_path)
    seen = shown(plan, plan.questions[0], source_of(plan, tmp_path / "review").read(plan.questions[0].case))
    top, left, height, width = seen.frame()
    rows, columns = np.nonzero((seen.left[0] > 0) | (seen.right[0] > 0))
    assert top <= rows.min() < rows.max() < top + height <= 40
    assert left <= columns.min() < columns.max() < left + width <= 44


def test_a_mask_that_was_changed_is_noticed_and_not_named(tmp_path):
    plan = cases.planned(tmp_path)
    path = tmp_path / "model" / "patient1.nii.gz"
    mask = read(path)
    array = mask.array.copy()
    array[0, 0, 0] = 1
    write(mask.like(array), path)
    source = source_of(plan, tmp_path / "review")
    require_unchanged(plan.case("patient0"), source.read("patient0"))
    with pytest.raises(InvalidInputError, match="patient1: its scan or a mask was changed") as caught:
        require_unchanged(plan.case("patient1"), source.read("patient1"))
    assert "model" not in str(caught.value)


def test_a_mask_packed_anew_is_the_same_mask(tmp_path):
    plan = cases.planned(tmp_path)
    for folder in ("model", "expert"):
        path = tmp_path / folder / "patient0.nii.gz"
        mask, before = read(path), path.read_bytes()
        path.unlink()
        write(mask.like(mask.array.astype(np.uint16)), path)
        assert path.read_bytes() != before
    require_unchanged(plan.case("patient0"), source_of(plan, tmp_path / "review").read("patient0"))


def test_scans_without_both_masks_are_left_out_and_named(tmp_path):
    images, a, b = cases.made(tmp_path)
    (b / "patient2.nii.gz").unlink()
    plan = make(FolderSource(images, a, b))
    assert [case.case for case in plan.cases] == ["patient0", "patient1"]
    assert plan.notes[0] == "no mask in expert for patient2: left out"


def test_no_pair_at_all_is_an_error(tmp_path):
    images, a, b = cases.made(tmp_path, 1)
    (b / "patient0.nii.gz").rename(b / "other.nii.gz")
    with pytest.raises(NoLabelsError, match="no scan has a mask of its name in both folders"):
        FolderSource(images, a, b)
    with pytest.raises(InvalidInputError, match="the same folder"):
        FolderSource(images, a, a)
    with pytest.raises(MissingFileError):
        FolderSource(images, a, tmp_path / "nowhere")


def test_masks_without_the_class_asked_for_are_an_error(tmp_path):
    images, a, b = cases.made(tmp_path, 1)
    with pytest.raises(NoLabelsError, match="of class 7"):
        make(FolderSource(images, a, b), label=7)


def test_fewer_slices_than_asked_for_are_said(tmp_path):
    images, a, b = cases.made(tmp_path, 1)
    plan = make(FolderSource(images, a, b), slices=500)
    assert plan.notes == (f"only {len(plan.questions)} slices hold a label in either set; 500 were asked for",)


def test_slices_on_which_both_are_the_same_are_known(tmp_path):
    images, a, b = cases.made(tmp_path, 1)
    mask, other = (read(folder / "patient0.nii.gz") for folder in (a, b))
    array = other.array.copy()
    array[5] = mask.array[5]
    write(other.like(array), b / "patient0.nii.gz")
    plan = make(FolderSource(images, a, b), slices=500)
    assert [one.slice for one in plan.questions if one.same] == [cases.SHAPE[0] - 1 - 5]


@pytest.mark.parametrize("wrong", [{"slices": 0}, {"repeats": 1.5}, {"label": 255}, {"seed": -1}])
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InvalidInputError):
        replace(PlanOptions(), **wrong)
