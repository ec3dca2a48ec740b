import os

import numpy as np
import pytest

from napari_medseg.weaklabel import compiled as module
from napari_medseg.weaklabel.compiled import compiled, in_parts


@compiled
def doubled(start, stop, values, out):
    for index in range(start, stop):
        out[index] = 2 * values[index]
    return stop - start


@pytest.mark.parametrize("count", [0, 1, 2, 3, 101])
@pytest.mark.parametrize("cores", [1, 2, 5])
def test_every_index_is_worked_on_once_however_many_cores_there_are(count, cores, monkeypatch):
    monkeypatch.setattr(module, "threads", lambda: cores)
    values, out = np.arange(count, dtype=np.float32), np.full(count, -1, np.float32)
    assert sum(in_parts(doubled, count, values, out)) == count
    np.testing.assert_array_equal(out, 2 * values)


def test_a_fault_in_one_part_reaches_the_caller():
    def faulty(start, stop):
        raise ValueError(f"{start}-{stop}")

    with pytest.raises(ValueError, match="-"):
        in_parts(faulty, 10)


def test_a_kernel_works_where_nothing_can_be_cached(tmp_path, monkeypatch):
    monkeypatch.setattr(module.numba, "njit", _uncacheable(module.numba.njit))
    kernel = compiled(lambda start, stop: stop - start)
    assert in_parts(kernel, 7, least=7) == [7]


def _uncacheable(njit):
    def wrapped(function, **options):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(function, **options)

    return wrapped


def test_small_work_is_not_spread():
    assert len(in_parts(doubled, 10, np.zeros(10), np.zeros(10), least=10)) == 1
    assert module.threads() >= 1
    assert module.threads() <= (os.cpu_count() or 1)
