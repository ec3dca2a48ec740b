"""A segmenter for tests that is pointed at things: what is as bright as the clicks and connected to them, without balls round the clicks outside."""

import threading
from typing import ClassVar

import numpy as np
from scipy import ndimage

from napari_medseg.catalogue import Entry
from napari_medseg.segmenters.protocol import Capabilities, Prediction
from napari_medseg.volume import Volume

KINDS = ["points", "boxes", "lassos", "scribbles", "mask"]


def entry(name="pointed", **changes):
    """Its entry in the catalogue."""
    given = {
        "id": name, "kind": "segmenter", "title": "Pointed", "summary": "For tests.", "factory": "pointed:Pointed", "licence": "BSD-3-Clause",
        "capabilities": {"prompts": KINDS, "dims": 3},
    }
    return Entry.model_validate({**given, **changes})


class Pointed:
    """What is within 60 grey values of a seed and connected to one.

    Attributes
    ----------
    asked : list of Prompts
        What it was asked, by every one of them.
    built, released : int
    slow : threading.Event or None
        Waits for it before each piece.
    """

    title = "Pointed"
    chance = 0.9
    capabilities = Capabilities(classes=(), licence="BSD-3-Clause", prompts=frozenset(KINDS), dims=3)
    asked: ClassVar[list] = []
    built = released = 0
    slow: threading.Event | None = None

    def __init__(self, **answers):
        type(self).built += 1
        self.answers = answers

    @classmethod
    def reset(cls):
        cls.asked, cls.built, cls.released, cls.slow = [], 0, 0, None

    def release(self):
        type(self).released += 1

    def predict(self, volume, prompts=None, *, device="auto", focus=None):
        Pointed.asked.append(prompts)
        grid, image = volume.geometry, np.asarray(volume.array, np.float32)
        for value in prompts.labels:
            seeds, out = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
            for each in prompts.objects:
                for x, y, z, sign in each.points:
                    at = tuple(np.rint(grid.voxel(np.array([x, y, z]))).astype(int))
                    (seeds if sign > 0 else out)[at] = True
                for a, b in each.boxes:
                    ends = np.rint(grid.voxel(np.array([a, b]))).astype(int)
                    seeds[tuple(np.rint(ends.mean(0)).astype(int))] = True
                for outline in each.lassos:
                    seeds[tuple(np.rint(grid.voxel(np.array(outline)).mean(0)).astype(int))] = True
            if isinstance(prompts.scribbles, Volume):
                seeds |= prompts.scribbles.array == value
                out |= prompts.scribbles.array == 255
            if isinstance(prompts.mask, Volume):
                seeds |= prompts.mask.array == value
            like = seeds.copy()
            for level in np.unique(image[seeds]):
                like |= abs(image - level) < 60
            if out.any():
                like &= ndimage.distance_transform_edt(~out) > 3
            pieces, _ = ndimage.label(like)
            found = np.isin(pieces, np.unique(pieces[seeds])) & (pieces > 0)
            where = ndimage.find_objects(found.astype(int))
            box = where[0] if where else tuple(slice(0, 1) for _ in range(3))
            middle = (box[0].start + box[0].stop + 1) // 2
            for part in (slice(box[0].start, middle), slice(middle, box[0].stop)):
                if Pointed.slow is not None:
                    Pointed.slow.wait(20)
                if part.start < part.stop:
                    here = (part, *box[1:])
                    yield Prediction(here, np.where(found[here], self.chance, 0.2).astype(np.float32)[None], part.stop / box[0].stop, "Looking")


class Wary(Pointed):
    """The same, and sure of nothing."""

    chance = 0.5
