"""One thread, the newest request of a key wins, nothing stale comes through."""

import subprocess
import sys
import threading
import time
import weakref

import numpy as np
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

    def ask(self, worker, make, key="k", urgent=False):
        return worker.submit(
            make, key=key, on_tick=lambda v: self._note(self.ticks, v), on_done=lambda v: self._note(self.done, v),
            on_error=lambda e: self._note(self.errors, e), urgent=urgent,
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


@pytest.fixture
def running(worker):
    """An endless ordinary request that has begun and takes one step each time it is let."""
    step, ear, closed = threading.Semaphore(0), Ear(), threading.Event()

    def big():
        try:
            for value in range(1000):
                yield value
                assert step.acquire(timeout=10)
        finally:
            closed.set()

    ticket = ear.ask(worker, big, key="big")
    while not ear.ticks:
        time.sleep(0.001)
    yield step, ear, closed, ticket
    step.release(1000)


def test_an_urgent_request_runs_at_the_next_yield_and_the_other_goes_on_afterwards(worker, running):
    step, big, closed, ticket = running
    order = []
    small = worker.submit(
        lambda: iter("abc"), key="small", on_tick=order.append, on_done=lambda v: order.append((v, list(big.ticks))), on_error=order.append, urgent=True,
    )
    step.release()
    assert small.wait(10)
    assert order == ["a", "b", "c", ("c", [0, 1])]
    assert not closed.is_set()
    for _ in range(1000):
        step.release()
    assert ticket.wait(10)
    assert big.ticks == list(range(1000))
    assert big.done == [999]


def test_urgent_requests_come_one_after_the_other_before_what_waits(worker, running):
    step, order = running[0], []
    for key, urgent in (("later", False), ("first", True), ("second", True)):
        last = worker.submit(lambda key=key: iter([key, key]), key=key, on_tick=order.append, on_done=print, on_error=order.append, urgent=urgent)
    step.release()
    assert last.wait(10)
    assert order == ["first", "first", "second", "second"]


def test_a_newer_urgent_request_of_the_same_key_replaces_the_older_one(worker, running):
    step, gate, old, new = running[0], threading.Event(), Ear(), Ear()
    old.ask(worker, lambda: until(gate), key="slice", urgent=True)
    step.release()
    while not old.ticks:
        time.sleep(0.001)
    second = new.ask(worker, lambda: iter(["new"]), key="slice", urgent=True)
    gate.set()
    assert second.wait(10)
    assert (old.ticks, old.done) == ([1], [])
    assert new.done == ["new"]


def test_what_was_overtaken_is_closed_at_once_when_it_is_cancelled(worker, running):
    step, _, closed, ticket = running
    gate, small = threading.Event(), Ear()

    def urgent():
        yield 1
        assert gate.wait(10)
        yield 2
        assert closed.is_set()
        yield 3

    urgent_ticket = small.ask(worker, urgent, key="small", urgent=True)
    step.release()
    while not small.ticks:
        time.sleep(0.001)
    ticket.cancel()
    gate.set()
    assert urgent_ticket.wait(10)
    assert ticket.ended
    assert small.done == [3]


def test_a_fault_in_an_urgent_request_leaves_the_other_alone(worker, running):
    step, big, _, ticket = running
    small = Ear()
    wrong = small.ask(worker, lambda: failing(ZeroDivisionError("x")), key="small", urgent=True)
    step.release()
    assert wrong.wait(10)
    assert len(small.errors) == 1
    for _ in range(1000):
        step.release()
    assert ticket.wait(10)
    assert big.done == [999]


def test_a_network_that_wants_to_end_the_program_ends_only_itself(worker):
    ear = Ear()
    ear.ask(worker, lambda: failing(SystemExit(1))).wait(10)
    assert "SystemExit" in str(ear.errors[0])
    assert ear.ask(worker, lambda: iter(["alive"])).wait(10)
    assert ear.done == ["alive"]


def test_what_a_cancelled_request_held_is_gone(worker):
    """200 times a megabyte that the generator and its values hold; every other one overtakes an ordinary one."""
    held = []

    def work(array):
        while True:
            yield array

    for i in range(200):
        array = np.zeros(1 << 20, np.uint8)
        held.append(weakref.ref(array))
        ear = Ear()
        ticket = ear.ask(worker, lambda array=array: work(array), key="small" if i % 2 else "big", urgent=i % 2 == 1)
        end = time.monotonic() + 10
        while i % 7 < 2 and not ear.ticks:
            assert time.monotonic() < end
            time.sleep(0.001)
        if i % 2:
            ticket.cancel()
    worker.cancel("big")
    assert Ear().ask(worker, lambda: iter(())).wait(10)
    del ear, array
    assert [ref for ref in held if ref() is not None] == []
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
