"""The curves of a run as TensorBoard event files, written without TensorBoard.

A file is a row of TFRecords: length (uint64, little endian), its masked CRC-32C, the bytes of one `Event` message, their masked CRC-32C. Messages are
protocol buffers, of which a handful of fields is needed (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto).
"""

from __future__ import annotations

import logging
import shutil
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from napari_medseg.errors import MedsegError, UnwritableFileError
from napari_medseg.io.atomic import advice
from napari_medseg.refine.result import Tick

log = logging.getLogger(__name__)

FOLDER = "tensorboard"
FLUSH_S = 2.0
VERSION = b"brain.Event:2"
CASTAGNOLI = 0x82F63B78  # the polynomial of CRC-32C, bits reversed
MASK = 0xA282EAD8
RESTARTED = b"\x08\x01"  # SessionLog.status = START: what an earlier file has from this step on is void


class EventFile:
    """Scalars of one run, appended to a file of their own.

    Parameters
    ----------
    folder : Path
        Made when missing. Files of earlier stretches of the run stay, and TensorBoard joins them.

    Raises
    ------
    UnwritableFileError
        When the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        now = time.time()
        self.path = folder / f"events.out.tfevents.{int(now)}.medseg.{time.monotonic_ns()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self.path.open("xb")
        except OSError as error:
            raise self._refused(error) from error
        self._flushed = time.monotonic()
        self._write(_double(1, now) + _bytes(3, VERSION))

    def restarted(self, step: int) -> None:
        """The run goes on here after a crash: what earlier files say of this step and later ones is void."""
        self._write(_double(1, time.time()) + _varint(2, step) + _bytes(7, RESTARTED))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Values by tag at a step; raises as the constructor does."""
        values = b"".join(_bytes(1, _bytes(1, tag.encode()) + _float(2, value)) for tag, value in scalars.items())
        self._write(_double(1, time.time()) + _varint(2, step) + _bytes(5, values))
        if time.monotonic() - self._flushed > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Let readers see what was added."""
        self._flushed = time.monotonic()
        try:
            self._file.flush()
        except OSError as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Nothing more comes."""
        with suppress(OSError):  # what the disk refused before it refuses here again
            self._file.close()

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        try:
            self._file.write(length + struct.pack("<I", masked_crc(length)) + event + struct.pack("<I", masked_crc(event)))
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> UnwritableFileError:
        return UnwritableFileError(f"could not be written ({error.strerror or error})", where=self.path, todo=advice(error))


def recorded(ticks: Iterator[Tick], out: Path, *, going_on: bool = False) -> Iterator[Tick]:
    """The same ticks; their losses, learning rates and Dice also go into `out`/tensorboard: beside what is there when a run goes on, else in its place.

    Losses count updates over all rounds; figures count rounds. Curves are a convenience: when they cannot be written, the log says so and the run goes on.
    """
    curves = _Curves(out / FOLDER, going_on)
    try:
        for tick in ticks:
            curves.follow(tick)
            yield tick
    finally:
        curves.close()
        if hasattr(ticks, "close"):
            ticks.close()


class _Curves:
    """Ticks as scalars."""

    def __init__(self, folder: Path, going_on: bool) -> None:
        self._folder = folder
        if not going_on:
            shutil.rmtree(folder, ignore_errors=True)
        self._file: EventFile | None = None
        self._restarted = folder.is_dir()
        self._before: dict[int, int] = {}  # updates by round that has ended
        self._off = False

    def follow(self, tick: Tick) -> None:
        if self._off:
            return
        try:
            self._add(tick)
        except MedsegError as error:
            self._off = True
            log.warning("no more curves for TensorBoard: %s", error)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _add(self, tick: Tick) -> None:
        if tick.loss is not None and tick.figures is None and tick.updates:
            step = sum(updates for number, updates in self._before.items() if number < tick.round) + tick.updates
            rate = {} if tick.rate is None else {"training/learning rate": tick.rate}
            file = self._open()
            if self._restarted:
                self._restarted = False
                file.restarted(step)
            file.add(step, {"training/loss": tick.loss, **rate})
        if tick.figures is not None:
            self._before[tick.figures.round] = tick.figures.updates
            facts = {
                "rounds/Dice verified": tick.figures.dice_verified, "rounds/Dice held out": tick.figures.dice_heldout,
                "rounds/Dice refined": tick.figures.dice_refined, "rounds/volume ratio": tick.figures.volume_ratio,
            }
            file = self._open()
            file.add(tick.figures.round, {tag: value for tag, value in facts.items() if value is not None})
            file.flush()

    def _open(self) -> EventFile:
        if self._file is None:
            self._file = EventFile(self._folder)
        return self._file


def masked_crc(data: bytes) -> int:
    """CRC-32C turned and shifted, as TFRecords keep it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + MASK) & 0xFFFFFFFF


def _entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (CASTAGNOLI if value & 1 else 0)
    return value


TABLE = tuple(_entry(value) for value in range(256))


def _varint(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _number(value)


def _number(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _double(field: int, value: float) -> bytes:
    return bytes([field << 3 | 1]) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return bytes([field << 3 | 5]) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _number(len(value)) + value
