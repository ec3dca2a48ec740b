"""Walk through the Refine tab in the real window as a person does, and save a picture of every stage; needs a display.

    python tests/gui/refine_walk.py OUT_FOLDER [--theme light] [--scenes scan study] [--images DIR --labels DIR] [--count 12]

"scan": the sample brain1 alone. Three slices are corrected, one of them by the brush, and the rest is proposed; a training is begun and stopped.
"study": weak labels of a few scans are refined by medseg. A person corrects and marks slices, trains, pauses, looks; the training is killed and goes on; its
round is looked at, adopted, rolled back and exported; the study is closed and opened again. What was painted must stay bit for bit.

Without `--images` the study is of small made scans with a bright ball each. Labels of the folder are true ones; weak ones are made of them.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QPushButton
from walkthrough import Walk

from napari_medseg import io
from napari_medseg.catalogue import shipped
from napari_medseg.gui.refine_tab import RefineTab
from napari_medseg.session.history import change
from napari_medseg.session.making import Making
from napari_medseg.session.state import Preview
from napari_medseg.testing.annotator import deform
from napari_medseg.volume import Geometry, Volume

log = logging.getLogger("walkthrough")
SHAPE, SPACING = (14, 36, 36), (4.0, 2.0, 2.0)
KILL = signal.SIGTERM if os.name == "nt" else signal.SIGKILL


def ball(seed: int) -> tuple[Volume, np.ndarray]:
    """A scan with a bright ball, and the truth."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(SHAPE)
    cy, cx, radius = 36 + rng.uniform(-8, 8), 36 + rng.uniform(-8, 8), rng.uniform(13, 18)
    truth = ((z - 7) * 4.0) ** 2 + (y * 2.0 - cy) ** 2 + (x * 2.0 - cx) ** 2 < radius**2
    return Volume(rng.normal(100, 12, SHAPE).astype(np.float32) + 90 * truth, Geometry(SHAPE, SPACING), modality="MR"), truth.astype(np.uint8)


def cohort(folder: Path, images: Path | None, labels: Path | None, count: int) -> dict[str, np.ndarray]:
    """Scans in a folder, and their true labels by case name."""
    folder.mkdir()
    if images is None or labels is None:
        truths = {}
        for seed in range(count):
            volume, truth = ball(seed)
            io.write(volume, folder / f"patient {seed}.nii.gz")
            truths[f"patient {seed}"] = truth
        return truths
    chosen = sorted(images.iterdir())[:count]
    for path in chosen:
        (folder / path.name).write_bytes(path.read_bytes())
    return {path.name.removesuffix(".nii.gz"): (np.asarray(io.read_labels(labels / path.name).array) > 0).astype(np.uint8) for path in chosen}


def give(session, scan, weak: np.ndarray) -> None:
    """A weak label, as a tool of another tab leaves it."""
    scan.preview = Preview(scan.axes.apply(weak), "level set", (session.label_class,), finished=True, made=Making("levelset"))
    session.accept()


def correct(session, scan, truth: np.ndarray, index: int) -> None:
    """A slice as a careful person leaves it."""
    box = slice(index, index + 1), slice(0, truth.shape[1]), slice(0, truth.shape[2])
    step = change(scan.labels, box, truth[box])
    if step is not None:
        session.painted(scan, step)
    session.labels_changed.emit(scan, None)


def mark_right(walk: Walk, scan, index: int) -> None:
    walk.dock.desk.show_slice(0, index)
    walk.wait(0.3)
    walk.canvas.setFocus()
    QTest.keyClick(walk.canvas, Qt.Key.Key_K, Qt.KeyboardModifier.AltModifier)
    walk.until(lambda: index in walk.session.verified.of(scan), 60)


