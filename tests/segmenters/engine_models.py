"""Networks that a person might bring, tiny and in each engine's real format."""

import json

import numpy as np
import torch

from napari_medseg.volume import Geometry, Volume


class Bright(torch.nn.Module):
    """A logit a voxel: bright is inside."""

    def forward(self, x):
        return 30.0 * (x[:, :1] - 0.5)


class TwoMaps(torch.nn.Module):
    """Background, dim, bright: softmax logits from one channel."""

    def forward(self, x):
        return torch.cat([0 * x, 60 * (x - 0.3), 120 * (x - 0.5)], dim=1)


class Blurred(torch.nn.Module):
    """A real convolution, so that windows matter."""

    def __init__(self, width: int = 3):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 1, width, padding=width // 2)
        torch.nn.init.constant_(self.conv.weight, 1 / width**3)
        torch.nn.init.constant_(self.conv.bias, -0.5)

    def forward(self, x):
        return 30.0 * self.conv(x)


def describe(path, /, **change):
    """A description beside a model: keys of `input` and `output` flat."""
    given = {"window": [16, 16, 16], "intensity": {"kind": "min-max"}, "classes": ["bright"], **change}
    outputs = {"classes", "background", "activation", "threshold", "take"}
    content = {"input": {k: v for k, v in given.items() if k not in outputs}, "output": {k: v for k, v in given.items() if k in outputs}}
    path.with_suffix(".json").write_text(json.dumps(content))
    return path


def scene(shape=(10, 40, 36), spacing=(3.0, 1.0, 1.0)):
    """A dim box round a bright ball, off the middle, and where the ball is."""
    place = np.meshgrid(*((np.arange(n) - 0.45 * n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    ball = sum(p**2 for p in place) < 8.0**2
    values = np.where(ball, 1000, np.where(np.abs(place[1]) < 14, 400, 0)).astype(np.int16)
    return Volume(values, Geometry(shape, spacing, (3.0, -2.0, 7.0)), name="scene"), ball


def scripted(module, path):
    """Scripted and saved, without torch's word that scripting is old."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module).save(path)
    return path
