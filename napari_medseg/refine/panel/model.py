"""Label maps of such a model, tidied in physical units.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import numpy as np

from napari_medseg.refine.panel.tidy import tidied
from napari_medseg.segmenters.volumetric.model import VolumetricModel
from napari_medseg.volume import LabelArray, Volume


class PanelModel(VolumetricModel):
    """Networks of several architectures with their plan; what its plan says of a clean-up is done wherever it labels, not to its probabilities."""

    def label(self, image: Volume) -> LabelArray:
        """Label map (z, y, x) on the scan's own grid."""
        labels = super().label(image)
        cleanup = self.described.cleanup
        return labels if cleanup is None else np.asarray(tidied(labels, image.geometry.spacing, cleanup), np.uint8)
