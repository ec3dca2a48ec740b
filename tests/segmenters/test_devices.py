"""The processor always works; what is not there is said so."""

import ctypes
import sys

import numpy as np
import psutil
import pytest
import torch

from napari_medseg.errors import InvalidInputError, UnavailableError
from napari_medseg.segmenters.devices import choose, give_back, list_devices


def test_the_processor_is_always_listed_last():
    assert list_devices()[-1].name == "cpu"
    assert choose("cpu") == "cpu"


def test_auto_takes_the_first_kind_listed():
    assert choose() == list_devices()[0].name.partition(":")[0]


@pytest.mark.parametrize("name", ["gpu", "cpu:1", "cuda:one", "", "cuda:-1"])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(InvalidInputError, match="there is no device"):
        choose(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a graphics card")
def test_a_card_that_is_not_there_is_said_so():
    with pytest.raises(UnavailableError, match="no usable device 'cuda'"):
        choose("cuda")


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library than glibc")
def test_what_was_freed_goes_back_to_the_system_also_from_below_what_is_still_in_use():
    blocks = [np.ones(8000) for _ in range(4000)]  # 256 MB, each small enough to come from the heap
    last = blocks.pop()
    blocks.clear()
    held = psutil.Process().memory_info().rss
    give_back("cpu")
    assert psutil.Process().memory_info().rss < held - 100 * 2**20
    assert last.all()
