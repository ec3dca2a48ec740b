"""How two label maps differ: overlap, distances and volumes, with written conventions."""

from napari_medseg.metrics.confusion import Confusion, class_confusion, confusion
from napari_medseg.metrics.measure import measure
from napari_medseg.metrics.overlap import dice, iou, precision, recall
from napari_medseg.metrics.summary import Summary, over_cases, over_classes, summarise
from napari_medseg.metrics.surface import SurfaceDistances, surface_distances

__all__ = [
    "Confusion", "Summary", "SurfaceDistances", "class_confusion", "confusion", "dice", "iou", "measure", "over_cases", "over_classes", "precision", "recall",
    "summarise", "surface_distances",
]
