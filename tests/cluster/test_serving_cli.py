"""`medseg serve`, and `medseg segment` on a server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from remote_engines import Bright
from typer.testing import CliRunner

from napari_medseg.cli.app import app
from napari_medseg.io import read, write
from napari_medseg.segmenters.protocol import collect, to_labels
from napari_medseg.testing.segmenter_conformance import blob


def told(*words):
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_a_scan_is_segmented_on_a_server(serving, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_TOKEN", serving.token)
    scan = blob("thick slices")
    write(scan, tmp_path / "scan.nii.gz")
    code, answer = told("segment", tmp_path / "scan.nii.gz", "--with", "bright", "-o", tmp_path / "out.nii.gz", "--device", serving.address)
    assert code == 0
    assert (answer["device"], answer["segmenter"]) == (serving.address, "Bright")
    scan = read(tmp_path / "scan.nii.gz")
    wanted = to_labels(collect(Bright().predict(scan), scan.geometry.shape))
    assert wanted.any()
    np.testing.assert_array_equal(read(tmp_path / "out.nii.gz").channel(), wanted)


@pytest.mark.parametrize(("token", "device", "with_", "what"), [
    ("", "", "bright", "wants a token"), ("wrong", "", "bright", "does not know this token"), (None, "", "no-such", "not offered"),
    (None, "http://gpu.example", "bright", "without encryption"), (None, "", "own_model", "no model here"),
    (None, "http://127.0.0.1:1", "bright", "cannot be reached"),
])
def test_what_a_server_refuses_is_one_sentence(serving, tmp_path, monkeypatch, token, device, with_, what):
    monkeypatch.setenv("MEDSEG_SERVERS", str(tmp_path / "none.json"))
    monkeypatch.setenv("MEDSEG_TOKEN", serving.token if token is None else token)
    monkeypatch.setattr("napari_medseg.cluster.remote.segmenter.GIVE_UP_S", 0.2)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_model").mkdir()
    write(blob("one slice"), tmp_path / "scan.nii.gz")
    code, answer = told("segment", tmp_path / "scan.nii.gz", "--with", with_, "-o", tmp_path / "out.nii.gz", "--device", device or serving.address)
    assert code == 1
    assert what in answer["error"]["what"]
    assert not (tmp_path / "out.nii.gz").exists()


def test_users_come_and_go(tmp_path):
    file = tmp_path / "users.json"
    code, made = told("serve", "--users", file, "--add-user", "ann", "--days", 3)
    assert (code, made["user"], made["days"]) == (0, "ann", 3)
    assert made["token"] not in file.read_text()
    assert [(each["user"], each["expired"]) for each in told("serve", "--users", file, "--list-users")[1]["users"]] == [("ann", False)]
    assert told("serve", "--users", file, "--remove-user", "ann") == (0, {"user": "ann", "removed": True})
    assert told("serve", "--users", file, "--remove-user", "ann")[0] == 1
    assert told("serve", "--users", file, "--host", "0.0.0.0")[1]["error"]["where"] == "0.0.0.0"


@pytest.mark.slow  # a process of its own loads torch to find the device
def test_the_command_serves_until_it_is_ended(tmp_path):
    token = told("serve", "--users", tmp_path / "users.json", "--add-user", "ann")[1]["token"]
    words = ["serve", "--port", "0", "--users", str(tmp_path / "users.json"), "--audit-log", str(tmp_path / "audit.log"), "--device", "cpu"]
    command = [sys.executable, "-c", "from napari_medseg.cli import main; main()", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        try:
            line = next(line for line in process.stderr if line.startswith("Listening on "))
            address = line.split()[2].rstrip(",")
            answer = httpx.get(f"{address}/v1/about", headers={"Authorization": f"Bearer {token}"}, timeout=20)
            assert answer.status_code == 200
            assert {"promptable", "unet"} <= {each["id"] for each in answer.json()["engines"]}
            assert httpx.get(f"{address}/v1/about", timeout=20).status_code == 401
        finally:
            process.kill()


@pytest.mark.slow  # a training in a process of its own
def test_labels_are_refined_on_a_server(serving, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_TOKEN", serving.token)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for number in range(2):
        scan = blob("thick slices")
        for name, volume in (("scans", scan), ("weak", scan.like((scan.array > 600).astype(np.uint8)))):
            (tmp_path / name).mkdir(exist_ok=True)
            write(volume, tmp_path / name / f"case{number}.nii.gz")
    words = ["--set", "updates=1", "--set", "folds=1", "--set", "phases=[]", "--device", serving.address]
    code, answer = told("refine", tmp_path / "scans", tmp_path / "weak", "-o", tmp_path / "out", *words)
    assert code == 0, answer
    assert [each["round"] for each in answer["rounds"]] == [0, 1]
    assert Path(answer["model"]).is_file()
    assert sorted(path.name for path in (tmp_path / "out" / "final").iterdir()) == ["case0.nii.gz", "case1.nii.gz"]
    outlined = tmp_path / "there.nii.gz", tmp_path / "here.nii.gz"
    for out, device in zip(outlined, (serving.address, "cpu"), strict=True):
        code, answer = told("segment", tmp_path / "scans" / "case0.nii.gz", "--with", tmp_path / "out", "-o", out, "--device", device)
        assert code == 0, answer
    np.testing.assert_array_equal(read(outlined[0]).array, read(outlined[1]).array)
