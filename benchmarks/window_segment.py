"""Stalls of the event loop while a segmenter runs, beside bare napari: `python benchmarks/window_segment.py [--side 256] [--engine unet promptable]`.

It needs a display. In a process of its own each: napari alone, and ours with a segmenter over a made-up scan. Both scroll through 200 slices and paint
strokes; in ours the network runs over the volume all the while (or, for one that is pointed at things, answers click after click). The longest gap between
two beats of a timer is the stall a person would feel; beside it stands the most that the window's own thread computed in one gap, which other programs disturb
less, and on Linux how long it stood in the queue for a processor in the longest gap: what is left of that gap it slept or waited for a lock, Python's own
among them. Each is done some times: the first, and the median of the later ones. The rule: ours adds no more than 50 ms. Then a run is stopped at some moments:
the event loop must not wait 100 ms for that. What 200 starts and stops leave behind is told by `window_growth.py`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from itertools import cycle
from pathlib import Path

import napari
import numpy as np
from window import Gap, Hand, Heartbeat, phantom

from napari_medseg.volume import Geometry, Volume

SLICES, EVERY = 200, 0.03
CANCELS = 20
Found = tuple[float, float, float]
"""Milliseconds of the longest gap: waited, computed, queued."""


class Queueing(Heartbeat):
    """Also tells how long the window's thread was ready to run, and no processor was free, in the longest gap."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = self.queued = 0.0

    def beat(self) -> None:
        """One beat."""
        before, ready = self.gap, queued()
        super().beat()
        if self.gap > before:
            self.queued = ready - self.ready
        self.ready = ready

    def during(self, *steps) -> Gap:
        """As ever; `queued` then holds the seconds."""
        self.ready, self.queued = queued(), 0.0
        return super().during(*steps)


