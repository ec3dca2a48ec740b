"""Segmenters that cost nothing, for a server to run."""

import threading

import numpy as np

from napari_medseg.segmenters.protocol import Capabilities, Prediction

RUNS = []
"""The name of each run that began."""
GATE = threading.Event()
"""What `Held` waits for between its slices."""
GATE.set()


class Bright:
    """How bright a voxel is, slice by slice, the slice in view first."""

    title = "Bright"

    def __init__(self, task="low", model=None, trust=False):
        self.task = task

    @property
    def capabilities(self):
        return Capabilities(classes=("bright",), licence="MIT", dims=2)

    def predict(self, volume, prompts=None, *, device="auto", focus=None):
        RUNS.append(self.title)
        array = np.nan_to_num(np.asarray(volume.channel(), np.float32), posinf=0, neginf=0)
        low, high = float(array.min()), float(array.max())
        depth, (_, *plane) = len(array), array.shape
        looked = focus() if callable(focus) else focus
        order = sorted(range(depth), key=lambda z: abs(z - (looked or 0)))
        for number, z in enumerate(order, start=1):
            part = (array[z] - low) / max(high - low, 1e-6)
            yield Prediction((slice(z, z + 1), slice(0, plane[0]), slice(0, plane[1])), part[None, None].astype(np.float32), number / depth, "Looking")


class Held(Bright):
    """The same, waiting for the gate before each slice."""

    title = "Held"

    def predict(self, volume, prompts=None, *, device="auto", focus=None):
        for piece in super().predict(volume, prompts, device=device, focus=focus):
            GATE.wait(20)
            yield piece


class Pointed:
    """A ball round each point; strokes and mask are taken as they are."""

    title = "Pointed"

    @property
    def capabilities(self):
        return Capabilities(classes=(), licence="MIT", prompts=frozenset({"points", "scribbles", "mask"}), dims=3)

    def predict(self, volume, prompts=None, *, device="auto", focus=None):
        RUNS.append(self.title)
        grid = volume.geometry
        maps = np.zeros((len(prompts.labels), *grid.shape), np.float32)
        places = np.stack(np.indices(grid.shape), -1)
        for each in prompts.objects:
            for point in each.points:
                away = np.linalg.norm((places - grid.voxel(point[:3])) * grid.spacing, axis=-1)
                np.maximum(maps[prompts.labels.index(each.label)], np.exp(-away / 10), out=maps[prompts.labels.index(each.label)])
        for drawn in (prompts.scribbles, prompts.mask):
            if drawn is not None:
                for row, label in enumerate(prompts.labels):
                    maps[row][drawn.channel() == label] = 1
        yield Prediction(tuple(slice(0, n) for n in grid.shape), maps, 1.0, "Pointed")
