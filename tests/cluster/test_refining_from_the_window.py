"""A session without a window that has chosen a server: its refinement learns there, and all comes back as if it had learnt here."""

import queue
import time
from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.cluster.remote import address as book
from napari_medseg.segmenters.opening import checksum
from napari_medseg.session import Preview, Session


@pytest.fixture
def calls():
    return queue.Queue()


@pytest.fixture
def session(calls, serving, tmp_path, monkeypatch):
    monkeypatch.setenv(book.FILE, str(tmp_path / "servers.json"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book.remember(serving.server())
    made = Session(calls.put)
    medseg = made.catalogue.find("medseg", "recipe")
    quick = medseg.model_copy(update={"parameters": {**medseg.parameters, "updates": 4, "phases": [], "patience": 2}})
    made.catalogue = replace(made.catalogue, entries={**made.catalogue.entries, "medseg": quick})
    made.refining.choose_recipe("medseg")
    yield made
    made.shut()


@pytest.fixture
def scan(session, ball):
    opened = session.open(ball)
    opened.preview = Preview((opened.display.array > 150).astype(np.uint8), "test", (session.label_class,), finished=True)
    session.accept()
    return opened


def wait(calls, met):
    end = time.monotonic() + 240
    while not met():
        assert time.monotonic() < end, "it did not happen in time"
        try:
            calls.get(timeout=0.05)()
        except queue.Empty:
            continue


@pytest.mark.slow  # a training in a process of its own that loads torch
def test_a_training_learns_on_the_chosen_server(session, scan, serving, calls, tmp_path):
    session.servers.choose(serving.address)
    session.refine.out = tmp_path / "run"
    session.refining.start()
    wait(calls, lambda: not session.refining.is_training)
    assert session.trouble == ""
    assert serving.log.count('"act": "POST /v1/runs"') == 1
    assert len(session.refine.losses) >= 4
    assert scan.preview.title.startswith("proposal round")
    assert session.refine.model == tmp_path / "run" / "model" / "model.safetensors"
    assert checksum(session.refine.model)
    assert not serving.running.room.runs._runs


def test_a_base_that_is_no_model_is_said_before_anything_is_sent(session, scan, serving, calls, tmp_path):
    session.servers.choose(serving.address)
    session.refine.base = tmp_path / "model.safetensors"
    session.refine.out = tmp_path / "run"
    session.refining.start()
    wait(calls, lambda: not session.refining.is_training)
    assert "there is no model here" in session.trouble
