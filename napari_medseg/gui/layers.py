"""Volumes and layers: what a layer shows is the display grid in millimetres, and where its file lies travels in its metadata.

napari's world here is (towards the feet, towards the back, towards the patient's left) in mm, so all scans of one patient line up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from weakref import ref

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import ArrayLike

from napari_medseg.annotation import LabelMap, named
from napari_medseg.errors import InvalidInputError
from napari_medseg.gui import foreign
from napari_medseg.session.state import Scan, displayed, labels_in_file, scan_of
from napari_medseg.volume import Array, AxisMap, FloatArray, Geometry, Volume, axis_map
from napari_medseg.volume.fusion import split
from napari_medseg.volume.windows import presets, sample

LayerTuple = tuple[Any, dict[str, Any], str]

KEY = "medseg"
LARGEST_VALUES = 12
BLEND = 0.6  # opacity of what is laid over a scan
COLOURS = ["red", "green", "blue"]
_PLAIN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)  # x to the left, y to the back, z to the feet: napari's own grid taken as it is shown


def placement(display: Geometry) -> dict[str, tuple[Any, ...]]:
    """Scale and translate, in mm, of a layer that shows this display grid."""
    columns = display.matrix[:, ::-1]
    return {"scale": display.spacing, "translate": tuple(float(v) for v in np.array(display.origin) @ columns)}


def to_world(display: Geometry, voxel: ArrayLike) -> FloatArray:
    """Where napari shows a voxel (z, y, x) of a display grid, whatever the layer of the picture: somebody's own may be mirrored."""
    place = placement(display)
    return np.asarray(voxel, float) * place["scale"] + place["translate"]


def to_voxel(display: Geometry, place: ArrayLike) -> FloatArray:
    """The voxel (z, y, x), with fractions, of a display grid at a place of napari's world: its last three axes count, and axes it has not are at 0."""
    on_grid, place = placement(display), np.asarray(place, float)[..., -3:]
    missing = np.zeros((*place.shape[:-1], 3 - place.shape[-1]))
    return (np.concatenate([missing, place], axis=-1) - on_grid["translate"]) / on_grid["scale"]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """The channels of one scan, shared by the layers that show them.

    Attributes
    ----------
    channels : tuple of Volume
        On the display grid.
    title : str
        What the scan is called as a whole.
    in_colour : bool
        Whether they are the red, green and blue of a picture.
    """

    channels: tuple[Volume, ...]
    title: str = ""
    in_colour: bool = False


def move_layer(layer: Layer, array: Array, display: Geometry) -> None:
    """Show another array on another grid in a layer, sliced once: a hidden layer draws nothing for each of the steps."""
    shown, place = layer.visible, placement(display)
    layer.visible = False
    layer.data = array
    layer.scale, layer.translate = place["scale"], place["translate"]
    layer.visible = shown


def layer_data(volume: Volume, *, labels: bool = False) -> LayerTuple:
    """What napari makes a layer of: the first channel on the display grid, where it lies, and the file's own grid in the metadata."""
    if labels:
        return _labels_layer(volume)
    return image_layers(split(volume), volume.name)[0]


def volume_layers(volume: Volume) -> list[LayerTuple]:
    """A label map as a Labels layer with its names and colours; a scan as one Image layer a channel."""
    if isinstance(volume, LabelMap) or looks_like_labels(volume.array):
        return [_labels_layer(volume)]
    return image_layers(split(volume), volume.name)


def image_layers(channels: Sequence[Volume], title: str = "", limits: Mapping[int, tuple[float, float]] | None = None) -> list[LayerTuple]:
    """The Image layers of one scan: the first channel in grey, PET over it in its own colours, further channels there but hidden; a picture in its colours.

    Parameters
    ----------
    channels : one-channel volumes on one grid
        As stored in the file.
    title : str
        What they are called together.
    limits : channel to (low, high), optional
        Values drawn black and white, where they are known.
    """
    geometry = channels[0].geometry
    names = [c.name.rpartition(" ")[2].lower() for c in channels]
    study = Study(tuple(displayed(c) for c in channels), title or channels[0].name, names == COLOURS)
    layers: list[LayerTuple] = []
    for index, shown in enumerate(study.channels):
        facts = {"geometry": geometry, "axes": axis_map(geometry), "volume": _without_voxels(shown), "study": study, "channel": index}
        low, high = (limits or {}).get(index) or presets(shown.modality, shown.units)[0].of(shown.array).limits
        keywords: dict[str, Any] = {
            "name": shown.name or "scan", "metadata": {KEY: facts}, "contrast_limits": (low, high), **placement(shown.geometry), **_look(study, index),
        }
        layers.append((shown.array, keywords, "image"))
    return layers


