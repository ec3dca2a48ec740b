"""A training is paused, looked into and stopped between two steps, by messages alone."""

from __future__ import annotations

import os
import pickle
import threading

import numpy as np
import pytest

from napari_medseg.errors import SegmenterError
from napari_medseg.refine import controls as controlling
from napari_medseg.refine.controls import GO_ON, PAUSE, Controls, Pace, controlled
from napari_medseg.refine.result import Tick
from napari_medseg.volume import Geometry, Volume

SLAB = Volume(np.arange(8, dtype=np.float32).reshape(2, 2, 2), Geometry((2, 2, 2)), "slab")


class Line:
    """Controls with the other end of their line."""

    def __init__(self):
        inlet, outlet = os.pipe()
        self.controls, self._inlet, self.outlet = Controls(), os.fdopen(inlet, "rb"), os.fdopen(outlet, "wb")
        self._thread = threading.Thread(target=self.controls.listen, args=(self._inlet,), daemon=True)
        self._thread.start()

    def tell(self, message):
        pickle.dump(message, self.outlet)
        self.outlet.flush()

    def hang_up(self):
        self.outlet.close()
        self._thread.join()
        self._inlet.close()


@pytest.fixture
def line():
    line = Line()
    yield line
    line.hang_up()


def steps(done, count=3, **facts):
    for number in range(1, count + 1):
        done.append(number)
        yield Tick(number / count, f"step {number}", 1, loss=1.0, updates=number, **facts)


def until(condition):
    """Wait for what another thread is about to do."""
    reached = threading.Event()
    for _ in range(20_000):
        if condition():
            return
        reached.wait(0.001)
    raise AssertionError


def test_no_step_is_taken_while_it_is_paused(line):
    done = []
    ticks = controlled(steps(done), line.controls)
    next(ticks)
    line.tell(PAUSE)
    until(lambda: line.controls.paused)
    assert next(ticks).paused
    later = []
    reader = threading.Thread(target=lambda: later.extend(ticks))
    reader.start()
    assert done == [1]
    line.tell(GO_ON)
    reader.join()
    assert done == [1, 2, 3]
    assert [tick.message for tick in later] == ["Going on", "step 2", "step 3"]
    assert not any(tick.paused for tick in later)


def test_the_end_of_the_line_stops_it_even_while_it_is_paused(line):
    done = []
    ticks = controlled(steps(done), line.controls)
    next(ticks)
    line.tell(PAUSE)
    until(lambda: line.controls.paused)
    assert next(ticks).paused
    line.hang_up()
    assert list(ticks) == []
    assert done == [1]
    assert line.controls.stopped()


def test_a_look_is_answered_between_two_steps_by_the_network_as_it_stands(line):
    ticks = controlled(steps([], now=lambda image: (image.array > 3).astype(np.uint8)), line.controls)
    line.tell(SLAB)
    until(lambda: line.controls._wanted is not None)
    first, look, second = (next(ticks) for _ in range(3))
    assert (first.look, second.look) == (None, None)
    assert np.array_equal(look.look, SLAB.array > 3)
    assert first.now is None  # what cannot leave the process does not
    assert look.loss is None  # nor is anything told twice


def test_a_look_is_answered_while_it_is_paused(line):
    ticks = controlled(steps([], now=lambda image: np.ones(image.geometry.shape, np.uint8)), line.controls)
    next(ticks)
    line.tell(PAUSE)
    line.tell(SLAB)
    until(lambda: line.controls.paused)
    seen = [next(ticks)]
    while seen[-1].look is None:
        seen.append(next(ticks))
    assert sum(tick.loss is not None for tick in seen) == 0


def test_of_several_looks_the_newest_counts(line):
    asked = []
    ticks = controlled(steps([], now=lambda image: asked.append(image.name) or image.array.astype(np.uint8)), line.controls)
    for name in ("old", "new"):
        line.tell(SLAB.like(SLAB.array, name))
    until(lambda: line.controls._wanted is not None and line.controls._wanted.name == "new")
    list(ticks)
    assert asked == ["new"]


def test_a_look_that_fails_or_cannot_be_answered_costs_only_itself(line):
    def fails(image):
        raise SegmenterError("is another kind of scan")

    for now in (fails, None):
        line.tell(SLAB)
        until(lambda: line.controls._wanted is not None)
        done = []
        ticks = list(controlled(steps(done, now=now), line.controls))
        assert done == [1, 2, 3]
        assert all(tick.look is None for tick in ticks)
        assert line.controls._wanted is None  # nor is it asked again and again


def test_time_left_follows_the_pace_of_this_process_and_leaves_out_sleep(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(controlling.time, "monotonic", lambda: now[0])
    pace = Pace()
    assert pace.left(0.0) is None
    assert pace.left(0.5) is None  # half was done before a crash
    now[0] = 10
    assert pace.left(0.6) == pytest.approx(40)
    now[0] = 1010
    pace.slept(1000)
    assert pace.left(0.6) == pytest.approx(40)
    assert pace.left(1.0) == 0
