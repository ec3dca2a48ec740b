"""Walk through the Review tab in the real window and save a picture of every stage: statistics, rulers on two planes, agreement, comparison.

    python tests/gui/review_walk.py OUT_FOLDER [--theme light]

It needs a display. The sample head MR with its tumour; clicks and keys as a person gives them.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox
from walkthrough import Walk

from napari_medseg import io
from napari_medseg.annotation import LabelMap
from napari_medseg.catalogue import shipped
from napari_medseg.gui.review_tab import ReviewTab
from napari_medseg.io import read_labels
from napari_medseg.refine import RefineResult, RoundFigures
from napari_medseg.refine.result import ZeroShot
from napari_medseg.session.refining_runs import runs_folder
from napari_medseg.session.run_notes import RunNotes
from napari_medseg.volume import Geometry, Volume

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
    walk.until(lambda: walk.dock.desk.rulers.layers.of(scan) is not None, 60)
    walk.wait(3)
    walk.picture("3-diameters")
    log.info("%d vectors drawn", len(walk.dock.desk.rulers.layers.of(scan)[1].data))
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
    session.set(tool="")
    agreement(walk, both)
    comparison(walk)
    rounds(walk)
    walk.viewer.close()
    return 0


def agreement(walk: Review, truth: np.ndarray) -> None:
    """Three people's labels of the sample: compared, walked through, and a consensus shown."""
    session, scan = walk.session, walk.session.current
    made = Path(tempfile.mkdtemp())
    walk.page("agreement")
    walk.picture("8-agreement-empty")
    files = []
    for person, shift in (("Ann", 0), ("Ben", 3), ("Cat", -2)):
        files.append(made / f"{person}.nii.gz")
        io.write(Volume(scan.axes.undo(np.roll(truth, shift, axis=2)), scan.geometry, name=person), files[-1])
    session.reviewing.agreement.add(files)
    walk.wait(0.5)
    walk.press("Compare")
    walk.until(lambda: session.reviewing.agreement.of(scan) is not None and not session.jobs.active, 60)
    walk.key(Qt.Key.Key_J)
    walk.picture("9-agreement")
    walk.press("Show consensus")
    walk.until(lambda: scan.preview is not None and scan.preview.title.startswith("consensus"), 60)
    walk.wait(3)
    walk.picture("10-consensus")
    walk.press("Discard")


def comparison(walk: Review) -> None:
    """Two rounds over twelve made cases: the verdict, a group that got worse, every chart."""
    session, made = walk.session, Path(tempfile.mkdtemp())
    walk.page("compare")
    walk.picture("11-compare-empty")
    grid, rng = Geometry((12, 40, 40), (3.0, 1.0, 1.0)), np.random.default_rng(0)
    for name in ("round1", "round2", "truth", "chances"):
        (made / name).mkdir()
    rows = ["case,scanner"]
    z, y, x = np.indices(grid.shape)
    for number in range(12):
        case, radius = f"patient {number:02d}", rng.uniform(8, 15)
        rows.append(f"{case},{'old' if number > 8 else 'new'}")
        away = np.sqrt(((z - 6) * 3.0) ** 2 + (y - 20) ** 2 + (x - 20) ** 2)
        change = rng.uniform(0.5, 1.5) if number <= 8 else -rng.uniform(0.5, 1.0)
        for name, size in (("truth", 0.0), ("round1", 2.5), ("round2", 2.5 - change)):
            io.write(Volume((away < radius + size).astype(np.uint8), grid, name=case), made / name / f"{case}.nii.gz")
        chance = 1 / (1 + np.exp((away - radius - 1.5) / 1.2 + rng.normal(0, 0.4, grid.shape)))
        io.write(Volume(chance.astype(np.float32), grid, name=case), made / "chances" / f"{case}.nii.gz")
    (made / "groups.csv").write_text("\n".join(rows), "utf-8")
    model = session.reviewing.comparing
    model.choose(models=(made / "round1", made / "round2"), truth=made / "truth", probabilities=made / "chances", groups=made / "groups.csv")
    walk.wait(0.5)
    walk.press("Compare")
    walk.until(lambda: model.comparison is not None and not session.jobs.active, 120)
    page = walk.review.page("compare")
    area = walk.review.parent().parent()
    for at in range(page.chart.count()):
        page.chart.setCurrentIndex(at)
        page.refresh()
        walk.wait(0.5)
        area.verticalScrollBar().setValue(0 if at == 0 else area.verticalScrollBar().maximum())
        walk.picture(f"12-compare-{at}")
    area.verticalScrollBar().setValue(area.verticalScrollBar().maximum())
    page.slider.setValue(80)
    walk.picture("13-threshold")


def rounds(walk: Review) -> None:
    """A study with a refinement of two rounds: its rounds compared, and what is shown kept."""
    session, made = walk.session, Path(tempfile.mkdtemp())
    study, grid = session.study, Geometry((12, 40, 40), (3.0, 1.0, 1.0))
    z, y, x = np.indices(grid.shape)
    away = np.sqrt(((z - 6) * 3.0) ** 2 + (y - 20) ** 2 + (x - 20) ** 2)
    for number in range(8):
        io.write(Volume((100 - away - number).astype(np.int16), grid), made / f"patient {number}.nii.gz")
    study.create(made / "Rounds")
    walk.until(lambda: study.is_open, 60)
    study.add(sorted(made.glob("*.nii.gz")))
    walk.until(lambda: len(study.cases) >= 8 and not study.busy, 60)
    walk.wait(3)  # what is read beside the window tells of the cases once more
    project, out = study.project, runs_folder(session) / "walk"
    ids = [case.id for case in study.cases if case.name.startswith("patient")]
    for number, case in enumerate(ids):
        project.save(case, LabelMap((away < 12 + number % 3).astype(np.uint8), grid), kind="weak", tool="levelset")
        for step in (1, 2):
            (out / f"round{step}").mkdir(parents=True, exist_ok=True)
            io.write(Volume((away < 12 + number % 3 - (1, 0.3 * number)[step - 1]).astype(np.uint8), grid), out / f"round{step}" / f"{case}.nii.gz")
        project.save(case, LabelMap((away < 10.5).astype(np.uint8), grid), kind="verified", tool="brush")
    figures = tuple(RoundFigures(step, 40, 12.0, 0.2, 1.05) for step in range(3))
    (out / "rounds.json").write_text(json.dumps(RefineResult(figures, 2, {}, None, ZeroShot(), 40).as_dict()), encoding="utf-8")
    RunNotes("2026-01-01 10:00:00", "medseg", 2, dict.fromkeys(ids, 1)).write(out)
    study.cases = project.cases()
    model, page = session.reviewing.comparing, walk.review.page("compare")
    model.choose(models=(), truth=None, groups=None, probabilities=None)
    page.choices.head.setChecked(True)
    area = walk.review.parent().parent()
    area.verticalScrollBar().setValue(0)
    walk.picture("14-rounds-empty")
    page.rounds.click()
    walk.until(lambda: len(model.choices.models) == 3, 60)
    walk.wait(0.5)
    walk.picture("15-rounds-added")
    page.run.click()
    walk.until(lambda: model.comparison is not None and model.comparison.models[0] == "labels given" and not session.jobs.active, 60)
    walk.wait(0.5)
    page.keep.click()
    walk.until(lambda: model.is_kept, 60)
    walk.wait(0.5)
    walk.picture("16-rounds-kept")
    log.info("kept: %s", [run.kind for run in project.runs()])


if __name__ == "__main__":
    sys.exit(main())