def queued() -> float:
    """Seconds that this thread has stood in the queue for a processor (Linux; 0 elsewhere)."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def turns(viewer, side: int):
    """Two hundred slices to and fro."""
    there = [*range(side), *range(side - 2, 0, -1)]
    return [lambda z=z: viewer.dims.set_current_step(0, z) for z in (there * (1 + SLICES // len(there)))[:SLICES]]


def bare(image, beat: Queueing, repeats: int) -> dict[str, list[Found]]:
    """Napari alone."""
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.showMaximized()
    viewer.add_image(image)
    layers = [viewer.add_labels(np.zeros(image.shape, np.uint8)) for _ in range(2)]
    layers[-1].mode, layers[-1].brush_size, layers[-1].selected_label = "paint", 5, 1
    beat.rest(2)
    beat.during(turns(viewer, len(image))[:20], EVERY)
    found = {"scroll 200 slices": [told(beat, turns(viewer, len(image))) for _ in range(repeats)]}
    viewer.dims.set_current_step(0, len(image) // 2)
    found["paint"] = [told(beat, Hand(viewer).drag()) for _ in range(repeats)]
    viewer.close()
    return found


def opened(image, inside, engine: str, beat: Heartbeat):
    """The window of `medseg` with the scan, and what keeps the segmenter at work: a run that is over begins again, and a prompt more is answered."""
    from napari_medseg.gui.desk import desk_for
    from napari_medseg.gui.launch import leave_modules_out, open_window
    from napari_medseg.gui.layers import layer_data
    from napari_medseg.gui.resting import RestingSearch

    leave_modules_out()
    viewer = open_window()
    RestingSearch(viewer.window._qt_window)
    desk = desk_for(viewer)
    session = desk.session
    beat.rest(2)
    data, keywords, _ = layer_data(Volume(image, Geometry(image.shape, (1.0, 1.0, 1.0)), name="phantom", modality="MR"))
    viewer.add_image(data, **keywords)
    session.set(tab="segment", engine=engine, device="cpu")
    scan = session.current
    deep = np.argwhere(inside)[:: max(1, int(inside.sum()) // 300)]
    places = cycle([tuple(map(float, place)) for place in scan.display.geometry.world(deep.astype(float))])

    def work() -> None:
        if session.jobs.of("preview") is not None and session.jobs.of("preview").is_active:
            return
        if session.prompting.interactive:
            if scan.board.target() is not None and len(scan.board.target().marks) >= 10:
                session.prompting.clear()
            session.prompting.point(next(places), 1)
        else:
            desk.run()

    work()
    end = time.monotonic() + 240
    while (scan.preview is None or scan.preview.is_empty) and session.jobs.active and time.monotonic() < end:
        beat.rest(0.1)  # what is loaded once is not what is measured here
    return viewer, desk, work


def ours(image, inside, beat: Queueing, engine: str, repeats: int) -> dict[str, list[Found]]:
    """The same while a segmenter works."""
    side = len(image)
    viewer, desk, work = opened(image, inside, engine, beat)

    def busy(steps):
        return [lambda step=step, count=count: (work() if count % 10 == 0 else None, step()) for count, step in enumerate(steps)]

    beat.during(turns(viewer, side)[:20], EVERY)
    found = {"scroll 200 slices": [told(beat, busy(turns(viewer, side))) for _ in range(repeats)]}
    viewer.dims.set_current_step(0, side // 2)
    desk.paint_labels()
    beat.rest(2)
    work()
    found["paint"] = [told(beat, busy(Hand(viewer).drag())) for _ in range(repeats)]
    desk.session.stop()
    beat.rest(0.5)
    cancel(desk.session, work, beat, engine)
    viewer.close()
    return found


def told(beat: Queueing, steps) -> Found:
    """The longest gap while some steps are done."""
    gap = beat.during(steps, EVERY, 0.5)
    return gap.waited, gap.computed, 1000 * beat.queued


def cancel(session, work, beat: Queueing, engine: str) -> None:
    """Start it and stop it at some moment: the longest gap of the event loop from then on, and how long until its thread is free."""
    rng, gaps, free = np.random.default_rng(0), [], []
    for _ in range(CANCELS):
        work()
        beat.rest(float(rng.uniform(0.1, 0.6)))
        worker = next(worker for worker in session.jobs._workers.values() if worker._begun) if session.jobs.active else None
        began = time.perf_counter()

        def stop(began=began, worker=worker) -> None:
            session.stop()
            threading.Thread(target=lambda: waited(worker, began)).start()

        def waited(worker, began) -> None:
            while worker is not None and worker._begun:
                time.sleep(0.001)
            free.append(1000 * (time.perf_counter() - began))

        gaps.append(beat.during([stop], 0.0, 0.7).waited)
    said = f"longest gap {max(gaps):.0f} ms, median {np.median(gaps):.0f}; its thread is free after {np.median(free):.0f}, at most {max(free):.0f} ms"
    print(f"  {engine}: stopped {CANCELS} times: {said}", flush=True)


def child(kind: str, side: int, repeats: int, out: Path) -> None:
    """One process's part."""
    image, inside = phantom((side, side, side))
    beat = Queueing()
    napari.qt.get_qapp()
    found = bare(image, beat, repeats) if kind == "bare" else ours(image, inside, beat, kind, repeats)
    out.write_text(json.dumps(found))


def said(times: list[Found]) -> str:
    """The first, and the median of the later ones."""
    later = np.median(np.array(times[1:] or times), axis=0)
    return "; ".join("{:.0f} ({:.0f}, {:.0f})".format(*each) for each in (times[0], later))


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--side", type=int, nargs="+", default=[128, 256])
    options.add_argument("--engine", nargs="+", default=["unet", "promptable"])
    options.add_argument("--repeats", type=int, default=4)
    options.add_argument("--child", nargs=4, metavar=("KIND", "SIDE", "REPEATS", "OUT"), help="for its own use")
    given = options.parse_args()
    if given.child:
        child(given.child[0], int(given.child[1]), int(given.child[2]), Path(given.child[3]))
        return
    for side in given.side:
        found = {}
        for kind in ("bare", *given.engine):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "found.json"
                subprocess.run([sys.executable, __file__, "--child", kind, str(side), str(given.repeats), str(out)], check=True)
                found[kind] = json.loads(out.read_text())
        print(f"longest gap on {side}^3, ms: waited (computed by the window's thread, in the queue for a processor)")
        print(f"{'':20}" + "".join(f"{kind:>28}" for kind in found))
        for name in found["bare"]:
            print(f"{name:20}" + "".join(f"{said(each[name]):>28}" for each in found.values()), flush=True)


if __name__ == "__main__":
    main()
