"""A segmenter on a server is used like one that runs here, and no prompt is lost on the way."""

import socket
import threading
import time

import numpy as np
import pytest
from remote_engines import GATE, RUNS, Bright, Pointed

from napari_medseg.annotation import Prompts
from napari_medseg.annotation.prompts import ObjectPrompt
from napari_medseg.cluster.remote.connection import LostError
from napari_medseg.cluster.remote.scans import _Pace
from napari_medseg.errors import CatalogueError, InvalidInputError, RemoteError
from napari_medseg.segmenters.protocol import collect
from napari_medseg.testing.segmenter_conformance import SegmenterConformance, blob
from napari_medseg.volume import Geometry, Volume


class TestOnAServer(SegmenterConformance):
    """The suite of every segmenter."""

    @pytest.fixture(autouse=True)
    def _served(self, serving):
        self.serving = serving
        self._made = None
        yield
        self._made.release()

    def segmenter(self):
        self._made = self._made or self.serving.segmenter("bright")
        return self._made


@pytest.fixture
def scan():
    return blob("thick slices")


def clicked(scan, *, strokes=False):
    middle = tuple(float(v) for v in scan.geometry.world(np.array(scan.geometry.shape) // 2))
    drawn = np.zeros(scan.geometry.shape, np.uint8)
    drawn[2, 5:9, 3:20], drawn[4, 1, 1] = 3, 255
    return Prompts((ObjectPrompt(1, ((*middle, 1),)), ObjectPrompt(2, ((*middle, -1),))), scan.like(drawn) if strokes else None)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint16", "int32", "float32", "float64", ">i2", ">f4"])
def test_the_answer_is_the_same_to_the_bit_whatever_type_a_scan_has(serving, dtype):
    values = np.random.default_rng(3).normal(40, 30, (5, 30, 31)).astype(dtype)
    scan = Volume(values[::-1, :, ::-1], Geometry((5, 30, 31), (3.0, 1.0, 1.0)))
    there = serving.segmenter("bright")
    np.testing.assert_array_equal(collect(there.predict(scan), scan.geometry.shape), collect(Bright().predict(scan), scan.geometry.shape))
    there.release()


def test_points_strokes_and_labels_arrive_as_they_were_given(serving, scan):
    there, prompts = serving.segmenter("pointed"), clicked(scan, strokes=True)
    found, wanted = (collect(each.predict(scan, prompts), scan.geometry.shape) for each in (there, Pointed()))
    assert len(found) == 3
    assert found.max() == 1
    np.testing.assert_array_equal(found, wanted)
    assert there.capabilities.remote
    there.release()


def test_several_channels_go_through(serving):
    scan = Volume(np.random.default_rng(0).normal(size=(3, 4, 20, 20)).astype(np.float32)[:, ::-1], Geometry((4, 20, 20)))
    there = serving.segmenter("bright")
    np.testing.assert_array_equal(collect(there.predict(scan), (4, 20, 20)), collect(Bright().predict(scan), (4, 20, 20)))
    there.release()


def test_a_scan_is_sent_once_and_found_again_by_one_request(serving, monkeypatch):
    scan = Volume(np.random.default_rng(5).integers(0, 999, (24, 300, 300)).astype(np.int32), Geometry((24, 300, 300)))
    sent = []
    for _ in range(2):
        there = serving.segmenter("bright")
        sent_by = there._connection._sent
        pour_by = there._connection.pour

        def noted(method, path, by=sent_by, **given):
            sent.append(f"{method} {path}")
            return by(method, path, **given)

        def pour(path, length, pieces, by=pour_by):
            sent.append(f"PUT {path}")
            return by(path, length, pieces)

        monkeypatch.setattr(there._connection, "_sent", noted)
        monkeypatch.setattr(there._connection, "pour", pour)
        list(there._scans.opened(Volume(scan.array.copy(), scan.geometry)))
        there.release()
        sent.append("again")
    first, second = sent[: sent.index("again")], sent[sent.index("again") + 1 :]
    assert [each.partition("slabs/")[2] for each in first if each.startswith("PUT")] == ["0/2"]
    assert [each.split("/")[-1] for each in second if each.startswith("POST")] == ["scans"]
    assert not any(each.startswith("PUT") for each in second)


def test_small_answers_do_not_wait_for_larger_ones(serving):
    there = serving.segmenter("bright")
    assert there.title
    lines = [each.transport.get_extra_info("socket") for each in serving.running._server.server_state.connections]
    assert lines
    assert all(line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for line in lines)
    there.release()


def test_an_upload_that_broke_off_goes_on_where_it_was(serving, monkeypatch):
    scan = Volume(np.random.default_rng(6).integers(0, 999, (24, 300, 300)).astype(np.int32), Geometry((24, 300, 300)))
    there = serving.segmenter("bright")
    pour, sent = there._connection.pour, []

    def breaking(path, length, pieces):
        sending = pour(path, length, pieces)
        sent.append([next(sending), next(sending)])
        monkeypatch.setattr(there._connection, "pour", pour)
        sending.close()
        raise RemoteError("broke off")

    monkeypatch.setattr(there._connection, "pour", breaking)
    with pytest.raises(RemoteError, match="broke off"):
        list(there._scans.opened(scan))
    assert sent
    until, told = time.monotonic() + 10, there._scans._open[0]
    while time.monotonic() < until:
        answer = there._connection.send("POST", "/v1/scans", json={**told.told.model_dump(), "hashes": told.hashes})
        if answer["missing"] == [2]:
            break
        time.sleep(0.02)
    assert answer["missing"] == [2]
    np.testing.assert_array_equal(collect(there.predict(scan), scan.geometry.shape), collect(Bright().predict(scan), scan.geometry.shape))
    there.release()


def test_a_slow_line_gets_packed_slabs_and_the_same_answer(serving):
    scan = Volume(np.repeat(np.random.default_rng(7).integers(0, 999, (24, 300, 30)), 10, axis=2).astype(np.int32), Geometry((24, 300, 300)))
    there = serving.segmenter("bright")
    there._scans._pace.saw(seconds=10.0, sent=1 << 20)
    assert there._scans._pace.packs
    packed = "PUT /v1/scans/{scan}/slabs/{number}"
    before = serving.log.count(packed)
    np.testing.assert_array_equal(collect(there.predict(scan), scan.geometry.shape), collect(Bright().predict(scan), scan.geometry.shape))
    assert there._scans._pace.ratio < 0.9
    assert serving.log.count(packed) == before + 3
    there.release()


def test_what_is_packed_no_smaller_is_sent_as_it_is():
    pace = _Pace()
    assert not pace.packs
    pace.saw(seconds=1.0, sent=1 << 20)
    assert pace.packs
    pace.ratio = 0.98
    assert not pace.packs
    pace.ratio = 0.5
    pace.saw(seconds=1e-3, sent=1 << 20)
    assert not pace.packs


def test_a_line_that_breaks_in_the_middle_of_an_answer_is_taken_up_again_without_asking_twice(serving, scan, monkeypatch):
    there = serving.segmenter("held")
    assert there.title == "Held"
    pieces, broken = there._connection._pieces, []

    def breaking(answer):
        for count, data in enumerate(pieces(answer)):
            if not broken and count == 1:
                broken.append(True)
                answer.close()
                raise LostError("broke off")
            yield data

    monkeypatch.setattr(there._connection, "_pieces", breaking)
    RUNS.clear()
    found = [piece for piece in there.predict(scan) if piece.probabilities.size]
    assert broken
    assert RUNS == ["Held"]
    assert len(found) == len(scan.array)
    np.testing.assert_array_equal(collect(found, scan.geometry.shape), collect(Bright().predict(scan), scan.geometry.shape))
    there.release()


def test_a_server_that_was_started_anew_is_told_everything_again(restarting, scan):
    there = restarting.segmenter("held")
    GATE.clear()
    running, told = there.predict(scan), []
    while not told or "The server works" not in told[-1].message:
        told.append(next(running))
    restarting.again()
    GATE.set()
    told += running
    np.testing.assert_array_equal(collect(told, scan.geometry.shape), collect(Bright().predict(scan), scan.geometry.shape))
    assert any("trying again" in piece.message for piece in told)
    there.release()


def test_a_server_that_is_gone_for_good_is_said_so(restarting, scan):
    there = restarting.segmenter("bright", give_up_s=0.5)
    assert there.title
    restarting.stop()
    with pytest.raises(RemoteError, match="cannot be reached"):
        list(there.predict(scan))


def test_closing_stops_the_work_there_and_the_next_question_is_answered(serving, scan):
    there = serving.segmenter("held")
    GATE.clear()
    running = there.predict(scan)
    next(running)
    running.close()
    GATE.set()
    until = time.monotonic() + 10
    while serving.running.room.answers.turns.waiting and time.monotonic() < until:
        time.sleep(0.02)
    assert not serving.running.room.answers.turns.waiting
    assert collect(there.predict(scan), scan.geometry.shape).max() == 1
    there.release()


def test_who_waits_is_told_how_many_go_before(serving, scan):
    first, second, third = (serving.segmenter("held") for _ in range(3))
    assert first.title == second.title == third.title == "Held"
    GATE.clear()
    busy = [each.predict(scan) for each in (first, second)]
    for each in busy:
        next(each)
    told = next(third.predict(scan))
    assert "before yours" in told.message
    GATE.set()
    for each in busy:
        each.close()


def test_nobody_starves_while_others_ask_without_end(serving, scan):
    other = serving.tokens.add("bob")
    greedy, modest = serving.segmenter("bright"), serving.segmenter("pointed", token=other)
    assert greedy.title
    assert modest.title
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            list(greedy.predict(scan))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for each in threads:
        each.start()
    answers = [collect(modest.predict(scan, clicked(scan)), scan.geometry.shape).max() for _ in range(5)]
    stop.set()
    for each in threads:
        each.join()
    assert answers == [1.0] * 5


@pytest.mark.parametrize(("name", "answers", "error"), [
    ("no-such", {}, CatalogueError), ("needs-folder", {}, CatalogueError), ("elsewhere", {}, CatalogueError), ("unet2", {}, CatalogueError),
    ("bright", {"model": "/etc/passwd"}, InvalidInputError), ("bright", {"trust": "yes"}, InvalidInputError),
    ("bright", {"task": "../../etc/passwd"}, InvalidInputError), ("bright", {"task": "a\\b"}, InvalidInputError), ("bright", {"other": "x"}, InvalidInputError),
])
def test_a_client_cannot_name_the_servers_files_nor_agree_for_it(serving, scan, name, answers, error):
    there = serving.segmenter(name, answers)
    with pytest.raises(error):
        list(there.predict(scan))
    with pytest.raises(error):
        _ = there.title
    there.release()


def test_an_answer_that_the_server_may_take_reaches_the_engine(serving, scan):
    there = serving.segmenter("bright", {"task": "high"})
    assert collect(there.predict(scan), scan.geometry.shape).max() == 1
    there.release()


def test_the_log_says_who_did_what_and_nothing_of_the_patient(serving, scan):
    there = serving.segmenter("bright")
    list(there.predict(Volume(scan.array, scan.geometry, name="Doe John", series="1.2.840.99")))
    lease = there._scans._open[0].lease
    there.release()
    assert '"user": "ann"' in serving.log
    assert "POST /v1/scans/{scan}/answers" in serving.log
    assert not any(word in serving.log for word in ("Doe", "1.2.840", lease, serving.token))
