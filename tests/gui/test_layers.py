import numpy as np
import pytest

from napari_medseg.gui.layers import adopt, layer_data, looks_like_labels, source_volume
from napari_medseg.gui.window import MedsegWidget
from napari_medseg.io import read, read_labels
from napari_medseg.volume import Geometry, Volume, orient

pytestmark = pytest.mark.qt


def make_image(data, **keywords):
    from napari.layers import Image

    return Image(data, **keywords)


def test_a_scan_lies_in_its_layer_where_it_lies_in_the_patient(ball):
    array, keywords, kind = layer_data(ball)
    layer = make_image(array, **keywords)
    bright = np.argwhere(array > 150).mean(0)
    feet, back, left = layer.data_to_world(bright)
    expected = ball.geometry.world(np.argwhere(ball.array > 150).mean(0))
    assert kind == "image"
    assert np.allclose((left, back, -feet), expected, atol=1e-6)


def test_two_scans_of_one_patient_line_up_in_millimetres(ball):
    cut = ball.cropped((slice(4, 16), slice(10, 50), slice(10, 50)))
    points = []
    for volume in (ball, cut):
        array, keywords, _ = layer_data(volume)
        points.append(make_image(array, **keywords).data_to_world(np.argwhere(array > 150).mean(0)))
    assert np.allclose(*points, atol=0.2)


def test_a_layer_of_ours_comes_back_with_its_files_grid(ball):
    array, keywords, _ = layer_data(ball)
    layer = make_image(array, **keywords)
    scan = adopt(layer)
    assert scan.display.array is layer.data
    assert scan.geometry == ball.geometry
    assert np.array_equal(scan.source.array, ball.array)


def test_a_plain_layer_is_taken_as_it_is_shown():
    layer = make_image(np.random.default_rng(0).random((5, 8, 9)), scale=(3, 1, 2), translate=(7, 5, 4), name="plain")
    scan = adopt(layer)
    assert scan.display.geometry.spacing == (3.0, 1.0, 2.0)
    assert scan.axes.order == (0, 1, 2)
    assert not any(scan.axes.flipped)
    assert np.allclose(scan.display.geometry.world([0, 0, 0]), (4, 5, -7))


@pytest.mark.parametrize(("data", "keywords", "said"), [
    (np.zeros((8, 9)), {}, "a flat picture"), (np.zeros((8, 9, 3), np.uint8), {"rgb": True}, "a colour picture"),
    (np.zeros((2, 3, 8, 9)), {}, "a series with 4 axes"),
    ([np.zeros((4, 8, 8)), np.zeros((2, 4, 4))], {"multiscale": True}, "a pyramid"), (np.zeros((4, 8, 9)), {"rotate": (0, 0, 30)}, "turned or sheared"),
    (np.full((4, 8, 9), np.nan), {}, "no usable number"),
])
def test_what_is_no_scan_is_declined_with_a_sentence_and_left_as_it_is(viewer, dock, session, data, keywords, said):
    layer = viewer.add_image(data, name="picture", **keywords)
    before = dict(layer.metadata)
    assert session.current is None
    assert said in session.declined
    assert layer.metadata == before


def test_a_scan_that_was_open_before_the_dock_is_taken(viewer, samples, qtbot):
    viewer.open(str(samples / "breast1_image.nrrd"), plugin="napari-medseg")
    dock = MedsegWidget(viewer)
    qtbot.addWidget(dock)
    assert dock.desk.session.current.name == "breast1_image"
    dock.desk.shut()


def test_a_label_file_opened_after_its_scan_becomes_its_labels(viewer, dock, session, open_sample, samples):
    scan = open_sample()
    viewer.open(str(samples / "brain1_tumour.nii.gz"), plugin="napari-medseg")
    truth = orient(read_labels(samples / "brain1_tumour.nii.gz")).array
    assert scan.labels is viewer.layers[-1].data
    assert np.array_equal(scan.labels > 0, truth > 0)
    assert session.current is scan


def test_labels_of_another_scan_are_left_alone(viewer, dock, session, open_sample, samples):
    scan = open_sample()
    viewer.open(str(samples / "breast1_label.nrrd"), plugin="napari-medseg")
    assert scan.labels is None


def test_napari_writes_our_labels_on_the_scans_own_grid(viewer, dock, session, open_sample, tmp_path):
    scan = open_sample()
    session.adopt_labels(scan, np.zeros(scan.display.geometry.shape, np.uint8))
    scan.labels[3:5, 40:60, 70:75] = 1
    layer = next(layer for layer in viewer.layers if layer.data is scan.labels)
    layer.save(str(tmp_path / "mask.nii.gz"), plugin="napari-medseg")
    back = read_labels(tmp_path / "mask.nii.gz", like=scan.geometry)
    assert np.array_equal(scan.axes.apply(back.array), scan.labels)


def test_napari_writes_our_image_as_the_file_was(viewer, dock, session, open_sample, samples, tmp_path):
    open_sample("breast1")
    viewer.layers[0].save(str(tmp_path / "copy.nrrd"), plugin="napari-medseg")
    first, copy = read(samples / "breast1_image.nrrd"), read(tmp_path / "copy.nrrd")
    assert copy.geometry.matches(first.geometry)
    assert np.array_equal(copy.array, first.array)


def test_an_image_on_no_known_grid_keeps_its_scale_and_place():
    volume = source_volume(np.zeros((3, 4, 5)), {"name": "x", "scale": (2, 1, 1), "translate": (1, 2, 3)})
    assert volume.geometry == Geometry((3, 4, 5), (2.0, 1.0, 1.0), (3.0, 2.0, -1.0), (1, 0, 0, 0, 1, 0, 0, 0, -1))


def test_label_maps_are_told_from_scans_by_their_values(ball):
    assert looks_like_labels((ball.array > 150).astype(np.uint8))
    assert not looks_like_labels(ball.array)
    assert not looks_like_labels(ball.array.astype(np.int16))


def test_an_oblique_scan_says_so(ball, viewer, dock, session):
    angle = np.deg2rad(12)
    direction = (np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1)
    tilted = Volume(ball.array, Geometry(ball.geometry.shape, ball.geometry.spacing, (0, 0, 0), tuple(map(float, direction))), name="tilted")
    array, keywords, _ = layer_data(tilted)
    viewer.add_image(array, **keywords)
    dock.refresh()
    assert "oblique by 12°" in dock.header.facts.text()
