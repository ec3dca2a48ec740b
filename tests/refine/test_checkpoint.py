from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from napari_medseg.errors import TrainingError, UnwritableFileError
from napari_medseg.refine.checkpoint import Checkpoints

TENSORS = {"w": torch.randn(3, 5), "steps": torch.tensor(7), "none": torch.zeros(0, 2), "rng": torch.get_rng_state(), "half": torch.ones(3).half()}
FACTS = {"round": 2, "losses": [0.1 + 0.2, 1e-30], "who": "salah2023"}


def test_tensors_and_facts_come_back_to_the_bit(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.load() is None
    checkpoints.save(TENSORS, FACTS)
    tensors, facts = checkpoints.load()
    assert facts == FACTS
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], value) and tensors[name].dtype == value.dtype for name, value in TENSORS.items())
    checkpoints.clear()
    checkpoints.clear()
    assert checkpoints.load() is None


def test_a_bit_that_flipped_anywhere_in_the_weights_is_found(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({"w": torch.arange(1000, dtype=torch.float32)}, FACTS)
    whole = checkpoints.path.read_bytes()
    for place in (len(whole) - 1, len(whole) - 2000, len(whole) - 4000):
        spoilt = bytearray(whole)
        spoilt[place] ^= 4
        checkpoints.path.write_bytes(spoilt)
        with pytest.raises(TrainingError, match="cut short or damaged"):
            checkpoints.load()


@pytest.mark.parametrize("left", [0, 5, 100, -1])
def test_a_file_that_was_cut_short_is_found(tmp_path, left):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(TENSORS, FACTS)
    checkpoints.path.write_bytes(checkpoints.path.read_bytes()[:left])
    with pytest.raises(TrainingError, match="cut short or damaged"):
        checkpoints.load()


def test_a_save_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(TENSORS, FACTS)

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UnwritableFileError, match=r"No space left.*Make space on the disk"):
        checkpoints.save({"w": torch.zeros(3)}, {})
    assert checkpoints.load()[1] == FACTS
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_saving_takes_a_small_part_of_the_time_between_two_saves(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    network = {f"layer{i}": torch.randn(3, 1_100_000) for i in range(1)}  # U-Net, its two moments
    began = time.process_time()
    for _ in range(10):
        checkpoints.save(network, FACTS)
    assert (time.process_time() - began) / 10 < 0.05 * 10  # of ten seconds


FULL = """
import os, sys
from pathlib import Path
import torch
from napari_medseg.errors import UnwritableFileError
from napari_medseg.refine.checkpoint import Checkpoints
folder = Path(sys.argv[1])
checkpoints = Checkpoints(folder)
checkpoints.save({"w": torch.zeros(100_000)}, {"done": 1})
try:
    with (folder / "ballast").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
except OSError:
    pass
try:
    checkpoints.save({"w": torch.ones(100_000)}, {"done": 2})
except UnwritableFileError as error:
    print(error)
tensors, facts = checkpoints.load()
print(facts["done"], float(tensors["w"].sum()), sorted(p.name for p in folder.iterdir()))
"""


def on_a_small_disk(folder, *command):
    """Run a command in a mount namespace of its own, where `folder` is a small disk in memory."""
    mount = 'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"'
    return subprocess.run(["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(folder), *command], capture_output=True, text=True, check=False)


def test_on_a_disk_that_is_really_full_the_last_checkpoint_loads(tmp_path):
    if shutil.which("unshare") is None or on_a_small_disk(tmp_path, "true").returncode:
        pytest.skip("a small disk of one's own needs Linux with user namespaces")
    said, kept = on_a_small_disk(tmp_path, sys.executable, "-c", FULL, str(tmp_path)).stdout.splitlines()
    assert "No space left" in said
    assert "Make space on the disk" in said
    assert kept == "1 0.0 ['ballast', 'checkpoint.safetensors']"
