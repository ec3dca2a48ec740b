"""When work fails: exit 1, one line on stderr, one object on stdout, and nothing written."""

import gzip
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from napari_medseg.errors import MedsegError
from napari_medseg.io import read, write
from napari_medseg.volume import Geometry, Volume


@pytest.fixture
def fails(medseg, study):
    """Run a command that must fail; gives its error object after checking all that holds for every failure."""

    def run(*arguments, kind, where=None):
        before = {p.name: p.read_bytes() for p in study.folder.iterdir() if p.is_file()}
        done = medseg(*arguments, "--json")
        assert done.code == 1, done.err
        assert "Traceback" not in done.err
        (line,) = [line for line in done.err.splitlines() if line.startswith("Error: ")]
        assert done.err.splitlines()[-1] == line
        error = done.answer["error"]
        assert set(error) == {"type", "what", "where", "todo"}
        assert error["type"] == kind
        assert line == f"Error: {MedsegError(error['what'], where=error['where'], todo=error['todo'])}"
        if where is not None:
            assert error["where"] == where
        assert error["todo"]
        assert {p.name: p.read_bytes() for p in study.folder.iterdir() if p.is_file()} == before
        return error

    return run


def levelset(study, **changed):
    given = {"image": study.image, "--seeds": study.seeds, **changed}
    return ["weak", "levelset", given.pop("image"), "-o", "out.nii.gz", *(part for pair in given.items() for part in pair)]


def test_a_missing_file(fails, medseg):
    done = medseg("info", "gone.nii.gz")
    assert (done.code, done.out, done.err) == (1, "", "Error: gone.nii.gz: there is no such file or folder. Check the path.\n")
    fails("info", "gone.nii.gz", kind="MissingFileError", where="gone.nii.gz")


def test_a_text_file_named_nii_gz(fails, study):
    (study.folder / "notes.nii.gz").write_text("The patient came in on Monday." * 40, encoding="utf-8")
    fails(*levelset(study, image="notes.nii.gz"), kind="UnreadableFileError", where="notes.nii.gz")


