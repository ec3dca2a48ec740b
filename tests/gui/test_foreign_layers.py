"""Layers that a person, or another plugin, brought: worked on or declined in a sentence, and never changed."""

import hashlib

import numpy as np
import pytest

from napari_medseg.gui import layers

pytestmark = pytest.mark.qt
SHAPE = (12, 40, 44)
LOOK = (
    "scale", "translate", "rotate", "shear", "units", "axis_labels", "opacity", "blending", "visible", "name", "contrast_limits", "contrast_limits_range",
    "gamma", "interpolation2d", "rendering", "mode", "contour", "brush_size", "selected_label", "n_edit_dimensions", "editable", "depiction", "projection_mode",
)


@pytest.fixture
def values():
    z, y, x = np.indices(SHAPE)
    ball = 4 * (z - 6) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 < 90
    return (100 * ball + np.random.default_rng(0).normal(0, 5, SHAPE)).astype(np.float32)


def state(layer):
    """All that a person could notice of a layer."""
    seen = {name: repr(getattr(layer, name)) for name in LOOK if hasattr(layer, name)}
    parts = layer.data if layer.multiscale else [layer.data]
    seen["data"] = [hashlib.sha256(np.ascontiguousarray(np.asarray(part)).tobytes()).hexdigest() for part in parts]
    seen["kept"] = id(layer.data) if not layer.multiscale else None
    seen["metadata"], seen["affine"] = repr(layer.metadata), repr(np.asarray(layer.affine))
    seen["colormap"] = repr(layer.colormap)
    return seen


def use(desk, session, qtbot):
    """What a person does in a session: segment from seeds, accept, paint, take back."""
    scan = session.current
    session.set(tab="weak")
    desk.arm("seeds")
    session.set_seeds(scan, {session.chosen: (scan.display.geometry.world([6, 20, 20]),)})
    desk.run()
    qtbot.waitUntil(lambda: scan.preview is not None and not session.jobs.active, timeout=60_000)
    session.accept()
    desk.paint_labels()
    desk.writer.of(scan).labels.paint((6, 5, 5), session.chosen)
    session.undo(scan)
    desk.arm("scribbles")
    session.set(tool="")
    session.set(tab="review")


def elsewhere_dask(values):
    da = pytest.importorskip("dask.array")
    return da.from_array(values, chunks=(5, 40, 44))


def elsewhere_zarr(values):
    import zarr

    array = zarr.create_array(store=zarr.storage.MemoryStore(), shape=values.shape, chunks=(4, 40, 44), dtype=values.dtype)
    array[:] = values
    return array


