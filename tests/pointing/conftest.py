"""For tests of the promptable model."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Its windows are small: two threads that meet at every layer wait for each other on a busy machine, ten times as long as one takes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
