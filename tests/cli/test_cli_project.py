"""`medseg project`: a study made, filled, looked through, mended and exported without a window."""

import shutil
from dataclasses import dataclass
from json import loads
from pathlib import Path

import numpy as np
import pytest
from dicom_scans import save_scan

from napari_medseg.annotation import LabelMap
from napari_medseg.cli.app import app
from napari_medseg.io import read, read_labels, write
from napari_medseg.project import Project
from napari_medseg.volume import Geometry, Volume


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict:
        """The one JSON object on stdout."""
        return loads(self.out)


@pytest.fixture
def run(study, monkeypatch, capfd):
    """`medseg project ...` in the study's folder, by somebody who has no preferences; with --json unless the text is wanted."""
    monkeypatch.setenv("MEDSEG_PREFERENCES", "")
    monkeypatch.chdir(study.folder)

    def call(*arguments, code=0, json=True):
        with pytest.raises(SystemExit) as ended:
            app(["project", *map(str, arguments), *(["--json"] if json else [])])
        done = Done(ended.value.code or 0, *capfd.readouterr())
        assert done.code == code, done.out + done.err
        return done

    return call


@pytest.fixture
def liver(run, study):
    """A study with one scan and its label."""
    run("init", "liver", "--class", "Liver", "--class", "Cyst", "--user", "Ann")
    run("add", "liver", study.image, "--labels", study.truth, "--kind", "corrected", "--user", "Ann")
    return study.folder / "liver.medseg"


def test_a_study_is_made_with_its_classes_once(run, liver, tmp_path):
    assert run("init", "liver", code=1).answer["error"]["what"] == "holds something already"
    (tmp_path / "classes.label").write_text('    1   255    0    0        1  1  1    "Spleen"\n', encoding="utf-8")
    answer = run("init", "spleen", "--classes", "classes.label", "--title", "Spleens").answer
    assert (answer["title"], [c["name"] for c in answer["classes"]]) == ("Spleens", ["Spleen"])
    run("init", "both", "--classes", "classes.label", "--class", "A", code=2)


def test_a_scan_is_added_with_its_labels_and_known_again(run, liver, study):
    (case,) = run("list", "liver").answer["cases"]
    assert (case["id"], case["status"], case["versions"], case["last_editor"], case["is_there"]) == ("case-0001", "corrected", 1, "Ann", True)
    again = run("add", "liver", study.image).answer
    assert [c["id"] for c in again["cases"]] == ["case-0001"]
    assert "already" in again["notes"][0]
    assert run("list", "liver", "--status", "new").answer["cases"] == []


