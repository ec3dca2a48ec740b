"""One thread, the newest request of a key wins, nothing stale comes through."""

import subprocess
import sys
import threading
import time

import pytest

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters.worker import Worker


class Ear:
    """Remembers what a request told, and on which thread."""

    def __init__(self):
        self.ticks, self.done, self.errors, self.threads = [], [], [], set()

    def _note(self, where, value):
        self.threads.add(threading.get_ident())
        where.append(value)

    def ask(self, worker, make, key="k"):
        return worker.submit(
            make, key=key, on_tick=lambda v: self._note(self.ticks, v), on_done=lambda v: self._note(self.done, v),
            on_error=lambda e: self._note(self.errors, e),
        )


@pytest.fixture
def worker():
    with Worker("test-worker") as worker:
        yield worker


def threads():
    return [t for t in threading.enumerate() if t.name == "test-worker"]


def until(gate, values=(1, 2, 3)):
    """A generator that waits for `gate` after its first value."""
    yield values[0]
    assert gate.wait(10)
    yield from values[1:]


def test_every_value_and_the_last_one_arrive(worker):
    ear = Ear()
    assert ear.ask(worker, lambda: iter([1, 2, 3])).wait(10)
    assert (ear.ticks, ear.done, ear.errors) == ([1, 2, 3], [3], [])


def test_an_empty_generator_is_done_with_none(worker):
    ear = Ear()
    ear.ask(worker, lambda: iter(())).wait(10)
    assert (ear.ticks, ear.done) == ([], [None])


def test_all_work_happens_on_one_thread_that_is_not_ours(worker):
    ear = Ear()
    for i in range(20):
        ear.ask(worker, lambda i=i: iter([i]), key=str(i)).wait(10)
    assert len(ear.threads) == 1
    assert threading.get_ident() not in ear.threads
    assert threads()[0].daemon


def test_a_newer_request_of_the_same_key_stops_the_older_one(worker):
    gate, old, new = threading.Event(), Ear(), Ear()
    first = old.ask(worker, lambda: until(gate))
    while not old.ticks:
        time.sleep(0.001)
    second = new.ask(worker, lambda: iter(["new"]))
    gate.set()
    assert second.wait(10)
    assert first.cancelled
    assert second.generation > first.generation
    assert (old.ticks, old.done, old.errors) == ([1], [], [])
    assert new.done == ["new"]


def test_requests_that_wait_are_dropped_unseen_when_a_newer_one_comes(worker):
    gate, begun = threading.Event(), []
    Ear().ask(worker, lambda: until(gate), key="busy")
    last = None
    for i in range(5):
        last = Ear().ask(worker, lambda i=i: begun.append(i) or iter(()), key="latest")
    gate.set()
    assert last.wait(10)
    assert begun == [4]


def test_another_key_waits_its_turn(worker):
    gate, one, two = threading.Event(), Ear(), Ear()
    one.ask(worker, lambda: until(gate), key="a")
    ticket = two.ask(worker, lambda: iter(["b"]), key="b")
    assert not ticket.wait(0.05)
    gate.set()
    assert ticket.wait(10)
    assert one.done == [3]


def test_cancel_closes_the_generator_at_its_next_yield(worker):
    gate, closed, ear = threading.Event(), threading.Event(), Ear()

    def work():
        try:
            yield from until(gate)
        finally:
            closed.set()

    ticket = ear.ask(worker, work)
    while not ear.ticks:
        time.sleep(0.001)
    ticket.cancel()
    gate.set()
    assert ticket.wait(10)
    assert closed.is_set()
    assert (ear.ticks, ear.done, ear.errors) == ([1], [], [])


def test_a_callback_may_cancel_its_own_request(worker):
    holder, seen, done = [], [], []

    def tick(value):
        seen.append(value)
        holder[0].cancel()

    gate = threading.Event()

    def work():
        assert gate.wait(10)
        yield from (1, 2, 3)

    holder.append(worker.submit(work, key="k", on_tick=tick, on_done=done.append, on_error=done.append))
    gate.set()
    assert holder[0].wait(10)
    assert (seen, done) == ([1], [])


def failing(error):
    yield "before"
    raise error


def test_an_error_in_a_persons_words_passes_as_it_is(worker):
    ear, error = Ear(), InvalidInputError("has two channels", where="scan")
    ear.ask(worker, lambda: failing(error)).wait(10)
    assert ear.errors == [error]
    assert ear.done == []


def test_any_other_error_is_put_into_words_and_logged(worker, caplog):
    ear, error = Ear(), ZeroDivisionError("x")
    ear.ask(worker, lambda: failing(error)).wait(10)
    (told,) = ear.errors
    assert isinstance(told, SegmenterError)
    assert told.__cause__ is error
    assert "ZeroDivisionError" in str(told)
    assert caplog.records[0].exc_info[1] is error


def test_an_error_while_making_the_generator_arrives_too(worker):
    ear = Ear()
    ear.ask(worker, lambda: [][0]).wait(10)
    assert isinstance(ear.errors[0].__cause__, IndexError)


def test_too_little_memory_is_named(worker):
    ear = Ear()
    ear.ask(worker, lambda: failing(MemoryError())).wait(10)
    assert "memory" in str(ear.errors[0])


def test_a_fault_in_a_callback_does_not_kill_the_thread(worker):
    def bad(_):
        raise ValueError("in the callback")

    worker.submit(lambda: iter([1]), key="k", on_tick=bad, on_done=bad, on_error=bad).wait(10)
    ear = Ear()
    assert ear.ask(worker, lambda: iter([2])).wait(10)
    assert ear.done == [2]


def test_two_hundred_starts_and_cancels_leave_one_thread(worker):
    def endless():
        while True:
            yield 0

    for i in range(200):
        ticket = Ear().ask(worker, endless, key=f"key {i % 3}")
        if i % 2:
            ticket.cancel()
    for i in range(3):
        worker.cancel(f"key {i}")
    assert ticket.wait(10)
    ear = Ear()
    assert ear.ask(worker, lambda: iter(["alive"])).wait(10)
    assert ear.done == ["alive"]
    assert len(threads()) == 1


def test_closing_stops_what_runs_and_lets_the_thread_go(worker):
    def endless():
        while True:
            yield 0

    ear = Ear()
    running, waiting = ear.ask(worker, endless), Ear().ask(worker, endless, key="other")
    assert worker.close(10)
    assert not threads()
    assert running.ended
    assert waiting.ended
    assert ear.done == []
    with pytest.raises(RuntimeError, match="closed"):
        ear.ask(worker, endless)


def test_a_program_ends_though_a_step_never_does():
    code = """
import sys, threading, time
from napari_medseg.segmenters.worker import Worker
worker, begun = Worker(), threading.Event()
worker.submit(lambda: (begun.set(), time.sleep(600)), key="k", on_tick=print, on_done=print, on_error=print)
begun.wait(10)
sys.exit(worker.close(0.05))  # 0: it has not gone
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
