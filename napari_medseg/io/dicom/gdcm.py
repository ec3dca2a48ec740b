"""GDCM as the second decoder, in processes of its own: damaged lossless JPEG makes it crash, and it prints as it goes."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

from napari_medseg.volume import Array

SECONDS = 3.0  # that one picture may take; an honest one takes a hundredth
CHILD = Path(__file__).with_name("gdcm_child.py")


class GdcmError(RuntimeError):
    """GDCM could not read a picture, crashed over it, or took too long."""


class Gdcm:
    """Processes that decode, started when they are needed; threads may share it. Close it after use."""

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()

    def read(self, file: bytes) -> Array:
        """Decode a DICOM file given as bytes.

        Returns
        -------
        (rows, columns) or (rows, columns, samples)

        Raises
        ------
        GdcmError
            When that fails in any way.
        """
        try:
            child = self._idle.get_nowait()
        except queue.Empty:
            child = _started()
        with tempfile.TemporaryDirectory(prefix="medseg-", ignore_cleanup_errors=True) as folder:
            path = Path(folder, "frame.dcm")
            path.write_bytes(file)
            watch = threading.Timer(SECONDS, child.kill)
            watch.start()
            try:
                array = _asked(child, path)
            except (OSError, ValueError) as error:
                _stop(child)
                raise GdcmError from error
            finally:
                watch.cancel()
        self._idle.put(child)
        if array is None:
            raise GdcmError
        return array

    def close(self) -> None:
        """End the processes."""
        with suppress(queue.Empty):
            while True:
                _stop(self._idle.get_nowait())


def _started() -> subprocess.Popen[bytes]:
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    command = [sys.executable, "-P", str(CHILD)]  # -P: the modules beside it are not for it
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, creationflags=hidden)


def _asked(child: subprocess.Popen[bytes], path: Path) -> Array | None:
    if child.stdin is None or child.stdout is None:
        raise ValueError
    child.stdin.write(json.dumps(str(path)).encode() + b"\n")
    child.stdin.flush()
    told = json.loads(child.stdout.readline())
    if not told["size"]:
        return None
    array = np.frombuffer(_exactly(child.stdout, told["size"]), told["dtype"]).reshape(told["shape"])
    return array if told["flat"] else array[0]


def _exactly(stream: IO[bytes], size: int) -> bytearray:
    data = bytearray(size)
    filled = 0
    while filled < size:
        part = stream.read(size - filled)
        if not part:
            raise ValueError
        data[filled : filled + len(part)] = part
        filled += len(part)
    return data


def _stop(child: subprocess.Popen[bytes]) -> None:
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    try:
        child.wait(1.0)  # it ends when its stdin does
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
