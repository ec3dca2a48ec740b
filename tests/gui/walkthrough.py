"""Drive the real window through the main walk and save a picture of every stage; needs a display, and a window manager for the frame.

    python tests/gui/walkthrough.py OUT_FOLDER [--rounds 1]

It clicks and types as a person does: the sample, five seeds, grow, accept, refine, look at the proposal.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton, QWidget

from napari_medseg.catalogue import shipped
from napari_medseg.gui.launch import open_window
from napari_medseg.gui.window import MedsegWidget
from napari_medseg.io import read_labels
from napari_medseg.volume import orient

log = logging.getLogger("walkthrough")


class Walk:
    def __init__(self, out: Path, sample: str | None = "brain1") -> None:
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        self.viewer = open_window(sample)
        self.wait(4)
        self.top = next(w for w in QApplication.topLevelWidgets() if w.findChild(MedsegWidget))
        self.dock = self.top.findChild(MedsegWidget)
        self.session = self.dock.desk.session
        self.canvas = next(w for w in self.top.findChildren(QWidget) if type(w).__name__ == "CanvasBackendDesktop")

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def until(self, met, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not met():
            if time.monotonic() > end:
                raise TimeoutError(self.session.trouble or "it did not happen in time")
            self.wait(0.05)

    def picture(self, name: str) -> None:
        self.wait(0.6)
        self.top.screen().grabWindow(0).save(str(self.out / f"{name}.png"))
        log.info("%s.png: %s", name, self.dock.guide.sentence.text())

    def press(self, text: str) -> None:
        button = next(b for b in self.dock.findChildren(QPushButton) if b.text().startswith(text) and b.isVisible())
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self.wait(0.3)

    def tab(self, title: str) -> None:
        bar = self.dock.tabs.tabBar()
        index = next(i for i in range(bar.count()) if bar.tabText(i) == title)
        QTest.mouseClick(bar, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, bar.tabRect(index).center())
        self.wait(0.3)

    def click_voxel(self, voxel: tuple[int, int, int], modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        self.drag([voxel], modifier)

    def drag(self, voxels: Sequence[tuple[int, int, int]], modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """Press at the first voxel, move over the others of its slice, let go at the last."""
        self.viewer.dims.set_point(0, self._world(voxels[0])[0])
        self.wait(0.3)
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        places = [self._on_canvas(voxel) for voxel in voxels]
        self._mouse(QEvent.Type.MouseMove, places[0], none, none, modifier, 0.1)
        self._mouse(QEvent.Type.MouseButtonPress, places[0], left, left, modifier, 0.1)
        for place in places[1:]:
            self._mouse(QEvent.Type.MouseMove, place, none, left, modifier, 0.02)
        self._mouse(QEvent.Type.MouseButtonRelease, places[-1], left, none, modifier, 0.1)

    def _world(self, voxel: tuple[int, int, int]) -> tuple[float, ...]:
        return self.dock.desk.image(self.session.current).data_to_world(voxel)

    def _on_canvas(self, voxel: tuple[int, int, int]) -> QPointF:
        world, centre, zoom = self._world(voxel), self.viewer.scene.camera.center, self.viewer.scene.camera.zoom
        return QPointF(self.canvas.width() / 2 + (world[2] - centre[2]) * zoom, self.canvas.height() / 2 + (world[1] - centre[1]) * zoom)

    def _mouse(self, kind: QEvent.Type, at: QPointF, button: Qt.MouseButton, buttons: Qt.MouseButton, modifier: Qt.KeyboardModifier, wait: float) -> None:
        where = QPointF(self.canvas.mapToGlobal(QPoint(round(at.x()), round(at.y()))))
        QApplication.sendEvent(self.canvas, QMouseEvent(kind, at, where, button, buttons, modifier))
        self.wait(wait)

    def key(self, key: Qt.Key) -> None:
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key)
        self.wait(0.2)


def tumour_voxels(count: int) -> list[tuple[int, int, int]]:
    truth = orient(read_labels(shipped("sample_data") / "brain1_tumour.nii.gz")).array > 0
    found = []
    for z in np.flatnonzero(truth.any((1, 2)))[1:1 + count]:
        inside = np.argwhere(truth[z])
        y, x = inside[np.abs(inside - inside.mean(0)).sum(1).argmin()]
        found.append((int(z), int(y), int(x)))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--base", type=Path, help="model to refine from instead of M0")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    walk = Walk(options.out)
    walk.picture("1-opened")
    walk.session.rename_class(1, "Tumour")
    walk.press("Add seeds")
    voxels = tumour_voxels(5)
    for voxel in reversed(voxels):
        walk.click_voxel(voxel)
    if walk.session.seed_count != len(voxels):
        raise RuntimeError(f"{walk.session.seed_count} seeds after {len(voxels)} clicks")
    walk.picture("2-seeds")
    walk.press("Grow from seeds")
    walk.until(lambda: (walk.session.job.fraction or 0) > 0.1, 60)
    walk.picture("3-growing")
    walk.until(lambda: not walk.session.job.is_active, 120)
    walk.picture("4-grown")
    walk.key(Qt.Key.Key_K)
    walk.picture("5-accepted")
    walk.tab("Refine")
    walk.session.refine.rounds, walk.session.refine.base = options.rounds, options.base
    walk.picture("6-refine")
    walk.press("Start refinement")
    walk.until(lambda: len(walk.session.refine.losses) > 12, 180)
    walk.picture("7-training")
    walk.until(lambda: not walk.session.job.is_active, 900)
    walk.picture("8-proposal")
    if walk.session.trouble:
        raise RuntimeError(walk.session.trouble)
    walk.tab("Segment")
    walk.press("Discard")
    walk.picture("9-segment")
    walk.press("Run Your refined model")
    walk.until(lambda: not walk.session.job.is_active, 300)
    walk.picture("10-segmented")
    walk.viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