def brush(walk: Walk, scan, index: int) -> None:
    """One stroke with the brush on the labels, by mouse."""
    inside = np.argwhere(scan.labels[index] > 0)
    low, high = inside.min(0), inside.max(0)
    y = int((low[0] + high[0]) // 2)
    before = scan.labels[index].copy()
    walk.dock.desk.paint_labels()
    walk.drag([(index, y, int(x)) for x in range(int(low[1]) - 2, int(low[1]) + 3)])
    walk.wait(0.5)
    if np.array_equal(before, scan.labels[index]):
        raise RuntimeError("the brush painted nothing")


def single(walk: Walk) -> None:
    """One scan alone."""
    session = walk.session
    scan = session.current
    truth = (np.asarray(scan.axes.apply(io.read_labels(shipped("sample_data") / "brain1_tumour.nii.gz").array)) > 0).astype(np.uint8)
    walk.tab("Refine")
    walk.picture("scan-1-empty")
    give(session, scan, np.asarray(scan.axes.undo(deform(truth > 0, np.random.default_rng(0), strength=10).astype(np.uint8))))
    walk.wait(0.5)
    walk.tab("Refine")
    holds = np.flatnonzero(truth.any((1, 2)))
    slices = [int(holds[len(holds) * part // 4]) for part in (1, 2, 3)]
    walk.dock.desk.show_slice(0, slices[0])
    walk.picture("scan-2-weak")
    brush(walk, scan, slices[0])
    walk.picture("scan-3-brush")
    for index in slices:
        correct(session, scan, truth, index)
        mark_right(walk, scan, index)
    walk.picture("scan-4-three-right")
    walk.press("Propose the rest")
    walk.until(lambda: scan.preview is not None or session.trouble, 300)
    walk.picture("scan-5-rest")
    before = dice(scan.labels > 0, truth > 0)
    walk.key(Qt.Key.Key_K)
    walk.wait(1)
    log.info("Dice %.3f, after three slices %.3f", before, dice(scan.labels > 0, truth > 0))
    walk.picture("scan-6-accepted")
    walk.press("Start refinement")
    walk.until(lambda: len(session.refine.losses) > 8 or session.trouble, 400)
    walk.picture("scan-7-training")
    walk.press("Stop")
    walk.until(lambda: session.refining.left.runs, 60)
    walk.wait(1.5)
    walk.picture("scan-8-stopped")
    walk.press("Forget it")
    walk.until(lambda: not session.refining.left, 60)
    walk.picture("scan-9-forgotten")


def study(walk: Walk, made: Path, truths: dict[str, np.ndarray]) -> None:
    """A study from weak labels to an adopted round."""
    session, study, refining = walk.session, walk.session.study, walk.session.refining
    tab = walk.dock.findChild(RefineTab)
    study.create(made / "Walk")
    walk.until(lambda: study.is_open, 60)
    study.add(sorted((made / "scans").iterdir()))
    walk.until(lambda: len(study.cases) == len(truths), 120)
    rng = np.random.default_rng(1)
    painted = {}
    for number, case in enumerate(list(study.cases)):
        study.go(case.id)
        walk.until(lambda case=case: study.current == case.id and study.scan is not None, 60)
        scan, truth = study.scan, study.scan.axes.apply(truths[case.name])
        give(session, scan, deform(truths[case.name] > 0, rng).astype(np.uint8))
        walk.until(lambda: study.saved == "saved", 60)
        if number == 0:
            walk.tab("Refine")
            walk.picture("study-1-first-case")
        if number < 4:
            holds = np.flatnonzero(truth.any((1, 2)))
            for index in (int(holds[len(holds) // 3]), int(holds[2 * len(holds) // 3])):
                correct(session, scan, truth, index)
                mark_right(walk, scan, index)
            painted[case.id] = scan.by_hand.copy() > 0, scan.labels.copy()
    brush(walk, study.scan, int(np.flatnonzero(study.scan.labels.any((1, 2))).mean()))
    painted[study.scan.case] = study.scan.by_hand.copy() > 0, study.scan.labels.copy()
    walk.dock.desk.image(study.scan)
    walk.picture("study-2-ready")
    walk.press("Start refinement")
    walk.until(lambda: len(session.refine.losses) > 30 or session.trouble, 400)
    walk.picture("study-3-training")
    walk.press("Pause")
    walk.picture("study-4-paused")
    walk.press("Go on")
    walk.press("Queue another")
    began = time.monotonic()
    walk.until(lambda: refining.glimpse.labels is not None or not refining.is_training, 300)
    log.info("a glimpse after %.1f s: %s", time.monotonic() - began, refining.glimpse.labels is not None)
    walk.picture("study-5-glimpse-and-queue")
    refining.queue.clear()
    walk.until(lambda: (session.job.fraction or 0) > 0.4 or not refining.is_training, 600)
    os.kill(refining.training.runs[0].pid, KILL)
    walk.until(lambda: refining.left.runs and tab.unfinished.isVisible() and not tab.view.waits, 60)
    walk.picture("study-6-killed")
    walk.press("Go on with it")
    walk.until(lambda: refining.is_training, 60)
    walk.until(lambda: not refining.is_training, 900)
    if session.trouble:
        raise RuntimeError(session.trouble)
    walk.until(lambda: refining.chosen is not None and refining.chosen.changes and not tab.view.waits, 60)
    walk.picture("study-7-round")
    first = next(p for p in tab.rounds.pictures if p.isVisible())
    QTest.mouseClick(first, Qt.MouseButton.LeftButton)
    walk.wait(3)
    walk.picture("study-8-there")
    walk.key(Qt.Key.Key_J)
    walk.wait(3)
    walk.picture("study-9-next-place")
    for row in (0, 1):
        table = tab.rounds.table
        QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, table.visualItemRect(table.item(row, 1)).center())
        walk.wait(0.4)
        walk.picture(f"study-10-row-{row}")
    adopt(walk)
    walk.picture("study-11-adopted")
    for case, (where, labels) in painted.items():
        if not np.array_equal(labels[where], np.asarray(study_axes(walk, case).apply(study.project.labels(case).array))[where]):
            raise RuntimeError("what was painted did not stay")
    for case in study.cases:
        now = np.asarray(study.project.labels(case.id).array) > 0
        weak = np.asarray(study.project.labels(case.id, 1).array) > 0
        log.info("%s: Dice %.3f, weak label %.3f", case.name, dice(now, truths[case.name] > 0), dice(weak, truths[case.name] > 0))
    export(walk, made / "exported")
    walk.picture("study-13-exported")
    walk.press("Roll back")
    walk.until(lambda: not refining.in_use and not study.busy, 120)
    walk.picture("study-14-rolled-back")
    folder = study.folder
    study.leave()
    walk.wait(1)
    study.open(folder)
    walk.until(lambda: refining.rows and refining.chosen.changes, 120)
    walk.picture("study-15-opened-again")
    study.go(study.cases[5 % len(study.cases)].id)
    walk.until(lambda: study.scan is not None and not study.busy, 60)
    walk.wait(3)
    walk.picture("study-16-another-case")
    adopt(walk)
    walk.picture("study-17-adopted-next-morning")


def adopt(walk: Walk) -> None:
    walk.press("Adopt round")
    walk.until(lambda: walk.session.refining.in_use and not walk.session.study.busy, 120)
    walk.wait(1)


def study_axes(walk: Walk, case: str):
    """From the file's grid to the screen's; all scans of the walk are stored alike."""
    return walk.session.study.scan.axes


def export(walk: Walk, folder: Path) -> None:
    """Press Export and use the dialog that opens."""
    folder.mkdir()
    seen: list[str] = []

    def use() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QFileDialog):
            QTimer.singleShot(200, use)
            return
        seen.append(dialog.windowTitle())
        name = dialog.findChild(QLineEdit)
        name.setText(str(folder))
        walk.wait(0.5)
        walk.top.screen().grabWindow(0).save(str(walk.out / "study-12-export.png"))
        choose = next(b for b in dialog.findChildren(QPushButton) if b.isDefault() or "hoose" in b.text())
        QTest.mouseClick(choose, Qt.MouseButton.LeftButton)

    QTimer.singleShot(300, use)
    walk.press("Export")
    walk.until(lambda: (folder / "model.safetensors").is_file() and not walk.session.jobs.active, 120)
    log.info("exported by the dialog '%s': %s", seen, sorted(path.name for path in folder.iterdir()))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / max(1, np.count_nonzero(a) + np.count_nonzero(b)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--theme", choices=["dark", "light"], default="dark")
    parser.add_argument("--scenes", nargs="+", choices=["scan", "study"], default=["scan", "study"])
    parser.add_argument("--images", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--count", type=int, default=6)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    made = Path(tempfile.mkdtemp())
    os.environ.setdefault("MEDSEG_PREFERENCES", str(made / "preferences.json"))
    os.environ.setdefault("XDG_DATA_HOME", str(made / "data"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    truths = cohort(made / "scans", options.images, options.labels, options.count) if "study" in options.scenes else {}
    walk = Walk(options.out, "brain1" if "scan" in options.scenes else None)
    walk.viewer.theme = options.theme
    walk.session.rename_class(1, "Tumour" if "scan" in options.scenes else "Organ")
    if "scan" in options.scenes:
        single(walk)
        walk.viewer.layers.clear()
        walk.wait(1)
    if truths:
        study(walk, made, truths)
    walk.viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
