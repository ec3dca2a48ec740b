"""Make a label in the real window by clicks alone, with the segmenter that is pointed at things, save a picture of every stage, and tell time and Dice.

    python tests/gui/segment_walk.py OUT_FOLDER [--sample brain1] [--clicks 8]

It needs a display. The person is the simulated annotator, who knows the truth: each click lies in the middle of the largest error, inside or, with Shift,
outside. The clock runs from the first click to Accept and counts every wait. Then the keys: undo, redo, uncertainty, another object, a box.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from walkthrough import Walk

from napari_medseg.catalogue import shipped
from napari_medseg.gui.segment_tab import SegmentTab
from napari_medseg.io import read_labels
from napari_medseg.testing import annotator
from napari_medseg.volume import orient

log = logging.getLogger("walkthrough")
TRUTH = {"brain1": "brain1_tumour.nii.gz", "lung2": "lung2_crop_tumour.nii.gz", "breast1": "breast1_tumour.nii.gz"}


def dice(found, truth):
    return float(2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sample", choices=sorted(TRUTH), default="brain1")
    parser.add_argument("--clicks", type=int, default=8)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    truth = orient(read_labels(shipped("sample_data") / TRUTH[options.sample])).array > 0
    walk = Walk(options.out, options.sample)
    session, scan = walk.session, walk.session.current
    spacing = scan.display.geometry.spacing
    session.rename_class(1, "Tumour")
    walk.tab("Segment")
    walk.wait(1)
    walk.picture("1-opened")
    if session.tool != "point":
        raise RuntimeError(f"the click tool is not in the hand but '{session.tool}' ({session.engine})")

    def answered(seconds: float = 180) -> float:
        start = time.monotonic()
        walk.until(lambda: not session.jobs.active, seconds)
        return time.monotonic() - start

    def now() -> np.ndarray:
        return scan.preview.labels > 0 if scan.preview is not None else np.zeros(truth.shape, bool)

    began = time.monotonic()
    for count in range(1, options.clicks + 1):
        click = annotator.next_click(truth, now(), spacing)
        if click is None:
            break
        voxel, sign = click
        walk.click_voxel(tuple(voxel), Qt.KeyboardModifier.ShiftModifier if sign < 0 else Qt.KeyboardModifier.NoModifier)
        if count == 1:
            walk.wait(0.3)
            walk.picture("2-first-click")
        waited = answered()
        log.info("click %d, %+d: Dice %.3f, %.1f s waited, %.0f s in all", count, sign, dice(now(), truth), waited, time.monotonic() - began)
        if session.trouble:
            raise RuntimeError(session.trouble)
    walk.picture("3-clicked")
    tab = walk.dock.findChild(SegmentTab)
    QTest.mouseClick(tab.doubt.show_it, Qt.MouseButton.LeftButton)
    answered()
    walk.key(Qt.Key.Key_J)
    walk.picture("4-uncertainty")
    QTest.mouseClick(tab.doubt.show_it, Qt.MouseButton.LeftButton)
    walk.key(Qt.Key.Key_K)
    log.info("accepted: Dice %.3f", dice(scan.labels == session.chosen, truth))
    walk.picture("5-accepted")
    session.undo()
    answered()
    walk.picture("6-undone")
    session.redo()
    if dice(scan.labels == session.chosen, truth) <= 0:
        raise RuntimeError("redo did not bring the label back")
    QTest.keyClick(walk.canvas, Qt.Key.Key_Q, Qt.KeyboardModifier.ShiftModifier)
    walk.wait(0.3)
    z, y, x = (int(v) for v in np.argwhere(truth).mean(0))
    walk.drag([(z, y - 12, x - 12), (z, y, x), (z, y + 12, x + 12)])
    answered()
    walk.picture("7-box")
    walk.key(Qt.Key.Key_0)
    walk.press("Lasso")
    angles = np.linspace(0, 2 * np.pi, 24)
    walk.drag([(z, round(y + 30 + 8 * float(np.sin(a))), round(x - 30 + 8 * float(np.cos(a)))) for a in angles])
    answered()
    walk.picture("8-second-object")
    walk.press("Discard")
    session.set(engine="unet")
    walk.picture("9-unet")
    walk.press("Run U-Net")
    walk.until(lambda: (scan.preview is not None and not scan.preview.is_empty) or not session.jobs.active, 60)
    walk.picture("10-unet-runs")
    session.stop()
    walk.viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
