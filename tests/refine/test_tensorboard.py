"""The event files are read back by a strict reader made from the formats' descriptions alone, by another package's CRC-32C, and by TensorBoard where it is."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path

import pytest

from napari_medseg.refine.figures import RoundFigures
from napari_medseg.refine.result import Tick
from napari_medseg.refine.tensorboard import FOLDER, EventFile, masked_crc, recorded


def masked(data: bytes) -> int:
    google = pytest.importorskip("google_crc32c")
    crc = google.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path: Path):
    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,), (crc,) = struct.unpack_from("<Q", data, at), struct.unpack_from("<I", data, at + 8)
        assert crc == masked(data[at : at + 8])
        body = data[at + 12 : at + 12 + length]
        assert len(body) == length
        assert struct.unpack_from("<I", data, at + 12 + length) == (masked(body),)
        yield body
        at += 16 + length


def fields(message: bytes):
    """(number, value) of each field; refuses what it cannot account for to the byte."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
        elif kind in (1, 5):
            size, code = (8, "<d") if kind == 1 else (4, "<f")
            yield number, struct.unpack_from(code, message, at)[0]
            at += size
        else:
            assert kind == 2
            length = varint()
            assert at + length <= len(message)
            yield number, message[at : at + length]
            at += length


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    found = []
    for path in sorted(folder.iterdir(), key=lambda p: int(p.name.rpartition(".")[2])):
        events = [dict(fields(body)) for body in records(path)]
        assert events[0][3] == b"brain.Event:2"
        for event in events[1:]:
            assert event[1] > 1e9  # wall time in seconds
            if 7 in event:
                assert dict(fields(event[7])) == {1: 1}
                found = [(tag, step, value) for tag, step, value in found if step < event[2]]
            else:
                values = [dict(fields(value)) for number, value in fields(event[5]) if number == 1]
                found += [(value[1].decode(), event.get(2, 0), value[2]) for value in values]
    return found


def figures(number, updates, **known):
    return RoundFigures(number, updates, 1.0, None, 1.0, **known)


TICKS = [
    Tick(0.0, "Reading"),
    Tick(0.0, "Scored", figures=figures(0, 0, dice_verified=0.7)),
    Tick(0.1, "Epoch 1", 1, loss=0.5, updates=1, rate=1e-3),
    Tick(0.2, "Epoch 1", 1, loss=0.25, updates=200, rate=5e-4),
    Tick(0.5, "Round 1 done", 1, updates=200, figures=figures(1, 200, dice_verified=0.75, dice_heldout=0.5)),
    Tick(0.6, "Epoch 1", 2, loss=0.125, updates=1),
]


def test_losses_rates_and_dice_come_back_from_the_file(tmp_path):
    assert list(recorded(iter(TICKS), tmp_path)) == TICKS
    assert [each for each in scalars(tmp_path / FOLDER) if "volume" not in each[0]] == [
        ("rounds/Dice verified", 0, pytest.approx(0.7)),
        ("training/loss", 1, 0.5), ("training/learning rate", 1, pytest.approx(1e-3)),
        ("training/loss", 200, 0.25), ("training/learning rate", 200, pytest.approx(5e-4)),
        ("rounds/Dice verified", 1, 0.75), ("rounds/Dice held out", 1, 0.5),
        ("training/loss", 201, 0.125),
    ]


def test_a_run_that_goes_on_voids_what_it_does_again(tmp_path):
    list(recorded(iter(TICKS), tmp_path))
    again = [TICKS[1], TICKS[4], Tick(0.6, "Epoch 1", 2, loss=0.0625, updates=1)]
    list(recorded(iter(again), tmp_path, going_on=True))
    assert [value for tag, step, value in scalars(tmp_path / FOLDER) if (tag, step) == ("training/loss", 201)] == [0.0625]
    assert len(list((tmp_path / FOLDER).iterdir())) == 2


def test_a_new_run_in_the_same_folder_takes_the_place_of_the_old_curves(tmp_path):
    list(recorded(iter(TICKS), tmp_path))
    list(recorded(iter(TICKS[:3]), tmp_path))
    assert {step for tag, step, _ in scalars(tmp_path / FOLDER) if tag == "training/loss"} == {1}


def test_a_file_that_cannot_be_written_does_not_stop_the_run(tmp_path):
    (tmp_path / FOLDER).write_text("in the way")
    assert list(recorded(iter(TICKS), tmp_path)) == TICKS


def test_closing_the_ticks_closes_the_run_and_the_file(tmp_path):
    ended = []

    def run():
        try:
            yield from TICKS
        finally:
            ended.append(True)

    ticks = recorded(run(), tmp_path)
    for _ in range(3):
        next(ticks)
    ticks.close()
    assert ended == [True]
    assert ("training/loss", 1, 0.5) in scalars(tmp_path / FOLDER)


def test_the_checksum_is_that_of_the_standard():
    # 32 zero bytes, RFC 3720 B.4: 0x8A9136AA
    assert masked_crc(bytes(32)) == ((0x8A9136AA >> 15 | (0x8A9136AA << 17) & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="the optional package tensorboard is not installed")
def test_tensorboard_itself_reads_the_curves(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    file = EventFile(tmp_path)
    file.add(300, {"training/loss": 0.5})
    file.close()
    found = EventAccumulator(str(tmp_path)).Reload().Scalars("training/loss")
    assert [(each.step, each.value) for each in found] == [(300, 0.5)]
