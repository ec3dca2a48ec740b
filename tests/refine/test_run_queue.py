from __future__ import annotations

import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.queue import RunQueue


@pytest.fixture
def started():
    return []


@pytest.fixture
def queue(started):
    return RunQueue(lambda item: started.append(item.title))


def titles(queue):
    return [item.title for item in queue.waiting]


def test_the_first_starts_at_once_and_the_next_when_it_has_ended(queue, started):
    first = queue.add("liver", list)
    queue.add("spleen", list)
    assert (started, titles(queue)) == (["liver"], ["spleen"])
    queue.ended(first)
    assert (started, titles(queue)) == (["liver", "spleen"], [])


def test_what_ended_twice_or_never_ran_starts_nothing(queue, started):
    first, second, _ = (queue.add(name, list) for name in ("a", "b", "c"))
    queue.ended(second)
    queue.ended(first)
    queue.ended(first)
    assert started == ["a", "b"]


def test_waiting_ones_change_places_and_leave(queue, started):
    first, _, _, last = (queue.add(name, list) for name in "abcd")
    queue.move(last, 0)
    assert titles(queue) == ["d", "b", "c"]
    queue.remove(queue.waiting[1])
    queue.ended(first)
    assert (started, titles(queue)) == (["a", "d"], ["c"])


def test_one_that_runs_is_neither_moved_nor_removed(queue):
    running = queue.add("liver", list)
    for act in (lambda: queue.move(running, 1), lambda: queue.remove(running)):
        with pytest.raises(InvalidInputError, match="liver: does not wait"):
            act()


def test_a_held_queue_starts_nothing_until_told(queue, started):
    queue.hold()
    queue.add("liver", list)
    assert started == []
    queue.hold(False)
    assert started == ["liver"]


def test_one_that_cannot_start_does_not_block_the_next():
    started = []

    def start(item):
        if item.title == "bad":
            raise OSError("no process")
        started.append(item.title)

    queue = RunQueue(start)
    with pytest.raises(OSError, match="no process"):
        queue.add("bad", list)
    queue.add("good", list)
    assert started == ["good"]


def test_every_change_is_told(started):
    told = []
    queue = RunQueue(started.append, lambda: told.append(len(queue.waiting)))
    first = queue.add("a", list)
    queue.add("b", list)
    queue.ended(first)
    queue.clear()
    assert told == [0, 1, 0, 0]
