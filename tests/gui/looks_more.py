"""Screens of `looks_walk.py` that want more than a scan: reviews, reports, exports, long work, and all that the Guide and the Cases dock may have to say."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import blinded_walk
import numpy as np
import refine_walk
import review_walk
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_medseg import errors, io
from napari_medseg.catalogue import shipped
from napari_medseg.gui.cases_dock import CasesDock
from napari_medseg.session import study_export
from napari_medseg.session.jobs import Looked
from napari_medseg.session.pictures import Found
from napari_medseg.session.study_state import Locked

if TYPE_CHECKING:
    from looks_walk import Looks

PATIENT = "HCC_011 arterial phase thin slices 0.6 mm reconstructed B30f follow-up 2.nii.gz"
SAYINGS: dict[str, Callable[[], errors.MedsegError]] = {
    "grid": lambda: errors.GridMismatchError(
        "lies on another grid than its scan (512x512x60 at 0.7x0.7x5.0 mm, not 512x512x120 at 0.7x0.7x2.5 mm)", where=PATIENT,
        todo="Resample it with `medseg convert --like SCAN`, or open the scan it was drawn on",
    ),
    "no-disk": lambda: errors.UnwritableFileError("could not be written (No space left on device)", where=PATIENT, todo="Make room, or choose another folder"),
    "taken-over": lambda: errors.CaseClaimedError(
        "was taken over by Dr. Benedetta Castellanos-Whitmore while this computer did not answer", where=PATIENT,
        todo="What you drew since the last version is kept as unsaved work of yours; open the case again when it is free",
    ),
    "server": lambda: errors.RemoteError(
        "did not answer within 30 s", where="https://gpu-room-3.example.org:8433", todo="Ask whoever runs it whether it is on, or choose this computer",
    ),
    "no-room": lambda: errors.NoRoomError(
        "needs 9.4 GB of memory, and 6.1 GB are free", where="Your refined model", todo="Close other scans, or choose a cheaper engine",
    ),
}


def review(walk: Looks) -> None:
    """Statistics, diameters, rulers, agreement, comparison with every chart, rounds that were kept."""
    session, scan = walk.session, walk.need_scan("brain1")
    tumour = scan.axes.apply(io.read_labels(shipped("sample_data") / "brain1_tumour.nii.gz").array).astype(np.uint8)
    session.add_class("Bright")
    both = tumour.copy()
    both[(scan.display.array > np.percentile(scan.display.array, 98)) & (tumour == 0)] = 2
    session.adopt_labels(scan, both)
    walk.tab("Review")
    walk.page("statistics")
    walk.until(lambda: session.reviewing.statistics.of(scan) is not None, 60)
    walk.picture("60-statistics")
    table = walk.review.page("statistics").table
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, table.visualItemRect(table.item(0, 1)).center())
    walk.wait(2)
    walk.picture("60-diameters")
    walk.page("rulers")
    walk.canvas.setFocus()
    z, y, x = (size // 2 for size in scan.display.geometry.shape)
    for key, voxels in ((Qt.KeyboardModifier.ShiftModifier, ((z, y, x - 40), (z, y + 20, x + 40))),
                        (Qt.KeyboardModifier.AltModifier, ((z, y - 40, x), (z, y - 20, x + 30), (z, y - 50, x + 50)))):
        QTest.keyClick(walk.canvas, Qt.Key.Key_R, key)
        walk.wait(0.5)
        for voxel in voxels:
            walk.click_on_plane(voxel)
    walk.picture("60-rulers")
    session.set(tool="")
    review_walk.agreement(walk, both)
    review_walk.comparison(walk)
    review_walk.rounds(walk)


def blinded(walk: Looks) -> None:
    """A review from its form to its result, in the window for it."""
    made, found = Path(tempfile.mkdtemp()), walk.session.reviewing.blinded
    walk.tab("Review")
    walk.page("blinded")
    images, a, b = blinded_walk.scans(made)
    found.change(source="folders", images=images, a=a, b=b, keep=made / "review", slices=4, kind="slices")
    walk.picture("70-form")
    walk.press("Plan the review")
    walk.until(lambda: found.chosen is not None or walk.session.trouble, 120)
    found.name_rater("Ann")
    walk.picture("71-planned")
    found.start()
    up = lambda: found.sitting is not None and found.sitting._is_up  # noqa: E731
    walk.until(up, 60)
    window = next(w for w in QApplication.topLevelWidgets() if w.objectName() == "blindedReview")
    walk.picture("72-question")
    QTest.keyClick(window, Qt.Key.Key_F)
    walk.picture("73-filled")
    for key in (Qt.Key.Key_A, Qt.Key.Key_Z):
        QTest.keyClick(window, key)
        walk.wait(1)
    window.note.setText("Both leave out the rim of the lesion.")
    walk.picture("74-one-back")
    QTest.keyClick(window, Qt.Key.Key_Return)
    for key in (Qt.Key.Key_S, Qt.Key.Key_D, Qt.Key.Key_A, Qt.Key.Key_A):
        walk.wait(1)
        if up():
            QTest.keyClick(window, key)
    walk.wait(1)
    walk.picture("75-thanks")
    QTest.keyClick(window, Qt.Key.Key_Return)
    walk.until(lambda: found.summary is not None, 60)
    walk.picture("76-result")
    window.close()
    walk.wait(1)
    walk.picture("77-result-in-tab")


def training(walk: Looks) -> None:
    """Slices marked right, the rest proposed, a training before, during and after it is stopped."""
    walk.need_scan("brain1")
    walk.session.rename_class(1, "Tumour")
    refine_walk.single(walk)


def long_work(walk: Looks) -> None:
    """A job of minutes whose end is known, one whose end is not, and how both ended."""
    walk.need_scan()
    jobs = walk.session.jobs
    for name, fraction in (("known", 0.37), ("unknown", None)):
        end = threading.Event()

        def work(end: threading.Event = end, fraction: float | None = fraction) -> Iterator[Looked]:
            while not end.wait(0.2):
                yield Looked(fraction, f"Wrote {PATIENT}")

        jobs.start("export labels", "Exporting verified labels", work, apply=lambda _: None, done=lambda: None, failed=walk.session.report, own_thread=True)
        walk.wait(2)
        walk.picture(f"80-work-{name}")
        end.set()
        walk.until(lambda: not jobs.active, 30)
    walk.picture("80-work-ended")


def sayings(walk: Looks) -> None:
    """Long faults in the Guide, and a shared study's boxes above the cases."""
    session, study = walk.session, walk.session.study
    walk.need_scan()
    for name, make in SAYINGS.items():
        session.report(make())
        walk.picture(f"81-said-{name}")
    session.set(tab="weak")
    session.add_class("Left lobe of the liver with everything that touches the portal vein")
    walk.picture("82-long-class")
    scan = session.current
    picture = np.repeat(np.clip(scan.display.array[len(scan.display.array) // 2, ..., None] / 4 + 128, 0, 255).astype(np.uint8), 3, axis=2)
    study.found = [Found("0001", PATIENT, datetime.now(UTC), 48210, 41.2, picture)]
    session.changed.emit()
    walk.picture("83-unsaved-found")
    cases(walk).unsaved.discard.click()
    walk.picture("83-discard-asks")
    study.found = []
    study.locked = Locked(Path(), "Hepatocellular carcinoma, second reading: is open on reading-room-2 (Ben, since 09:14). Close it there first.")
    session.changed.emit()
    walk.picture("84-locked")
    study.locked = None
    session.changed.emit()


def after_study(walk: Looks) -> None:
    """Of an open study: the report and its result, the form of export and what it wrote, a version's name, and a case that somebody else has."""
    session, study, dock = walk.session, walk.session.study, cases(walk)
    walk.tab("Review")
    walk.page("report")
    walk.picture("90-report")
    session.reviewing.run()
    walk.until(lambda: session.reviewing.reporting.made is not None or session.trouble, 120)
    walk.picture("91-report-made")
    walk.dialog("92-export", lambda: dock.menu.menu().aboutToShow.emit() or export_entry(dock).trigger())
    study_export.export(session, Path(tempfile.mkdtemp()), ".seg.dcm", ".nii.gz")
    walk.until(lambda: not session.jobs.active, 120)
    walk.picture("93-exported")
    session.notice = ""
    session.set(tab="weak")
    dock._on_naming()
    walk.picture("94-name-a-version")
    dock.history.fold.setChecked(False)
    dock.name.ask()
    walk.picture("95-your-name")
    dock.name.field.setText("Ann")
    dock.name._on_kept()
    study.taken = "Dr. Benedetta Castellanos-Whitmore"
    session.changed.emit()
    walk.picture("96-taken")
    study.taken = ""
    study.saved = "failed"
    session.changed.emit()
    walk.picture("97-not-saved")
    study.saved = "saved"
    for name, press in (("98-new-study", dock._on_new), ("98-open-study", dock._on_open), ("98-add-files", dock._on_add_files)):
        walk.dialog(name, press)
    walk.dialog("99-save-labels", walk.dock.labels._on_save)


def export_entry(dock: CasesDock):
    """DICOM SEG and NIfTI, of the Study menu."""
    entry = next(action for action in dock.menu.menu().actions() if action.text().startswith("Export verified labels"))
    return entry.menu().actions()[0]


def cases(walk: Looks) -> CasesDock:
    return next(w for w in QApplication.allWidgets() if isinstance(w, CasesDock))
