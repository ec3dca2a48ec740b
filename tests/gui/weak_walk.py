"""Make a weak label of lung2 in the real window by clicks and strokes alone, save a picture of every stage, and tell time and Dice; needs a display.

    python tests/gui/weak_walk.py OUT_FOLDER [--corrections 6]

The person is the simulated annotator, who knows the truth: five seeds; a rough limit painted on every second slice with a big ball; grow; where the
outline is wrong, bubbles; accept. The clock runs from the first click to Accept and counts every wait.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from scipy import ndimage as ndi
from walkthrough import Walk

from napari_medseg.catalogue import shipped
from napari_medseg.io import read_labels
from napari_medseg.testing import annotator
from napari_medseg.volume import orient

log = logging.getLogger("walkthrough")
BALL_MM = 9.0


def dice(found, truth):
    return float(2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1))


def rough_lines(hand, spacing):
    """Lines to and fro, so that the ball's middle slice fills what a hurried hand would paint."""
    depth = ndi.distance_transform_edt(np.pad(hand, 1), sampling=spacing)[1:-1, 1:-1]
    inside = depth >= min(BALL_MM, 0.8 * depth.max())
    path = []
    rows = np.flatnonzero(inside.any(1))
    for count, y in enumerate(sorted({*range(int(rows[0]), int(rows[-1]) + 1, max(1, round(BALL_MM / 2 / spacing[0]))), int(rows[-1])})):
        xs = np.flatnonzero(inside[y])
        if len(xs):
            row = np.linspace(xs[0], xs[-1], max(2, len(xs) // 6))
            path += [(y, round(x)) for x in (row if count % 2 == 0 else row[::-1])]
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--corrections", type=int, default=6)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    truth = orient(read_labels(shipped("sample_data") / "lung2_crop_tumour.nii.gz")).array > 0
    walk = Walk(options.out, "lung2")
    session, scan = walk.session, walk.session.current
    spacing = scan.display.geometry.spacing
    walk.session.rename_class(1, "Tumour")
    walk.picture("1-opened")
    began = time.monotonic()

    def settled(seconds: float = 60) -> None:
        walk.wait(0.3)
        walk.until(lambda: session.job is None or not session.job.is_active, seconds)

    def now() -> np.ndarray:
        return scan.preview.labels > 0

    walk.press("Add seeds")
    for voxel in annotator.seeds(truth, spacing):
        walk.click_voxel(tuple(voxel))
    walk.picture("2-seeds")
    walk.dock.desk.enter_mode("limit")
    walk.wait(0.3)
    if session.tool != "limit":
        walk.press("Paint limit")
    session.set(limit_brush=replace(session.limit_brush, radius_mm=BALL_MM))
    slices, hand = np.flatnonzero(truth.any((1, 2))), annotator.hand_mask(truth, spacing)
    for z in sorted({*slices[1::2], slices[-2]}):
        walk.drag([(int(z), y, x) for y, x in rough_lines(hand[z], spacing[1:])])
    walk.picture("3-limit")
    walk.press("Grow inside it")
    walk.until(lambda: scan.preview is not None and not scan.preview.is_empty, 30)
    walk.picture("4-growing")
    settled()
    log.info("grown: Dice %.3f after %.0f s", dice(now(), truth), time.monotonic() - began)
    walk.picture("5-grown")
    if session.mode != "levelset":
        walk.dock.desk.enter_mode("levelset")
        walk.wait(0.5)
    if session.tool != "bubble":
        walk.press("Bubble")
    for _ in range(options.corrections):
        click = annotator.next_click(truth, now(), spacing)
        if click is None:
            break
        voxel, sign = click
        error = ndi.distance_transform_edt(truth == (sign > 0), sampling=spacing)
        radius = float(np.clip(round(2 * error[tuple(voxel)]) / 2, 2, 15))
        session.set(levelset=replace(session.levelset, bubble_mm=radius))
        walk.click_voxel(tuple(voxel), Qt.KeyboardModifier.ShiftModifier if sign < 0 else Qt.KeyboardModifier.NoModifier)
        settled()
        log.info("bubble of %.1f mm, %+d: Dice %.3f after %.0f s", radius, sign, dice(now(), truth), time.monotonic() - began)
    walk.picture("6-corrected")
    walk.key(Qt.Key.Key_K)
    seconds = time.monotonic() - began
    log.info("accepted: Dice %.3f, %.0f s from the first click", dice(scan.labels == session.chosen, truth), seconds)
    walk.picture("7-accepted")
    walk.viewer.dims.ndisplay = 3
    walk.wait(4)
    walk.picture("8-surface")
    walk.viewer.close()
    return 0 if seconds < 180 else 1


if __name__ == "__main__":
    sys.exit(main())