def overlay_of(channels: Sequence[Volume]) -> int | None:
    """The channel to lay over the first: the uptake of a PET over its CT; None where there is none."""
    return next((i for i, c in enumerate(channels) if i and c.modality in ("PT", "NM")), None)


def _look(study: Study, index: int) -> dict[str, Any]:
    """Colours and blending of a channel when it first appears."""
    if study.in_colour:
        return {"colormap": COLOURS[index], "blending": "additive" if index else "translucent"}
    if index == 0:
        return {"colormap": "gray"}
    over = overlay_of(study.channels) == index
    return {"colormap": "hot" if over else "gray", "blending": "additive", "opacity": BLEND if over else 1.0, "visible": over}


def _labels_layer(volume: Volume) -> LayerTuple:
    turned = displayed(volume)
    classes = named(turned.array, volume.classes) if isinstance(volume, LabelMap) else ()
    facts = {"geometry": volume.geometry, "axes": axis_map(volume.geometry), "volume": _without_voxels(turned), "classes": classes}
    kind = np.uint8 if turned.array.max(initial=0) <= 255 else np.uint16
    keywords: dict[str, Any] = {"name": volume.name or "labels", "metadata": {KEY: facts}, **placement(turned.geometry)}
    if classes:
        from napari_medseg.gui.label_colours import colours

        keywords["colormap"] = colours(classes)
    return np.array(turned.array, kind, order="C"), keywords, "labels"


def _without_voxels(volume: Volume) -> Volume:
    """What is known of a volume besides its voxels."""
    known = {f.name: getattr(volume, f.name) for f in fields(Volume)}
    return Volume(**{**known, "array": np.zeros((1, 1, 1)), "geometry": Geometry((1, 1, 1))})


def looks_like_labels(array: Array) -> bool:
    """Whether an array is a label map: a few whole numbers, mostly zero."""
    if array.ndim != 3 or array.dtype.kind not in "iub":
        return False
    values = sample(array)  # most scans show by a few of their values that they are none
    if values.min() < 0 or values.max() > 255 or len(np.unique(values)) > LARGEST_VALUES or array.min() < 0 or array.max() > 255:
        return False
    return len(np.unique(array)) <= LARGEST_VALUES and bool(np.count_nonzero(array) < array.size / 2)


def require_scan(layer: Image) -> None:
    """Whether a layer is one grey-value volume that can be worked on, as far as can be told without its voxels.

    Raises
    ------
    InvalidInputError
        When it is not; says why.
    """
    name = layer.name
    worked_on = layer.metadata.get(KEY, {}).get("worked_on")
    if worked_on:
        what = "is shown from the disk in full detail and is too large to work on"
        raise InvalidInputError(what, where=name, todo=f"Choose {worked_on}, the same at a size that fits")
    if layer.multiscale:
        raise InvalidInputError("is a pyramid of several resolutions", where=name, todo="Open the scan itself, at one resolution")
    if layer.rgb:
        raise InvalidInputError("is a colour picture", where=name, todo="Choose a grey-value scan")
    if layer.ndim != 3:
        kind = "a flat picture" if layer.ndim < 3 else f"a series with {layer.ndim} axes"
        raise InvalidInputError(f"is {kind}", where=name, todo="Choose a three-dimensional scan" if layer.ndim < 3 else "Split it into volumes first")
    foreign.require_upright(layer)
    if np.dtype(layer.data.dtype).kind not in "iufb":
        raise InvalidInputError("does not hold plain numbers", where=name, todo="Choose a grey-value scan")


