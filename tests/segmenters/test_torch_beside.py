"""torch's libraries are loaded by the system's loader, without the interpreter's lock."""

import subprocess
import sys

import pytest

AHEAD = """
import sys
from napari_medseg.segmenters import torch_beside
assert torch_beside._load_libraries()
assert "torch" not in sys.modules
torch_beside.load()
import torch
print(torch.ones(2).sum().item(), torch.nn.functional.conv1d(torch.ones(1, 1, 4), torch.ones(1, 1, 2)).shape[-1])
"""

BESIDE = """
import sys, threading
import numpy as np
from scipy.spatial.transform import Rotation
from napari_medseg.segmenters import torch_beside
loading = threading.Thread(target=torch_beside.load)
loading.start()
half = 0
while loading.is_alive():
    if "torch" in sys.modules and not hasattr(sys.modules["torch"], "Tensor"):
        half += 1
        for angle in (0, 0.0, [0.0], (0.0,), np.zeros(1), np.float32(0)):
            Rotation.from_euler("x", angle).as_matrix()
assert half
"""


def test_scipy_works_on_while_torch_is_half_loaded():
    done = subprocess.run([sys.executable, "-c", BESIDE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="torch does it itself there")
def test_what_was_loaded_ahead_is_what_torch_works_with():
    done = subprocess.run([sys.executable, "-c", AHEAD], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "2.0 3"), done.stderr


def test_without_its_libraries_torch_is_imported_as_ever(monkeypatch):
    from napari_medseg.segmenters import torch_beside

    monkeypatch.setattr(torch_beside, "FIRST", "libnothing")
    assert not torch_beside._load_libraries()
    torch_beside.load()
    assert "torch" in sys.modules
