"""What the viewer's layers are made of, for panes that draw them along another axis: arrays, places, windows and colours, and no copy of any voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Labels, Layer, Points
from napari.utils.colormaps import DirectLabelColormap

from napari_medseg.session.planes import Sheet, Table, Triple, level_for
from napari_medseg.session.views import Places
from napari_medseg.volume import Geometry

MOST_VOXELS = 1 << 27  # of a pyramid's level that panes cut: a slice of it is soon read
MOST_DOTS = 2000
_PLAIN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)  # napari's own world taken as it is shown: down is towards the feet


@dataclass(frozen=True, slots=True, eq=False)
class Dots:
    """Points of a layer.

    Attributes
    ----------
    places : (n, 3)
        mm of the window's world.
    colours : (n, 4)
        0-1.
    crosses : bool (n,)
        Which are no discs.
    """

    places: Places
    colours: Places
    crosses: Any


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """All that panes draw.

    Attributes
    ----------
    base : Sheet
        The one whose grid is looked at.
    sheets : tuple of Sheet
        Bottom first.
    dots : tuple of Dots
    """

    base: Sheet
    sheets: tuple[Sheet, ...]
    dots: tuple[Dots, ...]

    @property
    def grid(self) -> Geometry:
        """The base's grid, where nobody knows how the patient lies: taken as it is shown."""
        z, y, x = self.base.translate
        return Geometry(self.base.shape, self.base.scale, (x, y, -z), _PLAIN)


