"""Reading large series: the middle slice first, straight into one array, and no more memory than it."""

import subprocess
import sys

import numpy as np
import pytest
from dicom_series import image, save

from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io import memory, read
from napari_medseg.io.dicom import stream

PLANES = np.random.default_rng(1).integers(0, 4000, (40, 16, 18)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
    for k, plane in enumerate(PLANES):
        save(image(plane, (0, 0, 2.0 * k)), tmp_path / "scan" / f"IM{(7 * k) % 40:02d}")
    return tmp_path / "scan"


def test_the_middle_slice_comes_first_and_the_rest_around_it(folder):
    steps = []
    for step in stream(folder):
        there = {index for earlier in steps for index in earlier} | set(step.slices)
        for index in range(40):
            expected = PLANES[index].astype(int) - 1024 if index in there else None
            if expected is not None:
                np.testing.assert_array_equal(step.volume.array[index], expected)
        if not steps:
            assert step.slices == (20,)
            assert not step.volume.array[[0, 39]].any()
        steps.append(step.slices)
    assert sorted(index for step in steps for index in step) == list(range(40))
    assert step.fraction == 1.0
    np.testing.assert_array_equal(step.volume.array, read(folder).array)


def test_a_stream_can_be_left_at_any_step(folder):
    steps = stream(folder)
    assert next(steps).fraction == pytest.approx(1 / 40)
    steps.close()
    with pytest.raises(InvalidInputError, match="no series fits"):
        next(stream(folder, "other"))


def test_a_series_larger_than_half_the_memory_lies_in_a_scratch_file(folder, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 20_000)
    array = read(folder).array
    base = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    assert not isinstance(base, np.ndarray)  # a mapped file
    np.testing.assert_array_equal(array, PLANES.astype(int) - 1024)


def test_damage_in_the_middle_of_a_series_names_the_file(folder):
    path = folder / "IM07"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableFileError, match=r"IM07: is cut short .*1 of 40 images of 'Abdomen' cannot be used"):
        next(stream(folder))


def test_memory_stays_near_the_array_and_no_file_is_kept_open(tmp_path):
    """In a process of its own: 60 MB of voxels."""
    pytest.importorskip("resource", reason="Windows counts memory in another way")
    plane = np.zeros((512, 512), np.uint16)
    for k in range(120):
        plane[k, :] = k
        save(image(plane, (0, 0, k)), tmp_path / f"IM{k}")
    code = (
        "import resource, sys; from pathlib import Path; from napari_medseg.io import describe, read; import psutil; describe(Path(sys.argv[1]));"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; v = read(Path(sys.argv[1]));"
        "peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == 'darwin' else 1024);"
        "print(peak / v.array.nbytes, len(psutil.Process().open_files()))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    share, files = done.stdout.split()
    assert float(share) <= 1.3
    assert files == "0"
