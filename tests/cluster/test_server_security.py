"""What a server refuses: said, logged, and it lives on."""

import ipaddress
import json
import os
import socket
import stat
import struct
import sys
import time
from datetime import UTC, datetime, timedelta

import blosc2
import httpx
import numpy as np
import pytest
from remote_engines import Bright
from served import Serving

from napari_medseg.cluster.remote.address import checked, find, forget, known, remember
from napari_medseg.cluster.server import guard, lines
from napari_medseg.cluster.server.app import interface
from napari_medseg.cluster.server.running import Running, Settings
from napari_medseg.cluster.server.tokens import Tokens
from napari_medseg.cluster.wire.frames import MARK, frame
from napari_medseg.cluster.wire.scans import Told, slab_hashes
from napari_medseg.errors import InvalidInputError, RemoteError
from napari_medseg.segmenters.protocol import collect
from napari_medseg.testing.segmenter_conformance import blob
from napari_medseg.volume import Geometry, Volume

LEASE = "0" * 32


def once(at=0.0, tail=None):
    return f"{time.time() + at:.3f}.{tail or os.urandom(12).hex()}"


def asked(serving, method="GET", path="/v1/about", *, token=None, **given):
    headers = {"Medseg-Once": once(), **given.pop("headers", {})}
    if token != "":
        headers["Authorization"] = f"Bearer {token or serving.token}"
    return httpx.request(method, serving.address + path, headers=headers, timeout=20, **given)


def opened(serving, told, hashes):
    return asked(serving, "POST", "/v1/scans", json={**told.model_dump(), "hashes": hashes})


@pytest.fixture
def scan():
    return blob("thick slices")


@pytest.fixture
def lease(serving, scan):
    told = Told.of(scan)
    answer = opened(serving, Told.of(Volume(scan.array + 1, scan.geometry)), slab_hashes(told, scan.array))
    assert answer.status_code == 200
    return answer.json()["scan"]


def lives(serving):
    scan = blob("one slice")
    there = serving.segmenter("bright")
    same = np.array_equal(collect(there.predict(scan), scan.geometry.shape), collect(Bright().predict(scan), scan.geometry.shape))
    there.release()
    return same


def refused(serving, answer, status):
    assert answer.status_code == status, answer.text
    assert set(answer.json()["error"]) == {"type", "what", "where", "todo"}
    until = time.monotonic() + 5
    while not any(f'"status": {status}' in line for line in serving.log.splitlines()[-3:]):  # the line comes after the answer
        assert time.monotonic() < until
        time.sleep(0.02)
    assert serving.token not in serving.log
    assert lives(serving)


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YTpi"}])
def test_nobody_comes_in_without_a_token_that_is_known(serving, header):
    refused(serving, asked(serving, token="", headers=header), 401)


def test_a_token_that_expired_or_was_ended_counts_no_more(serving):
    late, gone = serving.tokens.add("late", days=1e-9), serving.tokens.add("gone")
    assert asked(serving, token=gone).status_code == 200
    serving.tokens.remove("gone")
    refused(serving, asked(serving, token=late), 401)
    refused(serving, asked(serving, token=gone), 401)


def test_many_wrong_tokens_are_slowed_down_and_the_right_one_still_counts(restarting):
    answers = [asked(restarting, token=f"wrong{n}").status_code for n in range(12)]
    assert answers == [401] * 10 + [429] * 2
    assert lives(restarting)


def test_tokens_are_kept_as_hashes_that_only_their_owner_reads(tmp_path):
    tokens = Tokens(tmp_path / "deep" / "users.json")
    token = tokens.add("ann")
    assert len(token) >= 43
    assert token not in tokens.path.read_text()
    assert tokens.user(token).name == "ann"
    assert sys.platform == "win32" or stat.S_IMODE(tokens.path.stat().st_mode) == 0o600
    with pytest.raises(InvalidInputError):
        tokens.add("../ann")


@pytest.mark.parametrize("stamp", ["", "nonsense", -1000, 1000, "nan.0123456789abcdef0123"])
def test_a_request_without_its_time_or_with_an_old_one_is_refused(serving, stamp):
    refused(serving, asked(serving, "POST", f"/v1/scans/{LEASE}/beat", headers={"Medseg-Once": once(stamp) if isinstance(stamp, int) else stamp}), 409)


def test_a_request_that_is_sent_again_is_refused(serving, lease):
    stamp = once()
    assert asked(serving, "POST", f"/v1/scans/{lease}/beat", headers={"Medseg-Once": stamp}).status_code == 204
    refused(serving, asked(serving, "POST", f"/v1/scans/{lease}/beat", headers={"Medseg-Once": stamp}), 409)


