"""An annotator's long day in the real window, by keys alone: a study of very many small scans, one after the other; needs a display, a window manager and
xdotool.

    python tests/gui/long_day_walk.py OUT_FOLDER --images DIR --labels DIR [--scans 30] [--cases 200] [--work 60]

The first scans of a folder stand in the study as often as it takes. Of each case one click is set by the crosshair's keys where the simulated annotator, who
knows the truth, would click, the answer accepted, the case verified, and N opens the next. Told of every case: keys, seconds of hands by the keystroke-level
model, seconds of waiting, processor time of the window's thread and of the process, which a busy machine does not stretch, memory, and the overlap with the
truth. Filter, sorting and the next place to correct are tried with the whole table at the beginning and in the end.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
from driving import Driver
from people_walk import HOME, begin_study, dice, next_case

from napari_medseg import io
from napari_medseg.testing import annotator

log = logging.getLogger("walkthrough")
STEP_MM = 2.0


def copies(images: Path, labels: Path, scans: int, cases: int, folder: Path) -> list[Path]:
    """As many scans as are wanted, under names of their own; the label file of each."""
    chosen = sorted(images.glob("*.nii.gz"))[:scans]
    folder.mkdir()
    found = []
    for number in range(cases):
        path = chosen[number % len(chosen)]
        volume = io.read(path)
        brighter = np.asarray(volume.array, np.float32) + np.float32(number)  # no two are the same scan
        io.write(replace(volume, array=brighter), folder / f"Hippocampus {number + 1:03d}.nii.gz")
        found.append(labels / path.name)
    return found


def label_by_keys(walk: Driver, truth: np.ndarray) -> float:
    """One click set by keys, its answer accepted; the overlap with the truth."""
    session, scan = walk.session, walk.session.current
    voxel, _ = annotator.next_click(truth, np.zeros_like(truth), scan.display.geometry.spacing)
    for _ in range(abs(int(voxel[0]) - walk.dock.desk.focus())):
        walk.key("Right" if voxel[0] > walk.dock.desk.focus() else "Left")
    at, spacing = session.views.voxel, scan.display.geometry.spacing
    for axis, less, more in ((1, "Up", "Down"), (2, "Left", "Right")):
        steps = round((int(voxel[axis]) - at[axis]) * spacing[axis] / STEP_MM)
        for _ in range(abs(steps)):
            walk.key(f"Ctrl+Shift+{more if steps > 0 else less}")
    walk.key("Shift+Return")
    walk.until(lambda: scan.preview is not None and not scan.preview.is_empty and not session.jobs.active)
    walk.key("K")
    walk.until(lambda: scan.preview is None)
    return dice(scan.labels > 0, truth)


def one_case(walk: Driver, number: int, label: Path) -> dict[str, float]:
    """A case from N to its verification."""
    session, process = walk.session, psutil.Process()
    keys, seconds, waited, thread, spent = walk.counts["keys"], walk.seconds(), walk.waited, time.thread_time(), sum(process.cpu_times()[:2])
    next_case(walk, number)
    opened, opened_thread = walk.waited - waited, time.thread_time() - thread
    overlap = label_by_keys(walk, np.asarray(session.current.axes.apply(np.asarray(io.read_labels(label).array))) > 0)
    walk.key("Ctrl+Shift+K")
    case = session.study.current
    walk.until(lambda: session.study.case(case).status == "verified")
    return {
        "case": number + 1, "keys": walk.counts["keys"] - keys, "hands_s": round(walk.seconds() - seconds - (walk.waited - waited), 2),
        "waited_s": round(walk.waited - waited, 2), "opening_s": round(opened, 2), "opening_thread_s": round(opened_thread, 3),
        "thread_s": round(time.thread_time() - thread, 2), "process_s": round(sum(process.cpu_times()[:2]) - spent, 2),
        "memory_MB": process.memory_info().rss >> 20, "dice": round(overlap, 3),
    }


def table_acts(walk: Driver) -> dict[str, float]:
    """Processor time of the window's thread, in ms, for what is done to the table of cases."""
    study, told = walk.session.study, {}
    acts = {
        "filter": {"text": "05"}, "no filter": {"text": ""}, "to do": {"status": "open"}, "all": {"status": ""}, "by name": {"by": "name"},
        "as added": {"by": "added"},
    }
    for name, values in acts.items():
        walk.wait(0.5)
        start = time.thread_time()
        study.arrange(**values)
        walk.wait(0.3)
        told[name] = round(1000 * (time.thread_time() - start))
    return told


def walk_day(out: Path, home: Path, options: argparse.Namespace) -> None:
    """The day."""
    from napari_medseg.gui.launch import open_window

    labels = copies(options.images, options.labels, options.scans, options.cases, home / "scans")
    walk = Driver(out, open_window(), "dark")
    walk.state("start")
    before = walk.waited
    begin_study(walk, "Hippocampi", "scans", options.cases)
    adding = walk.waited - before
    walk.key("Ctrl+1")
    tables, rows = [table_acts(walk)], []
    for number in range(options.work):
        rows.append(one_case(walk, number, labels[number]))
        log.info("%s", rows[-1])
        (out / "rows.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
        if number + 1 in (1, 50, 100, options.work):
            walk.picture(f"case-{number + 1}")
    tables.append(table_acts(walk))
    half = len(rows) // 2
    both = [{key: round(statistics.median(row[key] for row in part), 3) for key in rows[0]} for part in (rows[:half], rows[half:])]
    walk.unanswered = sorted(set(walk.unanswered))
    walk.report(cases=options.cases, adding_s=round(adding, 1), table_ms=tables, first_half=both[0], second_half=both[1], rows=rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--scans", type=int, default=30)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--work", type=int, default=60, help="cases that are labelled and verified")
    options = parser.parse_args()
    if HOME not in os.environ:  # napari and Qt look for the home folder when they are imported
        with tempfile.TemporaryDirectory() as home:
            own = {**os.environ, HOME: home, "HOME": home, "USERPROFILE": home}
            words = [str(Path(word).resolve()) if Path(word).exists() or word == str(options.out) else word for word in sys.argv[1:]]
            return subprocess.run([sys.executable, str(Path(__file__).resolve()), *words], env=own, cwd=home, check=False).returncode
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    walk_day(options.out.resolve(), Path(os.environ[HOME]), options)
    import napari

    napari.current_viewer().close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
