"""segment --objects and --looks: what was found and where it looked, in files that say it in millimetres; refused in a sentence where there is none."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from finds import FACTS, NAMES

from napari_medseg.cli.segmenting import _beside
from napari_medseg.errors import UnwritableFileError
from napari_medseg.io import read


def test_objects_and_maps_are_written_beside_the_labels(medseg, study):
    part = {**FACTS, "capabilities": {"classes": ["bright", "brighter"]}}
    (study.folder / "own.yaml").write_text(json.dumps({"parts": [part]}), encoding="utf-8")
    env = {**os.environ, "MEDSEG_PLUGINS": str(study.folder / "own.yaml"), "PYTHONPATH": str(Path(__file__).parents[1])}
    done = medseg(
        "segment", study.image, "--with", "finds", "-o", "out.nii.gz", "--objects", "found.json", "--looks", "gates", "--device", "cpu", "--json", env=env,
    )
    told = json.loads((study.folder / "found.json").read_text(encoding="utf-8"))
    assert done.answer["objects"] == len(told["objects"]) > 0
    assert told["coordinates"] == "LPS, mm (x, y, z)"
    scan, labels = read(study.image), read(study.folder / "out.nii.gz").array
    for each in told["objects"]:
        corners = scan.geometry.voxel(each["box_mm"])
        (z, y0, x0), (_, y1, x1) = np.ceil(corners.min(0)).astype(int), np.floor(corners.max(0)).astype(int)
        assert z == each["slice"]
        assert (labels[z, y0 : y1 + 1, x0 : x1 + 1] == each["label"]).any()
    assert done.answer["looks"] == [f"{name}.nii.gz" for name in NAMES]
    one, two = (read(study.folder / "gates" / name) for name in done.answer["looks"])
    assert one.geometry.matches(scan.geometry)
    assert one.array.dtype == np.float32
    np.testing.assert_allclose(one.array + two.array, 1, atol=1e-6)


def test_a_model_of_label_maps_has_neither(medseg, study, model):
    for option, name, said in (("--objects", "found.json", "not with objects"), ("--looks", "gates", "where it looks")):
        done = medseg("segment", study.image, "--with", model, "-o", "out.nii.gz", option, name, "--json")
        assert done.code == 1
        assert said in done.answer["error"]["what"]
        assert not (study.folder / name).exists()


def test_names_that_no_file_or_folder_of_them_can_have_are_refused_before_any_work(tmp_path):
    image = tmp_path / "scan.nii.gz"
    image.write_bytes(b"")
    _beside(image, tmp_path / "found.json", tmp_path / "gates")
    wrong = [(tmp_path / "found.nii.gz", None), (tmp_path / "gone" / "found.json", None), (None, image), (None, tmp_path / "gone" / "gates"), (tmp_path, None)]
    for objects, looks in wrong:
        with pytest.raises(UnwritableFileError):
            _beside(image, objects, looks)
