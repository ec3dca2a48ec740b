"""Importing costs little: torch, monai and napari load when they are used, not before."""

import subprocess
import sys

import pytest

from napari_medseg.cli import asks_for_the_window

HEAVY = ("torch", "monai", "napari", "qtpy", "numba")
LIGHT = [
    "napari_medseg", "napari_medseg.catalogue", "napari_medseg.cli", "napari_medseg.cli.app", "napari_medseg.volume", "napari_medseg.io",
    "napari_medseg.metrics", "napari_medseg.annotation", "napari_medseg.weaklabel", "napari_medseg.segmenters", "napari_medseg.segmenters.protocol",
    "napari_medseg.refine", "napari_medseg.session", "napari_medseg.project",
    "napari_medseg.pointing", "napari_medseg.pointing.segmenter", "napari_medseg.review.comparing", "napari_medseg.review.agreement",
    "napari_medseg.review.consensus", "napari_medseg.review.calibration",
]


@pytest.mark.parametrize("module", LIGHT)
def test_importing_loads_neither_torch_nor_monai_nor_napari(module):
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", f"import {module}"], capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert module in loaded
    assert not loaded & set(HEAVY)


def test_the_help_and_the_catalogue_load_no_torch():
    code = "import sys; from napari_medseg import catalogue; from napari_medseg.cli.app import app; catalogue.load(); "
    code += "app(['--help'], standalone_mode=False); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(("words", "window"), [
    ((), True), (("--sample", "brain1"), True), (("--sample=brain1",), True), (("--version",), True), (("window", "scan.nii.gz"), True),
    (("--help",), False), (("doctor",), False), (("--sample", "brain1", "doctor"), False), (("weak", "levelset"), False),
])
def test_only_what_asks_for_the_window_is_spared_the_other_commands(words, window):
    assert asks_for_the_window(words) is window


def test_the_window_is_started_without_loading_the_commands():
    """Each would wait for them: the database, statistics, files of every format."""
    code = "import sys; sys.argv = ['medseg', '--version']; from napari_medseg.cli import main\n"
    code += "try:\n    main()\nexcept SystemExit:\n    pass\n"
    code += "sys.exit(' '.join({'sqlalchemy', 'scipy', 'pydicom', 'SimpleITK', 'torch', 'napari'} & set(sys.modules)) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
