"""A weak-label tool: from seed points through all that hangs together with them and is as grey as they are."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import ndimage

from napari_medseg.errors import InvalidInputError


class SameGrey:
    """Called with a scan (z, y, x), seeds (n, 3) in voxels and a limit; yields masks, the last of them the answer."""

    def __init__(self, width: float = 4.0) -> None:
        self.width = width  # how far from the seeds' own grey, in their standard deviations

    def __call__(self, image: Any, seeds: Any, spacing: Any, *, limit: Any = None) -> Iterator[np.ndarray]:
        """Grow, three voxels a step."""
        scan = np.asarray(image, np.float32)
        known = np.isfinite(scan)
        if scan.ndim != 3 or not known.any() or np.ptp(scan[known]) == 0:
            raise InvalidInputError("is no scan of one channel with more than one value", where="image", todo="Choose another scan or channel")
        around = np.zeros(scan.shape, bool)
        around[tuple(np.asarray(seeds, int).T)] = True
        grey = scan[ndimage.binary_dilation(around, np.ones((1, 3, 3))) & known]
        spread = 1.5 * np.median(abs(grey - np.median(grey))) + 1e-3 * np.ptp(scan[known])
        alike = known & (abs(scan - np.median(grey)) <= self.width * spread)
        allowed = np.ones(scan.shape, bool) if limit is None else limit
        mask, before = around & allowed, -1
        while mask.sum() > before:
            before = mask.sum()
            mask = ndimage.binary_dilation(mask, iterations=3, mask=alike & allowed) | mask
            yield mask.copy()
        yield ndimage.binary_fill_holes(mask) & allowed


def parts() -> list[dict[str, Any]]:
    """What the entry point `napari_medseg.plugins` names."""
    return [{
        "id": "same-grey", "kind": "weaklabel", "title": "Same grey", "summary": "Through all that is as grey as the seeds and hangs together with them.",
        "factory": "same_grey:SameGrey", "capabilities": {"takes": ["seeds", "limit"]}, "licence": "BSD-3-Clause",
    }]
