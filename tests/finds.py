"""A segmenter for tests that outlines what is bright, finds it as objects on each slice, and tells where it looked. Loads no torch."""

import numpy as np
from scipy import ndimage

from napari_medseg.catalogue import Entry
from napari_medseg.segmenters.found import Findings, Found
from napari_medseg.segmenters.looking import Look
from napari_medseg.segmenters.protocol import Capabilities, Prediction

FACTS = {"id": "finds", "kind": "segmenter", "title": "Finds", "summary": "For tests.", "factory": "finds:Finds", "licence": "BSD-3-Clause"}
LEVELS = 100.0, 200.0
NAMES = "attention-1", "attention-2"


def entry(**changes):
    """Its entry in the catalogue."""
    return Entry.model_validate({**FACTS, "capabilities": {"classes": ["bright", "brighter"]}, **changes})


class Finds:
    """What is above 100 and above 200; a slice at a time."""

    title = "Finds"
    capabilities = Capabilities(classes=("bright", "brighter"), licence="BSD-3-Clause", dims=3, objects=True, looks=True)
    scores = 0.75, 0.5

    def predict(self, volume, prompts=None, *, device="auto", focus=None):
        maps = np.stack([(volume.array > LEVELS[0]) & (volume.array <= LEVELS[1]), volume.array > LEVELS[1]])
        yield Prediction(tuple(slice(0, n) for n in volume.geometry.shape), maps.astype(np.float32), 1.0, "Outlining")

    def find(self, volume, *, device="auto"):
        for z, plane in enumerate(volume.array):
            yield Findings(tuple(self._on(volume.geometry, plane, z)), (z + 1) / len(volume.array))

    def _on(self, geometry, plane, z):
        for label, level in enumerate(LEVELS, start=1):
            inside = (plane > level) & (plane <= LEVELS[1] if label == 1 else True)
            for rows, columns in ndimage.find_objects(ndimage.label(inside)[0]):
                y0, y1, x0, x1 = (v - 0.5 for v in (rows.start, rows.stop, columns.start, columns.stop))
                box = np.array([[z, y0, x0], [z, y0, x1], [z, y1, x1], [z, y1, x0]], np.float32)
                middle = box.mean(0)
                ring = np.stack([box[0], (box[0] + box[1]) / 2, box[1], box[2], box[3]]) * 0.5 + middle * 0.5
                score = self.scores[label - 1]
                yield Found.of(geometry, label=label, name=self.capabilities.classes[label - 1], score=score, axis=0, box=box, contour=ring)

    def look(self, volume, *, device="auto", focus=None):
        for z, plane in enumerate(volume.array):
            part = (plane / max(1.0, float(volume.array.max()))).clip(0, 1).astype(np.float32)
            yield Look(NAMES, (slice(z, z + 1), *(slice(0, n) for n in plane.shape)), np.stack([part, 1 - part])[:, None], (z + 1) / len(volume.array))
