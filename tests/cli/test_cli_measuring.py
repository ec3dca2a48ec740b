"""measure and compare, as a script calls them."""

import csv
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_medseg.cli.app import app
from napari_medseg.io import write
from napari_medseg.volume import Geometry, Volume

GRID = Geometry((6, 20, 22), (3.0, 1.0, 1.0))


def ball(radius, shift=0, value=1):
    z, y, x = np.indices(GRID.shape)
    return (((z - 2.5) * 3) ** 2 + (y - 9) ** 2 + (x - 10 - shift) ** 2 < radius**2).astype(np.uint16) * value


@pytest.fixture
def medseg(tmp_path, monkeypatch):
    """Run a command here, without a process of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        done = CliRunner().invoke(app, [str(one) for one in arguments])
        return SimpleNamespace(code=done.exit_code, out=done.stdout, answer=json.loads(done.stdout) if "--json" in arguments else None)

    return run


@pytest.fixture
def cohort(tmp_path):
    """Nine true balls, a bad model and a better one; the last two cases, from scanner B, got worse."""
    for name in ("truth", "bad", "good"):
        (tmp_path / name).mkdir()
    for case in range(9):
        radius = 5 + 0.35 * case
        for name, shift in (("truth", 0), ("bad", 3), ("good", 5 if case > 6 else 1)):
            write(Volume(ball(radius, shift), GRID), tmp_path / name / f"case{case}.nii.gz")
    lines = ["case,scanner", *(f"case{case},{'B' if case > 6 else 'A'}" for case in range(9))]
    (tmp_path / "scanners.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_measure_tells_means_with_intervals_and_writes_both_tables(medseg, cohort):
    told = medseg("measure", "good", "truth", "--tolerance", 3, "--csv", "out.csv", "--json").answer
    row, dice = told["classes"]["1"], told["summary"]["1"]["dice"]
    assert row["dice"] == dice["mean"]
    assert dice["low"] < dice["mean"] < dice["high"]
    assert (dice["n"], dice["undefined"]) == (9, 0)
    assert row["surface_dice_3mm"] >= row["surface_dice_2mm"]
    assert told["csv"] == ["out.csv", "out-summary.csv"]
    cases, summary = table(cohort / "out.csv"), table(cohort / "out-summary.csv")
    assert [case["case"] for case in cases] == [f"case{n}" for n in range(9)]
    assert float(cases[3]["dice"]) == told["cases"][3]["classes"]["1"]["dice"]
    assert {line["figure"] for line in summary} >= {"dice", "hd95_mm", "surface_dice_3mm"}
    assert float(summary[0]["mean"]) == dice["mean"]
    text = medseg("measure", "good", "truth").out
    assert "95 %" in text
    assert "9 cases" in text


def test_measure_tells_which_class_was_taken_for_which(medseg, cohort):
    truth, pred = ball(7), ball(7)
    truth[3:], pred[4:] = truth[3:] * 300, pred[4:] * 300  # a slice of class 300 was taken for class 1
    write(Volume(truth, GRID), cohort / "t.nii.gz")
    write(Volume(pred, GRID), cohort / "p.nii.gz")
    told = medseg("measure", "p.nii.gz", "t.nii.gz", "--json").answer
    assert list(told["classes"]) == ["1", "300"]
    assert told["confusion"]["classes"]["1"]["are_really"] == {"300": 1.0}
    assert told["confusion"]["classes"]["300"]["taken_for"] == {"1": 1.0}


def test_measure_refuses_predictions_without_a_truth_and_two_of_one_name(medseg, cohort):
    for name in ("case1", "case4"):
        (cohort / "truth" / f"{name}.nii.gz").unlink()
    refused = medseg("measure", "good", "truth", "--json")
    assert refused.code == 1
    assert refused.answer["error"]["where"] == "case1.nii.gz"
    assert "case4" in refused.answer["error"]["what"]
    write(Volume(ball(5), GRID), cohort / "good" / "case0.nrrd")
    assert "same name" in medseg("measure", "good", "truth", "--json").answer["error"]["what"]
    assert medseg("measure", "good", "truth", "--tolerance", -1).code == 2


def test_compare_finds_the_better_model_and_the_scanner_it_is_worse_on(medseg, cohort):
    told = medseg("compare", "bad", "good", "--truth", "truth", "--groups", "scanners.csv", "--csv", "dice.csv", "--json").answer
    (pair,) = told["pairs"]
    assert (pair["n"], pair["higher"], pair["lower"]) == (9, 7, 2)
    assert pair["p"] is not None
    scanner, size = pair["groups"]
    assert (scanner["grouping"], size["grouping"]) == ("scanner", "size")
    assert [row["group"] for row in scanner["rows"]] == ["A", "B"]
    assert "scanner B got worse" in scanner["warnings"][0]
    assert len(size["rows"]) == 3
    assert told["volumes"]["good"]["1"]["bland_altman"]["n"] == 9
    assert [float(row["good"]) for row in table(cohort / "dice.csv")] == [case["scores"][1] for case in told["cases"]]
    text = medseg("compare", "bad", "good", "--truth", "truth", "--groups", "scanners.csv").out
    assert "Look: scanner B got worse" in text


def test_compare_claims_nothing_of_three_cases(medseg, cohort):
    for case in range(3, 9):
        for name in ("bad", "good"):
            (cohort / name / f"case{case}.nii.gz").unlink()
    told = medseg("compare", "bad", "good", "--truth", "truth", "--json").answer
    (pair,) = told["pairs"]
    assert (pair["verdict"], pair["p"], pair["n"]) == ("not enough data", None, 3)
    assert told["not_predicted"]["bad"] == [f"case{n}" for n in range(3, 9)]


@pytest.mark.parametrize(("arguments", "kind"), [
    (["bad"], "InvalidInputError"),
    (["bad", "bad"], "InvalidInputError"),
    (["bad", "nowhere"], "MissingFileError"),
    (["bad", "scanners.csv"], "UnreadableFileError"),
    (["bad", "good", "--figure", "volume_ml_pred"], "InvalidInputError"),
    (["bad", "good", "--figure", "surface_dice_7mm"], "InvalidInputError"),
    (["bad", "good", "--class", "9"], "InvalidInputError"),
    (["bad", "good", "--groups", "truth/case0.nii.gz"], "UnreadableFileError"),
], ids=["one", "twice", "missing", "a file", "no better", "not measured", "no class", "no table"])
def test_compare_says_what_is_wrong(medseg, cohort, arguments, kind):
    for name in ("bad", "good"):
        for case in range(1, 9):
            (cohort / name / f"case{case}.nii.gz").unlink()
    done = medseg("compare", *arguments, "--truth", "truth", "--json")
    assert (done.code, done.answer["error"]["type"]) == (1, kind)
    assert done.answer["error"]["todo"]


def test_models_of_one_name_are_told_apart_by_their_folders(medseg, cohort):
    (cohort / "later").mkdir()
    shutil.move(cohort / "good", cohort / "later" / "bad")
    told = medseg("compare", "bad", "later/bad", "--truth", "truth", "--json").answer
    assert told["models"] == [f"{cohort.name}/bad", "later/bad"]
