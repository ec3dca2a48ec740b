"""Weights are fetched from a real server on this machine: whole, resumed, refused, cut off, on a full disk."""

import hashlib
import io
import shutil
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError, UnavailableError, UnreadableFileError, UnwritableFileError
from napari_medseg.segmenters import downloads
from napari_medseg.segmenters.downloads import Download, fetch, unpack

CONTENT = np.random.default_rng(0).integers(0, 256, 1_500_000, dtype=np.uint8).tobytes()
SIZE = len(CONTENT)
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """What is asked of it is noted; `ranges`, `cut`, `tag`, `length` and `redirect` say how it behaves."""

    ranges, cut, tag, length, redirect, content = True, None, '"one"', True, None, CONTENT

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        server.asked.append(wanted)
        if self.path == "/gone":
            self.send_error(404)
            return
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
            return
        partial = bool(wanted and server.ranges and condition in (None, server.tag))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if partial else 0
        body = server.content[start:]
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        if server.tag:
            self.send_header("ETag", server.tag)
        self.end_headers()
        if server.cut is not None:
            body, server.cut = body[: server.cut], server.cut if server.cut < 0 else None
        self.wfile.write(body)

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture
def server():
    one = Server()
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()
    thread.join()


def wanted(server, path="/weights.zip", size=SIZE, sha256=SHA):
    return Download(f"http://127.0.0.1:{server.server_port}{path}", "Tiny weights", "Apache-2.0", size, sha256)


def test_what_is_known_is_said_before_a_byte_comes(server):
    told = wanted(server).words()
    assert told == f"Tiny weights: 1.5 MB, licence Apache-2.0, from 127.0.0.1, SHA-256 {SHA[:12]}..."
    assert "size not stated" in (unknown := Download("https://x.org/a", "A", "MIT").words())
    assert "no checksum" in unknown
    assert server.asked == []


def test_a_file_comes_whole_with_its_progress(server, tmp_path):
    target = tmp_path / "new folder" / "weights.zip"
    told = list(fetch(wanted(server), target))
    assert target.read_bytes() == CONTENT
    assert [p.name for p in target.parent.iterdir()] == ["weights.zip"]
    fractions = [p.fraction for p in told]
    assert fractions[0] == 0
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert told[2].message == "Fetching Tiny weights: 0.5 MB of 1.5 MB"
    assert list(fetch(wanted(server), target)) == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_what_was_cancelled_goes_on_where_it_stopped_or_anew_where_the_source_cannot(server, tmp_path, ranges):
    server.ranges = ranges
    running = fetch(wanted(server), tmp_path / "w.zip")
    for _ in range(4):
        step = next(running)
    running.close()
    assert not (tmp_path / "w.zip").exists()
    again = list(fetch(wanted(server), tmp_path / "w.zip"))
    assert server.asked[1] == f"bytes={step.done}-"
    assert again[0].done == (step.done if ranges else 0)
    assert (tmp_path / "w.zip").read_bytes() == CONTENT


def test_another_version_at_the_source_is_not_mixed_with_what_came_before(server, tmp_path):
    running = fetch(wanted(server), tmp_path / "w.zip")
    for _ in range(4):
        next(running)
    running.close()
    server.tag, server.content = '"two"', CONTENT[::-1]
    list(fetch(wanted(server, sha256=hashlib.sha256(CONTENT[::-1]).hexdigest()), tmp_path / "w.zip"))
    assert (tmp_path / "w.zip").read_bytes() == CONTENT[::-1]


def test_a_source_without_a_mark_or_checksum_begins_anew(server, tmp_path):
    server.tag = None
    running = fetch(wanted(server, sha256=""), tmp_path / "w.zip")
    for _ in range(4):
        next(running)
    running.close()
    list(fetch(wanted(server, sha256=""), tmp_path / "w.zip"))
    assert server.asked == [None, None]
    assert (tmp_path / "w.zip").read_bytes() == CONTENT


def test_a_connection_that_breaks_once_goes_on_by_itself(server, tmp_path):
    server.cut = 700_000
    told = list(fetch(wanted(server), tmp_path / "w.zip"))
    assert server.asked == [None, "bytes=700000-"]
    assert (tmp_path / "w.zip").read_bytes() == CONTENT
    assert [p.done for p in told] == sorted(p.done for p in told)


def test_a_connection_that_breaks_again_and_again_is_said_and_what_came_is_kept(server, tmp_path):
    server.cut = -1_000_000  # all but the last of what is asked, every time
    with pytest.raises(UnavailableError, match=r"Tiny weights: the connection broke 3 times, after [\d.]+ MB\. Try again"):
        list(fetch(wanted(server), tmp_path / "w.zip"))
    assert (tmp_path / "w.zip.part").stat().st_size > 0
    server.cut = None
    list(fetch(wanted(server), tmp_path / "w.zip"))
    assert (tmp_path / "w.zip").read_bytes() == CONTENT


