from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError
from napari_medseg.refine.forgetting import Forgetting
from napari_medseg.refine.patients import read_patients
from napari_medseg.refine.splits import held_back, read_splits, write_splits

NAMES = st.sets(st.text(min_size=1, max_size=4), min_size=1, max_size=12)


@given(NAMES, st.floats(0.05, 0.95), st.integers(0, 3))
def test_about_the_share_is_held_back_and_never_all_or_none_of_two(names, share, seed):
    held = held_back(names, share, seed)
    assert held.keys() == names
    if len(names) > 1:
        assert 0 < sum(held.values()) < len(names)
    assert abs(sum(held.values()) - share * len(names)) <= 1


@given(NAMES, NAMES, st.integers(0, 3))
def test_who_is_drawn_once_stays_where_they_are_whoever_comes_later(first, second, seed):
    before = held_back(first, 0.25, seed)
    after = held_back([*second, *first], 0.25, seed, before)
    assert {name: after[name] for name in first} == before
    assert after == held_back(sorted(first | second), 0.25, seed, before)


def test_splits_come_back_as_they_were_written_and_a_damaged_file_is_said(tmp_path):
    assert read_splits(tmp_path) == {}
    write_splits(tmp_path, {"replay": {"Ann": True}})
    assert read_splits(tmp_path) == {"replay": {"Ann": True}}
    (tmp_path / "splits.json").write_text("{")
    with pytest.raises(UnreadableFileError, match="damaged"):
        read_splits(tmp_path)


@pytest.mark.parametrize("text", ['{"a.nii.gz": "Ann", "b.nii.gz": "Bob"}', "a.nii.gz,Ann\nb.nii.gz,Bob\n", "\ufeffa.nii.gz, Ann\r\n\r\nb.nii.gz, Bob"])
def test_patients_are_read_from_json_and_csv(tmp_path, text):
    (tmp_path / "who").write_text(text, encoding="utf-8")
    assert read_patients(tmp_path / "who") == {"a.nii.gz": "Ann", "b.nii.gz": "Bob"}


@pytest.mark.parametrize("text", ["a.nii.gz\n", "a,b,c\n", "a,Ann\na,Bob\n", '["a"]', '{"a": 3}', "a,\n"])
def test_what_is_no_table_of_patients_is_refused(tmp_path, text):
    (tmp_path / "who").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError):
        read_patients(tmp_path / "who")


def test_a_missing_and_a_cut_table_of_patients_are_said(tmp_path):
    with pytest.raises(MissingFileError):
        read_patients(tmp_path / "nowhere")
    (tmp_path / "who").write_text('{"a": "An', encoding="utf-8")
    with pytest.raises(UnreadableFileError, match="JSON"):
        read_patients(tmp_path / "who")


def test_the_matrix_says_how_far_the_last_model_is_below_the_best():
    matrix = Forgetting().scored("base", {"ct": 0.9}).scored("mr", {"ct": 0.5, "mr": 0.8})
    assert matrix.sets == ("ct", "mr")
    assert matrix.dice == ((0.9, None), (0.5, 0.8))
    assert matrix.lost() == {"ct": pytest.approx(0.4), "mr": 0.0}
    assert Forgetting.from_dict(matrix.as_dict()) == matrix
