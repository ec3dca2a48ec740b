"""What a person puts on a scan: prompts, seeds, label maps, classes with names and colours."""

from napari_medseg.annotation.classes import Code, LabelClass, default_classes, palette
from napari_medseg.annotation.coding import classes_from_dicts, classes_from_json, classes_to_dicts, classes_to_json
from napari_medseg.annotation.label_map import LabelMap, named
from napari_medseg.annotation.prompts import ObjectPrompt, Prompts, read_prompts, read_seed_points
from napari_medseg.annotation.seeds import seed_voxels
from napari_medseg.annotation.sides import SIDES, Side, sides

__all__ = [
    "SIDES", "Code", "LabelClass", "LabelMap", "ObjectPrompt", "Prompts", "Side", "classes_from_dicts", "classes_from_json", "classes_to_dicts",
    "classes_to_json", "default_classes", "named", "palette", "read_prompts", "read_seed_points", "seed_voxels", "sides",
]
