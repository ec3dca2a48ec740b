"""Folders and files on their way into the window: chosen, read beside it, named by their formats."""

from pathlib import Path

import numpy as np
import pytest
from dicom_scans import save_scan
from dicom_series import image, save
from napari.settings import NapariSettings
from npe2 import PluginManifest

import napari_medseg
from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.gui import reader
from napari_medseg.gui.chooser import SeriesChooser
from napari_medseg.gui.launch import prefer_our_reader
from napari_medseg.gui.reader import get_reader
from napari_medseg.io import read, read_labels, write
from napari_medseg.io.formats import FORMATS
from napari_medseg.session import next_step, state
from napari_medseg.session.choosing import Row
from napari_medseg.volume import Geometry, Volume

pytestmark = pytest.mark.qt

DICOM_NAMES = {"*[0-9][0-9][0-9]", "*.[0-9]", "*.[0-9][0-9]", "*[!a-z0-9]"}
PATIENT = np.random.default_rng(0).integers(0, 2000, (6, 24, 20)).astype(np.uint16)


def series(folder, uid, description, *, modality="CT", number=3, voxels=PATIENT, lost=()):
    for k, plane in enumerate(voxels):
        if k not in lost:
            save(image(plane, (0, 0, 2.5 * k), SeriesInstanceUID=uid, SeriesDescription=description, Modality=modality, SeriesNumber=number,
                       InstanceNumber=k + 1), folder / f"{number}_{k:04d}")
    return folder


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "study"
    series(folder, "1.2.1", "Chest", number=1)
    series(folder, "1.2.2", "Thin", number=2, voxels=PATIENT + 5)
    return series(folder, "1.2.3", "Torn", number=3, lost=(2,))


@pytest.fixture
def opener(desk):
    return desk.opener


def contributions():
    return PluginManifest.from_file(Path(napari_medseg.__file__).parent / "napari.yaml").contributions


def test_napari_is_told_of_every_format_that_is_read():
    ours = next(r for r in contributions().readers if r.command == "napari-medseg.read")
    told = {p for p in ours.filename_patterns if p not in DICOM_NAMES}
    assert told == {f"*{suffix}" for f in FORMATS if f.reads for suffix in f.suffixes}
    assert ours.accepts_directories


@pytest.mark.parametrize(("layer", "kinds"), [("labels", ("volumes", "labels")), ("image", ("volumes",))])
def test_napari_is_told_of_every_format_that_is_written(layer, kinds):
    (writer,) = (w for w in contributions().writers if w.layer_types == [layer])
    assert set(writer.filename_extensions) == {suffix for f in FORMATS if f.writes in kinds for suffix in f.suffixes}
    assert writer.filename_extensions[0] == ".nii.gz"


@pytest.mark.parametrize("name", ["IM0001", "1.2.840.113619.2.55", "1.2.840.113619.2.7", "MR000042", "DICOMDIR"])
def test_dicom_files_without_a_suffix_are_known_by_what_they_begin_with(name, tmp_path):
    from npe2._plugin_manager import _ContributionsIndex

    manifest = PluginManifest.from_file(Path(napari_medseg.__file__).parent / "napari.yaml")
    index = _ContributionsIndex()
    index.index_contributions(manifest)
    path = save(image(PATIENT[0]), tmp_path / name)
    assert list(index.iter_compatible_readers([str(path)]))
    assert get_reader(str(path)) is not None
    path.write_bytes(b"no DICOM, but a name like it")
    assert get_reader(str(path)) is None


def test_a_folder_of_other_peoples_pictures_is_left_to_them(tmp_path):
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "one.png").write_bytes(b"png")
    assert get_reader(str(tmp_path / "album")) is None
    save(image(PATIENT[0]), tmp_path / "album" / "IM1")
    assert get_reader(str(tmp_path / "album")) is not None
    (tmp_path / "work.medseg").mkdir()
    assert get_reader(str(tmp_path / "work.medseg")) is None
    assert get_reader([str(tmp_path / "album"), str(tmp_path / "album" / "one.txt")]) is None


def test_a_folder_of_one_series_opens_straight_away(opener, session, tmp_path, qtbot):
    opener.open(series(tmp_path / "one", "1.2.9", "Abdomen"))
    qtbot.waitUntil(lambda: session.current is not None, timeout=20_000)
    assert session.current.name == "Abdomen"
    assert not opener.choosers


def test_several_series_are_chosen_from_a_table_that_says_why_one_cannot_be_opened(opener, session, study, qtbot):
    opener.open(study)
    qtbot.waitUntil(lambda: bool(opener.choosers), timeout=20_000)
    (chooser,) = opener.choosers
    assert session.current is None, "nothing opens before somebody chose"
    assert [chooser.table.item(i, 1).text() for i in range(3)] == ["Chest", "Thin", "Torn"]
    assert "missing" in chooser.table.item(2, 5).text()
    assert chooser.ticked() == ("1.2.1",)
    chooser.tick(2)
    assert chooser.ticked() == ("1.2.1",), "what cannot be opened cannot be ticked"
    qtbot.waitUntil(lambda: not chooser.table.item(1, 0).icon().isNull(), timeout=20_000)
    chooser.tick(0, False)
    chooser.tick(1)
    chooser.open.click()
    qtbot.waitUntil(lambda: session.current is not None, timeout=20_000)
    assert session.current.name == "Thin"
    qtbot.waitUntil(lambda: not opener.choosers)


