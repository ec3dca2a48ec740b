"""Three people from an empty home folder to a verified label as DICOM SEG and NIfTI, in the real window by pointer and keys; needs a display, a window
manager and xdotool.

    python tests/gui/people_walk.py radiologist OUT_FOLDER [--theme light] [--cases 12] [--updates 60]

"radiologist": a DICOM folder, no terminal. "annotator": many cases in a study, by keys as far as they go. "researcher": came from the napari hub with a
picture of their own, wants a network trained and a figure. Where they click is what the simulated annotator, who knows the truth, would click.
Each writes a picture a state, and in walk-THEME.json what was clicked, pressed, typed and waited for, and what the Guide left unanswered.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from driving import Driver
from scipy import ndimage as ndi

from napari_medseg import io
from napari_medseg.catalogue import shipped
from napari_medseg.session import next_step
from napari_medseg.testing import annotator
from napari_medseg.volume import Geometry, orient

log = logging.getLogger("walkthrough")
HOME = "MEDSEG_WALK_HOME"
RECIPE = """parts:
  - id: medseg
    kind: recipe
    title: medseg, {updates} updates
    summary: Fewer updates than it needs.
    factory: napari_medseg.refine.medseg.recipe:medseg
    licence: BSD-3-Clause
    parameters: {{updates: {updates}}}
"""


def dice(found: Any, truth: Any) -> float:
    return float(2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1))


def truth_of(name: str) -> np.ndarray:
    return np.asarray(orient(io.read_labels(shipped("sample_data") / name)).array) > 0


def chest_ct(folder: Path) -> None:
    """The sample chest CT as a scanner would store it."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from dicom_series import save_series

    scan = io.read(shipped("sample_data") / "lung2_crop_ct.nii.gz")
    save_series(folder, np.clip(np.asarray(scan.array) + 1024, 0, 4095).astype(np.uint16), scan.geometry)


def radiologist(out: Path, theme: str, home: Path, count: int) -> dict[str, Any]:
    """One patient's chest CT; a tumour is outlined, checked and given on."""
    from napari_medseg.gui.launch import open_window

    chest_ct(home / "Chest CT")
    truth = truth_of("lung2_crop_tumour.nii.gz")
    walk = Driver(out, open_window(), theme)
    walk.state("start")
    walk.press("Understood")
    walk.answer("Chest CT")
    walk.press("DICOM folder")
    walk.until(lambda: walk.session.current is not None and not walk.session.current.arriving)
    walk.state("opened")
    walk.tab("Segment")
    walk.state("segment")
    scan = walk.session.current
    for number in range(6):
        now = scan.preview.labels > 0 if scan.preview is not None else np.zeros(truth.shape, bool)
        if dice(now, truth) > 0.88:
            break
        voxel, sign = annotator.next_click(truth, now, scan.display.geometry.spacing)
        walk.click_voxel(tuple(voxel), "shift" if sign < 0 else "")
        if not number:
            walk.state("first-click")
        walk.until(lambda: not walk.session.jobs.active)
        log.info("Dice %.3f", dice(scan.preview.labels > 0, truth))
    walk.state("outlined")
    walk.key("K")
    walk.state("accepted")
    walk.answer("Chest")
    walk.press("New study")
    walk.until(lambda: walk.session.study.current)
    walk.until(lambda: walk.session.study.saved == "saved")
    walk.state("study")
    walk.key("Ctrl+Shift+K")
    walk.until(lambda: walk.session.study.cases[0].status == "verified")
    walk.state("verified")
    export(walk, home)
    found = io.read_labels(home / "given" / "case-0001.nii.gz")
    return walk.report(dice=dice(np.asarray(orient(found).array) > 0, truth), seg_is_nifti=same_voxels(home))


def same_voxels(home: Path) -> list[bool]:
    """Of every case that was exported, whether DICOM SEG and NIfTI hold the same voxels, and any."""
    told = []
    for path in sorted((home / "given").glob("*.nii.gz")):
        found = io.read_labels(path)
        segmented = io.read_labels(path.with_name(path.name.replace(".nii.gz", ".seg.dcm")), like=found.geometry)
        told.append(bool((found.array > 0).any() and np.array_equal(found.array > 0, segmented.array > 0)))
    return told


