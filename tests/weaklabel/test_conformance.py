"""Every weak-label tool passes the suite that third parties' tools must pass."""

import numpy as np
import pytest

from napari_medseg.testing import annotator
from napari_medseg.testing.weaklabel_conformance import WeakLabelConformance
from napari_medseg.weaklabel.levelset import LevelSetSettings, evolve
from napari_medseg.weaklabel.scribble import grow, whole


class TestLevelSetOnValues(WeakLabelConformance):
    settings = LevelSetSettings()

    def run(self, image, truth, spacing, limit):
        for step in evolve(image, annotator.seeds(truth, spacing), spacing, self.settings, limit=limit):
            yield step.mask


class TestLevelSetFromTheSeeds(TestLevelSetOnValues):
    settings = LevelSetSettings(start="seeds")


class TestLevelSetOnEdges(TestLevelSetOnValues):
    settings = LevelSetSettings(method="edge")


class TestScribbles(WeakLabelConformance):
    def run(self, image, truth, spacing, limit):
        strokes = annotator.first_strokes(truth, spacing)
        strokes[~limit] = 255  # what lies outside the hand mask is scribbled as background
        for step in grow(image, strokes, spacing):
            yield whole(step, image.shape)


def test_a_tool_that_does_not_say_how_it_runs_is_told_so():
    with pytest.raises(TypeError, match="define `run`"):
        WeakLabelConformance().run(np.zeros((1, 2, 2)), np.ones((1, 2, 2), bool), (1.0, 1.0, 1.0), np.ones((1, 2, 2), bool))
