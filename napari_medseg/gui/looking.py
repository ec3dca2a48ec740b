"""Where a person looks: the slice in view, and going to another."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image

from napari_medseg.gui.layers import to_voxel, to_world
from napari_medseg.gui.pictures import Pictures
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan


class Looking:
    """The part of a desk that knows what is in view; slices are those of the display grid."""

    session: Session
    viewer: Any
    pictures: Pictures

    def image(self, scan: Scan) -> Image | None:
        """The layer a scan is shown by."""
        return self.pictures.image(scan)

    def focus(self) -> int | None:
        """Display slice in view of the current scan."""
        return self.slice_in_view(0)

    def slice_in_view(self, axis: int) -> int | None:
        """Display slice that is looked at along an axis of the current scan."""
        scan = self.session.current
        layer = self.pictures.image(scan) if scan is not None else None
        if scan is None or layer is None:
            return None
        index = round(float(to_voxel(scan.display.geometry, self.viewer.dims.point)[axis]))
        return int(np.clip(index, 0, scan.display.geometry.shape[axis] - 1))

    def show_slice(self, axis: int, index: int) -> None:
        """Go to a display slice of the current scan; the plane in view is turned to it where it is another one."""
        scan = self.session.current
        layer = self.pictures.image(scan) if scan is not None else None
        if scan is None or layer is None:
            return
        dims = self.viewer.dims
        before = dims.ndim - 3  # axes of series that somebody else has open
        if dims.ndisplay == 2 and before + axis in dims.displayed:
            dims.order = (*range(before), before + axis, *(before + each for each in range(3) if each != axis))
        dims.set_point(before + axis, float(to_world(scan.display.geometry, (index, index, index))[axis]))

    def along(self) -> int | None:
        """The axis of the display grid that the flat view looks along; None in 3D."""
        dims = self.viewer.dims
        return int(dims.order[0]) - (dims.ndim - 3) if dims.ndisplay == 2 and dims.ndim >= 3 else None

    def bring(self, scan: Scan, voxel: tuple[int, int, int]) -> None:
        """Bring a voxel of a scan into the middle of the view."""
        if self.pictures.image(scan) is None:
            return
        place, dims = to_world(scan.display.geometry, voxel), self.viewer.dims
        dims.set_point(range(dims.ndim - 3, dims.ndim), place)
        centre = np.array(self.viewer.scene.camera.center, float)
        shown = list(dims.displayed)
        centre[-len(shown):] = np.array(dims.point, float)[shown]
        self.viewer.scene.camera.center = tuple(centre)

    def show_neck(self) -> None:
        """Bring the narrow neck a front went through into the middle of the view."""
        scan = self.session.current
        layer = self.pictures.image(scan) if scan is not None else None
        if scan is None or layer is None or scan.preview is None or scan.preview.neck is None:
            return
        self.bring(scan, scan.preview.neck)
