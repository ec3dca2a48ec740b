"""A session without a window: what its workers hand over is taken when the test says so."""

import queue
import time

import pytest

from napari_medseg.session import Session


class Owner:
    """Stands for the thread that owns the session."""

    def __init__(self):
        self.calls = queue.Queue()

    def __call__(self, function):
        self.calls.put(function)

    def run_until(self, met, seconds=30.0):
        end = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < end, "it did not happen in time"
            try:
                self.calls.get(timeout=0.05)()
            except queue.Empty:
                continue


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def session(owner):
    made = Session(owner)
    yield made
    made.shut()


@pytest.fixture
def problems(session):
    heard = []
    session.problem.connect(heard.append)
    return heard
