"""How two label maps differ: overlap, distances and volumes, with written conventions."""

from napari_medseg.metrics.measure import confusion, measure
from napari_medseg.metrics.overlap import dice, iou, precision, recall
from napari_medseg.metrics.surface import SurfaceDistances, surface_distances

__all__ = ["SurfaceDistances", "confusion", "dice", "iou", "measure", "precision", "recall", "surface_distances"]
