"""A window alone is convolved as quickly as several, and the same."""

import numpy as np
import pytest
import torch
from torch import nn

from napari_medseg.segmenters.inference import Inference
from napari_medseg.segmenters.one_window import OneWindow, helps

SLOW = "aten::slow_conv3d_forward"
SLOW_UP = "aten::slow_conv_transpose3d"

pytestmark = pytest.mark.skipif(not helps("cpu"), reason="this torch was built without oneDNN")


def named(work):
    """What torch did, by name."""
    with torch.profiler.profile() as profile, torch.inference_mode():
        work()
    return {event.key for event in profile.key_averages()}


@pytest.mark.parametrize("layer", [
    nn.Conv3d(1, 8, 3, padding=1), nn.Conv3d(2, 4, 3, stride=2, padding=1, bias=False), nn.Conv3d(4, 4, (1, 3, 3), padding=(0, 1, 1), groups=2),
    nn.Conv3d(2, 3, 3, dilation=2), nn.Conv3d(2, 3, 3, padding="same"), nn.Conv3d(2, 3, 3, padding=1, padding_mode="reflect"), nn.Conv3d(3, 2, 1),
    nn.ConvTranspose3d(2, 4, 3, 2, 1, 1), nn.ConvTranspose3d(3, 8, 2, 2, bias=False), nn.ConvTranspose3d(4, 8, (1, 3, 3), (1, 2, 2), (0, 1, 1), groups=2),
    nn.ConvTranspose3d(1, 5, 3, dilation=2), nn.ConvTranspose3d(2, 2, 3, 2),
], ids=str)
def test_any_convolution_answers_as_without_it(layer):
    image = torch.randn(1, layer.in_channels, 32, 32, 32)
    with torch.inference_mode():
        expected = layer(image)
        with OneWindow():
            torch.testing.assert_close(layer(image), expected, atol=1e-5, rtol=1e-5)


def test_a_lone_window_does_not_go_the_old_way():
    layer, image = nn.Conv3d(1, 8, 3, padding=1), torch.randn(1, 1, 32, 32, 32)

    def ours():
        with OneWindow():
            layer(image)

    assert SLOW not in named(ours)


def test_nor_on_its_way_up():
    layer, image = nn.ConvTranspose3d(2, 8, 3, 2, 1, 1), torch.randn(1, 2, 32, 32, 32)

    def ours():
        with OneWindow():
            layer(image)

    assert SLOW_UP in named(lambda: layer(image))
    assert SLOW_UP not in named(ours)


def test_a_network_on_the_processor_is_asked_so():
    infer, image = Inference(nn.Conv3d(1, 4, 3, padding=1), "cpu", "Liver"), np.zeros((1, 1, 32, 32, 32), np.float32)
    assert SLOW not in named(lambda: infer(image))


def test_what_gains_nothing_is_left_to_torch():
    images = [torch.randn(1, 1, 8, 8, 8), torch.randn(1, 1, 32, 32, 32, dtype=torch.float64)]
    for image in images:
        layer = nn.Conv3d(1, 2, 3).to(image.dtype)

        def ours(layer=layer, image=image):
            with OneWindow():
                layer(image)

        assert named(ours) == named(lambda layer=layer, image=image: layer(image))


def test_half_precision_stays_half():
    layer, image = nn.Conv3d(1, 2, 3), torch.randn(1, 1, 32, 32, 32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), OneWindow():
        assert layer(image).dtype == torch.bfloat16
