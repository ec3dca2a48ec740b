"""What a person puts on a scan: prompts, seeds, classes with names and colours."""

from napari_medseg.annotation.classes import LabelClass, default_classes, palette
from napari_medseg.annotation.prompts import ObjectPrompt, Prompts, read_prompts, read_seed_points
from napari_medseg.annotation.seeds import seed_voxels

__all__ = ["LabelClass", "ObjectPrompt", "Prompts", "default_classes", "palette", "read_prompts", "read_seed_points", "seed_voxels"]