def adopt(layer: Image, voxels: Array | None = None) -> Scan:
    """A scan from an image layer, ours or anybody's; the layer is only looked at.

    Parameters
    ----------
    layer : Image
    voxels : (z, y, x), optional
        Its data, where it was read from elsewhere.

    Raises
    ------
    InvalidInputError
        When it is no single three-dimensional grey-value volume; says why.
    """
    require_scan(layer)
    name = layer.name
    array = np.asarray(layer.data) if voxels is None else voxels
    if array.dtype.kind == "b":
        array = array.view(np.uint8)
    facts = layer.metadata.get(KEY)
    if facts is not None and facts["axes"].geometry(facts["geometry"]).shape == array.shape:
        axes: AxisMap = facts["axes"]
        geometry: Geometry = facts["geometry"]
        shown = replace(facts["volume"], array=array, geometry=axes.geometry(geometry), name=name)
        study: Study | None = facts.get("study")
        if study is None or len(study.channels) == 1:
            return scan_of(shown, axes, geometry)
        index = int(facts["channel"])
        scan = scan_of(shown, axes, geometry, tuple(shown if i == index else c for i, c in enumerate(study.channels)), title=study.title)
        scan.channel = index
        scan.overlay = None if study.in_colour else overlay_of(study.channels)
        return scan
    array, geometry = foreign.as_shown(layer, array), _grid_shown(layer)
    note = "napari does not know how the patient lies in this layer; it is taken as it is shown"
    return scan_of(Volume(array, geometry, name=name, notes=(note,)), axis_map(geometry), geometry)


def labels_volume(layer: Labels, voxels: Array | None = None) -> Volume | None:
    """A label layer's map on its display grid, when it is one our labels can be matched with; `voxels` is its data where that was read from elsewhere."""
    if layer.multiscale or layer.ndim != 3:
        return None
    array = layer.data if voxels is None else voxels
    facts = layer.metadata.get(KEY)
    if facts is not None and facts["axes"].geometry(facts["geometry"]).shape == array.shape:
        return Volume(array, facts["axes"].geometry(facts["geometry"]), name=layer.name)
    try:
        foreign.require_upright(layer)
    except InvalidInputError:
        return None
    return Volume(foreign.as_shown(layer, array), _grid_shown(layer), name=layer.name)


def scan_metadata(scan: Scan) -> dict[str, Any]:
    """What a layer on a scan's grid carries, so that it is written on the grid of the scan's file."""
    return {KEY: {"geometry": scan.geometry, "axes": scan.axes, "volume": _without_voxels(scan.display), "scan": ref(scan)}}


def source_volume(array: Array, meta: dict[str, Any]) -> Volume:
    """A layer's data on the grid of the file it came from; without one, on the grid it is shown on."""
    facts = (meta.get("metadata") or {}).get(KEY)
    name = str(meta.get("name", "")) or "layer"
    scan: Scan | None = facts["scan"]() if facts is not None and "scan" in facts else None
    if scan is not None and scan.display.geometry.shape == array.shape and array.dtype.kind in "ub":
        return Volume(labels_in_file(scan, array), scan.geometry, name=name)
    if facts is not None and facts["axes"].geometry(facts["geometry"]).shape == array.shape:
        return Volume(facts["axes"].undo(array), facts["geometry"], name=name)
    if array.ndim != 3:
        raise InvalidInputError("is no three-dimensional volume", where=name, todo="Save it with napari's own writer")
    return Volume(array, _as_shown(array, meta.get("scale", (1, 1, 1)), meta.get("translate", (0, 0, 0))), name=name)


def _grid_shown(layer: Layer) -> Geometry:
    """The grid of an upright layer that does not know its patient."""
    return _as_shown(layer.data, np.abs(foreign.steps(layer)), foreign.first_corner(layer))


def _as_shown(array: Array, scale: Any, first: Any) -> Geometry:
    """The grid of a layer that does not know its patient: axes as they are shown, from the canvas position of its first voxel."""
    z, y, x = (float(v) for v in first)
    return Geometry((array.shape[0], array.shape[1], array.shape[2]), (float(scale[0]), float(scale[1]), float(scale[2])), (x, y, -z), _PLAIN)
