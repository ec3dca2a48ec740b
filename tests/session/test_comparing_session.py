"""Rounds and models compared over many cases: from folders, with groups, probabilities and the verified cases of a study."""

import numpy as np
import pytest

from napari_medseg.annotation import LabelMap
from napari_medseg.io import write
from napari_medseg.session import next_step
from napari_medseg.session.compare_words import group_rows, pair_words, threshold_words
from napari_medseg.volume import Geometry, Volume

GRID = Geometry((6, 14, 16), (3.0, 1.0, 1.0))
CASES = tuple(f"case {letter}" for letter in "abcdefgh")


def ball(seed, shift=0):
    rng = np.random.default_rng(seed)
    made = np.zeros(GRID.shape, np.uint8)
    high = 7 + int(rng.integers(0, 4))
    made[1:5, 2:high, 2 + shift:9 + shift] = 1
    return made


def put(folder, shifts):
    folder.mkdir(parents=True)
    for seed, (name, shift) in enumerate(zip(CASES, shifts, strict=False)):
        write(Volume(ball(seed, shift), GRID, name=name), folder / f"{name}.nii.gz")
    return folder


@pytest.fixture
def folders(tmp_path):
    return put(tmp_path / "round1", [3] * 6 + [1] * 2), put(tmp_path / "round2", [1] * 6 + [3] * 2), put(tmp_path / "truth", [0] * 8)


@pytest.fixture
def compared(session, folders, tmp_path, owner):
    table = tmp_path / "groups.csv"
    table.write_text("case,scanner\n" + "".join(f"{name},{'A' if at < 6 else 'B'}\n" for at, name in enumerate(CASES)), "utf-8")
    session.reviewing.turn("compare")
    session.reviewing.comparing.choose(models=folders[:2], truth=folders[2], groups=table)
    session.run()
    owner.run_until(lambda: session.reviewing.comparing.comparison is not None and not session.jobs.active)
    return session.reviewing.comparing


def test_the_guide_asks_for_what_is_missing(session, folders):
    model = session.reviewing.comparing
    session.reviewing.turn("compare")
    assert "two folders" in next_step(session).sentence
    model.choose(models=folders[:2])
    assert "true label maps" in next_step(session).sentence
    model.choose(truth=folders[2])
    assert "Compare them" in next_step(session).sentence


def test_the_words_tell_the_difference_with_its_interval_and_p(compared):
    words = pair_words(compared.comparison, "Dice")
    assert "round1" in words
    assert "95 %" in words
    assert "p 0." in words
    assert "Higher in 6, lower in 2" in words


def test_a_group_that_got_worse_is_flagged_though_the_mean_gained(compared):
    rows = {row[0]: row for row in group_rows(compared.comparison)}
    assert rows["scanner: B"][3].startswith("⚠")
    assert not rows["scanner: A"][3].startswith("⚠")
    assert "⚠ scanner B got worse" in pair_words(compared.comparison, "Dice")


def test_another_figure_is_worked_out_when_it_is_asked_for(compared, owner):
    compared.look_at(figure="assd_mm", value="1")
    owner.run_until(lambda: compared.comparison is not None)
    assert compared.comparison.figure == "assd_mm"
    assert not compared.comparison.higher_is_better
    bland, fit = compared.volumes
    assert bland.n == fit.n == 8
    assert bland.bias == pytest.approx(0)


def test_folders_without_common_names_are_refused(session, folders, tmp_path, problems, owner):
    other = tmp_path / "other"
    other.mkdir()
    write(Volume(ball(0), GRID), other / "somebody.nii.gz")
    session.reviewing.turn("compare")
    session.reviewing.comparing.choose(models=(other, folders[2]), truth=folders[0])
    session.reviewing.comparing.choose(truth=other, models=folders[:2])
    session.run()
    owner.run_until(lambda: bool(problems))
    assert "name of a true one" in str(problems[0])


def test_a_map_on_another_grid_is_refused(session, folders, problems, owner):
    write(Volume(ball(0), Geometry(GRID.shape, (2.0, 1.0, 1.0))), folders[0] / "case a.nii.gz")
    session.reviewing.turn("compare")
    session.reviewing.comparing.choose(models=folders[:2], truth=folders[2])
    session.run()
    owner.run_until(lambda: bool(problems))
    assert "grid" in str(problems[0])


def test_two_cases_are_not_enough_and_it_is_said(session, tmp_path, owner):
    session.reviewing.turn("compare")
    model = session.reviewing.comparing
    model.choose(models=(put(tmp_path / "a", [1, 2]), put(tmp_path / "b", [0, 1])), truth=put(tmp_path / "t", [0, 0]))
    session.run()
    owner.run_until(lambda: model.comparison is not None)
    assert "not enough data" in pair_words(model.comparison, "Dice")


def test_a_threshold_says_what_becomes_of_dice_and_false_positives(session, folders, tmp_path, owner):
    chances = tmp_path / "chances"
    chances.mkdir()
    for seed, name in enumerate(CASES):
        sure = np.where(ball(seed) > 0, 0.9, np.where(ball(seed, 2) > 0, 0.6, 0.05)).astype(np.float32)
        write(Volume(sure, GRID), chances / f"{name}.nii.gz")
    session.reviewing.turn("compare")
    model = session.reviewing.comparing
    model.choose(models=folders[:2], truth=folders[2], probabilities=chances)
    session.run()
    owner.run_until(lambda: model.found is not None)
    one, = model.found.calibration.classes
    assert one.curve[79].dice == 1
    assert one.curve[49].dice < 1
    words = threshold_words(one, 80)
    assert "Dice 1" in words
    assert "false positives 0.00 ml" in words


def test_the_verified_cases_of_a_study_are_the_truth(session, tmp_path, owner):
    (tmp_path / "scans").mkdir()
    for seed, name in enumerate(CASES[:2]):
        write(Volume(ball(seed).astype(np.int16) * 100 + seed, GRID), tmp_path / "scans" / f"{name}.nii.gz")
    study = session.study
    study.create(tmp_path / "proof")
    owner.run_until(lambda: study.is_open)
    study.add(sorted((tmp_path / "scans").iterdir()))
    owner.run_until(lambda: len(study.cases) == 2)
    for seed, case in enumerate(study.cases):
        study.project.save(case.id, LabelMap(ball(seed), GRID), kind="verified", tool="brush")
    study.cases = study.project.cases()
    session.reviewing.turn("compare")
    model = session.reviewing.comparing
    model.choose(models=(put(tmp_path / "a", [1, 1]), put(tmp_path / "b", [0, 0])))
    assert model.missing == ""
    session.run()
    owner.run_until(lambda: model.comparison is not None)
    assert [row.scores[1] for row in model.comparison.cases] == [1, 1]
    model.open_case("case a")
    owner.run_until(lambda: session.current is not None)
    assert "case a" in session.current.name
