"""Use the views of the real window by pointer and keys, check what they do, and save a picture of every stage.

    python tests/gui/views_walk.py OUT_FOLDER [--sample brain1] [--theme light]

It needs a display, a window manager and xdotool. What does not come out as it should ends the walk with an error.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
from driving import Driver
from qtpy.QtCore import QPoint, QPointF
from qtpy.QtWidgets import QWidget

from napari_medseg.catalogue import shipped
from napari_medseg.gui.launch import open_window
from napari_medseg.io import read_labels
from napari_medseg.volume import orient

TRUTH = {"brain1": "brain1_tumour.nii.gz", "lung2": "lung2_crop_tumour.nii.gz", "breast1": "breast1_tumour.nii.gz"}


def x(*words: str) -> None:
    subprocess.run(["xdotool", *words], check=True)


def must(met: bool, what: str) -> None:
    if not met:
        raise RuntimeError(what)


class Walk(Driver):
    @property
    def quad(self):
        return self.dock.desk.views.quad

    @property
    def views(self):
        return self.session.views

    def at(self, pane: QWidget, voxel) -> QPoint:
        """Where a voxel of a pane is on the screen."""
        place: QPointF = pane.point(np.array(voxel, float))
        return pane.mapToGlobal(place.toPoint())

    def move(self, where: QPoint) -> None:
        x("mousemove", str(where.x()), str(where.y()))
        self.wait(0.1)

    def pull(self, start: QPoint, end: QPoint, button: str = "1", steps: int = 12) -> None:
        """Press, move, let go."""
        self.move(start)
        x("mousedown", button)
        for step in range(1, steps + 1):
            self.move(start + (end - start) * step / steps)
        x("mouseup", button)
        self.wait(0.3)

    def turn_wheel(self, where: QPoint, notches: int) -> None:
        self.move(where)
        for _ in range(abs(notches)):
            x("click", "4" if notches > 0 else "5")
        self.wait(0.4)

    def middle(self, widget: QWidget) -> QPoint:
        return widget.mapToGlobal(widget.rect().center())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sample", choices=sorted(TRUTH), default="brain1")
    parser.add_argument("--theme", default="dark")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    walk = Walk(options.out, open_window(options.sample), options.theme)
    walk.until(lambda: walk.session.current is not None and not walk.session.current.arriving)
    session, views = walk.session, walk.views
    scan = session.current
    session.adopt_labels(scan, orient(read_labels(shipped("sample_data") / TRUTH[options.sample])).array.astype(np.uint8))
    session.set(tool="")
    walk.wait(1)
    layers, camera, point = [each.name for each in walk.viewer.layers], (walk.viewer.scene.camera.center, walk.viewer.scene.camera.zoom), walk.viewer.dims.point
    walk.state("one-view")

    walk.click(walk.canvas, QPoint(20, 20))
    walk.key("U")
    walk.until(lambda: walk.quad.is_open and all(pane.index is not None for pane in walk.quad.planes[1:]))
    walk.until(lambda: walk.quad.solid.pick(QPointF(0, 0)) is None and walk.quad.solid._shown is not None)
    walk.state("four-views")
    x("key", "u")
    walk.until(lambda: not walk.quad.is_open)
    walk.wait(0.5)
    now = (walk.viewer.scene.camera.center, walk.viewer.scene.camera.zoom)
    must([each.name for each in walk.viewer.layers] == layers and walk.viewer.dims.point == point, "toggling changed layers or the slice")
    must(np.allclose(now[0], camera[0]) and np.isclose(now[1], camera[1]), f"toggling moved the camera: {camera} became {now}")
    x("key", "u")
    walk.until(lambda: walk.quad.is_open and all(pane.index is not None for pane in walk.quad.planes[1:]))

    goal = tuple(int(v) for v in np.argwhere(scan.labels)[np.count_nonzero(scan.labels) // 2])
    coronal, sagittal = walk.quad.planes[1], walk.quad.planes[2]
    walk.move(walk.at(coronal, (goal[0], 0, goal[2])))
    x("click", "1")
    walk.wait(0.5)
    must(abs(views.voxel[0] - goal[0]) <= 1 and abs(views.voxel[2] - goal[2]) <= 1, f"a click in the coronal pane led to {views.voxel}, not to {goal}")
    walk.move(walk.at(sagittal, (goal[0], goal[1], 0)))
    x("click", "1")
    walk.wait(0.5)
    must(abs(walk.dock.desk.focus() - goal[0]) <= 1, "napari's slice did not follow")
    walk.state("clicked-in-panes")

    before = views.voxel
    walk.turn_wheel(walk.middle(coronal), 2)
    must(views.voxel[1] == before[1] + 2, "the wheel did not go through coronal slices")
    before = views.voxel
    walk.turn_wheel(walk.middle(walk.canvas), -2)
    must(views.voxel[0] == before[0] - 2, "the wheel did not go through axial slices on the canvas")
    x("keydown", "shift")
    walk.move(walk.middle(walk.canvas) + QPoint(30, 20))
    walk.move(walk.middle(walk.canvas) + QPoint(34, 24))
    x("keyup", "shift")
    walk.wait(0.4)
    must(views.voxel[1:] != before[1:], "Shift and a move on the canvas did not take the place along")

    walk.pull(walk.middle(walk.quad.solid), walk.middle(walk.quad.solid) + QPoint(80, 30))
    walk.wait(0.5)
    found = [(u, v) for u in range(20, walk.quad.solid.width(), 6) for v in range(20, walk.quad.solid.height(), 6) if walk.quad.solid.pick(QPointF(u, v))]
    must(bool(found), "no surface is in sight")
    u, v = found[len(found) // 2]
    walk.move(walk.quad.solid.mapToGlobal(QPoint(u, v)))
    x("click", "1")
    walk.wait(0.5)
    z, y, across = views.voxel
    near = scan.labels[max(0, z - 1):z + 2, max(0, y - 3):y + 4, max(0, across - 3):across + 4]
    must(bool(near.any()), f"a click on the surface led to {views.voxel}, away from any label")
    walk.state("picked-in-3d")

    window = scan.window
    x("key", "w")
    walk.wait(0.3)
    start = walk.middle(walk.canvas)
    walk.move(start)
    x("mousedown", "3")
    for step in range(10):
        walk.move(start + QPoint(6 * step, 3 * step))
    walk.state("window-dragged")
    x("mouseup", "3")
    must(scan.window.width > window.width and scan.window.level < window.level, "the right button did not drag the window")
    dragged = scan.window
    walk.pull(walk.middle(sagittal), walk.middle(sagittal) + QPoint(-40, 0), "3")
    must(scan.window.width < dragged.width, "the right button did not drag the window in a pane")
    x("key", "w")
    walk.wait(0.3)
    zoom, kept = walk.viewer.scene.camera.zoom, scan.window
    walk.pull(start, start + QPoint(0, -40), "3")
    must(walk.viewer.scene.camera.zoom != zoom and scan.window == kept, "napari's own zoom is not back")

    walk.dock.desk.paint_labels()
    walk.viewer.layers.selection.active.brush_size = 6
    walk.wait(0.5)
    count = int(np.count_nonzero(scan.labels))
    place = walk.at(coronal, (views.voxel[0], 0, scan.labels.shape[2] // 2))
    walk.pull(place, place + QPoint(50, 6))
    walk.state("painted-in-a-pane")
    must(np.count_nonzero(scan.labels) > count, "nothing was painted in the coronal pane")
    x("key", "ctrl+z")
    walk.wait(0.5)
    must(np.count_nonzero(scan.labels) == count, "one undo did not take the stroke back")
    walk.viewer.layers.selection.active.mode = "pan_zoom"
    walk.viewer.layers.selection.active = walk.dock.desk.image(scan)

    bar = walk.dock.desk.views.bar
    walk.click(bar.place)
    x("key", "ctrl+a")
    span = views.span(0)
    wanted = (span[0] + span[1]) / 2
    x("type", "--", f"{wanted:.1f}")
    x("key", "Return")
    walk.wait(0.5)
    must(abs(views.slice(0).mm - wanted) <= abs(span[2]), f"typing {wanted:.1f} mm led to {views.slice(0).words}")

    walk.move(walk.at(coronal, (1, 0, 4)))
    x("click", "--repeat", "2", "--delay", "60", "1")
    walk.until(lambda: walk.viewer.dims.order[0] == 1)
    walk.state("coronal-in-the-main-view")
    walk.viewer.dims.order = (0, 1, 2)
    walk.viewer.dims.ndisplay = 3
    walk.wait(2)
    walk.state("main-view-in-3d")
    walk.viewer.dims.ndisplay = 2
    walk.wait(0.5)
    walk.click(walk.canvas, QPoint(20, 20))
    x("key", "u")
    walk.until(lambda: not walk.quad.is_open)
    x("key", "shift+u")
    walk.wait(0.5)
    walk.state("crosshair-alone")
    walk.viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
