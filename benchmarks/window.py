"""Stalls of the event loop in our window beside bare napari: `python benchmarks/window.py [--side 256 | --shape 300 512 512] [--parts tools acts study]`.

Needs a display. `--acts "turn the tabs" undo` measures those alone, `--why` prints where the window's thread was in long gaps.

A timer beats every 2 ms while an action goes on; the longest gap between two beats is the stall a person would feel. The same actions are done in a napari
window without us and in ours, on the same made-up scan: a bright blob with noise. Each has a process of its own, so that what either does for the first time is
the first time. In ours a level set grows while the person scrolls, and scribbles answer while the person paints. Where ours takes a tool in hand or accepts a
first label, bare napari adds a layer of that kind and size. Where napari has no such action (a label is locked, a version is saved) a page of a dock is turned
there; for the next case its layers are taken out and others put in. The rule: ours adds no more than 50 ms to the same action in bare napari.

Each action is repeated: its first time and the median of the others, since other programs disturb a single one. Beside each gap stands the time the window's
own thread computed in it, which a busy machine does not stretch so much.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import napari
import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QEvent, QEventLoop, QObject, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QDialog, QTabWidget, QTextEdit, QVBoxLayout, QWidget

from napari_medseg import io
from napari_medseg.volume import Geometry, Volume

Step = Callable[[], None]
PARTS = ("tools", "acts", "study")
LONG = 0.06  # s: of longer gaps it is told where they were spent
POINTED = 1.1  # s: from a button to the canvas
THREE_D = 128  # slices: software OpenGL takes seconds for a picture of more


def phantom(shape):
    """A blob of a third of the volume's width, 1000 on 400 with noise of 60, and its mask."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, count, dtype=np.float32) for count in shape), indexing="ij", sparse=True)
    inside = (z / 0.6) ** 2 + (y / 0.5) ** 2 + (x / 0.45) ** 2 + 0.15 * np.sin(6 * x) * np.cos(5 * y) < 1
    noise = np.random.default_rng(0).standard_normal(inside.shape, np.float32) * np.float32(60)
    return np.where(inside, np.float32(1000), np.float32(400)) + noise, inside


@dataclass(frozen=True)
class Gap:
    """The longest between two beats, and the most that the window's thread computed in one, in ms."""

    waited: float
    computed: float


Found = dict[str, list[Gap]]


class Heartbeat(QObject):
    """Runs the event loop for a while and tells the longest gap between two beats; with `why` also where the window's thread was in long ones.

    With `named` acts only those are measured.
    """

    def __init__(self, why: bool = False, named: Collection[str] = ()) -> None:
        super().__init__()
        self.named = named
        self.gap = self.work = self.last = self.spent = 0.0
        self.blamed: Counter[str] = Counter()
        self.on, self._main = False, threading.get_ident()
        if why:
            threading.Thread(target=self._spy, daemon=True).start()
        self.timer = QTimer()
        self.timer.setInterval(2)
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(self.beat)

    def beat(self) -> None:
        """One beat."""
        now, spent = time.perf_counter(), time.thread_time()
        self.gap, self.last = max(self.gap, now - self.last), now
        self.work, self.spent = max(self.work, spent - self.spent), spent

    def during(self, steps: list[Step], every: float, seconds: float = 0.0) -> Gap:
        """Do the steps one by one, `every` seconds; go on watching for some seconds more."""
        self.gap = self.work = 0.0
        self.last, self.spent = time.perf_counter(), time.thread_time()
        self.timer.start()
        self.on = True
        for step in steps:
            QApplication.sendEvent(self, QEvent(QEvent.Type.KeyPress))  # of what is done here Qt hears nothing else: the person is not at rest
            step()
            self.rest(every)
        self.rest(seconds)
        self.on = False
        self.timer.stop()
        return Gap(1000 * self.gap, 1000 * self.work)

    def act(self, found: Found, name: str, steps: list[Step], every: float, seconds: float = 0.0) -> None:
        """Measure an act, if it is asked for."""
        if not self.named or name in self.named:
            found[name].append(self.during(steps, every, seconds))

    def tell(self) -> None:
        """Print where the window's thread was."""
        for place, count in self.blamed.most_common(25):
            print(f"  {10 * count:6d} ms in {place}", flush=True)

    def _spy(self) -> None:
        while True:
            time.sleep(0.01)
            if self.on and time.perf_counter() - self.last > LONG:
                try:
                    stack = traceback.extract_stack(sys._current_frames()[self._main])
                except AttributeError:  # the frame went while it was looked at
                    continue
                ours = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in stack if "medseg" in frame.filename]
                self.blamed[f"{' < '.join(reversed(ours[-6:]))} || {Path(stack[-1].filename).name}:{stack[-1].lineno} {stack[-1].name}"] += 1

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


