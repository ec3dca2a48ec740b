"""Rounds over a cohort come out as on one machine, and every scan without labels gets the model's."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from test_cohort import GRID, HERE, ball

from napari_medseg.cluster.cohort.places import Place
from napari_medseg.cluster.cohort.refining import divided, refine_cohort
from napari_medseg.errors import MissingFileError
from napari_medseg.io import read, read_labels, write
from napari_medseg.refine import Folders, RefineRequest, RefineRun, last_result
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.segmenters.named import Named
from napari_medseg.segmenters.protocol import collect, to_labels
from napari_medseg.volume import Volume

QUICK = RefineRequest((), medseg(updates=6, patience=1), device="cpu")


@pytest.fixture
def cohort(tmp_path):
    """Four scans, two of them with weak labels."""
    for name in ("scans", "labels", "labelled"):
        (tmp_path / name).mkdir()
    for index in range(4):
        image, inside = ball(index)
        write(Volume(image.astype(np.float32), GRID), tmp_path / "scans" / f"case{index}.nii.gz")
        if index < 2:
            write(Volume(np.roll(inside, 1, axis=2).astype(np.uint8), GRID), tmp_path / "labels" / f"case{index}.nii.gz")
            shutil.copy(tmp_path / "scans" / f"case{index}.nii.gz", tmp_path / "labelled")
    return tmp_path


@pytest.mark.slow  # two trainings, each in a process of its own
def test_rounds_are_those_of_one_machine_and_the_other_scans_get_the_models_labels(cohort, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("napari_medseg.cluster.cohort.refining._threads", lambda: 1)
    alone = replace(QUICK, cases=Folders(cohort / "labelled", cohort / "labels"), out=cohort / "alone")
    last_result(iter(RefineRun(alone, threads=1)))
    *ticks, final = refine_cohort(Place.of(cohort / "scans"), Place.of(cohort / "labels"), replace(QUICK, out=cohort / "run"), HERE)
    for name in ("case0.nii.gz", "case1.nii.gz"):
        for folder in ("round1", "final"):
            assert (cohort / "run" / folder / name).read_bytes() == (cohort / "alone" / folder / name).read_bytes()
    assert final.facts["best_round"] in (0, 1)
    assert {tick.outcome.case for tick in ticks if tick.outcome} == {"case2", "case3"} == {path.name[:5] for path in (cohort / "run" / "proposed").iterdir()}
    model = Named(str(cohort / "alone")).build()
    volume = read(cohort / "scans" / "case3.nii.gz")
    wanted = to_labels(collect(model.predict(volume, device="cpu"), GRID.shape), model.capabilities.threshold)
    np.testing.assert_array_equal(read_labels(cohort / "run" / "proposed" / "case3.nii.gz").channel(), wanted)
    *ticks, again = refine_cohort(Place.of(cohort / "scans"), Place.of(cohort / "labels"), replace(QUICK, out=cohort / "run"), HERE)
    assert [tick.message for tick in ticks] == ["2 cases to learn from, 2 others", "The rounds were done before"]
    assert (again.facts, again.before) == (final.facts, 2)


def test_a_label_map_without_its_scan_is_told_before_anything_starts(cohort):
    taught, others = divided(Place.of(cohort / "scans"), Place.of(cohort / "labels"))
    assert [one.name for one in taught] == ["case0.nii.gz", "case1.nii.gz"]
    assert [one.id for one in others] == ["case2", "case3"]
    (cohort / "labels" / "case0.nii.gz").rename(cohort / "labels" / "other.nii.gz")
    with pytest.raises(MissingFileError, match="without its scan"):
        divided(Place.of(cohort / "scans"), Place.of(cohort / "labels"))
