import pytest

from napari_medseg.errors import MissingFileError, UnreadableFileError
from napari_medseg.io.folders import files_in, masks_in


@pytest.fixture
def folder(tmp_path):
    for name in ("b.nii.gz", "a.nrrd", ".hidden.nii", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.ome.zarr").mkdir()
    (tmp_path / "d.nii").mkdir()
    return tmp_path


def test_scans_are_known_by_their_names_without_suffix_and_what_is_none_is_left_out(folder):
    assert list(files_in(folder)) == ["a", "b", "c"]


def test_the_two_files_of_an_analyze_pair_are_one_scan(folder):
    for suffix in (".img", ".hdr"):
        (folder / f"pair{suffix}").touch()
    assert files_in(folder)["pair"].name == "pair.hdr"


def test_two_files_of_one_name_are_refused(folder):
    (folder / "a.mha").touch()
    with pytest.raises(UnreadableFileError, match=r"a\.nrrd: has the same name as a\.mha"):
        files_in(folder)


def test_a_folder_without_masks_and_none_at_all_are_told_apart(tmp_path):
    assert files_in(tmp_path) == {}
    with pytest.raises(UnreadableFileError, match="holds no mask"):
        masks_in(tmp_path)
    with pytest.raises(MissingFileError, match="no such folder"):
        masks_in(tmp_path / "elsewhere")
