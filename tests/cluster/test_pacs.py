"""An archive gives a series out and takes a segmentation in, over DICOMweb and over DICOM's own protocol; the archive is a real one."""

import http.server
import json
import logging
import socket
import ssl
import threading
import zlib

import dicom_series
import numpy as np
import orthanc
import pydicom
import pytest

from napari_medseg import io
from napari_medseg.annotation import LabelMap
from napari_medseg.cluster.pacs import Query, Server, open_archive, parse, pull, push
from napari_medseg.cluster.pacs.address import known, remember
from napari_medseg.errors import ArchiveError, InvalidInputError, MissingFileError, UnavailableError, UnreadableFileError, UnwritableFileError
from napari_medseg.volume import Geometry

GRID = Geometry((5, 40, 36), (2.5, 0.7, 0.8), (-40.0, 20.0, 100.0))
WAYS = ("dicomweb", "dimse")


@pytest.fixture(scope="module")
def there():
    """A running archive."""
    if why := orthanc.missing():
        pytest.skip(why)
    with orthanc.orthanc() as running:
        yield running


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """Nobody's own archives and secrets."""
    monkeypatch.setenv("MEDSEG_ARCHIVES", str(tmp_path / "archives.json"))
    for name in ("MEDSEG_PACS_TOKEN", "MEDSEG_PACS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def archive(there, tmp_path):
    """The archive, by the way that is asked for."""
    (tmp_path / "secret").write_text(f"{orthanc.PASSWORD}\n")

    def made(way, **others):
        if way == "dicomweb":
            return open_archive(parse(there.web, **{"user": orthanc.USER, "secret": str(tmp_path / "secret"), **others}))
        return open_archive(parse(there.dicom, **others))

    return made


@pytest.fixture
def scan(tmp_path, request):
    """A series no other test has, and its files."""
    uid = f"1.2.826.0.1.3680043.8.498.{zlib.crc32(request.node.name.encode())}"
    voxels = np.random.default_rng(3).integers(0, 2000, GRID.shape).astype(np.int16)
    files = dicom_series.save_series(tmp_path / "scan", voxels, GRID, uid=uid)
    for path in files:
        data = pydicom.dcmread(path)
        data.PatientID, data.PatientName = "secret-id", "Secret^Name"
        data.save_as(path)
    return uid, files


@pytest.mark.parametrize("way", WAYS)
def test_a_series_goes_there_and_back_and_its_segmentation_lies_on_it_voxel_by_voxel(archive, scan, tmp_path, way, caplog):
    caplog.set_level(logging.DEBUG)
    uid, files = scan
    asked = archive(way)
    assert "answers" in asked.test()
    assert list(push(asked, files)) == [1, 2, 3, 4, 5]
    study = next(one for one in asked.studies(Query(patient_id="secret-*", patient_name="Secret^N*")) if any(s.uid == uid for s in asked.series(one.uid)))
    found = next(one for one in asked.series(study.uid) if one.uid == uid)
    assert (study.patient_name, found.modality, found.description, found.images) == ("Secret^Name", "CT", "Abdomen", 5)
    assert asked.studies(Query(patient_id="nobody")) == []
    assert list(pull(asked, study.uid, uid, tmp_path / "pulled")) == [1, 2, 3, 4, 5]
    there, here = io.read(tmp_path / "pulled"), io.read(tmp_path / "scan")
    assert np.array_equal(there.array, here.array)
    assert there.geometry.matches(here.geometry)

    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:3, 5:19, 7:20], labels[3, 3:9, 4] = 1, 2
    io.write(LabelMap(labels, there.geometry), tmp_path / "out.seg.dcm", source=tmp_path / "pulled", series=uid)
    before = {one.uid for one in asked.series(study.uid)}
    assert list(push(asked, [tmp_path / "out.seg.dcm"])) == [1]
    (given,) = [one for one in asked.series(study.uid) if one.uid not in before]
    assert given.modality == "SEG"
    assert list(pull(asked, study.uid, given.uid, tmp_path / "back")) == [1]
    back = io.read_labels(tmp_path / "back" / "000001.dcm", there.geometry)
    assert np.array_equal(back.array, labels)
    told = " ".join(record.getMessage() for record in caplog.records if not record.name.startswith("highdicom"))
    for secret in ("secret-id", "Secret^Name", uid, study.uid, orthanc.PASSWORD):
        assert secret not in told
    assert "Secret" not in repr((study, found))


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_there_is_an_error_and_leaves_no_file(archive, tmp_path, way):
    asked = archive(way)
    with pytest.raises(ArchiveError) as caught:
        list(pull(asked, "1.2.3.99", "1.2.3.99.1", tmp_path / "none"))
    assert "1.2.3.99" not in str(caught.value)
    assert not [path for path in tmp_path.iterdir() if path.name == "none" or path.name.startswith(".part")]
    for uid in ("../../etc", "1.2.3\\*", "", "1.02.3", "1" * 65):
        with pytest.raises(InvalidInputError, match="is no UID"):
            list(pull(asked, uid, "1.2", tmp_path / "none"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis").write_text("years")
    with pytest.raises(UnwritableFileError, match="holds something"):
        list(pull(asked, "1.2", "1.2", tmp_path / "full"))
    with pytest.raises(UnreadableFileError, match="no DICOM"):
        list(push(asked, [tmp_path / "full" / "thesis"]))


def test_a_wrong_password_or_none_is_refused_and_not_repeated(archive, tmp_path):
    (tmp_path / "wrong").write_text("guessed-password")
    for others in ({"secret": str(tmp_path / "wrong")}, {"user": "eve"}):
        with pytest.raises(ArchiveError, match="lets nobody in") as caught:
            archive("dicomweb", **others).test()
        assert "guessed" not in str(caught.value) + repr(caught.value.__context__)
    with pytest.raises(MissingFileError):
        archive("dicomweb", secret=str(tmp_path / "nowhere"))


def test_an_archive_that_knows_another_title_refuses(there):
    with pytest.raises(ArchiveError, match="refuses to talk"):
        open_archive(parse(there.dicom.replace("ARCHIVE", "OTHER"))).test()


def test_a_machine_that_does_not_answer_or_talks_otherwise_is_said_so(there):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        closed = one.getsockname()[1]
        for text in (f"http://127.0.0.1:{closed}/dicom-web", f"dicom://A@127.0.0.1:{closed}"):
            with pytest.raises(ArchiveError, match="does not answer"):
                open_archive(parse(text)).test()
    port = there.web.split(":")[2].split("/")[0]
    with pytest.raises(ArchiveError):
        open_archive(parse(f"dicom://ARCHIVE@127.0.0.1:{port}")).test()


class Odd(http.server.BaseHTTPRequestHandler):
    """Answers whatever the test wants."""

    answer = (200, {}, b"")

    def do_GET(self):
        code, headers, body = self.answer
        self.send_response(code)
        for name, value in {"Content-Type": "application/dicom+json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def odd():
    """A web server; yields its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dicom-web"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("answer", [
    (200, {}, b"nonsense"), (200, {}, b'[{"00080050": 5}]'), (200, {}, b'[{"0020000D": {"vr": "UI", "Value": {}}}]'), (200, {}, b"[[]]"), (500, {}, b""),
    (404, {}, b""), (302, {"Location": "http://127.0.0.1:1/"}, b""), (200, {"Content-Type": "text/html"}, b"<html>"), (200, {}, b"[" * 100_000),
])
def test_an_answer_that_makes_no_sense_is_an_error_not_a_crash(odd, monkeypatch, answer):
    monkeypatch.setattr(Odd, "answer", answer)
    archive = open_archive(parse(odd))
    with pytest.raises(ArchiveError):
        archive.studies(Query())


def test_an_image_of_another_series_is_not_kept(odd, monkeypatch, scan, tmp_path):
    _, files = scan
    body = b"".join(b"--x\r\nContent-Type: application/dicom\r\n\r\n" + path.read_bytes() + b"\r\n" for path in files) + b"--x--\r\n"
    monkeypatch.setattr(Odd, "answer", (200, {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}, body))
    with pytest.raises(ArchiveError, match="another series"):
        list(pull(open_archive(parse(odd)), "1.2.3", "9.9.9", tmp_path / "none"))
    assert not [path for path in tmp_path.iterdir() if path.name == "none" or path.name.startswith(".part")]


def certificate(folder, name):
    """A certificate for this machine that nobody vouches for, and its key, in one file."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, who = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_both_ways_are_encrypted_and_a_wrong_certificate_is_refused(tmp_path):
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification

    right, wrong = certificate(tmp_path, "right"), certificate(tmp_path, "wrong")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(right)
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Empty", (Odd,), {"answer": (200, {}, b"[]")}))
    web.socket = context.wrap_socket(web.socket, server_side=True)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    entity = AE("ARCHIVE")
    entity.add_supported_context(Verification)
    dicom = entity.start_server(("127.0.0.1", 0), block=False, ssl_context=context)
    try:
        for address in (f"https://127.0.0.1:{web.server_port}/dicom-web", f"dicoms://ARCHIVE@127.0.0.1:{dicom.socket.getsockname()[1]}"):
            assert "answers" in open_archive(parse(address, authority=str(right))).test()
            for authority in (str(wrong), ""):
                with pytest.raises(ArchiveError):
                    open_archive(parse(address, authority=authority)).test()
    finally:
        dicom.shutdown()
        web.shutdown()
        thread.join()
        web.server_close()


@pytest.mark.parametrize("text", [
    "", "pacs", "http://pacs.example.org/dicom-web", "https://ann:secret@pacs/dicom-web", "ftp://pacs", "dicom://pacs:104", "dicom://A@pacs:x", "dicom://A@pacs/x",
    "dicom://A-TITLE-THAT-IS-TOO-LONG@pacs", "https://ann@pacs",
])
def test_what_is_no_archive_or_would_send_patients_unencrypted_is_refused(text):
    with pytest.raises(InvalidInputError) as caught:
        parse(text)
    assert "secret" not in str(caught.value)


def test_archives_are_remembered_by_name_without_any_secret(tmp_path):
    remember((Server("dicom://A@pacs:11112", "Ward 3", title="US"), Server("https://pacs/dicom-web", user="ann", secret="/run/secret")))
    assert [one.words for one in known()] == ["Ward 3", "pacs"]
    assert parse("ward 3").port == 11112
    assert parse("Ward 3", title="OTHER").title == "OTHER"
    assert set(json.loads((tmp_path / "archives.json").read_text())["archives"][1]) == {
        "address", "name", "title", "user", "secret", "authority", "certificate",
    }
    for text in ("", "[]", '{"archives": [5]}', '{"archives": [{"address": "dicom://pacs"}]}', '{"archives": [{"odd": "x"}]}'):
        (tmp_path / "archives.json").write_text(text)
        assert known() == ()


@pytest.mark.parametrize("way", WAYS)
def test_without_the_packages_there_is_the_command_that_brings_them(monkeypatch, way):
    import sys

    for name in ("pynetdicom", "dicomweb_client", "dicomweb_client.api"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnavailableError, match=r"pip install .napari-medseg\[pacs\]"):
        open_archive(parse("https://pacs/dicom-web" if way == "dicomweb" else "dicom://A@pacs"))


@pytest.mark.parametrize("values", [{"date": "yesterday"}, {"date": "2026-01-31"}, {"patient_id": "a\\b"}, {"patient_name": "x" * 65}, {"modality": "C\nT"}])
def test_what_cannot_be_looked_for_is_refused(values):
    with pytest.raises(InvalidInputError):
        Query(**values)
