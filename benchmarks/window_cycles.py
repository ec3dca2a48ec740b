"""What a day of work leaves behind: `python benchmarks/window_cycles.py [--cycles 200] [--side 64] [--docks] [--canvasless]`; needs a display.

A scan is opened in a real window, a label grown from seeds, accepted, painted on, taken back, and the scan's layers are removed; again and again. After each
tenth cycle the process is counted: resident memory, threads, open files, Qt objects and widgets below the window, layers, callbacks at the viewer's and the
session's events, and living objects of our own classes. With `--docks` the docks are closed and opened again in each cycle as well.
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


def ours() -> Counter[str]:
    """Living objects of our classes, and napari's layers."""
    found: Counter[str] = Counter()
    for thing in gc.get_objects():
        kind = type(thing)
        if str(kind.__module__).startswith(("napari_medseg", "napari.layers")) or kind.__name__.startswith("Vispy"):
            found[kind.__qualname__] += 1
    return found


def count(viewer, session, beat: Heartbeat) -> dict[str, int]:
    """The process now."""
    gc.collect()
    beat.rest(0.5)
    process, windows = psutil.Process(), [each for each in QApplication.topLevelWidgets() if each.parent() is None]
    return {
        "memory_MB": process.memory_info().rss >> 20, "threads": threading.active_count(), "system_threads": process.num_threads(),
        "files": process.num_fds() if hasattr(process, "num_fds") else process.num_handles(),
        "qt_objects": sum(len(window.findChildren(QObject)) for window in windows), "widgets": len(QApplication.allWidgets()), "layers": len(viewer.layers),
        "callbacks": callbacks(viewer), "slots": slots(session), "objects": len(gc.get_objects()),
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
    session.set(tab="segment")
    desk.arm("point")
    beat.rest(0.02)
    session.set(tab="review")
    beat.rest(0.02)
    session.set(tool="")
    for each in [each for each in viewer.layers if each.name != STANDING]:
        viewer.layers.remove(each)
    until(beat, lambda: not session.scans and not session.jobs.active)


def main() -> None:
    """Count over many cycles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--docks", action="store_true", help="close and open the docks in each cycle")
    parser.add_argument("--kinds", action="store_true", help="tell which of our classes grew")
    parser.add_argument("--canvasless", action="store_true", help="the dock at a viewer's model, without a window of napari")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    made = Path(tempfile.mkdtemp())
    os.environ.update(MEDSEG_PREFERENCES=str(made / "preferences.json"), XDG_DATA_HOME=str(made / "data"))
    from napari_medseg.gui.desk import desk_for

    image, _ = phantom((args.side // 2, args.side, args.side))
    volume = Volume(image.astype(np.int16), Geometry(image.shape, (1.0, 1.0, 1.0)), name="blob", modality="MR")
    rows, kinds = [], []
    if args.canvasless:
        from napari_medseg.gui.window import MedsegWidget

        application, viewer = QApplication.instance() or QApplication([]), ViewerModel()
        dock, args.docks = MedsegWidget(viewer), False
    else:
        viewer = napari.Viewer(show=True)
        viewer.window._qt_window.resize(1366, 768)
        for name in DOCKS[:2]:
            viewer.window.add_plugin_dock_widget("napari-medseg", name)
    beat = Heartbeat()
    viewer.add_image(np.zeros((8, 8)), name=STANDING)
    for turn in range(1, args.cycles + 1):
        if args.docks:
            opened = [viewer.window.add_plugin_dock_widget("napari-medseg", name)[1] for name in DOCKS]
            cycle(viewer, desk_for(viewer), volume, beat)
            for widget in opened[turn % 4:] + opened[:turn % 4]:
                viewer.window.remove_dock_widget(widget)
            beat.rest(0.05)
            for name in DOCKS[:2]:
                viewer.window.add_plugin_dock_widget("napari-medseg", name)
        else:
            cycle(viewer, desk_for(viewer), volume, beat)
        if turn % 10 == 0 or turn == 1:
            rows.append({"cycle": turn, **count(viewer, desk_for(viewer).session, beat)})
            kinds.append(ours())
            print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    settled = next((i for i, row in enumerate(rows) if row["cycle"] >= min(SETTLED, args.cycles // 2)), 0)
    first, last = rows[settled], rows[-1]
    span = max(1, last["cycle"] - first["cycle"])
    growth = {name: round((last[name] - first[name]) / span, 3) for name in last if name != "cycle"}
    print(f"growth a cycle from cycle {first['cycle']} to {last['cycle']}:", growth)
    grown = {name: (kinds[settled][name], number) for name, number in kinds[-1].items() if number > kinds[settled][name] + 2}
    if args.kinds:
        print("classes that grew:", dict(sorted(grown.items(), key=lambda item: -item[1][1])[:40]))
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "growth": growth}, indent=1))
    if args.canvasless:
        dock.desk.shut()
        application.processEvents()
    else:
        viewer.close()


if __name__ == "__main__":
    main()
