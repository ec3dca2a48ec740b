"""Volumes and layers: what a layer shows is the display grid in millimetres, and where its file lies travels in its metadata.

napari's world here is (towards the feet, towards the back, towards the patient's left) in mm, so all scans of one patient line up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from napari_medseg.errors import InvalidInputError
from napari_medseg.session.state import Scan, scan_of
from napari_medseg.volume import Array, AxisMap, Geometry, Volume, axis_map, orient

KEY = "medseg"
LARGEST_VALUES = 12
_PLAIN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)  # x to the left, y to the back, z to the feet: napari's own grid taken as it is shown


def placement(display: Geometry) -> dict[str, tuple[float, ...]]:
    """Scale and translate of a layer that shows this display grid."""
    columns = display.matrix[:, ::-1]
    return {"scale": display.spacing, "translate": tuple(float(v) for v in np.array(display.origin) @ columns)}


def layer_data(volume: Volume, *, labels: bool = False) -> tuple[Array, dict[str, Any], str]:
    """What napari makes a layer of: one channel on the display grid, where it lies, and the file's own grid in the metadata."""
    shown = volume if volume.array.ndim == 3 else replace(volume, array=volume.channel(0))
    turned = orient(shown)
    facts = {"geometry": volume.geometry, "axes": axis_map(volume.geometry), "volume": replace(shown, array=np.zeros((1, 1, 1)), geometry=Geometry((1, 1, 1)))}
    keywords: dict[str, Any] = {"name": volume.name or "scan", "metadata": {KEY: facts}, **placement(turned.geometry)}
    if labels:
        return turned.array.astype(np.uint8 if turned.array.max(initial=0) <= 255 else np.uint16), keywords, "labels"
    if volume.modality == "CT":
        keywords["contrast_limits"] = (-160.0, 240.0)
    else:
        keywords["contrast_limits"] = _window(turned.array)
    return turned.array, {**keywords, "colormap": "gray"}, "image"


def looks_like_labels(array: Array) -> bool:
    """Whether an array is a label map: a few whole numbers, mostly zero."""
    if array.ndim != 3 or array.dtype.kind not in "iub" or array.min() < 0 or array.max() > 255:
        return False
    return len(np.unique(array)) <= LARGEST_VALUES and bool(np.count_nonzero(array) < array.size / 2)


def adopt(layer: Image) -> Scan:
    """A scan from an image layer, ours or anybody's; the layer is only looked at.

    Raises
    ------
    InvalidInputError
        When it is no single three-dimensional grey-value volume; says why.
    """
    name = layer.name
    if layer.multiscale:
        raise InvalidInputError("is a pyramid of several resolutions", where=name, todo="Open the scan itself, at one resolution")
    if layer.rgb:
        raise InvalidInputError("is a colour picture", where=name, todo="Choose a grey-value scan")
    if layer.ndim != 3:
        kind = "a flat picture" if layer.ndim < 3 else f"a series with {layer.ndim} axes"
        raise InvalidInputError(f"is {kind}", where=name, todo="Choose a three-dimensional scan" if layer.ndim < 3 else "Split it into volumes first")
    matrix = layer.affine.linear_matrix
    if not (np.allclose(matrix, np.diag(np.diag(matrix))) and np.allclose(layer.rotate, np.eye(3)) and np.allclose(layer.shear, 0)) or min(layer.scale) <= 0:
        raise InvalidInputError("is turned or sheared inside napari", where=name, todo="Open its file with Medseg, which turns it without resampling")
    array = np.asarray(layer.data)
    if array.dtype.kind not in "iufb":
        raise InvalidInputError("does not hold plain numbers", where=name, todo="Choose a grey-value scan")
    facts = layer.metadata.get(KEY)
    if facts is not None and facts["axes"].geometry(facts["geometry"]).shape == array.shape:
        axes: AxisMap = facts["axes"]
        geometry: Geometry = facts["geometry"]
        return scan_of(replace(facts["volume"], array=array, geometry=axes.geometry(geometry), name=name), axes, geometry)
    geometry = _as_shown(array, np.array(layer.scale) * np.abs(np.diag(matrix)), layer.data_to_world((0, 0, 0)))
    note = "napari does not know how the patient lies in this layer; it is taken as it is shown"
    return scan_of(Volume(array, geometry, name=name, notes=(note,)), axis_map(geometry), geometry)


def labels_volume(layer: Labels) -> Volume | None:
    """A label layer's map on its display grid, when it is one our labels can be matched with."""
    if layer.multiscale or layer.ndim != 3 or not isinstance(layer.data, np.ndarray):
        return None
    facts = layer.metadata.get(KEY)
    if facts is not None and facts["axes"].geometry(facts["geometry"]).shape == layer.data.shape:
        return Volume(layer.data, facts["axes"].geometry(facts["geometry"]), name=layer.name)
    return Volume(layer.data, _as_shown(layer.data, layer.scale, layer.data_to_world((0, 0, 0))), name=layer.name)


def scan_metadata(scan: Scan) -> dict[str, Any]:
    """What a layer on a scan's grid carries, so that it is written on the grid of the scan's file."""
    return {KEY: {"geometry": scan.geometry, "axes": scan.axes, "volume": replace(scan.display, array=np.zeros((1, 1, 1)), geometry=Geometry((1, 1, 1)))}}


def source_volume(array: Array, meta: dict[str, Any]) -> Volume:
    """A layer's data on the grid of the file it came from; without one, on the grid it is shown on."""
    facts = (meta.get("metadata") or {}).get(KEY)
    name = str(meta.get("name", "")) or "layer"
    if facts is not None and facts["axes"].geometry(facts["geometry"]).shape == array.shape:
        return Volume(facts["axes"].undo(array), facts["geometry"], name=name)
    if array.ndim != 3:
        raise InvalidInputError("is no three-dimensional volume", where=name, todo="Save it with napari's own writer")
    return Volume(array, _as_shown(array, meta.get("scale", (1, 1, 1)), meta.get("translate", (0, 0, 0))), name=name)


def _as_shown(array: Array, scale: Any, first: Any) -> Geometry:
    """The grid of a layer that does not know its patient: axes as they are shown, from the canvas position of its first voxel."""
    z, y, x = (float(v) for v in first)
    return Geometry((array.shape[0], array.shape[1], array.shape[2]), (float(scale[0]), float(scale[1]), float(scale[2])), (x, y, -z), _PLAIN)


def _window(array: Array) -> tuple[float, float]:
    """Grey-value range that shows tissue: all but the darkest and brightest hundredth, from a thinned-out copy."""
    values = np.asarray(array[::2, ::4, ::4], np.float32)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, [1, 99.5]))
    return (low, high) if high > low else (low, low + 1)