def test_a_wrong_checksum_removes_what_came(server, tmp_path):
    with pytest.raises(UnreadableFileError, match="Tiny weights: is not what was announced: its checksum differs"):
        list(fetch(wanted(server, sha256="0" * 64), tmp_path / "w.zip"))
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_is_not_the_announced_one_is_refused_before_it_comes(server, tmp_path):
    with pytest.raises(UnreadableFileError, match=r"is 1\.5 MB there, not 3\.0 MB as announced"):
        list(fetch(wanted(server, size=3_000_000), tmp_path / "w.zip"))
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_states_no_length_is_taken_as_it_comes(server, tmp_path):
    server.length = False
    told = list(fetch(wanted(server, size=None), tmp_path / "w.zip"))
    assert told[0].fraction is None
    assert (tmp_path / "w.zip").read_bytes() == CONTENT


def test_a_disk_without_room_is_said_before_a_byte_comes(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(UnwritableFileError, match=r"needs 1\.5 MB, and the disk has 0\.0 MB left"):
        list(fetch(wanted(server), tmp_path / "w.zip"))
    assert not (tmp_path / "w.zip.part").exists()


def test_a_disk_that_fills_up_leaves_nothing_behind(server, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")  # POSIX: a limit on file sizes stands in for the end of the disk
    signal = pytest.importorskip("signal")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, before[1]))
    try:
        with pytest.raises(UnwritableFileError, match="Make space on the disk"):
            list(fetch(wanted(server), tmp_path / "w.zip"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_and_a_dead_server_are_said(server, tmp_path):
    with pytest.raises(UnavailableError, match=r"Tiny weights: the source refuses \(404"):
        list(fetch(wanted(server, "/gone"), tmp_path / "w.zip"))
    dead = wanted(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(UnavailableError, match="cannot be reached"):
        list(fetch(dead, tmp_path / "w.zip"))


@pytest.mark.parametrize("url", ["http://example.org/w.zip", "ftp://example.org/w.zip", "file:///etc/passwd", "w.zip"])
def test_only_https_addresses_are_used(tmp_path, url):
    with pytest.raises(InvalidInputError, match="Only https"):
        list(fetch(Download(url, "Tiny weights", "MIT"), tmp_path / "w.zip"))


def test_a_source_that_sends_elsewhere_unsafely_is_not_followed(server, tmp_path):
    server.redirect = "file:///etc/passwd"
    with pytest.raises(UnavailableError):
        list(fetch(wanted(server), tmp_path / "w.zip"))
    assert not (tmp_path / "w.zip").exists()


def packed(tmp_path, **files):
    with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return tmp_path / "model.zip"


def test_a_zip_becomes_a_folder_whole_or_not_at_all(tmp_path):
    archive = packed(tmp_path, **{"model__plans.json": "{}", "model__fold_0__w.pth": b"x" * 1_000_000})
    told = list(unpack(archive, tmp_path / "model", 10**7))
    assert (tmp_path / "model" / "fold_0" / "w.pth").stat().st_size == 1_000_000
    assert told[-1].fraction == 1
    shutil.rmtree(tmp_path / "model")
    running = unpack(archive, tmp_path / "model", 10**7)
    next(running)
    next(running)
    running.close()
    assert [p.name for p in tmp_path.iterdir()] == ["model.zip"]


@pytest.mark.parametrize("name", ["../evil", "/evil", "model/../../evil", "other/evil", "evil", "model\\..\\..\\evil", "C:/evil", "C:evil"])
def test_a_zip_that_would_write_elsewhere_is_refused(tmp_path, name):
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "model.zip", "w") as archive:
        archive.writestr(name, "evil")
    with pytest.raises(UnreadableFileError, match="does not belong"):
        list(unpack(tmp_path / "in" / "model.zip", tmp_path / "in" / "model", 10**7))
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["in", "model.zip"]


def test_links_bombs_and_damage_are_refused(tmp_path):
    link = zipfile.ZipInfo("model/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UnreadableFileError, match="does not belong"):
        list(unpack(tmp_path / "link.zip", tmp_path / "model", 10**7))
    bomb = packed(tmp_path, model__zeros=bytes(20_000_000))
    assert bomb.stat().st_size < 50_000
    with pytest.raises(UnreadableFileError, match=r"would unpack to 20\.0 MB"):
        list(unpack(bomb, tmp_path / "model", 10**7))
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr("model/w", b"a" * 1000)
    (tmp_path / "spoilt.zip").write_bytes(stored.getvalue().replace(b"a" * 1000, b"a" * 500 + b"b" * 500))
    with pytest.raises(UnreadableFileError, match="damaged"):
        list(unpack(tmp_path / "spoilt.zip", tmp_path / "model", 10**7))
    (tmp_path / "half.zip").write_bytes(stored.getvalue()[:300])
    with pytest.raises(UnreadableFileError, match="is no zip"):
        list(unpack(tmp_path / "half.zip", tmp_path / "model", 10**7))
    assert not (tmp_path / "model").exists()
