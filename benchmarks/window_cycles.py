"""What a day of work leaves behind: `python benchmarks/window_cycles.py [--cycles 200] [--side 64] [--docks] [--canvasless | --bare]`; needs a display.

A scan is opened in a real window, a label grown from seeds, accepted, painted on, taken back, an object outlined by a click and accepted, and the scan's
layers are removed; again and again. After each
tenth cycle the process is counted: resident memory, threads, open files, Qt objects and widgets below the window, layers, callbacks at the viewer's and the
session's events, and living objects, with `--kinds` by class. With `--docks` the docks are closed and opened again in each cycle as well.
With `--bare` there is napari alone, where layers of the same kinds come, are painted on and go: its own growth, to be taken from ours.
With `--canvasless` there is the dock and napari's model of a viewer, no canvas: what is counted is ours, on machines too whose OpenGL does not last so long.
Figures after the first cycles (napari and the engines load things once) should be flat: the table ends with the growth a cycle from the twentieth to the last.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import napari
import numpy as np
import psutil
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Vectors
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication
from window import Heartbeat, phantom

from napari_medseg.gui.layers import layer_data
from napari_medseg.volume import Geometry, Volume

SETTLED = 20  # cycles after which nothing is loaded for the first time any more
STANDING = "standing picture"  # stays, so that the canvas is never empty
DOCKS = ("Medseg", "Cases", "Refine", "Segment")


def callbacks(viewer) -> int:
    """Callbacks at the events of a viewer, its dims, camera and layer list."""
    parts = (viewer, viewer.dims, viewer.layers, viewer.layers.selection, viewer.scene.camera, viewer.cursor)
    emitters = [emitter for part in parts for emitter in part.events.emitters.values()]
    return sum(len(emitter.callbacks) for emitter in emitters) + len(viewer.mouse_drag_callbacks) + len(viewer.mouse_move_callbacks)


def slots(session) -> int:
    """What listens to a session's signals."""
    signals = ("changed", "scan_closed", "preview_changed", "labels_changed", "classes_changed", "grid_changed", "window_changed", "channel_changed", "edited")
    return sum(len(getattr(session, name)) for name in signals)


def living() -> Counter[str]:
    """Living objects by class."""
    return Counter(f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in gc.get_objects())


def count(viewer, session, beat: Heartbeat) -> dict[str, int]:
    """The process now."""
    gc.collect()
    beat.rest(0.5)
    process, windows = psutil.Process(), [each for each in QApplication.topLevelWidgets() if each.parent() is None]
    return {
        "memory_MB": process.memory_info().rss >> 20, "threads": threading.active_count(), "system_threads": process.num_threads(),
        "files": process.num_fds() if hasattr(process, "num_fds") else process.num_handles(),
        "qt_objects": sum(len(window.findChildren(QObject)) for window in windows), "widgets": len(QApplication.allWidgets()), "layers": len(viewer.layers),
        "callbacks": callbacks(viewer), "slots": slots(session) if session is not None else 0, "objects": len(gc.get_objects()),
    }


def until(beat: Heartbeat, met, seconds: float = 900.0) -> None:
    """Let the window live until something is met."""
    end = time.monotonic() + seconds
    while not met():
        if time.monotonic() > end:
            raise TimeoutError("it did not happen in time")
        beat.rest(0.01)


