"""Close napari in the middle of every kind of job: `python benchmarks/window_closing.py [--side 96] [--only training saving]`; needs a display.

Each job has a process of its own: the real window, a study with an accepted label and a stroke painted by hand that no version holds yet. When the job is at
work the window is closed as its button would. Told are the seconds until the process is gone, its exit code, processes that it left behind, what it said of
Qt's objects or by a traceback, and whether the study holds every voxel that was labelled; after a round of a refinement was taken, whether what was painted
is in it and what was accepted is the version before it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
import psutil
from qtpy.QtCore import QTimer
from server import Serving
from window import Heartbeat, phantom
from window_jobs import JOBS, SERVED, At

from napari_medseg import io
from napari_medseg.volume import Geometry, Volume

BAD = ("Traceback", "has been deleted", "Fatal Python error", "QThread: Destroyed", "Segmentation", "core dumped")
PATIENCE = 300.0


def kept_in(project, told: dict) -> int:
    """Labelled voxels that the study still holds, in the latest version or, under a round that was taken, in the one before it and where was painted."""
    from napari_medseg.session.study_refinement import by_hand

    case = told["case"]
    latest = np.asarray(project.labels(case).array)
    numbers, painted = [version.number for version in project.versions(case)], by_hand(project, case)
    if told["job"] != "adopting" or painted is None or len(numbers) < 2:
        return int(np.count_nonzero(latest))
    before = np.asarray(project.labels(case, numbers[-2]).array)
    return int(np.count_nonzero(np.where(painted, latest, before)))


def child(job: str, side: int, made: Path) -> None:
    """The process that is closed."""
    os.environ.update(MEDSEG_PREFERENCES=str(made / "preferences.json"), XDG_DATA_HOME=str(made / "data"), OMP_NUM_THREADS="1")
    from napari_medseg.gui.desk import desk_for
    from napari_medseg.gui.launch import open_window
    from napari_medseg.session.making import Making
    from napari_medseg.session.state import Preview

    image, inside = phantom((side // 2, side, side))
    viewer = open_window()
    desk, beat = desk_for(viewer), Heartbeat()
    session, study = desk.session, desk.session.study

    def until(met, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not met():
            if time.monotonic() > end:
                raise TimeoutError(session.trouble or "it did not happen in time")
            beat.rest(0.005)

    paths = []
    for number in range(2):
        paths.append(made / f"scan {number}.nii")
        io.write(Volume(image + number, Geometry(image.shape, (1.0, 1.0, 1.0)), modality="MR"), paths[-1])
    study.create(made / "Blobs")
    until(lambda: study.is_open)
    study.add(paths)
    until(lambda: len(study.cases) == 2)
    for case in list(study.cases):
        study.go(case.id)
        until(lambda case=case: study.current == case.id and study.scan is not None)
        weak = study.scan.axes.apply(inside.astype(np.uint8))
        study.scan.preview = Preview(weak, "test", (session.label_class,), finished=True, made=Making("levelset"))
        session.accept()
        until(lambda: study.saved == "saved")
    scan = study.scan
    desk.paint_labels()
    desk.writer.of(scan).labels.paint((1, 3, 3), session.chosen)
    drawn, case = scan.labels.copy(), study.current
    JOBS[job](At(desk, made, image, until))
    told = {"job": job, "case": case, "voxels": int(np.count_nonzero(drawn))}
    told["children"] = [each.pid for each in psutil.Process().children(recursive=True)]
    told["at"], told["working"] = time.time(), [lane.title for lane in session.jobs.active]
    (made / "told.json").write_text(json.dumps(told, default=str))

    def close() -> None:
        (made / "saved.txt").write_text(f"{study.saved} {study.busy}".strip())
        viewer.close()

    QTimer.singleShot(0, close)
    napari.run()


def close_during(job: str, side: int) -> bool:
    """One job; whether nothing was left and nothing lost."""
    from napari_medseg.project import Project

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        made = Path(folder)
        server = Serving(made) if job == SERVED else None
        if server is not None:
            (made / SERVED).write_text(f"{server.address} {server.tokens[0]}")
        with (made / "said.txt").open("w") as said:
            process = subprocess.Popen([sys.executable, "-X", "faulthandler", __file__, "--child", job, str(side), folder], stdout=said, stderr=said)
            try:
                code: int | str = process.wait(2 * PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                code = "never ended"
        gone = time.time()
        if server is not None:
            server.kill()
        words = (made / "said.txt").read_text(errors="replace")
        if not (made / "told.json").is_file():
            print(f"{job:18} did not come so far: {words[-600:]}", flush=True)
            return False
        told = json.loads((made / "told.json").read_text())
        left = [pid for pid in told["children"] if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
        bad = [word for word in BAD if word in words]
        project = Project.open(made / "Blobs.medseg")
        try:
            kept = kept_in(project, told)
        finally:
            project.close()
        good = code == 0 and not left and not bad and kept == told["voxels"]
        print(f"{job:18} {'good' if good else 'BAD '} closed in {gone - told['at']:.1f} s, exit {code}, left behind {left}, said {bad}, "
              f"voxels {kept} of {told['voxels']}, at work: {told['working']}, study: {(made / 'saved.txt').read_text()}", flush=True)
        if bad:
            print(words[-2500:], flush=True)
        return good


def main() -> None:
    """Close the window during each job."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--side", type=int, default=96)
    options.add_argument("--only", nargs="+", choices=JOBS, default=JOBS)
    options.add_argument("--child", nargs=3, metavar=("JOB", "SIDE", "FOLDER"), help="for its own use")
    given = options.parse_args()
    if given.child:
        child(given.child[0], int(given.child[1]), Path(given.child[2]))
        return
    good = [close_during(job, given.side) for job in given.only]
    print(f"{sum(good)} of {len(good)} closed well")
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
