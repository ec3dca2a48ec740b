"""A full disk, a folder that may not be written: a clear error, what was there before intact, the work still in memory and savable elsewhere."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("hardship.py")
MEGABYTES = 4


def own_disk(command: str, folder: Path) -> list[str]:
    """A command line that runs in a mount namespace of its own, where `folder` is a small disk in memory."""
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", f'mount -t tmpfs -o size={MEGABYTES}m tmpfs "$0" && {command}', str(folder)]


@pytest.fixture(scope="module", autouse=True)
def disks(tmp_path_factory):
    """Skip where the system lets nobody have a disk of their own."""
    if shutil.which("unshare") is None or subprocess.run(own_disk("true", tmp_path_factory.mktemp("disk")), capture_output=True, check=False).returncode:
        pytest.skip("a small disk of one's own needs Linux with user namespaces")


def problems(folder: Path, act: str) -> list[str]:
    """What did not go as it should."""
    done = subprocess.run(own_disk(f'exec "{sys.executable}" "{SCRIPT}" {act} "$0"', folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_a_full_disk_leaves_the_old_file_in_every_format(tmp_path):
    assert problems(tmp_path, "files_on_a_full_disk") == []


@pytest.mark.slow  # fills a disk and saves on it, thirteen times
def test_a_full_disk_loses_nothing_of_a_study_whatever_step_fails(tmp_path):
    assert problems(tmp_path, "study_on_a_full_disk") == []


def test_a_study_that_may_not_be_written_is_opened_for_looking_and_says_so(tmp_path):
    assert problems(tmp_path, "study_that_may_not_be_written") == []
