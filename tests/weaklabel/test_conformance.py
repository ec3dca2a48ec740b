"""Every weak-label tool passes the suites that third parties' tools must pass."""

import numpy as np
import pytest

from napari_medseg.testing.seed_conformance import SeedConformance
from napari_medseg.testing.stroke_conformance import StrokeConformance
from napari_medseg.testing.weaklabel_conformance import WeakLabelConformance
from napari_medseg.weaklabel.levelset import LevelSetSettings, evolve
from napari_medseg.weaklabel.scribble import Scribbler, ScribbleSettings, grow, whole

BALL = (np.zeros((1, 2, 2)), np.ones((1, 2, 2), bool), (1.0, 1.0, 1.0))


class TestLevelSet(SeedConformance):
    settings = LevelSetSettings()

    def grow(self, image, seeds, spacing, *, limit=None, barrier=None, init=None):
        for step in evolve(image, seeds, spacing, self.settings, limit=limit, barrier=barrier, init=init):
            yield step.mask


class TestLevelSetOnValues(TestLevelSet):
    settings = LevelSetSettings(method="region")


class TestLevelSetFromTheSeeds(TestLevelSet):
    settings = LevelSetSettings(start="seeds")


class TestLevelSetOnEdges(TestLevelSet):
    settings = LevelSetSettings(method="edge")
    least_dice = 0.8  # across slices of 6.5 mm an edge lies anywhere between two of them


class TestLevelSetOfThePaper(TestLevelSet):
    settings = LevelSetSettings.salah2023()


class TestScribbles(StrokeConformance):
    settings = ScribbleSettings()

    def grow(self, image, strokes, spacing):
        for step in grow(image, strokes, spacing, self.settings):
            yield whole(step, image.shape)

    def follow(self, image, spacing):
        return Scribbler(image, spacing, self.settings)


class TestGeodesic(TestScribbles):
    settings = ScribbleSettings("geodesic", classifier=False)


class TestGeodesicWithAClassifier(TestScribbles):
    settings = ScribbleSettings("geodesic", classifier=True)


class TestGrowCut(TestScribbles):
    settings = ScribbleSettings("growcut")


class TestWalker(TestScribbles):
    settings = ScribbleSettings("walker", classifier=False)
    least_agreement = 0.995  # it is solved to a tolerance, from where it stood


class TestWalkerWithAClassifier(TestWalker):
    settings = ScribbleSettings("walker", classifier=True)


class _OnTorch(TestLevelSet):
    """The graphics card's own code on the processor: far too slow there for the whole suite."""

    settings = LevelSetSettings(device="torch", iterations=20)


@pytest.mark.slow  # torch's many small steps take seconds on a processor
@pytest.mark.parametrize("check", ["test_an_empty_limit_is_refused_in_words", "test_a_constant_scan_is_refused_in_words", "test_gives_the_same_answer_twice"])
def test_the_graphics_cards_code_passes_on_the_processor_too(check):
    more = (np.int16,) if "constant" in check else ()
    getattr(_OnTorch(), check)(*more)


@pytest.mark.parametrize(("suite", "method"), [(WeakLabelConformance, "run"), (SeedConformance, "grow"), (StrokeConformance, "grow")])
def test_a_tool_that_does_not_say_how_it_runs_is_told_so(suite, method):
    tool = type("TestMine", (suite,), {})()
    with pytest.raises(TypeError, match=f"TestMine does not say .* define `{method}`"):
        list(tool.run(*BALL, None))
