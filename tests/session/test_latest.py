"""The thread whose answers are wanted for the newest question only."""

import queue
import threading

from napari_medseg.session.latest import Latest


def test_a_newer_question_takes_the_place_of_one_that_waits_and_other_keys_are_answered_too():
    calls: queue.Queue = queue.Queue()
    latest = Latest(calls.put, "test")
    begun, go = threading.Event(), threading.Event()
    answers = []

    def first():
        begun.set()
        go.wait(10)
        return "first"

    latest.ask("a", first, answers.append)
    begun.wait(10)
    latest.ask("a", lambda: "replaced", answers.append)
    latest.ask("a", lambda: "newest", answers.append)
    latest.ask("b", lambda: "other", answers.append)
    go.set()
    for _ in range(3):
        calls.get(timeout=10)()
    assert answers == ["first", "newest", "other"]
    latest.close()
    assert calls.empty()


def test_a_fault_is_an_answer_and_the_thread_goes_on():
    calls: queue.Queue = queue.Queue()
    latest = Latest(calls.put, "test")
    answers = []
    latest.ask("a", lambda: [][1], answers.append)
    calls.get(timeout=10)()
    latest.ask("a", lambda: 2, answers.append)
    calls.get(timeout=10)()
    assert isinstance(answers[0], IndexError)
    assert answers[1] == 2
    latest.close()


def test_nothing_is_answered_after_the_end():
    calls: queue.Queue = queue.Queue()
    latest = Latest(calls.put, "test")
    latest.close()
    latest.ask("a", lambda: 1, print)
    assert calls.empty()
