"""Every segmenter passes the suite that third parties' segmenters must pass."""

import pytest

from napari_medseg.segmenters.deepbet import DeepbetSegmenter
from napari_medseg.segmenters.unet_segmenter import UNetSegmenter
from napari_medseg.testing.segmenter_conformance import SegmenterConformance


class TestUNetOnWholeSlices(SegmenterConformance):
    fit = "slice"

    @pytest.fixture(autouse=True)
    def _model(self, tiny_model):
        self.model = tiny_model

    def segmenter(self):
        return UNetSegmenter(self.model, fit=self.fit, batch=2)


class TestUNetOnWindows(TestUNetOnWholeSlices):
    fit = "native"


@pytest.mark.slow  # every answer of this network passes through 256^3 voxels
class TestDeepbetWithAStandIn(SegmenterConformance):
    @pytest.fixture(autouse=True)
    def _package(self, deepbet_folder):
        self.folder = deepbet_folder

    def segmenter(self):
        return DeepbetSegmenter()


def test_a_segmenter_that_does_not_say_how_it_is_made_is_told_so():
    with pytest.raises(TypeError, match="define `segmenter`"):
        SegmenterConformance().segmenter()
