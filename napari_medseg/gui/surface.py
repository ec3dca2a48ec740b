"""The preview in the 3D view: a smooth surface that follows it as it grows.

napari draws a label map in 3D by casting rays through all of it, once for each of the preview's two layers; a mesh of the part that holds something is drawn
many times faster. It is made beside the window, from blocks of voxels, a few times a second.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Surface
from napari.utils.colormaps import Colormap
from qtpy.QtCore import QObject, QTimer

from napari_medseg.annotation import LabelClass
from napari_medseg.gui.layers import placement
from napari_medseg.gui.turns import show
from napari_medseg.session.history import around
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan
from napari_medseg.volume import LabelArray

MOST_BLOCKS = 80  # along an axis
REST_MS = 120  # between two meshes
SMOOTH = 0.8  # blocks

Mesh = tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.float32]]


class PreviewSurface(QObject):
    """One Surface layer a scan, made when its preview is first looked at in 3D.

    Parameters
    ----------
    session : Session
    viewer : napari viewer
    add : callable
        Adds a layer to the viewer without changing what is selected.
    """

    def __init__(self, session: Session, viewer: Any, add: Callable[[Surface], None], parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._viewer, self._add = session, viewer, add
        self._of: dict[int, Surface] = {}
        self._working = self._stale = False
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._begin)

    def get(self, scan: Scan) -> Surface | None:
        """The surface of a scan's preview, if it was ever needed."""
        return self._of.get(id(scan))

    def forget(self, scan: Scan) -> None:
        """The scan is closed."""
        self._of.pop(id(scan), None)

    def lost(self, layer: Surface) -> None:
        """A layer was removed from the viewer."""
        self._of = {key: mine for key, mine in self._of.items() if mine is not layer}

    def follow(self, scan: Scan | None) -> None:
        """The preview of a scan, or the way it is looked at, has changed."""
        for key, layer in self._of.items():
            if self._viewer.dims.ndisplay == 2 or scan is None or key != id(scan) or scan.preview is None:
                show(layer, False)
        if scan is None or scan.preview is None or self._viewer.dims.ndisplay == 2 or scan is not self._session.current:
            return
        self._stale = True
        if not self._working and not self._rest.isActive():
            self._begin()

    def _begin(self) -> None:
        scan = self._session.current
        if not self._stale or self._working or scan is None or scan.preview is None:
            return
        self._stale, self._working = False, True
        labels, place = scan.preview.labels, placement(scan.display.geometry)

        def work() -> None:
            try:
                mesh = mesh_of(labels, place["scale"], place["translate"])
            finally:
                self._session.jobs.dispatch(self._free)
            self._session.jobs.dispatch(lambda: self._show(scan, labels, mesh))

        threading.Thread(target=work, name="medseg surface", daemon=True).start()

    def _free(self) -> None:
        self._working = False
        self._rest.start()

    def _show(self, scan: Scan, labels: LabelArray, mesh: Mesh | None) -> None:
        preview, layer = scan.preview, self._of.get(id(scan))
        if preview is None or preview.labels is not labels or self._viewer.dims.ndisplay == 2 or scan not in self._session.scans:
            return
        if mesh is None:
            if layer is not None:
                show(layer, False)
            return
        look = {"colormap": _table([*self._session.classes, *preview.classes]), "contrast_limits": (0, 255)}
        if layer is None:
            layer = Surface(mesh, name=f"{scan.name} preview surface", shading="smooth", **look)
            self._of[id(scan)] = layer
            self._add(layer)
        else:
            layer.data = mesh
            if layer.metadata.get("preview") is not labels:
                layer.colormap, layer.contrast_limits = look["colormap"], look["contrast_limits"]
        layer.metadata = {"preview": labels}
        show(layer, True)


def mesh_of(labels: LabelArray, scale: Sequence[float], translate: Sequence[float]) -> Mesh | None:
    """The surfaces of all classes of a label map, in napari's world, where light falls on it as it should; None when it is empty.

    Parameters
    ----------
    labels : uint8 (z, y, x)
    scale, translate : mm
        Of the layer that shows the map.

    Returns
    -------
    (vertices (n, 3), triangles (m, 3), class value of each vertex (n,)) or None
    """
    box = around(labels)
    if box is None:
        return None
    part = labels[box]
    step = np.array([max(1, -(-side // MOST_BLOCKS)) for side in part.shape])
    vertices, faces, values, count = [], [], [], 0
    for value in np.flatnonzero(np.bincount(part.ravel(), minlength=2)[1:]) + 1:
        corners, triangles = _mesh(part == value, step)
        voxels = corners * step + (step - 1) / 2 + [side.start for side in box]
        vertices.append((voxels * scale + translate).astype(np.float32))
        faces.append((triangles + count).astype(np.int32))
        values.append(np.full(len(corners), value, np.float32))
        count += len(corners)
    return np.concatenate(vertices), np.concatenate(faces), np.concatenate(values)


def _mesh(mask: npt.NDArray[np.bool_], step: npt.NDArray[np.int_]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Marching cubes (Lewiner et al., 2003) over the share of each block that is inside, smoothed a little; in blocks."""
    from scipy.ndimage import gaussian_filter
    from skimage.measure import marching_cubes

    padded = np.pad(mask, [(0, -side % int(s)) for side, s in zip(mask.shape, step, strict=True)])
    z, y, x = (side // int(s) for side, s in zip(padded.shape, step, strict=True))
    share = padded.reshape(z, step[0], y, step[1], x, step[2]).mean((1, 3, 5), dtype=np.float32)
    share = np.pad(share, 2)
    smooth = gaussian_filter(share, SMOOTH)
    if smooth.max() > 0.5:
        share = smooth
    corners, triangles, *_ = marching_cubes(share, min(0.5, float(share.max()) / 2))
    return corners - 2, triangles


def _table(classes: Sequence[LabelClass]) -> Colormap:
    """Class value / 255 to its colour."""
    table = np.full((256, 4), (0.6, 0.6, 0.6, 1.0))
    for each in classes:
        table[each.value, :3] = each.colour
    return Colormap(table, name="medseg classes")