def test_another_users_scan_is_not_there(serving, lease):
    assert asked(serving, "POST", f"/v1/scans/{lease}/beat").status_code == 204
    other = serving.tokens.add("other")
    refused(serving, asked(serving, "POST", f"/v1/scans/{lease}/beat", token=other), 404)
    asked(serving, "DELETE", f"/v1/scans/{lease}", token=other)
    assert asked(serving, "POST", f"/v1/scans/{lease}/beat").status_code == 204


@pytest.mark.parametrize("path", [
    "/v1/scans/..%2f..%2fetc%2fpasswd/beat", "/v1/scans/../../../etc/passwd/beat", "/v1/scans/%00/beat", "/v1/scans/C:%5Cwindows/beat", "/etc/passwd",
])
def test_names_that_lead_elsewhere_are_no_names(serving, path):
    answer = asked(serving, "POST", path)
    assert answer.status_code in (404, 405, 422)
    assert "root:" not in answer.text
    assert lives(serving)


@pytest.mark.parametrize("change", [
    {"shape": (10**6, 10**6, 10**6)}, {"shape": (-1, 5, 5)}, {"shape": (0, 5, 5)}, {"shape": (4, 4)}, {"dtype": "object"}, {"dtype": "float128"},
    {"spacing": (0, 1, 1)}, {"direction": (1.0,) * 9}, {"hashes": []}, {"hashes": ["x"]}, {"name": "Doe"}, {"shape": (1, 2**16, 2**16)},
])
def test_a_scan_that_is_none_or_too_large_is_refused_before_memory_is_taken(serving, scan, change):
    told = Told.of(scan)
    before = serving.running.room.store.facts["bytes"]
    answer = asked(serving, "POST", "/v1/scans", json={**told.model_dump(), "hashes": ["0" * 64], **change})
    assert answer.status_code == 422
    assert serving.running.room.store.facts["bytes"] == before
    assert lives(serving)


def test_a_server_that_is_full_says_so_and_takes_the_next_once_there_is_room(plain_catalogue, tmp_path):
    small = Serving(tmp_path, memory=1 << 20)
    try:
        big = Geometry((10, 200, 200))
        scans = [Volume(np.full(big.shape, n, np.int16), big) for n in range(3)]
        first = opened(small, Told.of(scans[0]), slab_hashes(Told.of(scans[0]), scans[0].array)).json()["scan"]
        second = opened(small, Told.of(scans[1]), slab_hashes(Told.of(scans[1]), scans[1].array))
        assert second.status_code == 507
        asked(small, "DELETE", f"/v1/scans/{first}")
        assert opened(small, Told.of(scans[1]), slab_hashes(Told.of(scans[1]), scans[1].array)).status_code == 200
        assert small.running.room.store.facts["bytes"] <= 1 << 20
    finally:
        small.stop()


def bomb(scan):
    """A chunk of 32 bytes whose header promises 2 GB of zeros."""
    chunk = bytearray(blosc2.compress2(np.zeros(1 << 20, np.int16), typesize=2, filters=[blosc2.Filter.BITSHUFFLE]))
    assert len(chunk) == 32
    chunk[4:8] = struct.pack("<i", 2**31 - 256)
    return bytes(chunk)


def lazy(scan):
    chunk = bytearray(blosc2.compress2(np.ascontiguousarray(scan.array).reshape(-1), typesize=2, filters=[blosc2.Filter.BITSHUFFLE]))
    chunk[31] |= 0x08
    return bytes(chunk)


def other_values(scan):
    return blosc2.compress2(np.zeros(scan.array.size, np.int16), typesize=2, filters=[blosc2.Filter.BITSHUFFLE])


@pytest.mark.parametrize("body", [b"", b"x" * 40, bomb, lazy, other_values, lambda scan: lazy(scan)[:100]])
def test_a_slab_that_is_not_what_was_announced_is_not_unpacked(serving, lease, scan, body):
    sent = body(scan) if callable(body) else body
    refused(serving, asked(serving, "PUT", f"/v1/scans/{lease}/slabs/0", content=sent), 422)


@pytest.fixture
def large(serving):
    """A scan of three slabs that nobody has, its slabs' bytes and its lease."""
    scan = Volume(np.random.default_rng().integers(0, 999, (24, 300, 300)).astype(np.int32), Geometry((24, 300, 300)))
    told = Told.of(scan)
    answer = opened(serving, told, slab_hashes(told, scan.array))
    return scan, [told.slab(scan.array, number).tobytes() for number in range(3)], answer.json()["scan"]


def missing(serving, scan):
    told = Told.of(scan)
    return opened(serving, told, slab_hashes(told, scan.array)).json()["missing"]


