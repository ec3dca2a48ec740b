"""Take the pictures of the manual from the real window, by the pointer and the keys; needs a display of 1366x768, a window manager and xdotool.

    Xvfb :77 -screen 0 1366x768x24 & DISPLAY=:77 openbox & DISPLAY=:77 python docs/screenshots.py [--only tutorial]

Every picture goes to docs/images/NAME.png with a palette of 256 colours. Look at each before it is committed: what is ugly there is ugly for everybody.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
IMAGES = HERE / "images"
COLOURS = 256  # taken so that small spots keep theirs and greys stay grey
BALL_MM = 9.0
PICTURES = {
    "tutorial": ("start", "scan", "seeds", "limit", "growing", "grown", "corrected", "accepted", "measured", "views"),
    "tasks": ("clicks", "scribbles", "refine", "study"),
}
"""What each tour takes, in its order; a test compares them with what the pages name."""

log = logging.getLogger("screenshots")


class Tour:
    """A walk that leaves pictures.

    Parameters
    ----------
    driver : tests/gui/driving.Driver
    names : of the pictures, in the order they are taken
    """

    def __init__(self, driver: Any, names: tuple[str, ...]) -> None:
        self.driver, self._left = driver, list(names)

    def picture(self, name: str) -> None:
        """The window as it is now."""
        from PIL import Image

        if self._left.pop(0) != name:
            raise RuntimeError(f"{name} is taken out of order")
        session = self.driver.session
        self.driver.until(lambda: not session.preparing, 120)
        aside()
        self.driver.wait(0.8)
        self.driver.picture("now")
        with Image.open(self.driver.out / f"now-{self.driver.theme}.png") as shot:
            small = shot.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
            small.save(IMAGES / f"{name}.png", optimize=True)
        log.info("%s.png, %d kB: %s", name, (IMAGES / f"{name}.png").stat().st_size // 1024, self.driver.guide()[0])

    def settled(self) -> None:
        """Wait until nothing runs."""
        session = self.driver.session
        self.driver.wait(0.4)
        self.driver.until(lambda: session.job is None or not session.job.is_active, 180)


def tutorial(tour: Tour) -> None:
    """The tumour of the sample chest CT, from the first launch to its volume."""
    import numpy as np

    from napari_medseg.testing import annotator

    driver, truth = tour.driver, _truth("lung2_crop_tumour.nii.gz")
    tour.picture("start")
    _dismiss_notice(driver)
    driver.press("Lung CT")
    driver.until(lambda: driver.session.current is not None, 60)
    driver.wait(2)
    driver.session.rename_class(1, "Tumour")
    spacing = driver.session.current.display.geometry.spacing
    tour.picture("scan")
    driver.tab("Weak label")
    driver.press("Add seeds")
    for voxel in annotator.seeds(truth, spacing):
        driver.click_voxel(tuple(voxel))
    tour.picture("seeds")
    driver.press("Limit")
    if driver.session.tool != "limit":
        driver.press("Paint limit")
    _brush(driver, BALL_MM)
    hand = annotator.hand_mask(truth, spacing)
    slices = np.flatnonzero(truth.any((1, 2)))
    for z in sorted({*slices[1::2], slices[-2]}):
        driver.drag([(int(z), y, x) for y, x in _rough_lines(hand[z], spacing[1:])])
    driver.to_slice(int(slices[len(slices) // 2]))
    tour.picture("limit")
    scan = driver.session.current
    driver.press("Grow")
    driver.until(lambda: scan.preview is not None and not scan.preview.is_empty, 60)
    tour.picture("growing")
    tour.settled()
    tour.picture("grown")
    if driver.session.mode != "levelset":
        driver.dock.desk.enter_mode("levelset")
        driver.wait(0.5)
    driver.key("Shift+O")
    for _ in range(3):
        found = scan.preview.labels > 0
        inner = np.where(np.isin(np.arange(len(truth)), slices[3:-3])[:, None, None], truth, found)  # where a picture shows it well
        click = annotator.next_click(inner, found, spacing)
        if click is None:
            break
        driver.click_voxel(tuple(click[0]), "shift" if click[1] < 0 else "")
        tour.settled()
    tour.picture("corrected")
    driver.key("K")
    driver.wait(1)
    driver.to_slice(int(slices[len(slices) // 2]))
    tour.picture("accepted")
    driver.tab("Review")
    driver.wait(3)
    _first_row(driver, "mm")
    tour.picture("measured")
    driver.press("2×2")
    driver.wait(6)
    tour.picture("views")


def tasks(tour: Tour) -> None:
    """One picture for each of the other ways of working."""
    from napari_medseg.testing import annotator

    driver, truth = tour.driver, _truth("brain1_tumour.nii.gz")
    _dismiss_notice(driver)
    driver.press("Brain MR")
    driver.until(lambda: driver.session.current is not None, 60)
    driver.wait(2)
    driver.session.rename_class(1, "Tumour")
    scan = driver.session.current
    spacing = scan.display.geometry.spacing
    driver.tab("Segment")
    driver.wait(1)
    found = None
    for _ in range(3):
        click = annotator.next_click(truth, truth & False if found is None else found, spacing)
        if click is None:
            break
        if click[1] < 0:
            driver.key("Q")
        driver.click_voxel(tuple(click[0]))
        if click[1] < 0:
            driver.key("Q")
        driver.until(lambda: scan.preview is not None and scan.preview.finished, 120)
        tour.settled()
        found = scan.preview.labels > 0
    tour.picture("clicks")
    driver.key("Shift+K")
    driver.tab("Weak label")
    driver.dock.desk.enter_mode("scribbles")
    driver.wait(0.5)
    if driver.session.tool != "scribbles":
        driver.press("Draw strokes")
    strokes = annotator.first_strokes(truth, spacing)
    for value in (1, 255):
        z, line = _longest_line(strokes == value)
        if value == 255:
            driver.key("Q")
        driver.drag([(z, y, x) for y, x in line])
        tour.settled()
    tour.picture("scribbles")
    driver.until(lambda: scan.preview is not None and scan.preview.finished, 60)
    driver.key("K")
    driver.wait(1)
    driver.tab("Refine")
    driver.wait(1)
    tour.picture("refine")
    _study(driver)
    tour.picture("study")


def _study(driver: Any) -> None:
    from napari_medseg.catalogue import shipped

    folder = Path(tempfile.mkdtemp(prefix="medseg-pictures-")) / "Tumours"
    driver.session.study.set_user("Ann")
    study = driver.session.study
    study.create(folder)
    driver.until(lambda: len(study.cases) == 1)
    for count, name in ((2, "lung2_crop_ct.nii.gz"), (3, "breast1_image.nrrd")):
        study.add([shipped("sample_data") / name])
        driver.until(lambda count=count: len(study.cases) == count)
    driver.wait(6)


def _truth(name: str) -> Any:
    from napari_medseg.catalogue import shipped
    from napari_medseg.io import read_labels
    from napari_medseg.volume import orient

    return orient(read_labels(shipped("sample_data") / name)).array > 0


def _dismiss_notice(driver: Any) -> None:
    try:
        driver.press("Understood")
    except LookupError:
        log.info("no notice to put away")


def _first_row(driver: Any, heading: str) -> None:
    """Click on the first row of the table in sight that has a column of this name."""
    from qtpy.QtWidgets import QTableWidget

    for table in driver.dock.findChildren(QTableWidget):
        headings = [item.text() for i in range(table.columnCount()) if (item := table.horizontalHeaderItem(i)) is not None]
        if table.isVisible() and heading in headings:
            driver.click(table.viewport(), table.visualItemRect(table.item(0, 1)).center())
            driver.wait(4)
            return
    raise LookupError(f"no table with {heading}")


def _brush(driver: Any, radius_mm: float) -> None:
    from dataclasses import replace

    driver.session.set(limit_brush=replace(driver.session.limit_brush, radius_mm=radius_mm))
    driver.wait(0.3)


def _rough_lines(hand: Any, spacing: Any) -> list[tuple[int, int]]:
    """Lines to and fro over one slice of what a hurried hand would paint."""
    import numpy as np
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(hand, 1), sampling=spacing)[1:-1, 1:-1]
    inside = depth >= min(BALL_MM, 0.8 * depth.max())
    rows = np.flatnonzero(inside.any(1))
    path: list[tuple[int, int]] = []
    for count, y in enumerate(sorted({*range(int(rows[0]), int(rows[-1]) + 1, max(1, round(BALL_MM / 2 / spacing[0]))), int(rows[-1])})):
        xs = np.flatnonzero(inside[y])
        if len(xs):
            row = np.linspace(xs[0], xs[-1], max(2, len(xs) // 6))
            path += [(y, round(x)) for x in (row if count % 2 == 0 else row[::-1])]
    return path


def _longest_line(strokes: Any) -> tuple[int, list[tuple[int, int]]]:
    """The slice with most of a stroke, and some of its voxels from end to end."""
    import numpy as np

    z = int(strokes.sum((1, 2)).argmax())
    drawn = np.argwhere(strokes[z])
    along = int(np.ptp(drawn, axis=0).argmax())
    places = sorted(((int(y), int(x)) for y, x in drawn), key=lambda place: place[along])
    return z, places[:: max(1, len(places) // 12)]


def aside() -> None:
    """Put the pointer where it hides nothing."""
    subprocess.run(["xdotool", "mousemove", "683", "4"], check=True)


TOURS: dict[str, Callable[[Tour], None]] = {"tutorial": tutorial, "tasks": tasks}


def main() -> int:
    """Take the pictures of one tour; without --only each in a process of its own, since a window remembers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(TOURS))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.only is None:
        return max(subprocess.run([sys.executable, __file__, "--only", name], check=False).returncode for name in TOURS)
    home = tempfile.mkdtemp(prefix="medseg-pictures-")
    os.environ.update(dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), home))
    sys.path.insert(0, str(HERE.parent / "tests" / "gui"))
    from driving import Driver

    from napari_medseg.gui.launch import open_window

    IMAGES.mkdir(exist_ok=True)
    driver = Driver(Path(home) / "pictures", open_window())
    driver.wait(3)
    TOURS[options.only](Tour(driver, PICTURES[options.only]))
    driver.viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
