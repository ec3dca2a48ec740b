from __future__ import annotations

import json

import numpy as np
import pytest

from napari_medseg.metrics import dice
from napari_medseg.refine.cases import Case
from napari_medseg.refine.salah.training import predict_labels
from napari_medseg.segmenters.weights import BASE, load_model
from napari_medseg.testing.synthetic import ct_scene, mr_scene


@pytest.fixture(scope="module")
def m0():
    return load_model(BASE)[0]


def test_the_record_beside_the_base_model_is_about_this_file():
    record = json.loads(BASE.with_suffix(".json").read_text(encoding="utf-8"))
    _, plan = load_model(BASE)
    assert record["sha256"] == plan["sha256"]
    assert record["bytes"] == BASE.stat().st_size < 5_000_000
    assert {key: record[key] for key in plan["training"]} == plan["training"]
    spans = [range(record[f"seeds_{part}"][0], record[f"seeds_{part}"][1] + 1) for part in ("training", "validation", "test")]
    assert len(set().union(*spans)) == sum(map(len, spans))  # no patient in two parts


def test_the_base_model_knows_unseen_ct_scenes_and_does_not_know_mr(m0):
    def score(scene, seeds):
        return np.mean([dice(predict_labels(m0, case.image), case.labels.array) for case in (Case(str(s), *scene(s)) for s in seeds)])

    assert score(ct_scene, range(3900, 3904)) > 0.85
    assert score(mr_scene, range(3900, 3904)) < 0.5
