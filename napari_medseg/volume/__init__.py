"""What a scan is: an array and its grid; orientation, resampling, cropping."""

from napari_medseg.volume.geometry import Geometry, Shape, Spacing, format_shape
from napari_medseg.volume.orientation import AxisMap, axis_map, orient, orientation
from napari_medseg.volume.volume import Array, BoolArray, FloatArray, LabelArray, Volume, require_same_grid

__all__ = [
    "Array", "AxisMap", "BoolArray", "FloatArray", "Geometry", "LabelArray", "Shape", "Spacing", "Volume",
    "axis_map", "format_shape", "orient", "orientation", "require_same_grid",
]