def test_a_folder_of_scans_with_a_folder_of_labels(run, study, tmp_path):
    for folder in ("scans", "masks"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b", "c"):
        write(Volume(np.full((4, 5, 6), ord(name), np.int16), Geometry((4, 5, 6))), tmp_path / "scans" / f"{name}.nii.gz")
        write(Volume(np.full((4, 5, 6), 3, np.uint8), Geometry((4, 5, 6))), tmp_path / "masks" / f"{name}.nii.gz")
    (tmp_path / "masks" / "c.nii.gz").unlink()
    run("init", "many")
    done = run("add", "many", "scans", "--labels", "masks", code=1)
    assert [c["id"] for c in done.answer["cases"]] == ["case-0001", "case-0002"]
    assert [f["where"] for f in done.answer["failed"]] == ["c.nii.gz"]
    assert any("class 3" in note for note in done.answer["notes"])
    assert [c["versions"] for c in run("list", "many").answer["cases"]] == [1, 1, 0]
    assert run("add", "many", "scans", "--labels", study.truth, code=1).answer["error"]["todo"].startswith("Give a folder")


def test_labels_of_another_grid_are_refused_and_the_case_stays_without(run, liver, tmp_path):
    write(Volume(np.zeros((4, 5, 6), np.int16), Geometry((4, 5, 6))), tmp_path / "other.nii.gz")
    answer = run("add", "liver", "other.nii.gz", "--labels", "truth.nii.gz", code=1).answer
    assert answer["error"]["type"] == "GridMismatchError"


def test_history_restore_and_what_happened(run, liver):
    made = run("restore", "liver", "case-0001", "1", "--user", "Bob").answer["version"]
    assert (made["number"], made["author"], made["tool"]) == (2, "Bob", "restore")
    answer = run("history", "liver", "case-0001", "--events").answer
    assert [v["number"] for v in answer["versions"]] == [1, 2]
    assert answer["versions"][0]["checksum"] == answer["versions"][1]["checksum"]
    assert answer["versions"][0]["volume_ml"]["1"] > 1
    assert [e["action"] for e in answer["events"]] == ["added", "saved", "restored"]
    assert "restore  Bob" in run("history", "liver", "case-0001", json=False).out
    assert run("restore", "liver", "case-0001", "9", code=1).answer["error"]["where"] == "case-0001"


def test_unsaved_work_is_listed_written_kept_or_thrown_away(run, liver, tmp_path):
    def stroke():
        with Project.open(liver) as project:
            labels = project.labels("case-0001").array.copy()
            labels[0, 0, :7] = 2
            project.draft("case-0001", project.case("case-0001").latest).write(labels)
        return labels

    labels = stroke()
    (found,) = run("recover", "liver").answer["unsaved"]
    assert (found["case"], found["voxels_changed"], found["box_zyx"]) == ("case-0001", 7, [[0, 1], [0, 1], [0, 7]])
    assert run("list", "liver").answer["cases"][0]["unsaved"]
    run("recover", "liver", "case-0001", "-o", "work.nii.gz")
    assert np.array_equal(read_labels(tmp_path / "work.nii.gz").array, labels)
    assert run("recover", "liver", "case-0001").answer["version"]["number"] == 2
    assert run("recover", "liver").answer == {"unsaved": []}
    with Project.open(liver) as project:
        assert np.array_equal(project.labels("case-0001").array, labels)
        labels[1, 0, :3] = 1
        project.draft("case-0001", 2).write(labels)
    run("recover", "liver", "case-0001", "--discard")
    assert run("recover", "liver").answer == {"unsaved": []}
    assert run("recover", "liver", "case-0001", code=1).answer["error"]["what"] == "has no unsaved work"
    run("recover", "liver", "--discard", code=2)


def test_a_version_made_by_hand_is_given_as_it_is(run, liver, study, tmp_path):
    answer = run("replay", "liver", "case-0001", "1", "-o", "again.nii.gz").answer
    assert (answer["tool"], answer["ran"], answer["same"]) == ("import", False, True)
    assert np.array_equal(read_labels(tmp_path / "again.nii.gz").array, read_labels(study.truth).array)


def test_export_writes_what_was_asked_for(run, liver, tmp_path):
    assert len(run("export", "liver", "-o", "out", "--images", "--suffix", ".nrrd").answer["files"]) == 5
    assert (tmp_path / "out" / "images" / "case-0001.nrrd").exists()
    assert run("export", "liver", "-o", "out2", "--kind", "verified", code=1).answer["error"]["type"] == "NoLabelsError"
    run("export", "liver", "-o", "out2", "--kind", "perfect", code=2)


def test_export_leaves_out_what_cannot_be_written_and_says_so(run, liver, study, tmp_path):
    save_scan(tmp_path / "dicom", np.arange(480).reshape(6, 8, 10).astype(np.int16), Geometry((6, 8, 10), (2.0, 1.0, 1.0)))
    write(LabelMap(np.ones((6, 8, 10), np.uint8), read(tmp_path / "dicom").geometry), tmp_path / "dicom.nii.gz")
    run("add", "liver", "dicom", "--labels", "dicom.nii.gz")
    given = run("export", "liver", "-o", "out", "--suffix", ".seg.dcm", code=1).answer
    assert given["left_out"] == [{"case": "case-0001", "why": "refers to the DICOM images of the scan, and the scan holds none"}]
    assert sorted(Path(file).name for file in given["files"])[:2] == ["case-0002.seg.dcm", "cases.csv"]
    assert run("export", "liver", "-o", "none", "--case", "case-0001", "--suffix", ".seg.dcm", code=1).answer["error"]["type"] == "UnwritableFileError"


def test_check_ends_with_1_when_something_is_wrong_and_mends_what_it_can(run, liver):
    assert run("check", "liver").answer == {"ok": True, "problems": []}
    with Project.open(liver) as project:
        project.restore("case-0001", 1)
    (liver / "project.db").write_bytes(b"nonsense" * 999)
    assert run("check", "liver", code=1).answer["error"]["type"] == "ProjectDamagedError"
    answer = run("check", "liver", "--repair").answer
    assert answer["ok"]
    assert all(p["mended"] for p in answer["problems"])
    assert run("check", "liver").answer["ok"]
    assert len(run("history", "liver", "case-0001").answer["versions"]) == 2
    shutil.rmtree(liver / "labels" / "case-0001" / "0001.ome.zarr")
    done = run("check", "liver", "--repair", code=1)
    assert [p["where"] for p in done.answer["problems"]] == ["labels/case-0001/0001.ome.zarr"]
    assert "backup" in run("check", "liver", code=1, json=False).out


def test_while_somebody_works_others_may_look_and_export(run, liver):
    with Project.open(liver, user="Cem"):
        assert "Cem" in run("restore", "liver", "case-0001", "1", code=1).answer["error"]["what"]
        assert run("list", "liver").answer["cases"]
        assert run("history", "liver", "case-0001").answer["versions"]
        assert run("check", "liver").answer["ok"]
        assert run("export", "liver", "-o", "out").answer["files"]


def test_no_answer_names_the_file_of_a_scan_but_the_screen_may(run, study, tmp_path):
    shutil.copy(study.image, tmp_path / "DOE_JANE.nii.gz")
    run("init", "named")
    told = [run("add", "named", "DOE_JANE.nii.gz", "--labels", study.truth)]
    told += [run(command, "named", *rest) for command, *rest in (
        ("list",), ("history", "case-0001", "--events"), ("restore", "case-0001", "1"), ("check",), ("replay", "case-0001", "1"), ("export", "-o", "out"),
    )]
    assert not any("DOE_JANE" in done.out + done.err for done in told)
    assert "DOE_JANE" in run("list", "named", json=False).out