def test_a_nrrd_cut_short(fails, study):
    write(read(study.image), study.folder / "cut.nrrd")
    data = (study.folder / "cut.nrrd").read_bytes()
    (study.folder / "cut.nrrd").write_bytes(data[: len(data) // 2])
    assert "cut short" in fails("convert", "cut.nrrd", "out.nii.gz", kind="UnreadableFileError", where="cut.nrrd")["what"]


def test_a_folder_without_dicom(fails, study):
    (study.folder / "empty").mkdir()
    fails("info", "empty", kind="UnreadableFileError", where="empty")


def test_a_volume_of_nan(fails, study):
    scan = read(study.image)
    write(scan.like(np.full(scan.array.shape, np.nan, np.float32)), study.folder / "nan.nii.gz")
    fails(*levelset(study, image="nan.nii.gz"), kind="UnreadableFileError", where="nan.nii.gz")
    fails("measure", "nan.nii.gz", study.truth, kind="UnreadableFileError", where="nan.nii.gz")


def test_a_label_on_another_grid(fails, study):
    write(Volume(np.ones((10, 48, 56), np.uint8), Geometry((10, 48, 56))), study.folder / "else.nii.gz")
    for option in ("--limit", "--init", "--barrier", "--probability"):
        assert "convert" in fails(*levelset(study, **{option: "else.nii.gz"}), kind="GridMismatchError", where="else.nii.gz")["todo"]
    fails("weak", "scribble", study.image, "else.nii.gz", "-o", "out.nii.gz", kind="GridMismatchError", where="else.nii.gz")
    fails("weak", "interpolate", "else.nii.gz", "--image", study.image, "-o", "out.nii.gz", kind="GridMismatchError", where="else.nii.gz")


def test_no_seeds_and_seeds_outside(fails, study):
    (study.folder / "none.json").write_text('{"points": []}', encoding="utf-8")
    (study.folder / "far.json").write_text('{"points": [[0, 0, 5000]]}', encoding="utf-8")
    (study.folder / "text.json").write_text("points: 3", encoding="utf-8")
    fails(*levelset(study, **{"--seeds": "none.json"}), kind="NoSeedsError")
    assert "5000" in fails(*levelset(study, **{"--seeds": "far.json"}), kind="InvalidInputError")["what"]
    fails(*levelset(study, **{"--seeds": "text.json"}), kind="UnreadableFileError", where="text.json")
    fails(*levelset(study, **{"--seeds": "gone.json"}), kind="MissingFileError", where="gone.json")


def test_an_empty_limit(fails, study):
    scan = read(study.image)
    write(scan.like(np.zeros(scan.array.shape, np.uint8)), study.folder / "blank.nii.gz")
    fails(*levelset(study, **{"--limit": "blank.nii.gz"}), kind="InvalidInputError")


def test_scribbles_without_a_class(fails, study):
    scan = read(study.image)
    write(scan.like(np.zeros(scan.array.shape, np.uint8)), study.folder / "blank.nii.gz")
    fails("weak", "scribble", study.image, "blank.nii.gz", "-o", "out.nii.gz", kind="NoStrokesError")


def test_refine_without_labels(fails, study):
    (study.folder / "scans").mkdir()
    (study.folder / "labels").mkdir()
    (study.folder / "scans" / "a.nii.gz").write_bytes(study.image.read_bytes())
    fails("refine", "scans", "labels", "-o", "out", kind="NoLabelsError")
    assert not (study.folder / "out").exists()
    write(read(study.truth).like(np.zeros((10, 48, 56), np.uint8)), study.folder / "labels" / "a.nii.gz")
    fails("refine", "scans", "labels", "-o", "out", kind="NoLabelsError")
    assert not (study.folder / "out").exists()


def test_an_output_that_cannot_be_written_is_said_before_the_work(fails, study):
    command = levelset(study)
    command[command.index("out.nii.gz")] = "out.png"
    fails(*command, kind="UnwritableFileError", where="out.png")
    command[command.index("out.png")] = "gone/out.nii.gz"
    fails(*command, kind="UnwritableFileError", where="out.nii.gz")


def test_an_unknown_segmenter_recipe_or_model(fails, study):
    assert "unet" in fails("segment", study.image, "--with", "sam", "-o", "out.nii.gz", kind="CatalogueError")["todo"]
    fails("segment", study.image, "--with", "gone/model", "-o", "out.nii.gz", kind="MissingFileError")
    assert "salah2023" in fails("refine", study.folder, study.folder, "-o", "out", "--recipe", "soup", kind="CatalogueError")["todo"]
    fails("refine", study.folder, study.folder, "-o", "out", "--base", "gone/model", kind="MissingFileError")
    fails("refine", study.folder, study.folder, "-o", "out", "--base", "deepbet", kind="InvalidInputError", where="deepbet")
    (study.folder / "fake.safetensors").write_text("no weights", encoding="utf-8")
    fails("segment", study.image, "--with", "fake.safetensors", "-o", "out.nii.gz", kind="SegmenterError", where="fake.safetensors")


def test_a_device_or_prompts_that_a_segmenter_cannot_use_are_refused_not_dropped(fails, study, model):
    (study.folder / "p.json").write_text('{"objects": [{"label": 1, "points": [[0, -10, -65, 1]]}]}', encoding="utf-8")
    assert "points" in fails("segment", study.image, "--with", model, "--prompts", "p.json", "-o", "out.nii.gz", kind="InvalidInputError")["what"]
    fails("segment", study.image, "--with", model, "--device", "abacus", "-o", "out.nii.gz", kind="InvalidInputError")


@pytest.mark.parametrize(("given", "said"), [
    (["colour=red"], "does not ask for colour"), (["folder"], "'folder' is not NAME=VALUE"), (["a=1", "a=2"], "'a' is given twice"),
])
def test_an_answer_nobody_asked_for_or_without_a_value(fails, study, given, said):
    sets = [part for one in given for part in ("--set", one)]
    assert said in fails("segment", study.image, "--with", "unet", "-o", "out.nii.gz", *sets, kind="InvalidInputError")["what"]


def test_a_scan_with_channels_for_a_tool_of_one(fails, study):
    scan = read(study.image)
    write(scan.like(np.stack([scan.array, scan.array])), study.folder / "two.nii.gz")
    fails(*levelset(study, image="two.nii.gz"), kind="InvalidInputError", where="two.nii.gz")


@pytest.mark.parametrize("arguments", [
    ["sing"], ["info"], ["weak"], ["weak", "levelset", "scan.nii.gz"], ["weak", "levelset", "a", "--seeds", "b", "-o", "c", "--method", "magic"],
    ["info", "a", "--colour"], ["refine", "a", "b", "-o", "c", "--rounds", "0"], ["weak", "interpolate", "a.nii.gz", "-o", "b.nii.gz", "--slices", "x"],
])
def test_wrong_usage_is_exit_2(medseg, arguments):
    done = medseg(*arguments)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_without_a_display_the_window_says_what_to_do_instead(fails, study, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform != "linux":
        pytest.skip("there always is a display")
    assert "medseg demo" in fails("window", kind="UnavailableError")["todo"]
    assert "brain1" in fails("window", "--sample", "brain9", kind="InvalidInputError")["todo"]
    fails("window", "gone.nii.gz", kind="MissingFileError", where="gone.nii.gz")


def test_bare_medseg_is_the_window(medseg, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform != "linux":
        pytest.skip("there always is a display")
    done = medseg()
    assert done.code == 1
    assert "there is no display" in done.err


def test_an_unforeseen_fault_is_still_one_line_and_one_object(medseg, study, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import napari_medseg.io as io\ndef describe(path): raise ZeroDivisionError('by hand')\nio.describe = describe\n", encoding="utf-8"
    )
    done = medseg("info", study.image, "--json", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.code == 1
    assert done.answer["error"]["type"] == "ZeroDivisionError"
    assert "MEDSEG_TRACEBACK" in done.answer["error"]["todo"]
    assert "Traceback" not in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_ends_with_a_line_and_leaves_nothing_half_written(study):
    big = np.random.default_rng(0).normal(100, 30, (60, 300, 300)).astype(np.float32)
    write(Volume(big, Geometry(big.shape)), study.folder / "big.nii.gz")
    (study.folder / "s.json").write_text(json.dumps({"points": [[150, 150, 30], [140, 150, 30], [150, 140, 30]]}), encoding="utf-8")
    before = sorted(p.name for p in study.folder.iterdir())
    code = (  # a parent in the background hands down that the signal is ignored
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from napari_medseg.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "weak", "levelset", "big.nii.gz", "--seeds", "s.json", "-o", "out.nii.gz", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=study.folder)
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, first + err
    assert json.loads(out)["error"]["type"] == "Interrupted"
    assert err.splitlines()[-1].startswith("Error: stopped")
    assert sorted(p.name for p in study.folder.iterdir()) == before


def test_what_libraries_print_never_reaches_stdout(medseg, study):
    (study.folder / "sitecustomize.py").write_text(
        "import os, sys\nimport napari_medseg.metrics\nm = sys.modules['napari_medseg.metrics.measure']\nold = m.surface_distances\n"
        "def loud(*a):\n    print('Python speaks')\n    os.write(1, b'C speaks\\n')\n    return old(*a)\nm.surface_distances = loud\n", encoding="utf-8"
    )
    done = medseg("measure", study.hand, study.truth, "--json", env={**os.environ, "PYTHONPATH": str(study.folder)})
    assert done.answer["classes"]
    assert "Python speaks" in done.err
    assert "C speaks" in done.err


def test_a_packed_bomb_is_refused(fails, study):
    header = bytearray(gzip.decompress(study.image.read_bytes())[:352])
    header[40:56] = np.array([3, 20000, 20000, 20000, 1, 1, 1, 1], "<i2").tobytes()
    (study.folder / "bomb.nii.gz").write_bytes(gzip.compress(bytes(header)))
    fails("info", "bomb.nii.gz", kind="UnreadableFileError", where="bomb.nii.gz")
