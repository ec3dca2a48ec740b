"""Refine a tiny study in the real window, save a picture of every stage, and check that what a person settled stays.

    python tests/gui/refine_walk.py OUT_FOLDER [--theme light]

It needs a display. Four small scans with a bright ball each and weak labels that are shifted; the network is a small one that learnt nothing before, so that
real rounds take seconds. A person paints, marks slices right, trains, pauses, looks, adopts, rolls back.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from walkthrough import Walk

from napari_medseg import io
from napari_medseg.gui.refine_tab import RefineTab
from napari_medseg.session.history import change
from napari_medseg.session.making import Making
from napari_medseg.session.state import Preview
from napari_medseg.volume import Geometry, Volume

log = logging.getLogger("walkthrough")
SHAPE, SPACING = (18, 72, 72), (3.0, 1.0, 1.0)


def ball(seed: int) -> tuple[Volume, np.ndarray]:
    """A scan with a bright ball, and the truth; a weak label is the truth moved aside."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(SHAPE)
    cy, cx, radius = 36 + rng.uniform(-8, 8), 36 + rng.uniform(-8, 8), rng.uniform(13, 18)
    truth = ((z - 9) * 3.0) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < radius**2
    array = rng.normal(100, 12, SHAPE).astype(np.float32) + 90 * truth
    return Volume(array, Geometry(SHAPE, SPACING), name=f"patient {seed}", modality="MR"), truth.astype(np.uint8)


def small_base(folder: Path) -> Path:
    import torch

    from napari_medseg.segmenters.unet import UNet
    from napari_medseg.segmenters.weights import save_model

    torch.manual_seed(0)
    return save_model(folder / "model.safetensors", UNet(widths=(4, 8, 16)), {"title": "small", "preprocessing": {"size": 64}})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--theme", choices=["dark", "light"], default="dark")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    made = Path(tempfile.mkdtemp())
    os.environ.setdefault("MEDSEG_PREFERENCES", str(made / "preferences.json"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    walk = Walk(options.out, None)
    walk.viewer.theme = options.theme
    session, study, refining = walk.session, walk.session.study, walk.session.refining
    session.rename_class(1, "Tumour")
    truths = {}
    for seed in range(4):
        volume, truth = ball(seed)
        (made / "scans").mkdir(exist_ok=True)
        io.write(volume, made / "scans" / f"patient {seed}.nii.gz")
        truths[f"patient {seed}"] = truth
    study.create(made / "Balls")
    walk.until(lambda: study.is_open, 60)
    study.add(sorted((made / "scans").iterdir()))
    walk.until(lambda: len(study.cases) == 4, 60)
    for case in list(study.cases):
        study.go(case.id)
        walk.until(lambda case=case: study.current == case.id and study.scan is not None, 60)
        scan = study.scan
        weak = np.roll(truths[case.name.removesuffix(".nii.gz")], 4, axis=2)
        preview = Preview(scan.axes.apply(weak), "test", (session.label_class,), finished=True, made=Making("levelset"))
        scan.preview = preview
        session.accept()
        walk.until(lambda: study.saved == "saved", 60)
    walk.tab("Refine")
    walk.picture("1-cases")
    scan = study.scan
    right = scan.axes.apply(truths[study.case(study.current).name.removesuffix(".nii.gz")])
    for index in (8, 9):
        box = slice(index, index + 1), slice(0, SHAPE[1]), slice(0, SHAPE[2])
        session.painted(scan, change(scan.labels, box, right[box]))
    session.labels_changed.emit(scan, None)
    walk.wait(0.5)
    painted, kept = scan.by_hand.copy() > 0, scan.labels.copy()
    for index in (8, 9):
        walk.dock.desk.show_slice(0, index)
        walk.wait(0.3)
        QTest.keyClick(walk.canvas, Qt.Key.Key_K, Qt.KeyboardModifier.AltModifier)
        walk.until(lambda index=index: index in session.verified.of(scan), 60)
    walk.picture("2-corrected")
    walk.press("Propose the rest")
    walk.until(lambda: scan.preview is not None or (session.trouble and not session.jobs.active), 300)
    walk.picture("2b-rest")
    walk.press("Discard")
    session.refine.base, session.refine.rounds, session.refine.recipe = small_base(made / "base"), 2, "salah2023"
    session.set(refine=session.refine)
    walk.press("Start refinement")
    walk.until(lambda: len(session.refine.losses) > 4 or not refining.is_training, 300)
    walk.picture("3-training")
    walk.press("Pause")
    walk.picture("4-paused")
    walk.press("Go on")
    began = time.monotonic()
    walk.until(lambda: refining.glimpse.labels is not None or not refining.is_training, 300)
    log.info("a glimpse after %.1f s: %s", time.monotonic() - began, refining.glimpse.labels is not None)
    walk.picture("5-glimpse")
    walk.until(lambda: not refining.is_training, 600)
    if session.trouble:
        raise RuntimeError(session.trouble)
    walk.picture("6-done")
    tab = walk.dock.findChild(RefineTab)
    first = next(p for p in tab.rounds.pictures if p.isVisible())
    QTest.mouseClick(first, Qt.MouseButton.LeftButton)
    walk.wait(3)
    walk.picture("7-there")
    walk.key(Qt.Key.Key_J)
    walk.wait(2)
    walk.picture("7b-next-place")
    walk.press("Adopt round")
    walk.until(lambda: refining.in_use and not study.busy, 120)
    walk.picture("8-adopted")
    for case in study.cases:
        log.info("%s: %s", case.name, [(v.kind, v.tool) for v in study.project.versions(case.id)])
    if not np.array_equal(kept[painted], np.asarray(scan.axes.apply(study.project.labels(scan.case).array))[painted]):
        raise RuntimeError("what was painted did not stay")
    walk.press("Roll back")
    walk.until(lambda: not refining.in_use and not study.busy, 120)
    walk.picture("9-rolled-back")
    walk.viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
