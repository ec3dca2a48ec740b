"""The command line as Windows runs it: output into a pipe in a code page, folders with spaces, and the device of the preferences."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_medseg.cli.arguments import device_of
from napari_medseg.io import write
from napari_medseg.session import preferences
from napari_medseg.session.choices import Choices
from napari_medseg.volume import Geometry, Volume


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))


def test_what_a_code_page_lacks_stops_no_command(tmp_path: Path):
    import numpy as np

    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    write(Volume(np.zeros((2, 3, 4), np.int16), Geometry((2, 3, 4), (1.0, 1.0, 1.0))), folder / "肝 scan.nii.gz")
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", "from napari_medseg.cli import main; main()", "info", str(folder / "肝 scan.nii.gz")]
    done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b"? scan:")


def test_the_preferences_choose_the_device_where_nobody_else_does(file):
    preferences.choose(Choices(device="cpu"))
    assert device_of("auto") == "cpu"
    assert device_of("cuda:1") == "cuda:1"


def test_a_device_of_the_preferences_that_this_machine_lacks_is_said_and_another_taken(file, capsys):
    import torch

    absent = "cuda" if not torch.cuda.is_available() else "mps"
    preferences.choose(Choices(device=absent))
    assert device_of("auto") == "auto"
    assert f"no usable device '{absent}'" in capsys.readouterr().err
