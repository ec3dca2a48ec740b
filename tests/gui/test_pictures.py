"""What the window shows of a scan: its channels, its window, its axes."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_medseg.gui.layers import image_layers, volume_layers
from napari_medseg.io import read_labels, write
from napari_medseg.session import showing
from napari_medseg.volume import Geometry, Volume
from napari_medseg.volume.fusion import combine

pytestmark = pytest.mark.qt

CT = Geometry((12, 40, 40), (3.0, 1.0, 1.0), (-20.0, -20.0, 0.0))
PET = Geometry((14, 12, 12), (3.5, 4.0, 4.0), (-24.0, -24.0, -4.0))


@pytest.fixture
def study():
    rng = np.random.default_rng(1)
    ct = Volume(rng.integers(-1000, 1000, CT.shape).astype(np.int16), CT, name="chest", modality="CT", units="HU")
    pet = Volume(rng.random(PET.shape).astype(np.float32) * 12, PET, name="uptake", modality="PT", units="GML")
    return combine([ct, pet])


@pytest.fixture
def fused(viewer, dock, session, study):
    for data, keywords, _ in image_layers(study, "chest and uptake"):
        viewer.add_image(data, **keywords)
    return session.current


@pytest.fixture
def oblique(viewer, dock, session):
    matrix = Rotation.from_euler("zyx", (20, 10, 0), degrees=True).as_matrix()
    grid = Geometry((10, 30, 28), (3.0, 1.0, 1.0), (-310.0, 5.0, 640.0), tuple(float(v) for v in matrix.ravel()))
    array = np.random.default_rng(0).normal(100, 10, grid.shape).astype(np.float32)
    for data, keywords, _ in volume_layers(Volume(array, grid, name="tilted", modality="MR")):
        viewer.add_image(data, **keywords)
    return session.current


def turn(session, scan, on, qtbot):
    showing.straighten(session, scan, on)
    qtbot.waitUntil(lambda: (scan.aside is not None) == on, timeout=20_000)


def test_channels_of_one_study_are_one_scan_with_pet_over_ct(viewer, session, fused):
    assert len(session.scans) == 1
    assert fused.name == "chest and uptake"
    ct, pet = viewer.layers
    assert (ct.name, pet.name) == ("chest", "uptake")
    assert (ct.colormap.name, pet.colormap.name, pet.blending) == ("gray", "hot", "additive")
    assert pet.visible
    assert pet.opacity < 1
    assert tuple(ct.contrast_limits) == (-160, 240)
    assert tuple(pet.contrast_limits) == (0, 10)
    assert np.allclose(ct.translate, pet.translate)


def test_another_channel_to_work_on_goes_under_and_the_other_over_it(viewer, session, fused):
    showing.choose_channel(session, fused, 1)
    ct, pet = viewer.layers
    assert (fused.overlay, pet.colormap.name, ct.colormap.name) == (0, "gray", "hot")
    assert fused.display.units == "GML"
    showing.choose_overlay(session, fused, None)
    assert not ct.visible
    showing.set_blend(session, fused, 0.3)
    assert pet.opacity == 1.0


def test_removing_the_worked_channel_goes_on_with_the_other_and_removing_both_closes(viewer, session, fused):
    viewer.layers.remove(viewer.layers[0])
    assert session.current is fused
    assert fused.display.name == "uptake"
    viewer.layers.remove(viewer.layers[0])
    assert session.current is None


def test_windows_go_both_ways_between_layer_and_session(viewer, session, fused):
    showing.choose_window(session, fused, "lung")
    assert tuple(viewer.layers[0].contrast_limits) == (-1350, 150)
    viewer.layers[0].contrast_limits = (0, 100)
    assert fused.window.limits == (0, 100)
    assert fused.preset == ""


def test_a_window_once_chosen_is_that_of_the_next_ct(viewer, session, fused, study):
    showing.choose_window(session, fused, "bone")
    for data, keywords, _ in volume_layers(study[0]):
        layer = viewer.add_image(data, **keywords)
    assert tuple(layer.contrast_limits) == (-500, 1300)


def test_a_colour_picture_keeps_its_colours(viewer, session, dock):
    picture = Volume(np.random.default_rng(0).integers(0, 255, (3, 1, 30, 40)).astype(np.uint8), Geometry((1, 30, 40)), name="photo",
                     channel_names=("red", "green", "blue"))
    for data, keywords, _ in volume_layers(picture):
        viewer.add_image(data, **keywords)
    showing.choose_channel(session, session.current, 1)
    assert [layer.colormap.name for layer in viewer.layers] == ["red", "green", "blue"]
    assert all(layer.visible for layer in viewer.layers)
    assert session.current.display.name == "photo green"


def test_turning_to_the_patients_axes_keeps_the_place_in_view_and_moves_labels_and_seeds(viewer, desk, session, oblique, qtbot):
    session.adopt_labels(oblique, (oblique.display.array > 110).astype(np.uint8))
    middle = tuple(float(v) for v in oblique.display.geometry.world([5, 15, 14]))
    session.set_seeds(oblique, {1: (middle,)})
    image = desk.image(oblique)
    viewer.dims.set_point(range(3), image.data_to_world((5, 15, 14)))
    viewer.scene.camera.center = tuple(image.data_to_world((5, 15, 14)))
    turn(session, oblique, True, qtbot)
    labels = desk.writer.of(oblique).labels
    assert image.data.shape == labels.data.shape == oblique.display.geometry.shape
    assert np.allclose(image.translate, labels.translate)
    seen = oblique.display.geometry.world(image.world_to_data(viewer.dims.point))
    assert np.linalg.norm(seen - middle) <= 3.0, "the slice nearest to where the person was"
    seed = desk.seeds.get(oblique)
    assert np.allclose(oblique.display.geometry.world(seed.data[0]), middle, atol=0.01)
    assert np.allclose(seed.translate, image.translate)
    turn(session, oblique, False, qtbot)
    assert image.data.shape == labels.data.shape == (10, 30, 28)
    assert labels.data is oblique.labels


def test_labels_drawn_on_the_patients_axes_are_saved_by_napari_on_the_files_grid(viewer, desk, session, oblique, qtbot, tmp_path):
    stored = np.zeros(oblique.display.geometry.shape, np.uint8)
    stored[4:6, 8:12, 8:12] = 1
    session.adopt_labels(oblique, stored)
    turn(session, oblique, True, qtbot)
    layer = desk.writer.of(oblique).labels
    layer.save(str(tmp_path / "mask.nii.gz"), plugin="napari-medseg")
    back = read_labels(tmp_path / "mask.nii.gz", like=oblique.geometry)
    np.testing.assert_array_equal(oblique.aside.axes.apply(back.array), stored)


def test_a_label_file_brings_its_names_whichever_is_opened_first(viewer, dock, session, ball, tmp_path):
    from napari_medseg.annotation import LabelClass, LabelMap

    mask = LabelMap((ball.array > 150).astype(np.uint8), ball.geometry, name="mask", classes=(LabelClass(1, "Lesion", (1.0, 0.0, 0.0)),))
    for volume in (mask, ball):
        for data, keywords, kind in volume_layers(volume):
            getattr(viewer, f"add_{kind}")(data, **keywords)
    assert session.current.has_labels
    assert [c.name for c in session.classes] == ["Lesion"]
    write(ball, tmp_path / "ball.nrrd")


def test_a_label_file_opened_on_the_patients_axes_is_kept_bit_for_bit(viewer, desk, session, oblique, qtbot):
    from napari_medseg.annotation import LabelClass, LabelMap
    from napari_medseg.session.state import source_labels

    turn(session, oblique, True, qtbot)
    stored = (oblique.source.array > 110).astype(np.uint8)
    ((data, keywords, _),) = volume_layers(LabelMap(stored, oblique.geometry, name="mask", classes=(LabelClass(1, "Lesion", (1.0, 0.0, 0.0)),)))
    viewer.add_labels(data, **keywords)
    assert oblique.labels.shape == oblique.display.geometry.shape
    assert [c.name for c in session.classes] == ["Lesion"]
    np.testing.assert_array_equal(source_labels(oblique).array, stored)
    turn(session, oblique, False, qtbot)
    np.testing.assert_array_equal(source_labels(oblique).array, stored)
