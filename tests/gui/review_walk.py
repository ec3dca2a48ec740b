"""Measure in the real window and save a picture of every stage: statistics with diameters, rulers and angles on two planes.

    python tests/gui/review_walk.py OUT_FOLDER [--theme light]

It needs a display. The sample head MR with its tumour; clicks and keys as a person gives them.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

import numpy as np
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox
from walkthrough import Walk

from napari_medseg.catalogue import shipped
from napari_medseg.gui.review_tab import ReviewTab
from napari_medseg.io import read_labels

log = logging.getLogger("walkthrough")


class Review(Walk):
    @property
    def review(self) -> ReviewTab:
        return self.dock.findChild(ReviewTab)

    def page(self, key: str) -> None:
        chooser: QComboBox = self.review.chooser
        chooser.setCurrentIndex(chooser.findData(key))
        chooser.activated.emit(chooser.currentIndex())
        self.wait(0.5)

    def click_on_plane(self, voxel: tuple[float, float, float]) -> None:
        """Click where a voxel lies on whichever plane is in view."""
        from qtpy.QtCore import QEvent

        world = np.array(self._world(voxel))
        across = self.viewer.dims.order[0]
        self.viewer.dims.set_point(across, world[across])
        self.wait(0.3)
        down, right = self.viewer.dims.displayed
        centre, zoom = self.viewer.scene.camera.center, self.viewer.scene.camera.zoom
        at = QPointF(self.canvas.width() / 2 + (world[right] - centre[2]) * zoom, self.canvas.height() / 2 + (world[down] - centre[1]) * zoom)
        left, none, plain = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
        self._mouse(QEvent.Type.MouseMove, at, none, none, plain, 0.1)
        self._mouse(QEvent.Type.MouseButtonPress, at, left, left, plain, 0.1)
        self._mouse(QEvent.Type.MouseButtonRelease, at, left, none, plain, 0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--theme", choices=["dark", "light"], default="dark")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    walk = Review(options.out)
    walk.viewer.theme = options.theme
    session = walk.session
    scan = session.current
    walk.tab("Review")
    walk.picture("1-empty")
    tumour = scan.axes.apply(read_labels(shipped("sample_data") / "brain1_tumour.nii.gz").array).astype(np.uint8)
    session.rename_class(1, "Tumour")
    session.add_class("Bright")
    both = tumour.copy()
    both[(scan.display.array > np.percentile(scan.display.array, 98)) & (tumour == 0)] = 2
    session.adopt_labels(scan, both)
    began = time.monotonic()
    walk.until(lambda: session.reviewing.statistics.of(scan) is not None, 60)
    log.info("measured after %.1f s: %.2f s of work", time.monotonic() - began, session.reviewing.statistics.of(scan).seconds)
    walk.wait(0.5)
    walk.picture("2-measured")
    table = walk.review.page("statistics").table
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, table.visualItemRect(table.item(0, 1)).center())
    walk.wait(1)
    walk.picture("3-diameters")
    table.setFocus()
    QTest.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    walk.wait(0.3)
    log.info("copied %d lines", len(QApplication.clipboard().text().splitlines()))
    walk.page("rulers")
    walk.picture("4-rulers-empty")
    walk.canvas.setFocus()
    QTest.keyClick(walk.canvas, Qt.Key.Key_R, Qt.KeyboardModifier.ShiftModifier)
    walk.wait(0.5)
    middle = [n // 2 for n in scan.display.geometry.shape]
    z, y, x = middle
    walk.click_on_plane((z, y, x - 40))
    walk.picture("5-one-click")
    walk.click_on_plane((z, y + 20, x + 40))
    QTest.keyClick(walk.canvas, Qt.Key.Key_R, Qt.KeyboardModifier.AltModifier)
    walk.wait(0.3)
    for voxel in ((z, y - 40, x), (z, y - 20, x + 30), (z, y - 50, x + 50)):
        walk.click_on_plane(voxel)
    walk.picture("6-ruler-and-angle")
    walk.dock.desk.show_slice(1, y)
    walk.wait(0.5)
    QTest.keyClick(walk.canvas, Qt.Key.Key_R, Qt.KeyboardModifier.ShiftModifier)
    walk.click_on_plane((2, y, x))
    walk.click_on_plane((scan.display.geometry.shape[0] - 3, y, x))
    walk.picture("7-coronal")
    asked = abs(scan.display.geometry.shape[0] - 5) * scan.display.geometry.spacing[0]
    log.info("rulers %s; the last should be %.1f mm", [each.words for each in scan.rulers], asked)
    if abs(scan.rulers[-1].mm - asked) > scan.display.geometry.spacing[0]:
        raise RuntimeError("the coronal ruler is not what it should be")
    count = len(scan.rulers)
    QTest.keyClick(walk.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    walk.wait(0.5)
    if len(scan.rulers) != count - 1:
        raise RuntimeError("Ctrl+Z took no ruler back")
    walk.viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