@pytest.mark.parametrize(("path", "body", "status"), [
    ("0/2", lambda slabs: slabs[0], 422), ("0/1", lambda slabs: b"".join(slabs), 422), ("0/3", lambda slabs: b"".join(slabs), 422),
    ("2/1", lambda slabs: b"", 422), ("0/1", lambda slabs: iter(slabs[:2]), 422), ("0/9999999", lambda slabs: b"", 422),
])
def test_slabs_of_another_length_or_number_are_not_read(serving, large, path, body, status):
    scan, slabs, lease = large
    refused(serving, asked(serving, "PUT", f"/v1/scans/{lease}/slabs/{path}", content=body(slabs)), status)
    assert missing(serving, scan) == [0, 1, 2]


def test_of_many_slabs_the_one_that_is_not_what_was_announced_is_refused(serving, large):
    scan, slabs, lease = large
    refused(serving, asked(serving, "PUT", f"/v1/scans/{lease}/slabs/0/2", content=slabs[0] + slabs[0] + slabs[2]), 422)
    assert missing(serving, scan) == [1]
    assert asked(serving, "PUT", f"/v1/scans/{lease}/slabs/1/1", content=slabs[1]).status_code == 204
    assert missing(serving, scan) == []
    refused(serving, asked(serving, "PUT", f"/v1/scans/{lease}/slabs/1/1", content=slabs[0]), 503)


def test_slabs_that_are_on_their_way_are_taken_from_nobody_else_and_what_came_before_the_line_broke_stays(serving, large):
    scan, slabs, lease = large
    host, port = serving.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(head(serving, f"PUT /v1/scans/{lease}/slabs/0/2", sum(map(len, slabs))) + slabs[0] + slabs[1][:1000])
        until = time.monotonic() + 10
        while missing(serving, scan) != [1, 2]:
            assert time.monotonic() < until
        refused(serving, asked(serving, "PUT", f"/v1/scans/{lease}/slabs/1/2", content=slabs[1] + slabs[2]), 503)
    status = 503
    while status == 503:  # until the server has seen that the line broke
        assert time.monotonic() < until
        status = asked(serving, "PUT", f"/v1/scans/{lease}/slabs/1/2", content=slabs[1] + slabs[2]).status_code
    assert status == 204
    assert missing(serving, scan) == []


def test_more_bytes_than_announced_are_not_taken_in(serving, lease):
    refused(serving, asked(serving, "PUT", f"/v1/scans/{lease}/slabs/0", content=b"x" * 400_000), 413)
    assert b" 413 " in begun(serving, f"POST /v1/scans/{lease}/answers", 1 << 40)
    assert b" 413 " in begun(serving, "POST /v1/scans", 1 << 23)
    refused(serving, asked(serving, "POST", "/v1/engines", content=iter([b" " * (1 << 20)] * 5)), 413)
    assert lives(serving)


@pytest.mark.parametrize("body", [
    b"", b"nonsense", MARK + b"\xff" * 12, frame({}), frame({"request": "a" * 32, "spec": {"members": []}}), frame({"request": "../x", "spec": 1}),
    struct.pack("<4sIQ", MARK, 9, 0) + b"[" * 9, frame({"a": 1}) * 2, MARK + struct.pack("<IQ", 4, 1 << 50) + b"null",
])
def test_a_question_that_is_none_is_refused(serving, lease, body):
    refused(serving, asked(serving, "POST", f"/v1/scans/{lease}/answers", content=body), 422)


def test_a_scan_that_is_not_whole_is_not_segmented(serving, lease):
    question = frame({"request": "a" * 32, "spec": {"members": [{"id": "bright"}]}})
    refused(serving, asked(serving, "POST", f"/v1/scans/{lease}/answers", content=question), 422)


@pytest.mark.slow  # schemathesis takes seconds to load and to make requests out of the schema
def test_whatever_the_interface_can_be_sent_it_answers_as_it_says(serving):
    import schemathesis
    from hypothesis import HealthCheck, given, seed, settings

    schema = schemathesis.openapi.from_dict(interface(serving.running.room).openapi())
    codes = []

    for found in schema.get_all_operations():
        operation = found.ok()

        @seed(1)
        @settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def sent(case):
            headers = {"Authorization": f"Bearer {serving.token}", "Medseg-Once": once()}
            answer = case.call(base_url=serving.address, headers=headers)
            codes.append(answer.status_code)
            assert answer.status_code < 500

        sent()
    assert len(codes) >= 12
    assert lives(serving)


def begun(serving, request, length):
    """What is answered to a request whose body was announced and does not come."""
    host, port = serving.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(head(serving, request, length) + b"half")
        return line.recv(1000)


