import threading

import numpy as np
import pytest

from napari_medseg.weaklabel.blank import LARGE, blank


@pytest.mark.parametrize("shape", [(), (0, 4), (3, 4, 5), (LARGE + 1,), (40, 250, 300)])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_it_is_zeros_to_write_on(shape, dtype):
    made = blank(shape, dtype)
    assert (made.shape, made.dtype, made.flags.c_contiguous, made.flags.writeable) == (shape, np.dtype(dtype), True, True)
    assert not made.any()
    made[...] = 1
    assert made.all()
    assert not blank(shape, dtype).any()


def test_two_are_never_the_same_memory_and_each_outlives_the_thread_that_made_it():
    made = []
    threads = [threading.Thread(target=lambda: made.append(blank((LARGE + 5,), np.uint8))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made[0][:] = 7
    assert not made[1].any()
    assert not np.shares_memory(*made)
