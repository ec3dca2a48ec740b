"""Which kernels say something in every modality (Pemasiri et al., section 3.2).

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Responses:
    """Responses of kernels to crops of objects.

    Parameters
    ----------
    threshold : float
        Where between a kernel's least and largest response over all crops a response begins to count as 1.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold
        self._seen: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def add(self, modality: str, maps: Sequence[Tensor]) -> None:
        """The feature maps (c, h, w) of one crop, level by level."""
        flat = [features.float().flatten(1) for features in maps]
        low, high = (torch.cat([getattr(part, way)(1) for part in flat]) for way in ("amin", "amax"))
        self._seen.setdefault(modality, []).append((low, high))

    def informative(self) -> Tensor:
        """Kernels (k,) whose responses are neither all 0 nor all 1 in any modality; of a kernel that never changes all are 0."""
        lows = {name: torch.stack([low for low, _ in some]).amin(0) for name, some in self._seen.items()}
        highs = {name: torch.stack([high for _, high in some]).amax(0) for name, some in self._seen.items()}
        least, most = torch.stack([*lows.values()]).amin(0), torch.stack([*highs.values()]).amax(0)
        cut = least + self.threshold * (most - least)
        return torch.stack([(lows[name] <= cut) & (highs[name] > cut) for name in self._seen]).all(0)
