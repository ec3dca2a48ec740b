"""A segmenter: what is brighter than the scan's own threshold (Otsu, 1979). It answers the slice in view first."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from skimage.filters import threshold_otsu

from napari_medseg.segmenters import Capabilities, Prediction


class BrightParts:
    """Needs to inherit nothing: a title, capabilities and `predict` make a segmenter."""

    title = "Bright parts"
    capabilities = Capabilities(classes=("bright",), licence="BSD-3-Clause", dims=3)

    def predict(self, volume: Any, prompts: Any = None, *, device: str = "auto", focus: Any = None) -> Iterator[Prediction]:
        """Yield the answer slice by slice."""
        scan = volume.channel().astype(np.float64)
        known = scan[np.isfinite(scan)]
        level = threshold_otsu(known) if known.size and known.min() < known.max() else np.inf
        in_view = (focus() if callable(focus) else focus) or 0
        order = sorted(range(len(scan)), key=lambda z: abs(z - in_view))
        for done, z in enumerate(order, 1):
            box = (slice(z, z + 1), slice(0, scan.shape[1]), slice(0, scan.shape[2]))
            answer = np.nan_to_num(scan[box]) > level
            yield Prediction(box, answer.astype(np.float32)[None], done / len(order), f"Slice {z + 1} of {len(scan)}")


def parts() -> list[dict[str, Any]]:
    """What the entry point `napari_medseg.plugins` names: entries of the catalogue."""
    return [{
        "id": "bright-parts", "kind": "segmenter", "title": BrightParts.title, "summary": "What is brighter than the scan's own threshold.",
        "factory": "bright_parts:BrightParts", "capabilities": {"dims": 3, "channels": 1, "classes": ["bright"]}, "licence": "BSD-3-Clause",
    }]
