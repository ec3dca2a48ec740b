"""Stalls of the event loop in our window beside bare napari: `python benchmarks/window.py [--side 256]`; needs a display.

A timer beats every 2 ms while an action goes on; the longest gap between two beats is the stall a person would feel. The same actions are done in a napari
window without us and in ours, one after the other in this process, on the same made-up scan: a bright blob with noise. In ours a level set grows while the
person scrolls, and scribbles answer while the person paints. The rule: ours adds no more than
50 ms to the same action in bare napari. Each action is repeated and the median of its longest gaps is compared, since other programs disturb a single one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import napari
import numpy as np
from qtpy.QtCore import QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_medseg.volume import Geometry, Volume

Step = Callable[[], None]


def phantom(side: int):
    """A blob of a third of the volume's width, 1000 on 400 with noise of 60, and its mask."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    inside = (z / 0.6) ** 2 + (y / 0.5) ** 2 + (x / 0.45) ** 2 + 0.15 * np.sin(6 * x) * np.cos(5 * y) < 1
    noise = np.random.default_rng(0).normal(0, 60, inside.shape).astype(np.float32)
    return np.where(inside, np.float32(1000), np.float32(400)) + noise, inside


class Heartbeat:
    """Runs the event loop for a while and tells the longest gap between two beats, in ms."""

    def __init__(self) -> None:
        self.gap, self.last = 0.0, 0.0
        self.timer = QTimer()
        self.timer.setInterval(2)
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(self.beat)

    def beat(self) -> None:
        """One beat."""
        now = time.perf_counter()
        self.gap, self.last = max(self.gap, now - self.last), now

    def during(self, steps: list[Step], every: float, seconds: float = 0.0) -> float:
        """Do the steps one by one, `every` seconds; go on watching for some seconds more."""
        self.gap, self.last = 0.0, time.perf_counter()
        self.timer.start()
        for step in steps:
            step()
            self.rest(every)
        self.rest(seconds)
        self.timer.stop()
        return 1000 * self.gap

    @staticmethod
    def rest(seconds: float) -> None:
        """Let the window live for a while."""
        loop = QEventLoop()
        QTimer.singleShot(int(1000 * seconds), loop.quit)
        loop.exec_() if hasattr(loop, "exec_") else loop.exec()


class Hand:
    """A mouse on the canvas of a viewer."""

    def __init__(self, viewer) -> None:
        window = viewer.window._qt_window
        self.canvas = next(w for w in window.findChildren(QWidget) if type(w).__name__ == "CanvasBackendDesktop")

    def drag(self, count: int = 40) -> list[Step]:
        """One stroke across the middle of the canvas, a step a movement."""
        places = [QPointF(self.canvas.width() * (0.42 + 0.16 * i / count), self.canvas.height() * 0.5) for i in range(count)]
        left = Qt.MouseButton.LeftButton
        steps = [lambda: self._send(QEvent.Type.MouseButtonPress, places[0], left, left)]
        steps += [lambda at=at: self._send(QEvent.Type.MouseMove, at, Qt.MouseButton.NoButton, left) for at in places]
        return [*steps, lambda: self._send(QEvent.Type.MouseButtonRelease, places[-1], left, Qt.MouseButton.NoButton)]

    def _send(self, kind, at, button, buttons) -> None:
        where = QPointF(self.canvas.mapToGlobal(QPoint(round(at.x()), round(at.y()))))
        QApplication.sendEvent(self.canvas, QMouseEvent(kind, at, where, button, buttons, Qt.KeyboardModifier.NoModifier))