def export(walk: Driver, home: Path) -> None:
    """Both formats at one go, by the Study menu."""
    (home / "given").mkdir()
    walk.answer("given")
    walk.choose("Study", "Export verified labels", "DICOM SEG and NIfTI")
    walk.until(lambda: (job := walk.session.jobs.of("export labels")) is not None and not job.is_active, 300)
    walk.state("exported")


def cohort(folder: Path, count: int) -> list[np.ndarray]:
    """Made MR-like scans with a bright ellipsoid each, a DICOM folder a patient, and the truth on the display grid."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from dicom_series import save_series

    truths, spacing = [], (3.0, 1.5, 1.5)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        place = np.indices((20, 56, 56)) * np.reshape(spacing, (3, 1, 1, 1))
        centre, radii = rng.uniform((24, 36, 36), (36, 48, 48)), rng.uniform(13, 19, 3)
        truth = (((place - centre.reshape(3, 1, 1, 1)) / radii.reshape(3, 1, 1, 1)) ** 2).sum(0) < 1
        noisy = ndi.gaussian_filter(rng.normal(0, 60, truth.shape) + 110 * truth, 0.7) + 1064
        save_series(folder / f"patient {seed + 1:02d}", noisy.astype(np.uint16), Geometry(truth.shape, spacing), uid=f"1.2.3.{seed + 101}")
        truths.append(truth)
    return truths


def begin_study(walk: Driver, name: str, scans: str, count: int) -> None:
    """A new study, and the scans of a folder in it."""
    walk.press("Understood")
    walk.answer(name)
    walk.press("New…")
    walk.until(lambda: walk.session.study.is_open and not walk.session.study.busy)
    walk.state("new-study")
    walk.answer(scans)
    walk.choose("+ Add", "Folder")
    walk.until(lambda: len(walk.session.study.cases) == count and not walk.session.study.busy)
    walk.state("added")


def label_case(walk: Driver, truth: np.ndarray, *, shown: bool = False) -> float:
    """Seeds, grow, accept; returns the overlap with the truth. `shown`: with a picture of every state."""
    session = walk.session
    scan = session.current
    truth = np.asarray(scan.axes.apply(truth.astype(np.uint8))) > 0
    if walk.guide()[1] == "Q":  # the tool stays in the hand from case to case
        walk.key("Q")
    if shown:
        walk.state("seeds-on")
    for voxel in annotator.seeds(truth, scan.display.geometry.spacing)[:3]:
        walk.click_voxel(tuple(voxel))
    if shown:
        walk.state("seeds")
    walk.key("G")
    walk.until(lambda: scan.preview is not None and not scan.preview.is_empty)
    if shown:
        walk.state("growing")
    walk.until(lambda: not session.jobs.active)
    if shown:
        walk.state("grown")
    walk.key("K")
    if shown:
        walk.state("case-accepted")
    return dice(scan.labels > 0, truth)


def next_case(walk: Driver, number: int) -> None:
    walk.key("N")
    walk.until(lambda: walk.session.study.current == f"case-{number + 1:04d}" and not walk.session.study.busy)


def verify(walk: Driver) -> None:
    case = walk.session.study.current
    walk.key("Ctrl+Shift+K")
    walk.until(lambda: walk.session.study.case(case).status == "verified")


def annotate(out: Path, theme: str, home: Path, count: int) -> dict[str, Any]:
    """Cases of a study, one after the other."""
    from napari_medseg.gui.launch import open_window

    truths = cohort(home / "scans", count)
    walk = Driver(out, open_window(), theme)
    walk.state("start")
    begin_study(walk, "Livers", "scans", count)
    overlaps, seconds = [], []
    for number, truth in enumerate(truths):
        before = walk.seconds()
        next_case(walk, number)
        if number == 0:
            walk.state("first-case")
        overlaps.append(label_case(walk, truth, shown=number == 0))
        verify(walk)
        if number in (0, count - 1):
            walk.state("case-verified")
        seconds.append(walk.seconds() - before)
    export(walk, home)
    return walk.report(cases=count, dice=[round(each, 3) for each in overlaps], seconds_a_case=[round(each, 1) for each in seconds],
                       seg_is_nifti=same_voxels(home))


def research(out: Path, theme: str, home: Path, count: int) -> dict[str, Any]:
    """A picture of their own is open in napari; then a network is trained on a few scans, and a figure made."""
    import napari

    own = orient(io.read(shipped("sample_data") / "lung2_crop_ct.nii.gz"))
    truth, truths = truth_of("lung2_crop_tumour.nii.gz"), cohort(home / "scans", count)
    viewer = napari.Viewer()
    viewer.window._qt_window.showMaximized()
    viewer.add_image(np.asarray(own.array), name="my stack", scale=own.geometry.spacing)
    walk = Driver(out, viewer, theme)
    walk.picture("00-napari")
    walk.menu("Plugins", "Medseg", "Medseg")
    walk.state("own-layer")
    walk.press("Understood")
    label_case(walk, truth, shown=True)
    walk.answer("mine")
    walk.press("Save")
    walk.until(lambda: (home / "mine.nii.gz").exists())
    walk.state("saved")
    walk.answer("Ellipsoids")
    walk.press("New study")
    walk.until(lambda: walk.session.study.is_open and not walk.session.study.busy)
    walk.state("study-begun")
    walk.answer("scans")
    walk.choose("+ Add", "Folder")
    walk.until(lambda: len(walk.session.study.cases) == count and not walk.session.study.busy)
    walk.state("scans-added")
    overlaps = []
    for number, each in enumerate(truths):
        next_case(walk, number)
        overlaps.append(label_case(walk, each))
        if number < 2:
            verify(walk)
    walk.tab("Refine")
    walk.state("refine")
    walk.key("G")
    walk.until(lambda: walk.session.refining.is_training)
    walk.state("training")
    before = walk.waited
    walk.until(lambda: not walk.session.refining.is_training, 3600)
    trained = walk.waited - before
    walk.state("trained")
    settle_round(walk)
    verify(walk)
    walk.state("all-verified")
    walk.choose("Study", "Make a report")
    walk.until(lambda: walk.session.reviewing.reporting.made is not None, 300)
    walk.state("report")
    export(walk, home)
    return walk.report(cases=count, dice=[round(each, 3) for each in overlaps], report=str(walk.session.reviewing.reporting.target),
                       seg_is_nifti=same_voxels(home), training_s=round(trained, 1), person_without_training_s=round(walk.seconds() - trained, 1))


def settle_round(walk: Driver) -> None:
    """What the Guide says of a round that came: its proposal is accepted or discarded, and it is adopted where that is offered."""
    if walk.session.current.preview is not None:
        walk.key(walk.guide()[1])
        walk.state("settled")
    if next_step(walk.session).action == "adopt":
        walk.press("Adopt")
        walk.until(lambda: walk.session.refining.in_use and not walk.session.study.busy)
        walk.state("adopted")


PEOPLE = {"radiologist": radiologist, "annotator": annotate, "researcher": research}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("person", choices=sorted(PEOPLE))
    parser.add_argument("out", type=Path)
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--cases", type=int, help="of the study; by default 12 for the annotator and 4 for the researcher")
    parser.add_argument("--updates", type=int, help="of the researcher's network, by a catalogue of their own; by default as many as the recipe takes")
    options = parser.parse_args()
    out = options.out.resolve()
    if HOME not in os.environ:  # napari and Qt look for the home folder when they are imported
        with tempfile.TemporaryDirectory() as home:
            own = {**os.environ, HOME: home, "HOME": home, "USERPROFILE": home}
            if options.updates:
                own["MEDSEG_PLUGINS"] = str(Path(home) / "plugins.yaml")
                Path(own["MEDSEG_PLUGINS"]).write_text(RECIPE.format(updates=options.updates), encoding="utf-8")
            more = ["--cases", str(options.cases)] if options.cases else []
            words = [sys.executable, str(Path(__file__).resolve()), options.person, str(out), "--theme", options.theme, *more]
            return subprocess.run(words, env=own, cwd=home, check=False).returncode
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    PEOPLE[options.person](out, options.theme, Path(os.environ[HOME]), options.cases or (12 if options.person == "annotator" else 4))
    import napari

    napari.current_viewer().close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
