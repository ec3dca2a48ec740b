"""A file cannot make the product open, read or write another file that lies outside its folder, whatever path it names."""

import json
import os
import shutil
import sqlite3
from contextlib import closing, suppress

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from originals import SHAPE, image, ome_zarr, scan, series, study
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from napari_medseg.errors import MedsegError
from napari_medseg.io import describe, read, read_labels
from napari_medseg.project import Project

SECRET = 12345


@pytest.fixture
def elsewhere(tmp_path):
    """A raw file that would fit, outside the scan's folder: a value in it shows that it was read."""
    path = tmp_path / "elsewhere" / "secret.raw"
    path.parent.mkdir()
    path.write_bytes(np.full(SHAPE, SECRET, np.int16).tobytes())
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scan").mkdir()
    return tmp_path / "scan"


def paths_to(target, folder) -> list[str]:
    """Ways to name a file outside a folder."""
    relative = os.path.relpath(target, folder)
    return [relative, str(target), target.as_posix(), f"./{relative}", f"sub/../{relative}", target.as_uri(), f"LIST\n{relative}"]


def refuses(path) -> None:
    for look in (describe, read, read_labels):
        with pytest.raises(MedsegError) as caught:
            look(path)
        assert str(SECRET) not in str(caught.value)


@pytest.mark.parametrize("way", range(7))
def test_a_nrrd_header_cannot_name_data_outside_its_folder(folder, elsewhere, way):
    (folder / "sub").mkdir()
    path = folder / "scan.nhdr"
    sitk.WriteImage(image(scan()), str(path), useCompression=False)
    text = path.read_text(encoding="latin-1")
    assert "data file: scan.raw" in text
    path.write_text(text.replace("data file: scan.raw", f"data file: {paths_to(elsewhere, folder)[way]}"), encoding="latin-1")
    refuses(path)


@pytest.mark.parametrize("way", range(7))
def test_a_metaimage_header_cannot_name_data_outside_its_folder(folder, elsewhere, way):
    (folder / "sub").mkdir()
    path = folder / "scan.mhd"
    sitk.WriteImage(image(scan()), str(path), useCompression=False)
    text = path.read_text(encoding="latin-1")
    assert "ElementDataFile = scan.raw" in text
    path.write_text(text.replace("ElementDataFile = scan.raw", f"ElementDataFile = {paths_to(elsewhere, folder)[way]}"), encoding="latin-1")
    refuses(path)


@pytest.mark.parametrize("pattern", ["../elsewhere/secret%d.raw 1 5 1", "../elsewhere/secret%03d.raw 1 5 1 2"])
def test_a_pattern_of_data_files_cannot_leave_the_folder(folder, elsewhere, pattern):
    for k in range(1, 6):
        for name in (f"secret{k}.raw", f"secret{k:03d}.raw"):
            shutil.copyfile(elsewhere, elsewhere.parent / name)
    for name, key in (("scan.nhdr", "data file: "), ("scan.mhd", "ElementDataFile = ")):
        sitk.WriteImage(image(scan()), str(folder / name), useCompression=False)
        text = (folder / name).read_text(encoding="latin-1")
        (folder / name).write_text(text.replace(f"{key}scan.raw", f"{key}{pattern}"), encoding="latin-1")
        refuses(folder / name)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", ["../elsewhere/other.ome.zarr/0", "sub/../../elsewhere/other.ome.zarr/0", "absolute", "file"])
def test_an_ome_zarr_cannot_name_arrays_outside_its_folder(folder, tmp_path, version, name):
    other, path = tmp_path / "elsewhere" / "other.ome.zarr", folder / "scan.ome.zarr"
    for made in (other, path):
        ome_zarr(version)(made)
    shutil.rmtree(path / "0")
    (path / "sub").mkdir()
    name = {"absolute": str(other / "0"), "file": (other / "0").as_uri()}.get(name, f"../{name}")
    metadata = path / (".zattrs" if version == 2 else "zarr.json")
    told = metadata.read_text(encoding="utf-8")
    assert '"path": "0"' in told
    metadata.write_text(told.replace('"path": "0"', f'"path": {json.dumps(name)}'), encoding="utf-8")
    refuses(path)


@pytest.mark.parametrize("opened", ["scan", "scan/DICOMDIR"])
def test_a_dicomdir_cannot_name_scans_outside_its_folder(tmp_path, folder, opened):
    series(tmp_path / "elsewhere")
    data = Dataset()
    data.FileSetID, data.DirectoryRecordSequence = "HOSTILE", []
    for names in (["..", "elsewhere", "IM0000.dcm"], [str(tmp_path / "elsewhere" / "IM0001.dcm")]):
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        record.add(pydicom.DataElement("ReferencedFileID", "CS", names, validation_mode=pydicom.config.IGNORE))
        record.ReferencedSOPClassUIDInFile, record.ReferencedTransferSyntaxUIDInFile = CTImageStorage, ExplicitVRLittleEndian
        data.DirectoryRecordSequence.append(record)
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.TransferSyntaxUID = MediaStorageDirectoryStorage, ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    pydicom.dcmwrite(folder / "DICOMDIR", data, enforce_file_format=True)
    refuses(tmp_path / opened)


def test_a_study_keeps_to_its_folder_whatever_its_files_name(tmp_path):
    """Cases, versions and arrays of these names would be read, made or removed outside, if any path were made from them."""
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "home" / "study.medseg"
    path.parent.mkdir()
    study(path)
    hostile = "../../../elsewhere/case-0001"
    with closing(sqlite3.connect(path / "project.db", isolation_level=None)) as base:
        triggers = [row[0] for row in base.execute("select name from sqlite_master where type = 'trigger'")]
        for trigger in triggers:
            base.execute(f'drop trigger "{trigger}"')
        for table, column in (("versions", "name"), ("versions", "tool"), ("versions", "dtype"), ("cases", "fingerprint"), ("cases", "modality")):
            base.execute(f'update "{table}" set "{column}" = ?', (hostile,))
    group = path / "labels" / "case-0001" / "0002.ome.zarr" / "zarr.json"
    record = json.loads(group.read_text(encoding="utf-8"))
    record["attributes"]["medseg"]["arrays"] = {hostile: "0", "..": "0"}
    record["attributes"]["medseg"]["case"] = hostile
    group.write_text(json.dumps(record), encoding="utf-8")
    sources = json.loads((path / "sources.json").read_text(encoding="utf-8"))
    for key in ("name", "series"):
        sources["cases"]["case-0001"][key] = hostile
    (path / "sources.json").write_text(json.dumps(sources), encoding="utf-8")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if path not in p.parents and p not in (path, path.parent)}
    with suppress(MedsegError), Project.open(path, user="opener") as project:
        for act in (
            lambda: project.labels("case-0001", 2), lambda: project.arrays("case-0001", 2), lambda: project.restore("case-0001", 1), project.unsaved,
            lambda: project.labels(hostile), lambda: project.draft(hostile, None), lambda: project.recover(hostile), lambda: project.check(repair=True),
            lambda: project.export(tmp_path / "home" / "out", images=True),
        ):
            with suppress(MedsegError):
                act()
    after = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if tmp_path / "home" not in p.parents and p != tmp_path / "home"}
    assert after == {p: t for p, t in before.items() if tmp_path / "home" not in p.parents}
    assert {p.name for p in (tmp_path / "home").iterdir()} <= {"study.medseg", "a.nii.gz", "b.nii.gz", "honest.json", "out"}