def scroll(viewer, side: int) -> list[Step]:
    """Twenty slices, one after the other."""
    return [lambda z=z: viewer.dims.set_current_step(0, z) for z in range(side // 2 - 10, side // 2 + 10)]


def bare(image, inside, beat: Heartbeat, repeats: int) -> dict[str, list[float]]:
    """The actions in napari alone."""
    side = len(image)
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.showMaximized()
    found: dict[str, list[float]] = {"open the scan": [beat.during([lambda: viewer.add_image(image)], 0, 1.5)]}
    labels = viewer.add_labels(np.zeros(image.shape, np.uint8))
    viewer.dims.set_current_step(0, side // 2)
    beat.rest(1)
    hand = Hand(viewer)
    labels.mode, labels.brush_size, labels.selected_label = "paint", 5, 1
    mask = inside.astype(np.uint8)

    def fill() -> None:
        labels.data[:] = mask
        labels.refresh()

    def grow(step: int) -> None:
        labels.data[side // 2 - step : side // 2 + step] = mask[side // 2 - step : side // 2 + step]
        labels.refresh(extent=False, thumbnail=False, highlight=False)

    def two_layers() -> None:
        for _ in range(2):
            viewer.add_labels(np.zeros(image.shape, np.uint8))

    for _ in range(repeats):
        found.setdefault("a tool shows its layers", []).append(beat.during([two_layers], 0, 1))
        del viewer.layers[-2:]
        viewer.layers.selection.active = labels
        for name, steps in (("scroll", scroll(viewer, side)), ("paint a stroke", hand.drag())):
            found.setdefault(name, []).append(beat.during(steps, 0.03, 0.5))
        found.setdefault("a label appears at once", []).append(beat.during([fill], 0, 0.5))
        labels.data[:] = 0
    viewer.dims.ndisplay = 3
    beat.rest(3)
    for _ in range(repeats):
        found.setdefault("a label grows in 3D", []).append(beat.during([lambda s=s: grow(s) for s in range(2, side // 2, max(1, side // 24))], 0.1, 0.5))
        labels.data[:] = 0
    viewer.close()
    return found


def ours(image, inside, beat: Heartbeat, repeats: int) -> dict[str, list[float]]:
    """The same in our window, with the engines at work."""
    from napari_medseg.gui.desk import desk_for
    from napari_medseg.gui.launch import open_window

    side = len(image)
    viewer = open_window()
    desk = desk_for(viewer)
    session = desk.session
    beat.rest(2)
    session.set(tab="weak", mode="levelset")
    beat.rest(15)  # the tools are made ready beside the window
    volume = Volume(image, Geometry(image.shape, (1.0, 1.0, 1.0)), name="phantom", modality="MR")
    found: dict[str, list[float]] = {"open the scan": [beat.during([lambda: session.open(volume)], 0, 1.5)]}
    scan = session.current
    deep = np.argwhere(inside)[:: max(1, int(inside.sum()) // 5)][:5]
    points = tuple(tuple(float(v) for v in p) for p in scan.display.geometry.world(deep.astype(float)))
    viewer.dims.set_current_step(0, side // 2)
    beat.rest(1)

    def run() -> None:
        session.set(tab="weak", mode="levelset")
        session.set_seeds(scan, {session.chosen: points})
        session.run()

    def settled() -> None:
        end = time.monotonic() + 60
        while session.job is not None and session.job.is_active and time.monotonic() < end:
            beat.rest(0.05)

    for turn in range(repeats):
        found.setdefault("a tool shows its layers", []).append(beat.during([run], 0, 0.3))
        found.setdefault("scroll", []).append(beat.during(scroll(viewer, side), 0.03, 0.5))
        settled()
        found.setdefault("a label appears at once", []).append(beat.during([session.accept], 0, 0.5))
        session.undo(scan)
        session.set(mode="scribbles")
        session.begin_scribbles()
        beat.rest(0.5)
        found.setdefault("paint a stroke", []).append(beat.during(Hand(viewer).drag(), 0.03, 0.5))
        settled()
        session.discard()
        session.set(tool="", mode="levelset")
        beat.rest(0.5)
        print(f"  turn {turn + 1} done", flush=True)
    viewer.dims.ndisplay = 3
    beat.rest(3)
    for _ in range(repeats):
        found.setdefault("a label grows in 3D", []).append(beat.during([run], 0, 3))
        settled()
        session.discard()
        beat.rest(0.5)
    viewer.close()
    return found


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--side", type=int, default=256)
    options.add_argument("--repeats", type=int, default=5)
    given = options.parse_args()
    app = QApplication.instance() or napari.qt.get_qapp()
    image, inside = phantom(given.side)
    beat = Heartbeat()
    alone = bare(image, inside, beat, given.repeats)
    beside = ours(image, inside, beat, given.repeats)
    print(f"longest gap of the event loop on {given.side}^3, ms: median (largest) of {given.repeats}")
    print(f"{'':26}{'bare napari':>18}{'Medseg':>18}{'added':>8}")
    for name, gaps in alone.items():
        mine = beside[name]
        low, high = statistics.median(gaps), statistics.median(mine)
        print(f"{name:26}{f'{low:.0f} ({max(gaps):.0f})':>18}{f'{high:.0f} ({max(mine):.0f})':>18}{high - low:>+8.0f}")
    app.processEvents()


if __name__ == "__main__":
    main()
