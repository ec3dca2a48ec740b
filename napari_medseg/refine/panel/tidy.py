"""The clean-up that goes with a model: Gil et al., MIUA 2023, section 2.4, in millimetres.

The paper's pictures are single slices: remove what is below 50 mm2, close by 2 mm, fill, keep the largest. In a volume a piece is small when it is smaller
than that area in one slice, closing and pieces are those of the volume, and holes are filled slice by slice (ours). Loads no torch.
"""

from __future__ import annotations

from napari_medseg.segmenters.volumetric.plan import Cleanup
from napari_medseg.volume import FloatArray, LabelArray, Spacing
from napari_medseg.weaklabel.cleanup import clean
from napari_medseg.weaklabel.cleanup_steps import CleanupChain, Close, Fill, KeepLargest, RemoveSmall, Step


def chain(cleanup: Cleanup, spacing: Spacing) -> CleanupChain:
    """Its steps for labels of this spacing, mm; slices lie along the coarsest axis."""
    steps: list[Step] = [RemoveSmall(cleanup.smallest_mm2 * max(spacing) / 1000)] if cleanup.smallest_mm2 else []
    steps += [Close(cleanup.close_mm)] if cleanup.close_mm else []
    steps += [Fill()] if cleanup.fill else []
    steps += [KeepLargest()] if cleanup.largest else []
    return CleanupChain(tuple(steps))


def tidied(labels: LabelArray, spacing: Spacing, cleanup: Cleanup) -> LabelArray:
    """Labels (z, y, x), uint8, after it; spacing in mm (z, y, x)."""
    return clean(labels, spacing, chain(cleanup, spacing)).labels


def followed(maps: FloatArray, before: LabelArray, after: LabelArray) -> FloatArray:
    """Probabilities (classes, z, y, x) that say at the threshold 0.5 what a clean-up made of their label map; as they were where it changed nothing.

    Parameters
    ----------
    before, after : uint8 (z, y, x)
        0 background, k for the map k - 1.
    """
    from napari_medseg.segmenters.engines.exclusive import JUST_ABOVE

    changed = before != after
    out = maps.copy()
    for place, values in enumerate(out):
        values[changed] = values[changed].clip(max=0.5)
        added = changed & (after == place + 1)
        values[added] = JUST_ABOVE
    return out
