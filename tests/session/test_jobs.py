import gc
import threading
import time
import weakref
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from napari_medseg.errors import NoSeedsError, SegmenterError
from napari_medseg.session.jobs import Jobs


@dataclass
class Tick:
    fraction: float | None
    message: str = ""


@pytest.fixture
def jobs(owner):
    made = Jobs(owner, lambda: None)
    yield made
    made.close()


@pytest.fixture(params=[False, True], ids=["worker", "own thread"])
def own_thread(request):
    return request.param


def test_ticks_arrive_in_order_on_the_owners_thread(jobs, owner, own_thread):
    seen, threads, ended = [], set(), []

    def apply(tick):
        seen.append(tick.fraction)
        threads.add(threading.current_thread())

    job = jobs.start(
        "a", "Counting", lambda: (Tick(i / 10) for i in range(11)), apply=apply, done=lambda: ended.append(1), failed=ended.append, own_thread=own_thread,
    )
    owner.run_until(lambda: not job.is_active)
    assert seen == [i / 10 for i in range(11)]
    assert threads == {threading.current_thread()}
    assert ended == [1]
    assert job.state == "done"


def test_a_stopped_job_says_nothing_more_and_its_engine_is_closed(jobs, owner, own_thread):
    closed, seen = threading.Event(), []

    def engine():
        try:
            while True:
                yield Tick(None)
                time.sleep(0.005)
        finally:
            closed.set()

    job = jobs.start("a", "Forever", engine, apply=seen.append, done=lambda: seen.append("done"), failed=seen.append, own_thread=own_thread)
    owner.run_until(lambda: seen)
    jobs.stop("a")
    count = len(seen)
    assert closed.wait(5)
    time.sleep(0.05)
    while not owner.calls.empty():
        owner.calls.get()()
    assert len(seen) == count
    assert job.state == "stopped"


def test_the_newest_job_of_a_lane_wins(jobs, owner):
    seen = []

    def engine(name):
        for _ in range(50):
            yield Tick(None, name)
            time.sleep(0.002)

    first = jobs.start("a", "first", lambda: engine("first"), apply=lambda t: None, done=lambda: seen.append("first"), failed=seen.append)
    second = jobs.start("a", "second", lambda: engine("second"), apply=lambda t: None, done=lambda: seen.append("second"), failed=seen.append)
    owner.run_until(lambda: not second.is_active)
    assert seen == ["second"]
    assert first.state == "stopped"


def test_a_mendable_error_comes_through_and_a_fault_becomes_a_sentence(jobs, owner, own_thread):
    heard = []

    def mendable():
        yield Tick(0.0)
        raise NoSeedsError("no seed", where="x", todo="Click")

    def fault():
        yield Tick(0.0)
        raise ZeroDivisionError("oops")

    for engine in (mendable, fault):
        job = jobs.start("a", "Work", engine, apply=lambda t: None, done=lambda: None, failed=heard.append, own_thread=own_thread)
        owner.run_until(lambda job=job: not job.is_active)
        assert job.state == "failed"
    assert isinstance(heard[0], NoSeedsError)
    assert isinstance(heard[1], SegmenterError)
    assert "Traceback" not in str(heard[1])


def test_time_left_is_guessed_from_the_share_done(jobs, owner):
    job = jobs.start("a", "Work", lambda: iter(()), apply=lambda t: None, done=lambda: None, failed=lambda e: None)
    job.state, job.fraction, job.started = "running", 0.25, time.monotonic() - 10
    assert job.seconds_left == pytest.approx(30, rel=0.05)


def test_an_urgent_job_overtakes_and_the_other_goes_on(jobs, owner):
    step, told = threading.Semaphore(0), []

    def volume():
        for i in range(5):
            yield Tick(i / 5, f"volume {i}")
            assert step.acquire(timeout=10)

    def keep(tick):
        told.append(tick.message)

    big = jobs.start("volume", "Volume", volume, apply=keep, done=lambda: told.append("volume done"), failed=told.append)
    owner.run_until(lambda: told)
    small = jobs.start(
        "slice", "Slice", lambda: iter([Tick(1.0, "slice")]), apply=keep, done=lambda: told.append("slice done"), failed=told.append, urgent=True,
    )
    step.release()
    owner.run_until(lambda: not small.is_active)
    assert told == ["volume 0", "volume 1", "slice", "slice done"]
    assert big.state == "running"
    for _ in range(5):
        step.release()
    owner.run_until(lambda: not big.is_active)
    assert told[-1] == "volume done"


def test_engines_of_one_device_share_a_thread_and_others_do_not_wait_for_them(jobs, owner):
    threads, gate = {}, threading.Event()

    def engine(name):
        threads[name] = threading.current_thread()
        yield Tick(None)
        assert gate.wait(10)

    def ask(key, device):
        return jobs.start(key, key, lambda: engine(key), apply=lambda t: None, done=lambda: None, failed=print, device=device)

    first, other, second = ask("a", "cpu"), ask("b", ""), ask("c", "cpu")
    owner.run_until(lambda: {"a", "b"} <= threads.keys())
    assert "c" not in threads
    gate.set()
    owner.run_until(lambda: not (first.is_active or other.is_active or second.is_active))
    assert threads["a"] is threads["c"] is not threads["b"]


def test_two_hundred_starts_and_stops_leave_no_thread_and_no_memory(jobs, owner, own_thread):
    held = []

    def engine(array):
        while True:
            yield Tick(None, str(array.size))
            time.sleep(0.001)

    before = threading.active_count()
    for i in range(200):
        array = np.zeros(1 << 20, np.uint8)
        held.append(weakref.ref(array))
        job = jobs.start(
            "lane", "Forever", partial(engine, array), apply=lambda t: None, done=lambda: None, failed=print, own_thread=own_thread, urgent=i % 3 == 0,
        )
        if i % 7 == 0:
            owner.run_until(lambda job=job: job.state == "running")
        if i % 2:
            jobs.stop("lane")
    del array
    jobs.close()
    end = time.monotonic() + 10
    while (threading.active_count() > before or any(ref() is not None for ref in held)) and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == before
    assert sum(ref() is not None for ref in held) == 0


@pytest.mark.parametrize("stopped", [True, False])
def test_what_a_run_fills_goes_with_it_without_pythons_full_search(jobs, owner, own_thread, stopped):
    def fill(count):
        def engine():
            yield Tick(0.5)
            while stopped:
                yield Tick(None)
                time.sleep(0.001)

        map_of_labels = np.zeros(1 << 10, np.uint8)
        job = jobs.start("a", "Filling", engine, apply=lambda _: map_of_labels.fill(count), done=lambda: None, failed=print, own_thread=own_thread)
        owner.run_until(lambda: job.state == "running" or not job.is_active)
        if stopped:
            jobs.stop("a")
        owner.run_until(lambda: not job.is_active)
        return weakref.ref(map_of_labels)

    gc.collect()
    gc.disable()
    try:
        held = [fill(count) for count in range(4)]
        end = time.monotonic() + 10
        while any(ref() is not None for ref in held) and time.monotonic() < end:
            owner.run_until(lambda: owner.calls.empty())
            time.sleep(0.01)
        assert not any(ref() is not None for ref in held)
    finally:
        gc.enable()
