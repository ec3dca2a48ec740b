"""Importing costs little: torch, monai and napari load when they are used, not before."""

import subprocess
import sys

import pytest

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
