import json
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.annotation import ObjectPrompt, Prompts, read_prompts, read_seed_points
from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError


def written(folder: Path, content: object) -> Path:
    path = folder / "prompts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_full_prompts_file_is_read_field_by_field(tmp_path):
    content = {
        "objects": [{
            "label": 2, "points": [[1, 2, 3, 1], [4, 5, 6, -1], [7, 8, 9]], "boxes": [[[0, 0, 0], [1, 1, 1]]],
            "lassos": [[[0, 0, 0], [1, 0, 0], [1, 1, 0]]],
        }],
        "scribbles": "strokes.nii.gz",
        "mask": str(tmp_path / "elsewhere" / "mask.nii.gz"),
    }
    read = read_prompts(written(tmp_path, content))
    assert read.objects == (ObjectPrompt(
        2,
        ((1.0, 2.0, 3.0, 1), (4.0, 5.0, 6.0, -1), (7.0, 8.0, 9.0, 1)),
        (((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),),
        (((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0)),),
    ),)
    assert read.scribbles == tmp_path / "strokes.nii.gz"
    assert read.mask == tmp_path / "elsewhere" / "mask.nii.gz"


def test_an_empty_file_points_at_nothing(tmp_path):
    assert read_prompts(written(tmp_path, {})) == Prompts()
    assert read_prompts(written(tmp_path, {"objects": [{"label": 1}]})).is_empty


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"objects": [{"label": 255, "points": []}]}, "label"),
        ({"objects": [{"label": 1, "points": [[1, 2]]}]}, "points"),
        ({"objects": [{"label": 1, "points": [[1, 2, 3, 0]]}]}, "ends in 0"),
        ({"objects": [{"label": 1, "points": [[1, 2, 3, 0.5]]}]}, "ends in 0.5"),
        ({"objects": [{"label": 1, "lassos": [[[0, 0, 0], [1, 1, 1]]]}]}, "lasso"),
        ({"object": []}, "object"),
        ([1, 2], "the file"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, content, named):
    with pytest.raises(InvalidInputError, match=named) as caught:
        read_prompts(written(tmp_path, content))
    assert caught.value.where == "prompts.json"


def test_a_missing_file_and_a_file_that_is_no_json_are_told_apart(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.json"):
        read_prompts(tmp_path / "none.json")
    with pytest.raises(UnreadableFileError, match=r"prompts\.json"):
        read_seed_points(written(tmp_path, "points: 1 2 3"))
    binary = tmp_path / "prompts.json"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UnreadableFileError):
        read_seed_points(binary)


def test_seed_points_are_read_as_lps_millimetres(tmp_path):
    points = read_seed_points(written(tmp_path, {"points": [[1, 2.5, -3], [4, 5, 6]]}))
    np.testing.assert_array_equal(points, [[1, 2.5, -3], [4, 5, 6]])


def test_an_empty_list_of_seeds_is_an_empty_array(tmp_path):
    assert read_seed_points(written(tmp_path, {"points": []})).shape == (0, 3)


@pytest.mark.parametrize("content", [{}, {"points": [[1, 2]]}, {"points": [[1, 2, "three"]]}, '{"points": [[1, 2, NaN]]}'])
def test_a_seed_that_is_not_three_finite_numbers_is_refused(tmp_path, content):
    with pytest.raises(InvalidInputError, match="points"):
        read_seed_points(written(tmp_path, content))
