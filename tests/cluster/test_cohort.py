"""A cohort is worked through once, whatever happens to the workers, and one bad scan costs itself only."""

import json
import os
import shutil

import numpy as np
import psutil
import pytest
from dicom_scans import save_scan

from napari_medseg import __version__
from napari_medseg.cluster.cohort.cases import cohort_in, pairs_in
from napari_medseg.cluster.cohort.engines import each, measure_cohort, segment_cohort
from napari_medseg.cluster.cohort.jobs import MeasureJob, SegmentJob
from napari_medseg.cluster.cohort.ledger import NAME, opened
from napari_medseg.cluster.cohort.places import Place
from napari_medseg.cluster.cohort.work import perform
from napari_medseg.cluster.cohort.workers import Workers
from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError, UnwritableFileError
from napari_medseg.io import read, read_labels, write
from napari_medseg.metrics import measure
from napari_medseg.segmenters.named import Named
from napari_medseg.segmenters.protocol import collect, to_labels
from napari_medseg.volume import Geometry, Volume

GRID = Geometry((3, 32, 40), (3.0, 1.0, 1.0), (-30.0, 12.0, -80.0), (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
HERE = Workers(workers=1, dashboard=False, processes=False)
UNET = Named("unet")


def ball(seed):
    """A bright ball somewhere, in noise."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[: GRID.shape[0], : GRID.shape[1], : GRID.shape[2]]
    inside = ((z - 1) * 3) ** 2 + (y - rng.integers(10, 22)) ** 2 + (x - rng.integers(10, 30)) ** 2 < 60
    return rng.normal(0, 20, GRID.shape) + 200 * inside, inside


@pytest.fixture
def scans(tmp_path):
    """Three scans, and what of them is true."""
    for name in ("scans", "truths"):
        (tmp_path / name).mkdir()
    for index in range(3):
        image, inside = ball(index)
        write(Volume(image.astype(np.float32), GRID), tmp_path / "scans" / f"case{index}.nii.gz")
        write(Volume(inside.astype(np.uint8), GRID), tmp_path / "truths" / f"case{index}.nii.gz")
    return tmp_path


def through(ticks):
    """The outcomes by case, and the last tick."""
    *told, final = ticks
    return {tick.outcome.case: tick.outcome for tick in told if tick.outcome is not None}, final


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".") and path.name != NAME}


def test_every_scan_is_segmented_on_its_own_grid_as_one_alone_is_and_a_bad_one_is_told(scans):
    (scans / "scans" / "broken.nii.gz").write_bytes(b"no image")
    outcomes, _ = through(segment_cohort(Place.of(scans / "scans"), SegmentJob(UNET, Place.of(scans / "masks"), device="cpu"), HERE))
    assert {name: one.state for name, one in outcomes.items()} == {"broken": "failed", **{f"case{i}": "done" for i in range(3)}}
    assert "is not a NIfTI file" in outcomes["broken"].told
    assert len((scans / "masks" / NAME).read_text(encoding="utf-8").splitlines()) == 3
    volume, ours = read(scans / "scans" / "case1.nii.gz"), read_labels(scans / "masks" / "case1.nii.gz")
    assert ours.geometry == GRID
    np.testing.assert_array_equal(ours.channel(), to_labels(collect(UNET.build().predict(volume, device="cpu"), GRID.shape)))


def test_a_second_start_does_only_what_is_missing_or_new(scans):
    source, out = scans / "scans", scans / "masks"
    job = SegmentJob(UNET, Place.of(out), device="cpu")
    through(segment_cohort(Place.of(source), job, HERE))
    before = files(out)
    (out / "case0.nii.gz").unlink()
    image, _ = ball(9)
    write(Volume(image.astype(np.float32), GRID), source / "case1.nii.gz")
    os.utime(source / "case2.nii.gz")
    outcomes, final = through(segment_cohort(Place.of(source), job, HERE))
    assert {name: one.state for name, one in outcomes.items()} == {"case0": "done", "case1": "done", "case2": "kept"}
    assert files(out)["case0.nii.gz"] == before["case0.nii.gz"]
    assert files(out)["case2.nii.gz"] == before["case2.nii.gz"]
    outcomes, final = through(segment_cohort(Place.of(source), job, HERE))
    assert not outcomes
    assert final.before == 3
    other = SegmentJob(Named("unet", mirror=("left-right",)), Place.of(out), device="cpu")
    assert other.key != job.key


def test_figures_of_a_cohort_are_those_of_each_case(scans):
    for path in (scans / "truths").iterdir():
        (scans / "pred").mkdir(exist_ok=True)
        labels = read_labels(path)
        write(labels.like(np.roll(labels.channel(), 1, axis=2)), scans / "pred" / path.name)
    _, final = through(measure_cohort(Place.of(scans / "pred"), Place.of(scans / "truths"), MeasureJob(Place.of(scans / "figures")), HERE))
    for row in final.rows:
        pred, truth = (read_labels(scans / name / f"{row['case']}.nii.gz").channel() for name in ("pred", "truths"))
        assert row["facts"]["classes"] == measure(pred, truth, GRID.spacing)
    assert len(final.rows) == 3
    (scans / "truths" / "case2.nii.gz").unlink()
    with pytest.raises(MissingFileError, match="has no mask of the same name"):
        list(pairs_in(Place.of(scans / "pred"), Place.of(scans / "truths")))


def test_a_store_gives_what_a_folder_gives(scans):
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for path in (scans / "scans").iterdir():
        store.pipe_file(f"/cohort/scans/{path.name}", path.read_bytes())
    write(read(scans / "scans" / "case0.nii.gz"), scans / "whole.ome.zarr")
    store.put(str(scans / "whole.ome.zarr"), "/cohort/scans/whole.ome.zarr", recursive=True)
    try:
        through(segment_cohort(Place.of((scans / "scans").as_uri()), SegmentJob(UNET, Place.of(scans / "masks"), device="cpu"), HERE))
        there = SegmentJob(UNET, Place.of("memory://cohort/masks"), ".nii.gz", device="cpu")
        outcomes, _ = through(segment_cohort(Place.of("memory://cohort/scans"), there, HERE))
        assert {name: one.state for name, one in outcomes.items()} == dict.fromkeys(("case0", "case1", "case2", "whole"), "done")
        for name, made in files(scans / "masks").items():
            assert store.cat_file(f"/cohort/masks/{name}") == made
        (scans / "back").mkdir()
        store.get("/cohort/masks/whole.nii.gz", str(scans / "back" / "whole.nii.gz"))
        np.testing.assert_array_equal(read_labels(scans / "back" / "whole.nii.gz").array, read_labels(scans / "masks" / "case0.nii.gz").array)
        outcomes, final = through(segment_cohort(Place.of("memory://cohort/scans"), there, HERE))
        assert not outcomes
        assert final.before == 4
    finally:
        store.rm("/cohort", recursive=True)


def test_a_dicom_tree_is_a_case_a_series_and_a_folder_that_cannot_be_read_is_a_case_that_fails(tmp_path):
    rng = np.random.default_rng(0)
    for folder, uid, number in (("p1/a", "1.2.1", 3), ("p2/a", "1.2.2", 4), ("p2/b", "1.2.3", 5)):
        save_scan(tmp_path / "tree" / folder, rng.integers(0, 2000, GRID.shape, dtype=np.uint16), GRID, uid=uid, number=number)
    (tmp_path / "tree" / "p3").mkdir()
    (tmp_path / "tree" / "p3" / "notes.txt").write_text("nothing")
    found = {case.id: case for case in cohort_in(Place.of(tmp_path / "tree")).cases()}
    assert list(found) == ["p1", "p2-4", "p2-5", "p3"]
    assert [found[name].series for name in ("p1", "p2-4", "p2-5")] == ["1.2.1", "1.2.2", "1.2.3"]
    job = SegmentJob(UNET, Place.of(tmp_path / "masks"), device="cpu")
    assert perform(job, found["p3"], None, __version__).state == "failed"
    outcome = perform(job, found["p2-5"], None, __version__)
    assert outcome.state == "done", outcome.told
    assert read_labels(tmp_path / "masks" / "p2-5.nii.gz").geometry.matches(read(tmp_path / "tree" / "p2", series="1.2.3").geometry)
    assert [case.id for case in cohort_in(Place.of(tmp_path / "tree" / "p2" / "a")).cases()] == ["a"]


@pytest.mark.slow  # two real workers are started, killed and started again
def test_a_worker_that_dies_costs_nothing_and_no_case_counts_twice(scans):
    truth = scans / "truths" / "case0.nii.gz"
    for name in ("pred", "real"):
        (scans / name).mkdir()
        for index in range(30):
            shutil.copy(truth, scans / name / f"m{index:02d}.nii.gz")
    out, killed, outcomes = scans / "figures", [], []
    pairs = list(pairs_in(Place.of(scans / "pred"), Place.of(scans / "real")))
    for tick in each(pairs, len(pairs), MeasureJob(Place.of(out)), Workers(workers=2, dashboard=False), lambda _: None):
        if tick.outcome is not None:
            outcomes.append(tick.outcome)
        if len(outcomes) >= (1, 12, 99)[len(killed)]:
            workers = [one for one in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(one.cmdline())]
            listening = {found.laddr.ip for one in (psutil.Process(), *workers) for found in one.net_connections("inet") if found.status == "LISTEN"}
            assert listening == {"127.0.0.1"}
            for one in workers[-1:]:
                one.kill()
                killed.append(one.pid)
    assert len(killed) == 2
    assert sorted(one.case for one in outcomes) == [f"m{index:02d}" for index in range(30)]
    assert {one.state for one in outcomes} == {"done"}
    rows = [json.loads(line)["case"] for line in (out / NAME).read_text(encoding="utf-8").splitlines()]
    assert sorted(rows) == sorted(set(rows)) == [f"m{index:02d}" for index in range(30)]


def test_a_line_that_was_cut_off_is_no_row_and_the_next_one_is_whole(tmp_path):
    with opened(Place.of(tmp_path)) as ledger:
        ledger.add({"case": "a", "job": "1"})
    with (tmp_path / NAME).open("a", encoding="utf-8") as file:
        file.write('{"case": "b", "jo')
    with opened(Place.of(tmp_path)) as ledger:
        assert set(ledger.rows) == {"a"}
        ledger.add({"case": "c", "job": "1"})
        with pytest.raises(UnwritableFileError, match="another run is at work"), opened(Place.of(tmp_path)):
            pass
    with opened(Place.of(tmp_path)) as ledger:
        assert set(ledger.rows) == {"a", "c"}


def test_what_cannot_be_a_cohort_is_refused_before_anything_starts(scans, tmp_path):
    job = SegmentJob(UNET, Place.of(tmp_path / "masks"))
    with pytest.raises(InvalidInputError, match="must be pointed at"):
        next(segment_cohort(Place.of(scans / "scans"), SegmentJob(Named("promptable"), Place.of(tmp_path / "masks")), HERE))
    with pytest.raises(InvalidInputError, match="would be written into"):
        next(segment_cohort(Place.of(tmp_path / "masks"), job, HERE))
    with pytest.raises(MissingFileError):
        next(segment_cohort(Place.of(tmp_path / "nowhere"), job, HERE))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableFileError, match="holds no scan"):
        next(segment_cohort(Place.of(tmp_path / "empty"), job, HERE))
    with pytest.raises(UnwritableFileError, match="no ending of a mask"):
        SegmentJob(UNET, Place.of(tmp_path / "masks"), "nii")
    with pytest.raises(InvalidInputError, match="no store that is known"):
        Place.of("nowhere://bucket/scans").names()
    far = Workers(scheduler="tls://127.0.0.1:1", ca=scans / "scans" / "case0.nii.gz")
    with pytest.raises(InvalidInputError, match="--tls-cert, --tls-key is missing"):
        list(segment_cohort(Place.of(scans / "scans"), job, far))
    assert not (tmp_path / "masks" / "case0.nii.gz").exists()


def test_a_worker_of_another_version_says_so(scans):
    case = next(cohort_in(Place.of(scans / "scans")).cases())
    outcome = perform(SegmentJob(UNET, Place.of(scans / "masks")), case, None, "0.0.0")
    assert outcome.state == "failed"
    assert "asks" in outcome.told
    assert not (scans / "masks").exists()
