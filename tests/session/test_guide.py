from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.session import Preview, limit_painting, next_step
from napari_medseg.session.guide import clock


@pytest.fixture
def scan(session, ball):
    return session.open(ball)


def test_with_nothing_open_it_says_how_to_open(session):
    step = next_step(session)
    assert step.action == "open"
    assert "drop it on the window" in step.sentence


def test_it_leads_from_the_first_click_to_accept(session, owner, scan, ball_seeds):
    assert next_step(session).action == "seeds"
    session.set(tool="seeds")
    assert "Click 3 to 5 points" in next_step(session).sentence
    session.set_seeds(scan, {1: ball_seeds[:2]})
    assert "Click 3 to 5 points" in next_step(session).sentence
    assert next_step(session).why == "2 of 3 are there."
    session.set_seeds(scan, {1: ball_seeds})
    assert (next_step(session).action, next_step(session).key) == ("run", "G")
    session.run()
    assert next_step(session).waiting
    owner.run_until(lambda: not session.job.is_active)
    scan.preview.leaked = False  # whether it did is the engine's matter
    assert (next_step(session).action, next_step(session).key) == ("accept", "K")
    session.accept()
    assert next_step(session).sentence.startswith("Accepted level set into Organ")
    session.set(tab="refine")
    assert next_step(session).action == "right"
    assert "Correct 3 slices with the brush" in next_step(session).sentence
    session.scans.append(scan)  # a network learns from several
    assert next_step(session).action == "run"


def test_a_leak_asks_for_a_limit_once_it_is_discarded(session, scan):
    labels = np.ones(scan.display.geometry.shape, np.uint8)
    scan.preview = Preview(labels, "level set", (session.label_class,), leaked=True, finished=True)
    step = next_step(session)
    assert (step.action, step.key) == ("discard", "Shift+K")
    assert "paint a limit" in step.sentence


def test_an_empty_result_says_what_to_do(session, scan):
    scan.preview = Preview(np.zeros(scan.display.geometry.shape, np.uint8), "level set", (session.label_class,), finished=True)
    assert "Nothing was outlined" in next_step(session).sentence


def test_scribbles_ask_for_both_sides(session, owner, scan):
    session.set(mode="scribbles")
    assert next_step(session).action == "scribbles"
    session.begin_scribbles()
    scan.strokes[8, 20:24, 16] = 1
    session.stroked(scan)
    owner.run_until(lambda: not session.job.is_active)
    assert next_step(session).key == "Q"
    session.flip()
    scan.strokes[8, 2, :] = 255
    session.stroked(scan)
    owner.run_until(lambda: not session.job.is_active)
    assert (next_step(session).action, next_step(session).key) == ("accept", "K")


def test_a_limit_is_painted_before_seeds_are_asked_for(session, scan):
    session.set(mode="limit")
    assert next_step(session).action == "limit"
    session.begin_limit()
    assert "big ball" in next_step(session).sentence
    limit_painting.paint(session, scan, (8.0, 20.0, 16.0), (8.0, 24.0, 16.0))
    assert next_step(session).action == "seeds"
    session.flip()
    assert "Erase" in next_step(session).sentence


def test_interpolation_says_how_much_is_missing(session, owner, scan):
    session.set(mode="interpolate")
    assert "a few slices" in next_step(session).sentence
    labels = np.zeros(scan.display.geometry.shape, np.uint8)
    labels[4, 10:20, 10:20] = 1
    session.adopt_labels(scan, labels)
    owner.run_until(lambda: session.between.found is not None)
    session.set(interpolation=replace(session.interpolation, axis=0))
    assert "another axial slice" in next_step(session).sentence
    session.between.mark_empty(9)
    assert "4 axial slices" in next_step(session).sentence


def test_refine_without_labels_points_back(session, scan):
    session.set(tab="refine")
    assert next_step(session).action == "weak"


def test_what_went_wrong_stays_in_the_line_until_the_next_act(session, scan, ball_seeds):
    session.run()
    assert next_step(session).trouble
    assert "no seed" in next_step(session).sentence
    session.set_seeds(scan, {1: ball_seeds})
    assert not next_step(session).trouble


def test_a_layer_it_cannot_take_is_explained(session):
    session.decline("photo: is a colour picture. Choose a grey-value scan")
    assert next_step(session).sentence.startswith("photo")


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1 s"), (42, "42 s"), (150, "2 min"), (7200, "2.0 h")])
def test_times_are_said_as_people_say_them(seconds, said):
    assert clock(seconds) == said
