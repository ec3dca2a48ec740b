"""What a training network makes of the slice in view: asked for seldom, small, and dropped when nobody wants it."""

import threading

import numpy as np
import pytest

from napari_medseg.session.glimpse import EVERY, Glimpse, outline


class Listener:
    """Takes what a training process would be sent."""

    def __init__(self):
        self.came = threading.Event()
        self.images = []

    def look(self, image):
        self.images.append(image)
        self.came.set()


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def glimpse(session, clock):
    return Glimpse(session, now=lambda: clock[0])


def test_a_few_slices_round_the_one_in_view_are_sent_and_its_answer_is_kept(session, ball, glimpse):
    scan = session.open(ball)
    session.in_view = 3
    listener = Listener()
    glimpse.ask(listener)
    assert listener.came.wait(10)
    sent = listener.images[0]
    assert sent.array.shape == (8, *scan.display.geometry.shape[1:])  # slices 0 to 7
    assert np.array_equal(sent.array, scan.display.array[:8])
    labels = np.zeros(sent.array.shape, np.uint8)
    labels[3] = 1
    glimpse.take(labels)
    assert (glimpse.scan, glimpse.index) == (scan, 3)
    assert glimpse.labels.all()


def test_it_asks_again_only_after_a_while_and_not_when_switched_off(session, ball, glimpse, clock):
    session.open(ball)
    session.in_view = 10
    listener = Listener()
    glimpse.ask(listener)
    assert listener.came.wait(10)
    glimpse.take(np.zeros((9, *session.current.display.geometry.shape[1:]), np.uint8))
    glimpse.ask(listener)
    clock[0] += EVERY + 0.1
    glimpse.switch(False)
    glimpse.ask(listener)
    assert len(listener.images) == 1
    assert glimpse.labels is None
    glimpse.switch(True)
    listener.came.clear()
    glimpse.ask(listener)
    assert listener.came.wait(10)


def test_an_answer_for_a_scan_that_was_closed_is_dropped(session, ball, glimpse):
    scan = session.open(ball)
    session.in_view = 10
    listener = Listener()
    glimpse.ask(listener)
    assert listener.came.wait(10)
    session.close(scan)
    glimpse.take(np.ones((9, *scan.display.geometry.shape[1:]), np.uint8))
    assert glimpse.labels is None


def test_only_the_rim_of_each_class_is_drawn():
    labels = np.zeros((7, 7), np.uint8)
    labels[1:6, 1:6] = 1
    labels[3, 3] = 2
    rim = outline(labels)
    assert rim[1, 1] == rim[3, 3] == 1
    assert rim[0, 0] == 0
    assert rim[2, 2] == 0
    assert rim[2, 3] == 1