def test_ticked_series_open_as_channels_of_one_scan(opener, session, study, qtbot):
    opener.open(study)
    qtbot.waitUntil(lambda: bool(opener.choosers), timeout=20_000)
    (chooser,) = opener.choosers
    assert not chooser.together.isEnabled()
    chooser.tick(1)
    chooser.together.click()
    qtbot.waitUntil(lambda: session.current is not None, timeout=20_000)
    assert [c.name for c in session.current.channels] == ["Chest", "Thin"]
    assert "grid of Chest" in session.current.grid_note()


def test_a_series_is_named_on_the_command_line(opener, session, study, qtbot):
    opener.open(study, "Thin")
    qtbot.waitUntil(lambda: session.current is not None, timeout=20_000)
    assert session.current.name == "Thin"


def test_a_series_that_is_not_there_is_said(opener, session, study, qtbot, notifications):
    opener.open(study, "Head")
    qtbot.waitUntil(lambda: bool(session.trouble), timeout=20_000)
    assert "no series fits 'Head'" in session.trouble
    assert any("Head" in message for severity, message in notifications() if severity == "error")


def test_the_rows_are_there_before_the_pictures(qtbot, tmp_path):
    rows = tuple(Row(str(i), f"Series {i}", "CT", "1", "1", "", True) for i in range(4))
    chooser = SeriesChooser(tmp_path, rows)
    qtbot.addWidget(chooser)
    assert chooser.table.rowCount() == 4
    assert chooser.table.item(3, 0).icon().isNull()


def test_selected_scans_become_channels_of_one(viewer, desk, session, study, qtbot):
    for name in ("Chest", "Thin"):
        desk.opener.open(study, name)
    qtbot.waitUntil(lambda: len(session.scans) == 2, timeout=20_000)
    viewer.layers.selection = set(viewer.layers)
    desk.combine_selected()
    qtbot.waitUntil(lambda: len(session.scans) == 3, timeout=20_000)
    assert len(session.current.channels) == 2
    viewer.layers.selection = {viewer.layers[0]}
    desk.combine_selected()
    qtbot.waitUntil(lambda: "one scan alone" in session.trouble, timeout=20_000)


def test_a_large_series_is_shown_while_it_comes_and_worked_on_when_it_is_there(viewer, desk, session, tmp_path, qtbot, monkeypatch):
    from napari_medseg.gui import opening

    monkeypatch.setattr(state, "LARGE_BYTES", 1)
    monkeypatch.setattr(opening, "LARGE_BYTES", 1)
    folder = series(tmp_path / "one", "1.2.9", "Abdomen")
    desk.opener.open(folder)
    qtbot.waitUntil(lambda: session.current is not None and not session.current.arriving and not session.jobs.active, timeout=20_000)
    whole = read(folder)
    np.testing.assert_array_equal(session.current.source.array, whole.array)
    np.testing.assert_array_equal(viewer.layers[0].data, session.current.display.array)
    session.current.arriving = True
    session.set_seeds(session.current, {1: ((1.0, 1.0, 1.0),)})
    desk.run()
    assert "still being read" in session.trouble


def test_labels_of_a_session_are_written_with_its_names_and_read_back_as_labels(viewer, desk, session, ball, tmp_path):
    from napari_medseg.gui.layers import volume_layers

    for data, keywords, _ in volume_layers(ball):
        viewer.add_image(data, **keywords)
    scan = session.current
    session.adopt_labels(scan, (scan.display.array > 150).astype(np.uint8), [LabelClass(1, "Lesion", (1.0, 0.0, 0.0))])
    layer = desk.writer.of(scan).labels
    for name in ("mask.seg.nrrd", "mask.ome.zarr"):
        layer.save(str(tmp_path / name), plugin="napari-medseg")
        back = read(tmp_path / name)
        assert isinstance(back, LabelMap)
        assert [(c.value, c.name, c.colour) for c in back.classes] == [(1, "Lesion", (1.0, 0.0, 0.0))]
        np.testing.assert_array_equal(read_labels(tmp_path / name, like=ball.geometry).array, ball.array > 150)
        ((_, keywords, kind),) = get_reader(str(tmp_path / name))(str(tmp_path / name))
        assert kind == "labels"
        assert np.allclose(keywords["colormap"].map(1)[:3], (1, 0, 0))


