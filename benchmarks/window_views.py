"""What four views cost beside bare napari: `python benchmarks/window_views.py [--shape 256 256 256]`; needs a display.

The longest gap of the event loop during each action, in a napari window without us and in ours with axial, coronal, sagittal and 3D open, on the same
made-up scan with a label. For opening and closing the views bare napari changes its canvas's size as much, with empty widgets in the places of the panes;
for going through slices and dragging the window it does the same in its one view. "One view" is ours without the panes. Memory is that of the process.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import napari
import numpy as np
import psutil
from napari.qt import QtViewer
from qtpy.QtWidgets import QWidget
from window import Gap, Hand, Heartbeat, Step, phantom, scroll

from napari_medseg.volume import Geometry, Volume

TURNS = 40


def windows(layer) -> list[Step]:
    """A window that gets wider step by step."""
    return [lambda i=i: setattr(layer, "contrast_limits", (300 - 5 * i, 1100 + 5 * i)) for i in range(TURNS)]


def megabytes() -> float:
    """Of this process."""
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


def bare(image, inside, beat: Heartbeat, repeats: int) -> dict[str, list[Gap]]:
    """The actions in napari alone."""
    found: dict[str, list[Gap]] = defaultdict(list)
    viewer = napari.Viewer(show=True)
    window = viewer.window._qt_window
    window.showMaximized()
    beat.rest(2)
    layer = viewer.add_image(image, contrast_limits=(300, 1100))
    viewer.add_labels(inside.astype(np.uint8))
    viewer.dims.set_current_step(0, len(image) // 2)
    beat.rest(2)
    centre = window.centralWidget()
    main = centre.findChild(QtViewer)
    placed: list[QWidget] = []

    def halve() -> None:
        placed[:] = [QWidget(), QWidget()]
        main.addWidget(placed[0])
        centre.layout().addWidget(placed[1], 1)
        centre.layout().setStretch(0, 1)
        centre.layout().activate()
        main.setSizes([main.height() // 2] * 2)

    def whole() -> None:
        for part in placed:
            part.setParent(None)
            part.deleteLater()
        centre.layout().activate()

    for _ in range(repeats):
        found["one view: axial slices"].append(beat.during(scroll(viewer, len(image)), 0.03, 0.5))
        found["open four views"].append(beat.during([halve], 0, 1.0))
        found["go through axial slices"].append(beat.during(scroll(viewer, len(image)), 0.03, 0.5))
        found["go through coronal slices"].append(beat.during(scroll(viewer, len(image)), 0.03, 0.5))
        found["drag the place over a pane"].append(beat.during(scroll(viewer, len(image)) * 2, 0.03, 0.5))
        found["drag the window"].append(beat.during(windows(layer), 0.03, 0.5))
        viewer.layers[-1].mode, viewer.layers[-1].brush_size = "paint", 5
        found["paint a stroke"].append(beat.during(Hand(viewer).drag(), 0.03, 0.5))
        viewer.layers[-1].mode = "pan_zoom"
        found["close four views"].append(beat.during([whole], 0, 1.0))
    viewer.close()
    return found


def ours(image, inside, beat: Heartbeat, repeats: int) -> dict[str, list[Gap]]:
    """The same with our views."""
    from napari_medseg.gui.desk import desk_for
    from napari_medseg.gui.launch import open_window

    found: dict[str, list[Gap]] = defaultdict(list)
    viewer = open_window()
    beat.rest(2)
    desk = desk_for(viewer)
    from napari_medseg.gui.layers import volume_layers

    for data, keywords, _ in volume_layers(Volume(image, Geometry(image.shape), name="made up", modality="MR")):
        viewer.add_image(data, **keywords)
    session, views = desk.session, desk.session.views
    scan = session.current
    session.adopt_labels(scan, inside.astype(np.uint8))
    session.set(tool="")
    beat.rest(3)
    picture = desk.image(scan)
    memory, half = [megabytes()], image.shape[1] // 2
    for _ in range(repeats):
        found["one view: axial slices"].append(beat.during(scroll(viewer, len(image)), 0.03, 0.5))
        found["open four views"].append(beat.during([desk.views.toggle_ortho], 0, 1.0))
        beat.rest(2)
        memory.append(megabytes())
        found["go through axial slices"].append(beat.during(scroll(viewer, len(image)), 0.03, 0.5))
        found["go through coronal slices"].append(beat.during([lambda i=i: views.go_slice(1, half + i) for i in range(-10, 10)], 0.03, 0.5))
        way = [(z, half - z % 7, image.shape[2] // 2 + z % 11) for z in range(len(image) // 2 - 20, len(image) // 2 + 20)]
        found["drag the place over a pane"].append(beat.during([lambda v=v: views.go_voxel(v) for v in way], 0.03, 0.5))
        found["drag the window"].append(beat.during(windows(picture), 0.03, 0.5))
        desk.paint_labels()
        viewer.layers.selection.active.brush_size = 5
        found["paint a stroke"].append(beat.during(Hand(viewer).drag(), 0.03, 0.5))
        viewer.layers.selection.active.mode = "pan_zoom"
        found["close four views"].append(beat.during([desk.views.toggle_ortho], 0, 1.0))
        memory.append(megabytes())
    print("  memory before, with the views, after them, and so on, MB:", " ".join(f"{each:.0f}" for each in memory), flush=True)
    viewer.close()
    return found


def main() -> None:
    """Measure both sides, each in a process of its own, and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(256, 256, 256))
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--side", choices=("bare", "ours"))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.side:
        image, inside = phantom(tuple(given.shape))
        found = (bare if given.side == "bare" else ours)(image, inside, Heartbeat(), given.repeats)
        given.out.write_text(json.dumps({name: [(gap.waited, gap.computed) for gap in gaps] for name, gaps in found.items()}))
        return
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for side in ("bare", "ours"):
            out = Path(folder) / f"{side}.json"
            shape = [str(n) for n in given.shape]
            subprocess.run([sys.executable, __file__, "--shape", *shape, "--repeats", str(given.repeats), "--side", side, "--out", str(out)], check=True)
            results[side] = json.loads(out.read_text())
    print(f"{'ms: first, median, computed':30} {'bare':>22} {'ours':>22} {'added':>7}")
    for name in results["ours"]:
        cells = []
        for side in ("bare", "ours"):
            waited, computed = zip(*results[side][name], strict=True)
            cells.append((waited[0], statistics.median(waited[1:] or waited), statistics.median(computed[1:] or computed)))
        print(f"{name:30} " + " ".join("{:7.0f} {:6.0f} {:6.0f} ".format(*cell) for cell in cells) + f"{cells[1][1] - cells[0][1]:+7.0f}")


if __name__ == "__main__":
    main()
