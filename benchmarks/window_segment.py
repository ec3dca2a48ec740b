"""Stalls of the event loop while a segmenter runs, beside bare napari: `python benchmarks/window_segment.py [--side 256] [--engine unet promptable]`.

It needs a display. In a process of its own each: napari alone, and ours with a segmenter over a made-up scan. Both scroll through 200 slices and paint
strokes; in ours the network runs over the volume all the while (or, for one that is pointed at things, answers click after click). The longest gap between
two beats of a timer is the stall a person would feel; beside it stands the most that the window's own thread computed in one gap, which other programs disturb
less, and on Linux how long it stood in the queue for a processor in the longest gap: what is left of that gap it slept or waited for a lock, Python's own
among them. The rule: ours adds no more than 50 ms. Then a run is started and stopped 200 times: threads and memory must not grow.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import napari
import numpy as np
import psutil
from window import Gap, Hand, Heartbeat, phantom

from napari_medseg.volume import Geometry, Volume

SLICES, EVERY = 200, 0.03
CYCLES, FIRST = 200, 20
Found = tuple[float, float, float]
"""Milliseconds of the longest gap: waited, computed, queued."""
MEGABYTE = 1 << 20


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


def bare(image, beat: Queueing) -> dict[str, Found]:
    """Napari alone."""
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.showMaximized()
    viewer.add_image(image)
    layers = [viewer.add_labels(np.zeros(image.shape, np.uint8)) for _ in range(2)]
    layers[-1].mode, layers[-1].brush_size, layers[-1].selected_label = "paint", 5, 1
    beat.rest(2)
    beat.during(turns(viewer, len(image))[:20], EVERY)
    found = {"scroll 200 slices": told(beat, turns(viewer, len(image)))}
    viewer.dims.set_current_step(0, len(image) // 2)
    found["paint"] = told(beat, Hand(viewer).drag())
    viewer.close()
    return found


def ours(image, inside, beat: Queueing, engine: str) -> dict[str, Found]:
    """The same while a segmenter works."""
    from napari_medseg.gui.desk import desk_for
    from napari_medseg.gui.launch import open_window

    side = len(image)
    viewer = open_window()
    desk = desk_for(viewer)
    session = desk.session
    beat.rest(2)
    scan = session.open(Volume(image, Geometry(image.shape, (1.0, 1.0, 1.0)), name="phantom", modality="MR"))
    session.set(tab="segment", engine=engine, device="cpu")
    deep = np.argwhere(inside)[:: max(1, int(inside.sum()) // 300)]
    world = scan.display.geometry.world(deep.astype(float))
    places = iter([tuple(map(float, place)) for place in world] * 20)

    def work() -> None:
        """Keep it at work: a run that is over begins again, and a prompt more is answered."""
        if session.jobs.of("preview") is not None and session.jobs.of("preview").is_active:
            return
        if session.prompting.interactive:
            if scan.board.target() is not None and len(scan.board.target().marks) >= 10:
                session.prompting.clear()
            session.prompting.point(next(places), 1)
        else:
            desk.run()

    def busy(steps):
        return [lambda step=step, count=count: (work() if count % 10 == 0 else None, step()) for count, step in enumerate(steps)]

    work()
    end = time.monotonic() + 240
    while (scan.preview is None or scan.preview.is_empty) and session.jobs.active and time.monotonic() < end:
        beat.rest(0.1)  # what is loaded once is not what is measured here
    beat.during(turns(viewer, side)[:20], EVERY)
    found = {"scroll 200 slices": told(beat, busy(turns(viewer, side)))}
    viewer.dims.set_current_step(0, side // 2)
    desk.paint_labels()
    beat.rest(2)
    work()
    found["paint"] = told(beat, busy(Hand(viewer).drag()))
    session.stop()
    beat.rest(0.5)
    leak(session, work, beat)
    viewer.close()
    return found


def told(beat: Queueing, steps) -> Found:
    """The longest gap while some steps are done."""
    gap = beat.during(steps, EVERY, 0.5)
    return gap.waited, gap.computed, 1000 * beat.queued


def leak(session, work, beat: Heartbeat) -> None:
    """Start and stop it again and again."""
    process = psutil.Process()

    def cycle() -> None:
        work()
        beat.rest(0.02)
        session.stop()

    def state() -> tuple[int, float]:
        beat.rest(3)
        return threading.active_count(), process.memory_info().rss / MEGABYTE

    for _ in range(FIRST):
        cycle()
    before = state()
    for _ in range(CYCLES):
        cycle()
    after = state()
    said = f"threads {before[0]} -> {after[0]}, memory {before[1]:.0f} -> {after[1]:.0f} MB"
    print(f"  {session.engine}: started and stopped {CYCLES} times: {said}", flush=True)


def child(kind: str, side: int, out: Path) -> None:
    """One process's part."""
    image, inside = phantom((side, side, side))
    beat = Queueing()
    napari.qt.get_qapp()
    found = bare(image, beat) if kind == "bare" else ours(image, inside, beat, kind)
    out.write_text(json.dumps(found))


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--side", type=int, nargs="+", default=[128, 256])
    options.add_argument("--engine", nargs="+", default=["unet", "promptable"])
    options.add_argument("--child", nargs=3, metavar=("KIND", "SIDE", "OUT"), help="for its own use")
    given = options.parse_args()
    if given.child:
        child(given.child[0], int(given.child[1]), Path(given.child[2]))
        return
    for side in given.side:
        found = {}
        for kind in ("bare", *given.engine):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "found.json"
                subprocess.run([sys.executable, __file__, "--child", kind, str(side), str(out)], check=True)
                found[kind] = json.loads(out.read_text())
        print(f"longest gap on {side}^3, ms: waited (computed by the window's thread, in the queue for a processor)")
        print(f"{'':20}" + "".join(f"{kind:>20}" for kind in found))
        for name in found["bare"]:
            print(f"{name:20}" + "".join(f"{'{:.0f} ({:.0f}, {:.0f})'.format(*each[name]):>20}" for each in found.values()), flush=True)


if __name__ == "__main__":
    main()
