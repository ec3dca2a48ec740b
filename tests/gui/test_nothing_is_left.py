"""What is closed is gone: scans with their layers and results, and every callback at the viewer."""

import gc
import weakref

import pytest

from napari_medseg.gui.desk import find_desk
from napari_medseg.gui.layers import layer_data
from napari_medseg.gui.window import MedsegWidget

pytestmark = pytest.mark.qt


def callbacks(viewer):
    """How many listen to a viewer."""
    parts = (viewer, viewer.dims, viewer.layers, viewer.layers.selection, viewer.scene.camera, viewer.cursor)
    return {
        **{f"{type(part).__name__} {name}": len(emitter.callbacks) for part in parts for name, emitter in part.events.emitters.items()},
        "drag": len(viewer.mouse_drag_callbacks), "move": len(viewer.mouse_move_callbacks), "overlays": len(viewer.canvas.overlays),
    }


def one_scan(viewer, desk, session, ball, qtbot):
    """Open, grow, accept, paint, take back, point and close; what should be gone then."""
    data, keywords, _ = layer_data(ball)
    viewer.add_image(data.copy(), **keywords)
    scan = session.current
    session.set(tab="weak")
    desk.arm("seeds")
    middle = [length // 2 for length in scan.display.geometry.shape]
    session.set_seeds(scan, {session.chosen: (tuple(map(float, scan.display.geometry.world(middle))),)})
    desk.run()
    qtbot.waitUntil(lambda: scan.preview is not None and not scan.preview.is_empty and not session.jobs.active, timeout=60_000)
    session.accept()
    desk.paint_labels()
    desk.writer.of(scan).labels.paint((2, 5, 5), session.chosen)
    session.undo(scan)
    desk.arm("scribbles")
    session.set(tab="segment")
    desk.arm("point")
    qtbot.wait(50)
    session.set(tab="review", tool="")
    gone = [weakref.ref(scan), weakref.ref(scan.history), *(weakref.ref(layer) for layer in viewer.layers)]
    names = ["scan", "history", *(layer.name for layer in viewer.layers)]
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not session.scans and not session.jobs.active, timeout=20_000)
    qtbot.wait(200)  # what waits for a turn of the event loop, such as layers to be laid out, has had it
    return dict(zip(names, gone, strict=True))


def alive(refs):
    gc.collect()
    return sorted(name for name, ref in refs.items() if ref() is not None)


@pytest.mark.slow  # three scans are opened, grown and painted on
def test_a_scan_that_was_closed_is_gone_with_its_layers_and_nobody_listens_to_it_any_more(viewer, dock, desk, session, ball, qtbot):
    one_scan(viewer, desk, session, ball, qtbot)  # what is made once is made
    before = callbacks(viewer)
    refs = one_scan(viewer, desk, session, ball, qtbot)
    one_scan(viewer, desk, session, ball, qtbot)  # the engine's thread lets go of its last work when it gets other work
    assert alive(refs) == []
    assert callbacks(viewer) == before


def test_a_scan_that_is_closed_with_a_tool_in_hand_has_no_layers_waiting_for_it(viewer, dock, desk, session, ball, qtbot):
    data, keywords, _ = layer_data(ball)
    viewer.add_image(data, **keywords)
    scan = session.current
    desk.arm("scribbles")
    desk.arm("seeds")
    assert len(desk.writer._ahead)
    session.close(scan)  # in the same turn of the event loop: nothing that waits was done
    assert not len(desk.writer._ahead)


def test_a_dock_that_was_closed_leaves_the_viewer_as_it_was(viewer, ball):
    before = callbacks(viewer)
    dock = MedsegWidget(viewer)
    viewer.add_image(ball.array)
    dock.desk.arm("seeds")
    dock.desk.shut()
    dock.deleteLater()
    viewer.layers.clear()
    assert callbacks(viewer) == before
    assert find_desk(viewer) is None