def test_a_zarr_too_large_for_memory_is_seen_whole_and_worked_on_smaller(viewer, dock, session, ball, tmp_path, monkeypatch):
    from napari_medseg.io.omezarr import reading

    wide = Geometry((8, 160, 150), (2.0, 1.0, 1.0), ball.geometry.origin, ball.geometry.direction)
    large = Volume(np.random.default_rng(0).integers(0, 900, wide.shape).astype(np.int16), wide, name="ball", modality="MR")
    write(large, tmp_path / "ball.ome.zarr")
    monkeypatch.setattr(reading, "fits", lambda size: size < large.array.nbytes)
    viewer.open(str(tmp_path / "ball.ome.zarr"), plugin="napari-medseg")
    coarse, whole = viewer.layers
    assert whole.multiscale
    assert np.allclose(whole.extent.world, coarse.extent.world, atol=2.0)
    assert "half the free memory" in session.current.display.notes[0]
    viewer.layers.remove(coarse)
    viewer.layers.selection.clear()
    viewer.layers.selection.active = whole
    assert "full detail" in session.declined


def test_what_is_dropped_on_the_canvas_opens_without_a_question_and_the_rest_is_napari_s(qtbot, tmp_path):
    from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
    from qtpy.QtGui import QDropEvent
    from qtpy.QtWidgets import QMainWindow, QWidget

    from napari_medseg.gui.drops import Drops
    from napari_medseg.gui.reader import is_ours

    opened, window, canvas = [], QMainWindow(), QWidget()
    qtbot.addWidget(window)
    canvas.setAcceptDrops(True)
    window.setCentralWidget(canvas)
    drops = Drops(is_ours, opened.append, window)
    drops.attach(window)

    def drop(path):
        """Whether we take it; Qt hands drops on only within a real drag."""
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(path))])
        event = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
        return drops.eventFilter(canvas, event)

    folder = series(tmp_path / "one", "1.2.9", "Abdomen")
    (tmp_path / "notes.txt").write_text("nothing for us", encoding="utf-8")
    assert not drop(tmp_path / "notes.txt")
    assert not opened
    assert drop(folder)
    assert opened == [folder]


def test_what_went_wrong_is_told_by_the_guide_until_the_next_is_opened(desk, session, ball, tmp_path, qtbot, notifications, monkeypatch):
    (tmp_path / "cut.nii").write_bytes(b"")
    write(ball, tmp_path / "whole.nii")
    monkeypatch.setattr(reader, "_opener", lambda: desk.opener)  # napari knows the viewer in front by its window
    reader.read_layers(str(tmp_path / "cut.nii"))  # as by File > Open
    assert next_step(session).sentence == "cut.nii: is empty. Copy or export it again"
    desk.open_path(tmp_path / "absent.nii")
    qtbot.waitUntil(lambda: "there is no such file" in next_step(session).sentence)
    desk.open_path(tmp_path / "whole.nii")
    assert not session.trouble
    qtbot.waitUntil(lambda: session.current is not None)
    assert not next_step(session).trouble


def test_the_window_of_the_command_opens_medical_files_without_asking_which_reader_and_napari_keeps_nothing_of_it(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_PLUGINS_EXTENSION2READER", "")
    kept = tmp_path / "settings.yaml"
    kept.write_text("plugins:\n  extension2reader:\n    '*.nii.gz': napari\n    '*.lsm': napari\n", encoding="utf-8")
    prefer_our_reader()
    settings = NapariSettings(kept)
    found = settings.plugins.extension2reader
    assert (found["*.nii.gz"], found["*.dcm"], found["*.lsm"]) == ("napari-medseg", "napari-medseg", "napari")
    settings.save()
    assert "medseg" not in kept.read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", [".seg.dcm", ".rtstruct.dcm"])
def test_dicom_labels_come_back_onto_their_scan_with_their_names(viewer, desk, session, tmp_path, qtbot, suffix):
    grid = Geometry((6, 24, 20), (2.5, 0.7, 0.8))
    folder = tmp_path / "scan"
    save_scan(folder, PATIENT, grid)
    desk.opener.open(folder)
    qtbot.waitUntil(lambda: session.current is not None, timeout=20_000)
    scan = session.current
    labels = np.zeros(scan.display.geometry.shape, np.uint8)
    labels[2:4, 6:16, 5:15] = 1
    session.adopt_labels(scan, labels, [LabelClass(1, "Liver", (0.2, 0.8, 0.4))])
    layer = desk.writer.of(scan).labels
    path = tmp_path / f"mask{suffix}"
    layer.save(str(path), plugin="napari-medseg")
    viewer.layers.remove(layer)
    session.classes = [LabelClass(1, "Organ", (1.0, 0.0, 0.0))]
    assert not scan.has_labels
    desk.opener.open(path)
    qtbot.waitUntil(lambda: scan.has_labels, timeout=20_000)
    assert [(c.value, c.name) for c in session.classes] == [(1, "Liver")]
    assert 2 * np.count_nonzero((scan.labels > 0) & (labels > 0)) / (np.count_nonzero(scan.labels) + np.count_nonzero(labels)) > 0.95