def cycle(viewer, desk, volume: Volume, beat: Heartbeat) -> None:
    """One scan from opening to closing."""
    session = desk.session
    data, keywords, _ = layer_data(volume)
    viewer.add_image(data.copy(), **keywords)
    scan = session.current
    session.set(tab="weak", mode="levelset")
    desk.arm("seeds")
    beat.rest(0.02)
    middle = [length // 2 for length in scan.display.geometry.shape]
    session.set_seeds(scan, {session.chosen: (scan.display.geometry.world(middle),)})
    desk.run()
    until(beat, lambda: scan.preview is not None and not scan.preview.is_empty and not session.jobs.active)
    session.accept()
    desk.paint_labels()
    layer = desk.writer.of(scan).labels
    layer.paint((2, 5, 5), session.chosen)
    session.undo(scan)
    layer.mode = "pan_zoom"  # napari 0.9 alone crashed on software OpenGL where a layer went while its brush was in hand
    beat.rest(0.05)
    session.set(tab="segment", engine="promptable", device="cpu")
    beat.rest(0.02)
    session.prompting.point(scan.display.geometry.world(middle))
    until(beat, lambda: scan.preview is not None and not scan.preview.is_empty and not session.jobs.active)
    session.accept()
    beat.rest(0.02)
    session.set(tab="review")
    beat.rest(0.02)
    session.set(tool="")
    clear(viewer)
    until(beat, lambda: not session.scans and not session.jobs.active)


def bare_cycle(viewer, volume: Volume, beat: Heartbeat) -> None:
    """The same kinds of layers in napari alone, in the order and number that a cycle of ours ends with."""
    shape = volume.array.shape
    kinds = (
        Image(np.asarray(volume.array).copy()), *(Labels(np.zeros(shape, np.uint8)) for _ in range(3)),
        *(Points(np.empty((0, 3)), ndim=3, features={"class": np.empty(0, int)}, border_color="white") for _ in range(2)),
        Vectors(np.zeros((0, 2, 3), np.float32), ndim=3),
    )
    for layer in kinds:
        viewer.add_layer(layer)
        beat.rest(0.02)
    labels, points = kinds[3], kinds[4]
    viewer.layers.selection.active = labels
    kinds[1].contour, labels.mode = 1, "paint"
    labels.paint((2, 5, 5), 1)
    labels.undo()
    labels.mode = "pan_zoom"
    points.add([length / 2 for length in shape])
    beat.rest(0.1)
    for layer in reversed(kinds):
        viewer.layers.remove(layer)
        beat.rest(0.02)


def clear(viewer) -> None:
    """Remove the scan's layers."""
    for each in [each for each in viewer.layers if each.name != STANDING]:
        viewer.layers.remove(each)


def begin(args, volume: Volume, beat: Heartbeat):
    """The viewer, its session (None in napari alone), one cycle, and the end of it all."""
    if args.canvasless:
        from napari_medseg.gui.window import MedsegWidget

        application, viewer = QApplication.instance() or QApplication([]), ViewerModel()
        desk = MedsegWidget(viewer).desk
        return viewer, desk.session, lambda turn: cycle(viewer, desk, volume, beat), lambda: (desk.shut(), application.processEvents())
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(1366, 768)
    if args.bare:
        from napari_medseg.gui.gl_context import CanvasContext

        guard = CanvasContext(viewer)  # without it napari on software OpenGL ends at the second cycle
        guard.attach(viewer.window._qt_window)
        return viewer, None, lambda turn: bare_cycle(viewer, volume, beat), viewer.close
    from napari_medseg.gui.desk import desk_for

    for name in DOCKS[:2]:
        viewer.window.add_plugin_dock_widget("napari-medseg", name)

    def with_docks(turn: int) -> None:
        opened = [viewer.window.add_plugin_dock_widget("napari-medseg", name)[1] for name in DOCKS]
        cycle(viewer, desk_for(viewer), volume, beat)
        for widget in opened[turn % 4:] + opened[:turn % 4]:
            viewer.window.remove_dock_widget(widget)
        beat.rest(0.05)
        for name in DOCKS[:2]:
            viewer.window.add_plugin_dock_widget("napari-medseg", name)

    session = desk_for(viewer).session
    return viewer, session, with_docks if args.docks else lambda turn: cycle(viewer, desk_for(viewer), volume, beat), viewer.close


def main() -> None:
    """Count over many cycles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--docks", action="store_true", help="close and open the docks in each cycle")
    parser.add_argument("--kinds", action="store_true", help="tell which classes grew")
    parser.add_argument("--canvasless", action="store_true", help="the dock at a viewer's model, without a window of napari")
    parser.add_argument("--bare", action="store_true", help="napari alone")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    made = Path(tempfile.mkdtemp())
    os.environ.update(MEDSEG_PREFERENCES=str(made / "preferences.json"), XDG_DATA_HOME=str(made / "data"))
    image, _ = phantom((args.side // 2, args.side, args.side))
    volume = Volume(image.astype(np.int16), Geometry(image.shape, (1.0, 1.0, 1.0)), name="blob", modality="MR")
    rows, kinds = [], []
    beat = Heartbeat()
    viewer, session, turn_once, end = begin(args, volume, beat)
    viewer.add_image(np.zeros((8, 8)), name=STANDING)
    for turn in range(1, args.cycles + 1):
        turn_once(turn)
        if turn % 10 == 0 or turn == 1:
            rows.append({"cycle": turn, **count(viewer, session, beat)})
            kinds.append(living() if args.kinds else Counter())
            print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    settled = next((i for i, row in enumerate(rows) if row["cycle"] >= min(SETTLED, args.cycles // 2)), 0)
    first, last = rows[settled], rows[-1]
    span = max(1, last["cycle"] - first["cycle"])
    growth = {name: round((last[name] - first[name]) / span, 3) for name in last if name != "cycle"}
    print(f"growth a cycle from cycle {first['cycle']} to {last['cycle']}:", growth)
    if args.kinds:
        grown = {name: (number - kinds[settled][name]) / span for name, number in kinds[-1].items() if number > kinds[settled][name] + 2}
        print("classes that grew, a cycle:", {name: round(more, 2) for name, more in sorted(grown.items(), key=lambda item: -item[1])[:40]})
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "growth": growth}, indent=1))
    end()


if __name__ == "__main__":
    main()
