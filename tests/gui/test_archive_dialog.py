"""From an archive: a scan is found, fetched and opened in the window, labelled, and its labels given back; the archive is a real one."""

import dicom_series
import numpy as np
import orthanc
import pydicom
import pytest

from napari_medseg import io
from napari_medseg.cluster.pacs import Query, open_archive, parse, pull, push
from napari_medseg.gui.archive_dialog import ADD, ArchiveDialog
from napari_medseg.session.history import change
from napari_medseg.volume import Geometry

pytestmark = pytest.mark.qt
GRID = Geometry((6, 40, 36), (2.5, 0.7, 0.8), (-40.0, 20.0, 100.0))
SERIES = "1.2.826.0.1.3680043.8.498.2718"


@pytest.fixture(scope="module")
def there():
    """A running archive."""
    if why := orthanc.missing():
        pytest.skip(why)
    with orthanc.orthanc() as running:
        yield running


@pytest.fixture
def dialog(dock, qtbot, monkeypatch, tmp_path):
    monkeypatch.setenv("MEDSEG_ARCHIVES", str(tmp_path / "archives.json"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = ArchiveDialog(dock.desk, dock)
    made.show()
    return made


def test_a_scan_is_found_opened_labelled_and_its_labels_given_back(there, dialog, session, qtbot, tmp_path):
    voxels = np.random.default_rng(3).integers(0, 2000, GRID.shape).astype(np.int16)
    files = dicom_series.save_series(tmp_path / "scan", voxels, GRID, uid=SERIES)
    for path in files:
        data = pydicom.dcmread(path)
        data.PatientID, data.PatientName, data.StudyDate = "number-7", "Doe^Jane", "20260304"
        data.save_as(path)
    archive = open_archive(parse(there.dicom))
    assert len(list(push(archive, files))) == 6

    def until(met):
        qtbot.waitUntil(met, timeout=60_000)

    assert dialog.adding.isVisibleTo(dialog)
    dialog.address.setText("dicom://pacs")
    dialog.connect.click()
    assert "names no AE title" in dialog.told.text()
    dialog.address.setText(there.dicom)
    dialog.called.setText("The ward's")
    dialog.connect.click()
    until(lambda: not dialog.adding.isVisibleTo(dialog))
    assert [dialog.server.itemText(i) for i in range(dialog.server.count())] == ["The ward's", ADD]
    dialog.patient.setText("number-*")
    dialog.since.setText("2026-03-01")
    dialog.until.setText("31")
    dialog.find.click()
    assert "no date" in dialog.told.text()
    dialog.until.setText("2026-03-31")
    dialog.find.click()
    until(lambda: dialog.studies.rowCount() == 1)
    assert dialog.studies.item(0, 1).text() == "Doe^Jane"
    dialog.studies.selectRow(0)
    until(lambda: dialog.series.rowCount() >= 1)
    assert not dialog.open.isEnabled()
    dialog.series.selectRow(0)
    assert (dialog.series.item(0, 0).text(), dialog.series.item(0, 1).text()) == ("CT", "6")
    assert not dialog.send.isEnabled(), "there is no label yet"
    dialog.open.click()
    until(lambda: session.current is not None and not session.current.arriving)
    scan = session.current
    assert np.array_equal(np.sort(scan.display.array.ravel()), np.sort(io.read(tmp_path / "scan").array.ravel()))

    labels = scan.hold_nothing()
    box = (slice(1, 4), slice(5, 20), slice(7, 30))
    session.painted(scan, change(labels, box, np.ones([b.stop - b.start for b in box], np.uint8)))
    until(lambda: dialog.send.isEnabled())
    drawn = scan.axes.undo(scan.labels.copy())
    dialog.send.click()
    until(lambda: "in the archive" in dialog.told.text())
    study = archive.studies(Query(patient_id="number-7"))[0]
    seg = next(one for one in archive.series(study.uid) if one.modality == "SEG")
    assert list(pull(archive, study.uid, seg.uid, tmp_path / "back")) == [1]
    assert np.array_equal(io.read_labels(tmp_path / "back" / "000001.dcm", GRID).array, drawn)
    dialog.reject()
    assert (session.archives.studies, session.archives.series) == ([], [])
