"""Agreement between annotators of the open scan: from label files and from a study's versions, and their consensus."""

import numpy as np
import pytest

from napari_medseg.io import write
from napari_medseg.session import Session, next_step
from napari_medseg.volume import Geometry, Volume

GRID = Geometry((8, 16, 18), (3.0, 1.0, 0.8), (5.0, -4.0, 2.0), (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))


def labels(shift=0, value=1):
    made = np.zeros(GRID.shape, np.uint8)
    made[2:6, 4:12, 4 + shift:12 + shift] = value
    return made


@pytest.fixture
def opened(session):
    session.open(Volume(np.random.default_rng(0).normal(100, 20, GRID.shape).astype(np.float32), GRID, name="made"))
    session.reviewing.turn("agreement")
    return session


@pytest.fixture
def files(tmp_path):
    paths = []
    for name, shift in (("ann", 0), ("ben", 1), ("cat", 2)):
        paths.append(tmp_path / f"{name}.nii.gz")
        write(Volume(labels(shift), GRID, name=name), paths[-1])
    return paths


@pytest.fixture
def compared(opened, files, owner):
    opened.reviewing.agreement.add(files)
    opened.run()
    owner.run_until(lambda: opened.reviewing.agreement.of(opened.current) is not None and not opened.jobs.active)
    return opened


def test_one_label_map_cannot_agree(opened, files, problems):
    opened.reviewing.agreement.add(files[:1])
    assert "two people or more" in next_step(opened).sentence
    opened.run()
    assert "1 label map cannot agree" in str(problems[0])


def test_label_files_are_compared_pair_by_pair(compared):
    found = compared.reviewing.agreement.of(compared.current)
    one, = found.agreement.classes
    assert one.dice[0][1] == pytest.approx(7 / 8)
    assert one.dice[0][2] == pytest.approx(6 / 8)
    assert found.agreement.annotators == ("ann.nii.gz", "ben.nii.gz", "cat.nii.gz")


def test_the_heat_lies_where_they_disagree_on_the_grid_of_the_window(compared):
    scan = compared.current
    truth = np.stack([scan.axes.apply(labels(shift)) for shift in (0, 1, 2)])
    disputed = truth.min(0) != truth.max(0)
    heat = compared.reviewing.agreement.shown
    assert np.array_equal(heat > 0, disputed)
    compared.set(tab="weak")
    assert compared.reviewing.agreement.shown is None


def test_j_walks_from_the_worst_slice_to_the_next(compared):
    places = []
    compared.place.connect(lambda scan, voxel: places.append(voxel))
    model = compared.reviewing.agreement
    model.step(1)
    model.step(1)
    assert places[0][0] != places[1][0]
    assert "disputed" in compared.notice
    assert model.of(compared.current).heat[places[0]] > 0


def test_a_consensus_is_a_preview_that_becomes_the_labels(compared, owner):
    compared.reviewing.agreement.propose()
    owner.run_until(lambda: compared.current.preview is not None)
    assert "consensus of 3" in compared.current.preview.title
    compared.accept()
    assert np.array_equal(compared.current.labels, compared.current.axes.apply(labels(1)))


def test_staple_tells_how_good_it_holds_each(compared, owner):
    compared.reviewing.agreement.choose("staple")
    compared.reviewing.agreement.propose()
    owner.run_until(lambda: compared.current.preview is not None)
    assert "sensitivity" in compared.current.preview.detail


def test_what_is_ticked_anew_makes_the_comparison_old(compared):
    model = compared.reviewing.agreement
    model.tick(model.sources(compared.current)[2], False)
    assert model.is_old(compared.current)
    assert len(model.chosen(compared.current)) == 2
    assert "Compare the 2" in next_step(compared).sentence


def test_a_label_file_of_another_scan_is_an_error_in_words(opened, files, tmp_path, owner, problems):
    write(Volume(np.ones((4, 4, 4), np.uint8), Geometry((4, 4, 4))), tmp_path / "other.nii.gz")
    opened.reviewing.agreement.add([files[0], tmp_path / "other.nii.gz"])
    opened.run()
    owner.run_until(lambda: bool(problems))
    assert "grid" in str(problems[0])


def test_versions_of_two_people_in_a_study_are_ticked_at_first(owner, tmp_path):
    write(Volume(np.arange(np.prod(GRID.shape), dtype=np.int16).reshape(GRID.shape), GRID), tmp_path / "scan.nii.gz")
    session = Session(owner)
    study = session.study
    study.create(tmp_path / "two")
    owner.run_until(lambda: study.is_open)
    study.add([tmp_path / "scan.nii.gz"])
    owner.run_until(lambda: len(study.cases) == 1)
    case = study.cases[0].id
    from napari_medseg.annotation import LabelMap

    for user, shift in (("Ann", 0), ("Ann", 1), ("Ben", 2)):
        study.project.user = user
        study.project.save(case, LabelMap(labels(shift), GRID), kind="corrected", tool="brush")
    study.go(case)
    owner.run_until(lambda: session.current is not None and len(study.versions) == 3)
    session.reviewing.turn("agreement")
    assert [each.title for each in session.reviewing.agreement.chosen(session.current)] == ["Ben, version 3", "Ann, version 2"]
    session.run()
    owner.run_until(lambda: session.reviewing.agreement.of(session.current) is not None)
    one, = session.reviewing.agreement.of(session.current).agreement.classes
    assert one.dice[0][1] == pytest.approx(7 / 8)
    session.shut()