def head(serving, request, length):
    lines = (f"{request} HTTP/1.1", "Host: x", f"Authorization: Bearer {serving.token}", f"Medseg-Once: {once()}", f"Content-Length: {length}", "", "")
    return "\r\n".join(lines).encode()


def test_who_connects_and_says_nothing_is_hung_up_on(serving, monkeypatch):
    monkeypatch.setattr(lines, "HELLO_S", 0.2)
    host, port = serving.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(b"GET /v1/about HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert line.recv(100) == b""
    assert lives(serving)


def test_a_body_that_does_not_come_is_given_up(serving, lease, monkeypatch):
    monkeypatch.setattr(guard, "SILENCE_S", 0.2)
    assert b" 408 " in begun(serving, f"PUT /v1/scans/{lease}/slabs/0", 5000)
    assert lives(serving)


def test_slabs_that_do_not_come_are_given_up_and_can_be_sent_again(serving, large, monkeypatch):
    scan, slabs, lease = large
    monkeypatch.setattr(guard, "SILENCE_S", 0.2)
    assert b" 408 " in begun(serving, f"PUT /v1/scans/{lease}/slabs/0/2", sum(map(len, slabs)))
    monkeypatch.undo()
    assert asked(serving, "PUT", f"/v1/scans/{lease}/slabs/0/2", content=b"".join(slabs)).status_code == 204
    assert missing(serving, scan) == []


def test_too_many_requests_are_refused_and_come_back_later(plain_catalogue, tmp_path):
    slow = Serving(tmp_path, rate=1.0)
    try:
        assert [asked(slow, path="/v1/ping").status_code for _ in range(6)].count(429) >= 1
        assert asked(slow, path="/v1/ping", token=slow.tokens.add("bob")).status_code == 204
    finally:
        slow.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_other_machines_are_listened_to_with_tls_only(tmp_path, host):
    with pytest.raises(InvalidInputError, match="without TLS"):
        Running(Settings(host=host, port=0, users=tmp_path / "u.json", log=tmp_path / "log", runs=tmp_path / "runs"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Two authorities that each vouch for 127.0.0.1; name to (certificate, key)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder, found = tmp_path_factory.mktemp("tls"), {}
    for name in ("ours", "theirs"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=1))
        made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        signed = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
        plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        found[name] = (folder / f"{name}.pem", folder / f"{name}.key")
        found[name][0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        found[name][1].write_bytes(key.private_bytes(*plain))
    return found


def test_a_client_sends_nothing_to_a_server_with_another_certificate(plain_catalogue, certificates, tmp_path, scan):
    cert, key = certificates["ours"]
    (tmp_path / "ca.pem").write_bytes(cert.read_bytes())
    secure = Serving(tmp_path, cert=cert, key=key)
    try:
        assert lives(secure)
        there, shape = secure.segmenter("bright"), (24, 300, 300)
        several = Volume(np.random.default_rng(4).integers(0, 999, shape).astype(np.int32), Geometry(shape))
        assert np.array_equal(collect(there.predict(several), shape), collect(Bright().predict(several), shape))
        there.release()
        (tmp_path / "ca.pem").write_bytes(certificates["theirs"][0].read_bytes())
        told = secure.log.count("POST")
        with pytest.raises(RemoteError, match="does not trust"):
            list(secure.segmenter("bright").predict(scan))
        assert secure.log.count("POST") == told
    finally:
        secure.stop()


@pytest.mark.parametrize("address", [
    "http://gpu.example", "ftp://x", "https://", "https://a:b@x", "https://x/path", "https://x?y", "https://x:99999", "gpu.example:8433", "https://[",
])
def test_an_address_that_would_send_scans_in_the_open_is_none(address):
    with pytest.raises(InvalidInputError):
        checked(address)


def test_a_servers_token_is_remembered_where_only_its_user_reads_it(tmp_path, monkeypatch):
    from napari_medseg.cluster.remote.address import Server

    path = tmp_path / "servers.json"
    monkeypatch.setenv("MEDSEG_SERVERS", str(path))
    with pytest.raises(RemoteError, match="token"):
        find("https://gpu.example")
    remember(Server("https://gpu.example:8433", "secret"))
    assert find("https://gpu.example").token == "secret"
    assert "secret" not in repr(known()[0])
    assert sys.platform == "win32" or stat.S_IMODE(path.stat().st_mode) == 0o600
    monkeypatch.setenv("MEDSEG_TOKEN", "other")
    assert find("https://gpu.example").token == "other"
    forget("https://gpu.example:8433")
    assert known() == ()
    assert json.loads(path.read_text()) == {"servers": []}
