"""A refinement in a process of its own, so that the window never waits and a crash there costs nothing.

The child is a plain Python that runs `refine.child`, with the request on its standard input and ticks, pickled, on its standard output: a private pipe
between two halves of this package, no file. `multiprocessing` is not used because its spawned children import the program's main module again, which
under the napari command is napari itself.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from napari_medseg.errors import TrainingError
from napari_medseg.refine.controls import GO_ON, PAUSE
from napari_medseg.refine.pausing import Pausable
from napari_medseg.refine.request import RefineRequest
from napari_medseg.refine.result import Tick
from napari_medseg.volume import Volume

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""How long a cancelled child may take to leave by itself."""


Told = TypeVar("Told")


class ChildRun(Pausable, Generic[Told]):
    """Work in its own process.

    Iterate over it for ticks; close the iterator, or call `cancel` from any thread, to stop.

    Parameters
    ----------
    request : RefineRequest, Path, or anything with a method `ticks`
        What the process runs; has to be picklable.
    first : tick
        Told at once, before the process has started.
    threads : int
        Of the processor; 0 leaves one to the window where there are more than two.
    """

    looks = True
    """Whether `look` can have an answer."""

    def __init__(self, request: Any, first: Told, threads: int = 0) -> None:
        self.request, self.threads, self._first = request, threads, first
        self._cancelled = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._talking = threading.Lock()
        self._listens = False

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def __iter__(self) -> Iterator[Told]:
        """Start the process and follow it.

        Yields
        ------
        tick
            As the work gives them.

        Raises
        ------
        TrainingError
            When the process cannot start or ends by itself.
        MedsegError
            Whatever the work raises.
        """
        yield self._first
        with tempfile.TemporaryFile() as complaints:
            self._start(complaints)
            try:
                yield from self._follow(complaints)
            finally:
                self._end()

    def cancel(self) -> None:
        """Ask the process to stop within the current step; safe from any thread, and more than once."""
        with self._lock:
            self._cancelled.set()
            if self._process and self._process.stdin:
                with suppress(OSError, ValueError):  # it is gone already
                    self._process.stdin.close()

    def look(self, image: Volume) -> None:
        """Ask for the labels of a few slices by the network as it stands; of several wishes the newest counts. Safe from any thread.

        The answer comes as `Tick.look` between two steps, or never where the recipe cannot say.
        """
        self._tell(image)

    def _tell_paused(self) -> None:
        self._tell(PAUSE if self._paused else GO_ON)

    def _tell(self, message: object) -> None:
        with self._talking:
            if self._listens:
                self._send(message)

    def _send(self, message: object) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError, ValueError):  # it is gone, or was cancelled
                pickle.dump(message, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
                self._process.stdin.flush()

    def _start(self, complaints: IO[bytes]) -> None:
        with self._lock:
            if self._process is not None:
                raise TrainingError("this run was started before", todo="Make a new run")
            package = str(Path(__file__).parents[2])
            # Waiting threads sleep instead of spinning: on a machine that is busy with anything else, a step takes a sixth of the time.
            # Memory that a step frees is kept for the next one (glibc; others ignore it): about a tenth faster on idle cores.
            patient = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**30)}
            wanted = {"OMP_NUM_THREADS": str(self.threads)} if self.threads else {}
            paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
            flags = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
            command = [sys.executable, "-P", "-c", "from napari_medseg.refine.child import main; main()"]
            try:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints,
                    env={**patient, **os.environ, **wanted, "PYTHONPATH": paths}, creationflags=flags,
                )
            except OSError as error:
                raise TrainingError(f"the training could not start ({error.strerror or error})", todo="Close other programs and try again") from error

    def _follow(self, complaints: IO[bytes]) -> Iterator[Told]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None or self._cancelled.is_set():
            return
        try:
            self._send(self.request)  # where it died, or was cancelled, meanwhile: told apart below
            with self._talking:
                self._listens = True
                if self._paused:
                    self._send(PAUSE)
            while True:
                message = _receive(process.stdout)
                if self._cancelled.is_set():
                    return
                if hasattr(message, "fraction"):
                    yield message
                elif isinstance(message, Exception):
                    raise message
                elif message == "done":
                    return
                else:
                    raise self._crash(process, complaints)
        finally:
            process.stdout.close()

    def _end(self) -> None:
        process = self._process
        if process is None:
            return
        if process.stdin:
            with suppress(OSError, ValueError):
                process.stdin.close()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _crash(self, process: subprocess.Popen[bytes], complaints: IO[bytes]) -> TrainingError:
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        complaints.seek(0)
        log.error("training process ended with code %s: %s", process.returncode, complaints.read()[-4000:].decode(errors="replace"))
        kept = isinstance(self.request, Path) or (isinstance(self.request, RefineRequest) and self.request.out is not None)
        return TrainingError(
            "the training stopped by itself, perhaps because the memory was full or another program ended it",
            todo="Close other programs and let it go on; little is lost" if kept else "Close other programs and start it again",
        )


class RefineRun(ChildRun[Tick]):
    """One refinement in its own process. Rounds that are written stay, and a run with a folder can go on later (`resume`).

    Parameters
    ----------
    request : RefineRequest or Path
        Cases in memory or folders; or the folder of a run that was cut off.
    threads : int
        As `ChildRun`.
    """

    def __init__(self, request: RefineRequest | Path, threads: int = 0) -> None:
        super().__init__(request, Tick(0.0, "Starting the training"), threads)

    @classmethod
    def resume(cls, out: Path | str, threads: int = 0) -> RefineRun:
        """Go on with the run that was cut off in this folder, from its last checkpoint (`kept.unfinished` finds them).

        Raises
        ------
        MissingFileError
            When nothing is unfinished there.
        TrainingError
            When what was kept was written by another version, or is damaged.
        """
        from napari_medseg.refine.kept import require_kept

        return cls(require_kept(out), threads)


def _receive(stream: IO[bytes]) -> Any:
    """The next message; None when the child is gone."""
    try:
        return pickle.load(stream)  # from our own child process
    except (EOFError, OSError, ValueError, pickle.UnpicklingError):  # the pipe ended, perhaps within a message
        return None
