"""The preview in the 3D view: a smooth surface that follows it as it grows.

napari draws a label map in 3D by casting rays through all of it, once for each of the preview's two layers; a mesh of the part that holds something is drawn
many times faster. It is made beside the window, from blocks of voxels, a few times a second.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from napari.layers import Surface
from napari.utils.colormaps import Colormap
from qtpy.QtCore import QObject, QTimer

from napari_medseg.annotation import LabelClass
from napari_medseg.gui.layers import placement
from napari_medseg.gui.turns import show
from napari_medseg.session.session import Session
from napari_medseg.session.solid import Mesh, mesh_of
from napari_medseg.session.state import Scan
from napari_medseg.volume import LabelArray

REST_MS = 120  # between two meshes


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


def _table(classes: Sequence[LabelClass]) -> Colormap:
    """Class value / 255 to its colour."""
    table = np.full((256, 4), (0.6, 0.6, 0.6, 1.0))
    for each in classes:
        table[each.value, :3] = each.colour
    return Colormap(table, name="medseg classes")
