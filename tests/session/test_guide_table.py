"""Every state by itself: one step, its button and key, in words that fit the line and that a radiologist knows."""

from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.session import Preview, next_step

LONGEST = 130
"""Characters of a sentence: four lines of the dock."""
JARGON = ("iteration", "voxel", "tensor", "widget", "layer", "epoch", "argmax")


def preview(scan, session, *, empty=False, **values):
    labels = np.zeros(scan.display.geometry.shape, np.uint8)
    labels[2:4, 5:9, 5:9] = not empty
    scan.preview = Preview(labels, "level set", (session.label_class,), finished=True, **values)


def painted(scan, session):
    scan.hold_nothing()[2:4, 5:9, 5:9] = 1
    scan.voxels[1] = 32
    session.set(tool="")


def seeds(scan, session, count):
    points = scan.display.geometry.world([[2 + n, 16, 16] for n in range(count)])
    session.set_seeds(scan, {1: tuple(tuple(map(float, p)) for p in points)})


STATES = {
    "no label": (lambda scan, session: None, "seeds", "Q", "Add seeds"),
    "tool in hand": (lambda scan, session: session.set(tool="seeds"), "none", "", "Click 3 to 5 points"),
    "one seed missing": (lambda scan, session: seeds(scan, session, 2), "seeds", "", "Click 3 to 5 points inside"),
    "seeds": (lambda scan, session: seeds(scan, session, 3), "run", "G", "Grow Organ from its 3 seeds"),
    "painted by hand": (painted, "save", "", "Organ is labelled. Look through it"),
    "preview": (preview, "accept", "K", "accept it into Organ"),
    "empty preview": (lambda scan, session: preview(scan, session, empty=True), "discard", "Shift+K", "Nothing was outlined"),
    "leak": (lambda scan, session: preview(scan, session, leaked=True), "discard", "Shift+K", "paint a limit"),
    "doubtful preview": (lambda scan, session: preview(scan, session, doubt="Half the volume of your label"), "discard", "Shift+K", "compare slice by slice"),
    "scribbles": (lambda scan, session: session.set(mode="scribbles"), "scribbles", "", "Draw a stroke inside Organ"),
    "limit": (lambda scan, session: session.set(mode="limit"), "limit", "", "Paint limit"),
    "interpolate": (lambda scan, session: session.set(mode="interpolate"), "paint", "", "on a few slices"),
    "clean-up of nothing": (lambda scan, session: session.set(mode="cleanup"), "none", "", "no label to clean up yet"),
    "refine without labels": (lambda scan, session: session.set(tab="refine"), "weak", "", "make a weak label"),
    "a network by clicks": (lambda scan, session: session.set(tab="segment", tool="point"), "none", "", "Click inside Organ"),
    "a network that runs alone": (lambda scan, session: session.set(tab="segment", engine="unet"), "run", "G", "Run"),
}


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_one_step(session, ball, state):
    scan = session.open(ball)
    prepare, action, key, words = STATES[state]
    prepare(scan, session)
    step = next_step(session)
    assert (step.action, step.key) == (action, key)
    assert words in step.sentence
    assert not step.waiting
    assert len(step.sentence) <= LONGEST
    assert not [word for word in JARGON if word in f"{step.sentence} {step.why}".lower()]


def test_after_accept_it_says_where_the_label_is_kept(session, ball):
    scan = session.open(replace(ball, name="ball"))
    preview(scan, session)
    session.accept()
    step = next_step(session)
    assert step.action == "save"
    assert "New study" in step.sentence


@pytest.mark.parametrize("tab", ["weak", "segment"])
def test_an_accept_that_was_taken_back_and_done_again_is_one_as_before(session, ball, tab):
    scan = session.open(ball)
    session.set(tab=tab)
    seeds(scan, session, 3)
    preview(scan, session)
    session.accept()
    accepted = next_step(session)
    session.undo()
    assert next_step(session).action != accepted.action
    session.redo()
    assert scan.has_labels
    step = next_step(session)
    assert (step.action, step.sentence.partition(". ")[2]) == (accepted.action, accepted.sentence.partition(". ")[2])


def test_who_has_no_mouse_is_told_the_keys_where_a_click_is_asked_for(session, ball):
    session.open(ball)
    session.set(tool="seeds")
    assert "Shift+Enter" in next_step(session).why
    session.set(tab="segment", tool="point")
    assert "Shift+Enter" in next_step(session).why


@pytest.mark.parametrize("tab", ["weak", "segment"])
def test_after_saving_without_a_study_it_says_what_is_next_and_in_a_new_study_too_until_another_seed(session, owner, ball, tmp_path, tab):
    scan = session.open(replace(ball, name="ball"))
    session.set(tab=tab)
    seeds(scan, session, 3)
    preview(scan, session)
    session.accept()
    session.save_labels(tmp_path / "mine.nii.gz")
    step = next_step(session)
    assert (step.action, step.key) == ("open", "Ctrl+O")
    assert step.sentence.startswith("Saved mine.nii.gz. Open the next scan")
    assert len(step.sentence) <= LONGEST
    session.study.create(tmp_path / "liver")
    owner.run_until(lambda: session.study.is_open and not session.study.busy)
    step = next_step(session)
    assert step.action == "add"
    assert step.why == "ball has no file of its own and stays out of the study."
    seeds(scan, session, 4)
    assert next_step(session).action == ("run" if tab == "weak" else "none")


def test_while_something_opens_with_nothing_there_it_says_what_it_waits_for(session):
    session.study.busy = "Opening Liver.medseg"
    assert next_step(session).waiting == "Opening Liver.medseg"