def scroll(viewer, count: int) -> list[Step]:
    """Twenty slices, one after the other."""
    return [lambda z=z: viewer.dims.set_current_step(0, z) for z in range(count // 2 - 10, count // 2 + 10)]


def bare_acts(viewer, image, inside, beat: Heartbeat, repeats: int, parts: list[str], found: Found) -> None:
    """What a person does between tools, and from case to case, in napari alone."""
    viewer.add_labels(inside.astype(np.uint8))
    layer = viewer.layers[-1]
    tabs, pages = QTabWidget(), (QTextEdit("One"), QTextEdit("Two"))
    for number, page in enumerate(pages):
        tabs.addTab(page, str(number))
    viewer.window.add_dock_widget(tabs)
    sheet = QDialog(viewer.window._qt_window)
    QVBoxLayout(sheet).addWidget(QTextEdit("<table>" + "<tr><td>Ctrl+Z</td><td>what it does</td></tr>" * 70 + "</table>"))
    beat.rest(1)
    hand = Hand(viewer)

    def turn() -> None:
        tabs.setCurrentIndex(1 - tabs.currentIndex())

    def see(alpha: float) -> None:
        layer.colormap = DirectLabelColormap(color_dict={None: (0.6, 0.6, 0.6, 1), 0: (0, 0, 0, 0), 1: (0.9, 0.6, 0, alpha), 2: (0, 0.5, 0.7, 1)})

    for _ in range(repeats if "acts" in parts else 0):
        layer.mode, layer.brush_size, layer.selected_label = "paint", 5, 2
        beat.rest(POINTED)
        beat.act(found, "paint on the labels", hand.drag(), 0.03, 0.5)
        beat.act(found, "undo", [layer.undo], 0, 0.5)
        beat.act(found, "redo", [layer.redo], 0, 0.5)
        layer.mode = "pan_zoom"
        beat.act(found, "turn the tabs", [turn] * 8, 0.3, 0.3)
        beat.act(found, "hide and show (H)", [lambda: setattr(layer, "visible", False), lambda: setattr(layer, "visible", True)], 0.3, 0.3)
        beat.act(found, "sheet of keys", [sheet.show, sheet.hide], 0.5, 0.3)
        beat.act(found, "choose a label", [lambda: setattr(layer, "selected_label", 1), lambda: setattr(layer, "selected_label", 2)], 0.3, 0.3)
        beat.act(found, "lock and unlock", [turn] * 2, 0.3, 0.3)
        beat.act(found, "eye of a label", [lambda: see(0.0), lambda: see(1.0)], 0.3, 0.3)
    if "study" not in parts:
        return
    other = image[::-1].copy(), inside[::-1].astype(np.uint8)

    def change() -> None:
        before = list(viewer.layers)
        viewer.add_image(other[0])
        viewer.add_labels(other[1])
        for layer in reversed(before):  # without any layer in between napari may crash
            viewer.layers.remove(layer)

    for _ in range(repeats):
        beat.act(found, "save a version", [turn], 0, 1.5)
        beat.act(found, "verify", [turn], 0, 1.5)
        beat.act(found, "next case", [change], 0, 2)


def bare(image, inside, beat: Heartbeat, repeats: int, parts: list[str]) -> Found:
    """The actions in napari alone."""
    count = len(image)
    found: Found = defaultdict(list)
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.showMaximized()
    beat.rest(2)
    tools = repeats if "tools" in parts else 0
    found["open the scan"].append(beat.during([lambda: viewer.add_image(image)], 0, 1.5))
    viewer.dims.set_current_step(0, count // 2)
    beat.rest(1)
    hand, mask = Hand(viewer), inside.astype(np.uint8)

    def points() -> None:
        layer = viewer.add_points(np.empty((0, 3)), ndim=3, border_color="white")
        layer.mode = "add"

    def labels() -> None:
        viewer.add_labels(np.zeros(image.shape, np.uint8))

    def brush() -> None:
        labels()
        viewer.layers[-1].mode, viewer.layers[-1].brush_size = "paint", 5

    def fill() -> None:
        viewer.layers[-1].data[:] = mask
        viewer.layers[-1].refresh()

    def grow(step: int) -> None:
        viewer.layers[-1].data[count // 2 - step : count // 2 + step] = mask[count // 2 - step : count // 2 + step]
        viewer.layers[-1].refresh(extent=False, thumbnail=False, highlight=False)

    for _ in range(tools):
        for name, steps in (("take seeds in hand", [points]), ("layers for a result", [labels]), ("grow and scroll", scroll(viewer, count))):
            found[name].append(beat.during(steps, 0.03, 0.5))
        found["accept"].append(beat.during([fill] if len(found["accept"]) else [labels, fill], 0, 0.5))
        found["take it back"].append(beat.during([lambda: viewer.layers[-1].data.fill(0), viewer.layers[-1].refresh], 0, 0.5))
        found["take strokes in hand"].append(beat.during([brush], 0, 0.5))
        found["paint a stroke"].append(beat.during(hand.drag(), 0.03, 0.5))
        del viewer.layers[-2:]
        print(f"  bare turn {len(found['accept'])} done", flush=True)
    if tools and count <= THREE_D:
        labels()
        viewer.dims.ndisplay = 3
        beat.rest(3)
        for _ in range(repeats):
            found["a label grows in 3D"].append(beat.during([lambda s=s: grow(s) for s in range(2, count // 2, max(1, count // 24))], 0.1, 0.5))
            viewer.layers[-1].data[:] = 0
        viewer.dims.ndisplay = 2
        del viewer.layers[-1]
    if {"acts", "study"} & set(parts):
        bare_acts(viewer, image, inside, beat, repeats, parts, found)
    viewer.close()
    return found


def our_acts(desk, scan, inside, beat: Heartbeat, repeats: int, found: Found) -> None:
    """What a person does between tools, in ours."""
    from napari_medseg.gui import key_acts

    session, viewer = desk.session, desk.viewer
    session.adopt_labels(scan, inside.astype(np.uint8))
    session.add_class("Other")
    session.set(tab="segment", tool="")
    beat.rest(2)
    for _ in range(repeats):
        desk.paint_labels()
        viewer.layers.selection.active.brush_size = 5
        beat.rest(POINTED)
        beat.act(found, "paint on the labels", Hand(viewer).drag(), 0.03, 0.5)
        beat.act(found, "undo", [session.undo], 0, 0.5)
        beat.act(found, "redo", [session.redo], 0, 0.5)
        viewer.layers.selection.active.mode = "pan_zoom"
        tabs = [lambda tab=tab: key_acts.turn_to(desk, tab) for tab in ("weak", "refine", "review", "segment") * 2]
        beat.act(found, "turn the tabs", tabs, 0.3, 0.3)
        held = key_acts.hide_while_held(desk)
        beat.act(found, "hide and show (H)", [lambda held=held: next(held), lambda held=held: next(held, None)], 0.3, 0.3)
        beat.act(found, "sheet of keys", [desk.keys.sheet.toggle, desk.keys.sheet.toggle], 0.5, 0.3)
        beat.act(found, "choose a label", [lambda: key_acts.choose_label(desk, 1)] * 2, 0.3, 0.3)
        beat.act(found, "lock and unlock", [lambda: key_acts.lock_label(desk)] * 2, 0.3, 0.3)
        beat.act(found, "eye of a label", [lambda: key_acts.show_label(desk)] * 2, 0.3, 0.3)
        print(f"  our acts {len(found['undo'])} done", flush=True)
    session.set(tab="weak", mode="levelset")


def our_study(desk, image, inside, beat: Heartbeat, repeats: int, found: Found) -> None:
    """Versions, and the way from case to case, in a study of two scans with labels a person painted on."""
    session, study = desk.session, desk.session.study

    def until(met: Callable[[], bool], seconds: float = 900.0) -> None:
        end = time.monotonic() + seconds
        while not met():
            if time.monotonic() > end or session.trouble:
                raise TimeoutError(session.trouble or "it did not happen in time")
            beat.rest(0.05)

    def touch() -> None:
        scan, middle = study.scan, len(image) // 2
        scan.labels[middle, 20:30, 20:30] = 1 - scan.labels[middle, 20, 20]
        session.edited.emit(scan, ((slice(middle, middle + 1), slice(20, 30), slice(20, 30)),))

    def saved() -> bool:
        return study.saved == "saved" and not study.busy

    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        for number in range(2):
            io.write(Volume((image + number).astype(np.int16), Geometry(image.shape, (1.0, 1.0, 1.0)), modality="MR"), made / f"scan {number}.nii")
        study.create(made / "Blobs")
        until(lambda: study.is_open)
        study.add([made / f"scan {number}.nii" for number in range(2)])
        until(lambda: len(study.cases) == 2)
        for case in list(study.cases):
            study.go(case.id)
            until(lambda case=case: study.current == case.id and study.scan is not None)
            session.adopt_labels(study.scan, inside.astype(np.uint8))
            study.save_version()
            until(saved)
        for turn in range(repeats):
            for name, act in (("save a version", study.save_version), ("verify", study.verify)):
                touch()
                beat.rest(2)  # as after a stroke: it is on its way to the disk
                found[name].append(beat.during([act], 0, 3))
                until(saved)
            other = study.cases[turn % 2].id
            found["next case"].append(beat.during([lambda other=other: study.go(other)], 0, 6 if image.size > 1 << 25 else 3))
            until(lambda other=other: study.current == other and not study.busy)
            print(f"  our cases {turn + 1} done", flush=True)
        study.leave()
        beat.rest(2)


def ours(image, inside, beat: Heartbeat, repeats: int, parts: list[str]) -> Found:
    """The same in our window, with the engines at work."""
    kept = tempfile.mkdtemp()
    os.environ.update(MEDSEG_PREFERENCES=str(Path(kept) / "preferences.json"), XDG_DATA_HOME=kept)
    from napari_medseg.gui.desk import desk_for
    from napari_medseg.gui.launch import leave_modules_out, open_window
    from napari_medseg.gui.layers import layer_data
    from napari_medseg.gui.resting import RestingSearch

    count = len(image)
    found: Found = defaultdict(list)
    leave_modules_out()
    viewer = open_window()
    RestingSearch(viewer.window._qt_window)
    desk = desk_for(viewer)
    session = desk.session
    beat.rest(2)
    tools = repeats if "tools" in parts else 0
    session.set(tab="weak", mode="levelset")
    beat.rest(15)  # the tools are made ready beside the window
    data, keywords, _ = layer_data(Volume(image, Geometry(image.shape, (1.0, 1.0, 1.0)), name="phantom", modality="MR"))
    found["open the scan"].append(beat.during([lambda: viewer.add_image(data, **keywords)], 0, 1.5))
    scan = session.current
    deep = np.argwhere(inside)[:: max(1, int(inside.sum()) // 5)][:5]
    points = tuple(tuple(float(v) for v in p) for p in scan.display.geometry.world(deep.astype(float)))
    viewer.dims.set_current_step(0, count // 2)
    beat.rest(1)

    def run() -> None:
        session.set_seeds(scan, {session.chosen: points})
        session.run()

    def settled() -> None:
        end = time.monotonic() + 60
        while session.job is not None and session.job.is_active and time.monotonic() < end:
            beat.rest(0.05)

    for _ in range(tools):
        found["take seeds in hand"].append(beat.during([lambda: desk.arm("seeds")], 0, 0.0))
        found["layers for a result"].append(beat.during([], 0, 2))
        found["grow and scroll"].append(beat.during([run, *scroll(viewer, count)], 0.03, 0.5))
        settled()
        found["accept"].append(beat.during([session.accept], 0, 0.5))
        found["take it back"].append(beat.during([lambda: session.undo(scan)], 0, 0.5))
        session.set(tool="", mode="scribbles")
        beat.rest(0.5)
        found["take strokes in hand"].append(beat.during([lambda: desk.arm("scribbles")], 0, 1))
        found["paint a stroke"].append(beat.during(Hand(viewer).drag(), 0.03, 0.5))
        settled()
        session.discard()
        session.set(tool="", mode="levelset")
        beat.rest(0.5)
        print(f"  our turn {len(found['accept'])} done", flush=True)
    if tools and count <= THREE_D:
        viewer.dims.ndisplay = 3
        beat.rest(3)
        for _ in range(repeats):
            found["a label grows in 3D"].append(beat.during([run], 0, 3))
            settled()
            session.discard()
            beat.rest(0.5)
        viewer.dims.ndisplay = 2
    if "acts" in parts:
        our_acts(desk, scan, inside, beat, repeats, found)
    if "study" in parts:
        our_study(desk, image, inside, beat, repeats, found)
    viewer.close()
    return found


def measured(which: str, given: argparse.Namespace) -> Found:
    """One of the two, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        command = [sys.executable, __file__, "--shape", *map(str, given.shape), "--repeats", str(given.repeats), "--only", which]
        command += ["--out", str(out), "--parts", *given.parts, *(["--why"] if given.why else [])]
        command += ["--acts", *given.acts] if given.acts else []
        subprocess.run(command, check=True)
        return {name: [Gap(*gap) for gap in gaps] for name, gaps in json.loads(out.read_text()).items()}


def alone(which: str, given: argparse.Namespace) -> None:
    """Measure one side and leave the figures in a file."""
    app = QApplication.instance() or napari.qt.get_qapp()
    image, inside = phantom(given.shape)
    beat = Heartbeat(given.why, given.acts)
    np.ones(12 * image.size, np.uint8)  # a virtual machine hands out memory slowly the first time
    found = {"bare": bare, "ours": ours}[which](image, inside, beat, given.repeats, given.parts)
    given.out.write_text(json.dumps({name: [(gap.waited, gap.computed) for gap in gaps] for name, gaps in found.items()}))
    beat.tell()
    app.processEvents()
    os._exit(0)  # bare napari may crash while it goes


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--side", type=int, default=256)
    options.add_argument("--shape", type=int, nargs=3, metavar=("Z", "Y", "X"))
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options.add_argument("--acts", nargs="+", default=(), metavar="NAME", help="of the acts between tools only these")
    options.add_argument("--why", action="store_true")
    options.add_argument("--only", choices=("bare", "ours"), help=argparse.SUPPRESS)
    options.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    given.shape = given.shape or [given.side] * 3
    if given.only:
        alone(given.only, given)
        return
    sides = measured("bare", given), measured("ours", given)
    print(f"longest gap of the event loop on {'x'.join(map(str, given.shape))}, ms (computed by the window's thread): first time; median of the later, largest")
    print(f"{'':22}{'bare napari':>34}{'Medseg':>34}{'added first':>13}{'later':>8}{'computed':>10}")
    for name, gaps in sides[0].items():
        if name not in sides[1]:
            continue
        both = [gaps, sides[1][name]]
        first = [each[0].waited for each in both]
        later = [statistics.median([gap.waited for gap in each[1:] or each]) for each in both]
        computed = [statistics.median([gap.computed for gap in each[1:] or each]) for each in both]
        added = f"{first[1] - first[0]:>+13.0f}{later[1] - later[0]:>+8.0f}{computed[1] - computed[0]:>+10.0f}"
        print(f"{name:22}" + "".join(f"{_words(each):>34}" for each in both) + added)


def _words(gaps: list[Gap]) -> str:
    rest = gaps[1:]
    words = f"{gaps[0].waited:.0f} ({gaps[0].computed:.0f})"
    if rest:
        middle = statistics.median([gap.waited for gap in rest]), statistics.median([gap.computed for gap in rest])
        words += f"; {middle[0]:.0f} ({middle[1]:.0f}), {max(gap.waited for gap in rest):.0f}"
    return words


if __name__ == "__main__":
    main()