class Sheets:
    """Reads the layers of a viewer; colour tables are kept while they are the same.

    Parameters
    ----------
    viewer : napari viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._tables: WeakKeyDictionary[Layer, tuple[Any, Table | None]] = WeakKeyDictionary()
        self._places: WeakKeyDictionary[Layer, tuple[Any, tuple[Places, Places] | None]] = WeakKeyDictionary()

    def read(self, wanted: Image | None = None) -> Held | None:
        """What is visible now; None where nothing can be cut.

        Parameters
        ----------
        wanted : Image, optional
            The layer whose grid is looked at; else the one that is selected, else the topmost picture.
        """
        found: dict[Layer, Sheet] = {}
        dots = []
        for layer in self._viewer.layers:
            if isinstance(layer, Points) and layer.visible:
                made = self._dots(layer)
                if made is not None:
                    dots.append(made)
            elif isinstance(layer, Image | Labels) and (layer.visible or layer is wanted):
                sheet = self._sheet(layer)
                if sheet is not None:
                    found[layer] = sheet
        base = self._base(found, wanted)
        if base is None:
            return None
        return Held(found[base], tuple(sheet for layer, sheet in found.items() if layer.visible), tuple(dots))

    def _base(self, found: dict[Layer, Sheet], wanted: Image | None) -> Layer | None:
        active = self._viewer.layers.selection.active
        pictures = [layer for layer in found if isinstance(layer, Image)]
        return next((layer for layer in (wanted, active, *reversed(pictures), *found) if layer in found), None)

    def _sheet(self, layer: Image | Labels) -> Sheet | None:
        place = self._place(layer)
        if place is None:
            return None
        step, first = place
        data = layer.data
        if layer.multiscale:
            levels = [data[index] for index in range(len(data))]
            data = levels[level_for(levels, MOST_VOXELS)]
            coarser = np.array(levels[0].shape[:layer.ndim], float)[-3:] / np.array(data.shape[:layer.ndim])[-3:]
            first, step = first + step * (coarser - 1) / 2, step * coarser
        lead = self._lead(layer)
        shape, mirrored = np.array(data.shape[len(lead):len(lead) + 3]), step < 0
        if shape.min() < 1:
            return None
        scale, translate = _triple(np.abs(step)), _triple(first + np.where(mirrored, (shape - 1) * step, 0.0))
        looks: dict[str, Any] = {"opacity": float(layer.opacity), "mirrored": tuple(bool(each) for each in mirrored), "lead": lead}
        if isinstance(layer, Labels):
            return Sheet(data, scale, translate, "labels", self._table(layer), contour=int(layer.contour), **looks)
        low, high = (float(v) for v in layer.contrast_limits)
        looks |= {"limits": (low, high), "gamma": float(layer.gamma), "adds": str(layer.blending) == "additive"}
        return Sheet(data, scale, translate, "colour", **looks) if layer.rgb else Sheet(data, scale, translate, "grey", self._table(layer), **looks)

    def _lead(self, layer: Layer) -> tuple[int, ...]:
        """Where a series with more axes than three stands on the others."""
        if layer.ndim == 3:
            return ()
        place = np.rint(np.asarray(layer.world_to_data(self._viewer.dims.point), float))[:layer.ndim - 3]
        return tuple(int(np.clip(at, 0, size - 1)) for at, size in zip(place, _shape(layer), strict=False))

    def _table(self, layer: Image | Labels) -> Table | None:
        colormap = layer.colormap
        known = self._tables.get(layer)
        if known is not None and known[0] is colormap:
            return known[1]
        table: Table | None = None
        if isinstance(layer, Labels):
            table = label_table(colormap)
        elif colormap.name != "gray":
            table = _bytes(colormap.map(np.linspace(0, 1, 256)))
        self._tables[layer] = colormap, table
        return table

    def _place(self, layer: Layer) -> tuple[Places, Places] | None:
        """The way from voxel to voxel along its last three axes, and where its first one lies, in mm of the world; None for a layer that is turned."""
        if layer.ndim < 3:
            return None
        key = (tuple(layer.scale), tuple(layer.translate), layer.affine.affine_matrix.tobytes(), np.asarray(layer.rotate).tobytes())
        known = self._places.get(layer)
        if known is not None and known[0] == key:
            return known[1]
        first = np.asarray(layer.data_to_world(np.zeros(layer.ndim)), float)
        axes = np.stack([np.asarray(layer.data_to_world(np.eye(layer.ndim)[axis]), float) - first for axis in range(layer.ndim)], axis=1)[-3:, -3:]
        straight = np.allclose(axes, np.diag(np.diag(axes)), atol=1e-6) and bool(np.diag(axes).all())
        place = (np.diag(axes).copy(), first[-3:]) if straight else None
        self._places[layer] = key, place
        return place

    def _dots(self, layer: Points) -> Dots | None:
        place = self._place(layer)
        if place is None or not len(layer.data) or layer.ndim != 3:
            return None
        seen = np.flatnonzero(np.asarray(layer.size) > 0)[:MOST_DOTS]  # one of no size carries a text only
        if not seen.size:
            return None
        data = np.asarray(layer.data, float)[seen]
        crosses = np.array([str(symbol).lower().endswith(("x", "cross")) for symbol in np.asarray(layer.symbol)[seen]])
        return Dots(np.asarray(data * place[0] + place[1]), np.asarray(layer.face_color, float)[seen], crosses)


def label_table(colormap: Any) -> Table:
    """The colours of the values 0 to 255, without asking the colormap to map them: napari compiles code for that, which takes seconds the first time."""
    table = np.zeros((256, 4), float)
    if isinstance(colormap, DirectLabelColormap):
        given = {value: np.asarray(colour, float) for value, colour in colormap.color_dict.items()}
        table[:] = given.pop(None, np.zeros(4))
        for value, colour in given.items():
            if 0 <= int(value) < 256:
                table[int(value)] = colour
    else:
        colours = np.asarray(colormap.colors, float)
        table[1:] = colours[np.arange(255) % (len(colours) - 1) + 1]
    table[0] = 0
    return _bytes(table)


def _shape(layer: Layer) -> tuple[int, ...]:
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return tuple(int(n) for n in data.shape)


def _triple(values: Any) -> Triple:
    z, y, x = (float(v) for v in values)
    return z, y, x


def _bytes(colours: Any) -> Table:
    return np.asarray(np.clip(np.asarray(colours, float) * 255 + 0.5, 0, 255), np.uint8)