KINDS = {
    "plain": (lambda v: v, {}),
    "scaled, moved and in mm": (lambda v: v, {"scale": (3.0, 0.7, 0.7), "translate": (-100.0, 40.0, 12.5), "units": "mm"}),
    "an upright affine": (lambda v: v, {"affine": np.diag([2.0, 0.5, 0.5, 1.0]), "colormap": "magma", "gamma": 0.7}),
    "16 bit and backwards in memory": (lambda v: v.astype(np.int16)[::-1], {"contrast_limits": (0.1, 0.7), "name": "backwards"}),
    "mirrored, as some readers of NIfTI do": (lambda v: v, {"scale": (-3.0, -0.7, 0.7), "translate": (78.0, 99.6, -4.0)}),
    "mirrored by an affine": (lambda v: v, {"affine": np.diag([2.0, 0.5, -0.5, 1.0])}),
    "half precision": (lambda v: v.astype(np.float16), {}),
    "yes and no": (lambda v: v > 50, {}),
    "dask": (elsewhere_dask, {"scale": (2.0, 1.0, 1.0)}),
    "zarr": (elsewhere_zarr, {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_of_somebody_s_is_worked_on_and_stays_as_it_was(viewer, dock, desk, session, values, qtbot, kind):
    make, keywords = KINDS[kind]
    layer = viewer.add_image(make(values), **{"metadata": {"theirs": 1}, **keywords})
    before = state(layer)
    qtbot.waitUntil(lambda: session.current is not None, timeout=20_000)
    scan = session.current
    place = layers.to_world(scan.display.geometry, (6, 20, 21))
    assert scan.display.array[6, 20, 21] == np.asarray(layer.data)[tuple(np.rint(layer.world_to_data(place)).astype(int))]
    use(desk, session, qtbot)
    assert scan.has_labels
    before_and_after = desk.slice_in_view(0)
    desk.show_slice(0, 9)
    assert desk.slice_in_view(0) == 9
    desk.show_slice(0, before_and_after)
    theirs, ours = layer.extent.world, desk.writer.of(scan).labels.extent.world
    assert np.allclose(theirs, ours)
    dock.desk.shut()
    assert state(layer) == before


TILTED = np.array([[1, 0, 0, 0], [0, 0.8, -0.6, 0], [0, 0.6, 0.8, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(("keywords", "said"), [
    ({"units": ("um", "um", "um")}, "is measured in micrometer. Give its scale in millimetres"), ({"affine": TILTED}, "turned or sheared"),
])
def test_what_cannot_be_worked_on_is_declined_with_what_to_do(viewer, dock, session, values, keywords, said):
    layer = viewer.add_image(values, **keywords)
    before = state(layer)
    assert session.current is None
    assert said in session.declined
    dock.desk.shut()
    assert state(layer) == before


def test_a_scan_beside_a_picture_in_micrometres_is_declined_because_clicks_would_miss_it(viewer, dock, session, values):
    viewer.add_image(values, name="cells", units="um")
    viewer.add_image(values, name="scan", units="mm")
    assert session.current is None
    assert "while napari measures in micrometer" in session.declined


def test_a_picture_in_micrometres_that_comes_beside_an_open_scan_is_told_of_and_the_scan_keeps_its_labels(viewer, dock, session, values):
    viewer.add_image(values, name="scan", units="mm")
    scan = session.current
    session.adopt_labels(scan, (values > 50).astype(np.uint8))
    viewer.add_image(values, name="cells", units="um")
    assert "scan: cannot be worked on while napari measures in micrometer" in session.trouble
    assert session.current is scan
    assert scan.has_labels
    viewer.layers.remove("cells")
    viewer.add_image(values, name="another", units="mm")
    assert session.current.name == "another"


def test_what_is_read_from_elsewhere_and_does_not_fit_in_memory_is_declined_unread(viewer, dock, session):
    da = pytest.importorskip("dask.array")
    layer = viewer.add_image(da.broadcast_to(da.zeros((1, 1, 1), dtype=np.float32), (200_000, 2000, 2000)), contrast_limits=(0, 1))
    assert session.current is None
    assert "too much for the" in session.declined
    assert "Crop it" in session.declined
    assert layer.visible


LABEL_KINDS = {
    "signed 64 bit": lambda m: m.astype(np.int64), "16 bit": lambda m: m.astype(np.uint16), "yes and no": lambda m: m > 0, "read only": lambda m: locked(m),
    "dask": elsewhere_dask,
}


def locked(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("kind", LABEL_KINDS)
@pytest.mark.parametrize("first", ["image", "labels"])
def test_somebody_s_labels_are_worked_on_as_a_copy_and_stay_as_they_were(viewer, dock, desk, session, values, qtbot, kind, first):
    label = (values > 50).astype(np.uint8)
    data = LABEL_KINDS[kind](label)
    add = {"image": lambda: viewer.add_image(values), "labels": lambda: viewer.add_labels(data, name="organ", metadata={"theirs": 1}, opacity=0.3)}
    add[first]()
    before = state(viewer.layers["organ"]) if first == "labels" else None
    add["labels" if first == "image" else "image"]()
    layer = viewer.layers["organ"]
    qtbot.waitUntil(lambda: session.current.has_labels, timeout=20_000)
    scan = session.current
    ours = desk.writer.of(scan).labels
    assert ours is not layer
    assert np.array_equal(scan.labels, label)
    assert not layer.visible
    ours.paint((6, 5, 5), session.chosen)
    assert not np.asarray(layer.data)[6, 5, 5]
    dock.desk.shut()
    assert layer.visible
    if before is not None:
        assert state(layer) == before


def test_mirrored_labels_of_a_mirrored_scan_are_copied_as_they_are_shown(viewer, dock, desk, session, values):
    label, mirrored = (values > 50).astype(np.uint8), {"scale": (-3, 1, -1), "translate": (33, 0, 43)}
    label[0, 0, 0] = 1
    viewer.add_image(values, **mirrored)
    layer = viewer.add_labels(label.copy(), **mirrored)
    assert np.array_equal(session.current.labels, label[::-1, :, ::-1])
    assert np.array_equal(layer.data, label)
    assert np.allclose(desk.writer.of(session.current).labels.extent.world, layer.extent.world)


def test_labels_with_more_values_than_classes_are_left_alone_with_a_sentence(viewer, dock, desk, session, values):
    viewer.add_image(values)
    cells = np.arange(values.size, dtype=np.int32).reshape(SHAPE)
    layer = viewer.add_labels(cells, name="cells")
    assert not session.current.has_labels
    assert layer.visible
    assert "cells: holds label values from 0 to" in session.notice


@pytest.mark.parametrize("keywords", [{"rotate": (0, 0, 20)}, {"translate": (0, 0, 3)}, {"scale": (2, 1, 1)}])
def test_labels_that_lie_elsewhere_than_the_scan_are_left_alone(viewer, dock, session, values, keywords):
    viewer.add_image(values)
    layer = viewer.add_labels((values > 50).astype(np.uint8), **keywords)
    assert not session.current.has_labels
    assert layer.visible


def test_other_values_in_the_layer_are_other_values_of_the_scan_and_keep_its_labels(viewer, dock, desk, session, values):
    layer = viewer.add_image(values)
    scan = session.current
    session.adopt_labels(scan, (values > 50).astype(np.uint8))
    layer.data = values + 7
    assert session.current is scan
    assert np.array_equal(scan.display.array, values + 7)
    assert scan.has_labels


def test_a_scan_of_another_size_in_the_layer_is_another_scan_and_the_labels_stay_as_a_layer(viewer, dock, desk, session, values):
    layer = viewer.add_image(values)
    before = session.current
    session.adopt_labels(before, (values > 50).astype(np.uint8))
    kept = desk.writer.of(before).labels
    layer.data = values[:7]
    assert session.scans == [session.current]
    assert session.current is not before
    assert session.current.display.geometry.shape == (7, 40, 44)
    assert kept in viewer.layers
    layer.data = np.zeros((5, 5), np.float32)
    assert session.current is None
    assert "a flat picture" in session.declined


def test_a_scan_may_be_renamed_moved_in_the_list_and_removed_while_a_network_is_at_work(viewer, dock, desk, session, values, qtbot):
    layer = viewer.add_image(values)
    viewer.add_points(np.zeros((1, 3)))
    session.set(tab="weak")
    session.set_seeds(session.current, {session.chosen: (session.current.display.geometry.world([6, 20, 20]),)})
    desk.run()
    layer.name = "other"
    viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))
    viewer.layers.reverse()
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not session.jobs.active, timeout=20_000)
    assert session.current is None
    viewer.add_image(values)
    use(desk, session, qtbot)
    assert session.current.has_labels


def test_two_viewers_have_a_desk_each_and_do_not_hear_of_each_other(viewer, dock, session, values, qtbot):
    from napari.components import ViewerModel

    from napari_medseg.gui.window import MedsegWidget

    other = ViewerModel()
    second = MedsegWidget(other)
    qtbot.addWidget(second)
    viewer.add_image(values)
    assert second.desk is not dock.desk
    assert second.desk.session.current is None
    other.add_image(values[:6])
    dock.desk.shut()
    use_labels = second.desk.session
    use_labels.adopt_labels(use_labels.current, (values[:6] > 50).astype(np.uint8))
    assert use_labels.current.has_labels
    second.desk.shut()


def test_a_viewer_that_ended_its_asynchronous_slicing_may_take_its_layers_away(viewer, dock, desk, session, values):
    viewer._layer_slicer._force_sync = False  # napari's preference for asynchronous slicing
    viewer.add_image(values)
    scan = session.current
    desk.prompts.prepare(scan)
    viewer._layer_slicer.shutdown()  # what Viewer.close() does first
    session.act()
    viewer.layers.clear()
    assert not len(viewer.layers)
    assert session.current is None
