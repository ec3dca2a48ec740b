"""Spoilt files by the thousand: every one gives a typed error or a correct volume, within 5 s and twice the memory that it honestly needs.

    python tests/faults/fuzz.py [--count 2000] [--kind nrrd] [--only 17] [--seed 0] [--keep FOLDER]

Number and seed bring a spoilt file back. What opens it runs in a process of its own, so that a crash, a hang or greed is seen and not suffered.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.append(str(Path(__file__).parents[1]))  # where makers of files lie, which pytest finds by itself

SECONDS = 5.0
SLACK = 24 << 20  # bytes that Python and the libraries take for themselves
CEILING = 1 << 30  # bytes of address space beyond what the process has when it starts


# In the process that opens them --------------------------------------------------------------------------------------------------------------------------

def serve() -> None:
    """Answer paths on stdin with what came of opening them."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no answer
    import warnings

    import napari_medseg.io  # noqa: F401

    warnings.filterwarnings("error", module="napari_medseg")
    _limit_memory()
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps(_attempt(Path(task["path"]), task["opens"])), file=answers, flush=True)


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limit: there the other process watches
        import resource

        limit = psutil.Process().memory_info().vms + CEILING
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _attempt(path: Path, opens: str) -> dict[str, Any]:
    from napari_medseg.errors import MedsegError

    peak = Peak()
    answer: dict[str, Any] = {"errors": [], "shapes": [], "bytes": 0}
    began = time.perf_counter()
    for look in OPENERS[opens](path):
        try:
            shape, size = look()
            answer["shapes"].append(shape)
            answer["bytes"] += size
        except MedsegError as error:
            answer["errors"].append([type(error).__name__, str(error)])
        except BaseException as error:  # noqa: BLE001  # which is what we look for
            answer["fault"] = f"{type(error).__name__} escaped: {error!s:.200}"
            answer["trace"] = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[1:]]
            break
    return {**answer, "seconds": time.perf_counter() - began, "peak": peak.bytes()}


class Peak:
    """The highest resident size since it was made, less what there was then; 0 where the system does not tell."""

    def __init__(self) -> None:
        self.before = psutil.Process().memory_info().rss
        self.exact = Path("/proc/self/clear_refs").exists()
        if self.exact:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def bytes(self) -> int:
        """Bytes."""
        if not self.exact:
            return 0
        told = next(line for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(told.split()[1]) * 1024 - self.before


def _open_image(path: Path) -> Iterator[Callable[[], tuple[tuple[int, ...], int]]]:
    from napari_medseg.io import describe, read, read_labels

    found: list[Any] = []

    def told() -> tuple[tuple[int, ...], int]:
        found.extend(describe(path))
        return (), 0

    def voxels(series: str | None) -> tuple[tuple[int, ...], int]:
        array = np.asarray(read(path, series=series).array)
        array.max()
        return array.shape, array.nbytes

    def as_labels() -> tuple[tuple[int, ...], int]:
        array = np.asarray(read_labels(path).array)
        return array.shape, array.nbytes

    yield told
    yield lambda: voxels(None)
    if len(found) > 1:
        for info in found[:3]:
            yield lambda info=info: voxels(info.series)  # type: ignore[misc]
    yield as_labels


def _open_study(path: Path) -> Iterator[Callable[[], tuple[tuple[int, ...], int]]]:
    from napari_medseg.project import Project

    honest = json.loads((path.parent / "honest.json").read_text(encoding="utf-8"))
    opened: list[Project] = []
    complaints: list[object] = []

    def open_it(readonly: bool) -> tuple[tuple[int, ...], int]:
        opened.append(Project.open(path, user="opener", readonly=readonly))
        return (), 0

    def labels(project: Project, case: str, number: int) -> tuple[tuple[int, ...], int]:
        try:
            array = project.labels(case, number).array
        except MedsegError as error:
            complaints.append(error)
            raise
        if zlib.crc32(np.ascontiguousarray(array).data) != honest.get(f"{case} {number}"):
            raise AssertionError(f"{case} {number} holds other voxels, and nothing was said")
        return array.shape, array.nbytes

    def told(answer: object) -> tuple[tuple[int, ...], int]:
        return ((len(answer),), 0) if isinstance(answer, list) else ((), 0)

    def check(project: Project) -> tuple[tuple[int, ...], int]:
        if not project.check() and complaints:
            raise AssertionError(f"check finds nothing, but {complaints[0]}")
        return (), 0

    from napari_medseg.errors import MedsegError

    try:
        for readonly in (True, False):
            yield lambda readonly=readonly: open_it(readonly)  # type: ignore[misc]
            if not opened:
                continue
            project, versions = opened[0], [tuple(name.split()) for name in honest]
            yield lambda project=project: told(project.cases())  # type: ignore[misc]
            for case, number in versions:
                yield lambda project=project, case=case: told(project.versions(case))  # type: ignore[misc]
                yield lambda project=project, case=case, number=number: labels(project, case, int(number))  # type: ignore[misc]
                yield lambda project=project, case=case, number=number: told(project.arrays(case, int(number)))  # type: ignore[misc]
            yield lambda project=project: told(project.events())  # type: ignore[misc]
            yield lambda project=project: told(project.runs())  # type: ignore[misc]
            yield lambda project=project: told(project.unsaved())  # type: ignore[misc]
            yield lambda project=project: told(project.source("case-0001"))  # type: ignore[misc]
            yield lambda project=project: told(project.recover("case-0002").array)  # type: ignore[misc]
            yield lambda project=project: check(project)  # type: ignore[misc]
            if not readonly:
                yield lambda project=project: told(project.check(repair=True))  # type: ignore[misc]
                yield lambda project=project: told(project.restore("case-0001", 1))  # type: ignore[misc]
            opened.pop().close()
    finally:
        for project in opened:
            project.close()


OPENERS: dict[str, Callable[[Path], Iterator[Callable[[], tuple[tuple[int, ...], int]]]]] = {"image": _open_image, "study": _open_study}


# In the process that spoils them -------------------------------------------------------------------------------------------------------------------------

class Opener:
    """The other process; started again whenever it is gone."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.noise = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")

    def ask(self, path: Path, opens: str, seconds: float = SECONDS) -> dict[str, Any]:
        """What came of opening it; a fault when no answer came."""
        process = self._process()
        assert process.stdin is not None
        process.stdin.write(json.dumps({"path": str(path), "opens": opens}) + "\n")
        process.stdin.flush()
        answer, wait = None, time.monotonic() + seconds
        while answer is None and time.monotonic() < wait and process.poll() is None:
            with suppress(queue.Empty):
                answer = self.answers.get(timeout=0.2)
        with suppress(queue.Empty):
            answer = answer or self.answers.get_nowait()
        if answer:
            return dict(json.loads(answer))
        fault = f"crashed with exit code {process.poll()}" if process.poll() is not None else f"no answer within {seconds:g} s"
        self.close()
        self.noise.seek(max(0, self.noise.tell() - 800))
        return {"fault": fault, "trace": [self.noise.read()], "errors": [], "shapes": [], "bytes": 0, "seconds": seconds, "peak": 0}

    def _process(self) -> subprocess.Popen[str]:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.noise,
                encoding="utf-8", env={**os.environ, "MALLOC_ARENA_MAX": "2", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
            self.answers: queue.Queue[str] = queue.Queue()
            threading.Thread(target=_listen, args=(self.process.stdout, self.answers), daemon=True).start()
        return self.process

    def close(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def _listen(stream: Any, answers: queue.Queue[str]) -> None:
    for line in stream:
        answers.put(line)


@dataclass(frozen=True)
class Fault:
    """A spoilt file that was not taken as it should be."""

    index: int
    how: str
    what: str
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Two lines."""
        return f"number {self.index} ({self.how}): {self.what}\n      {' > '.join(self.trace)}"


@dataclass
class Result:
    """What came of all the spoilt files of one kind."""

    kind: str
    count: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    volumes: int = 0
    slowest: float = 0.0
    greediest: int = 0
    faults: list[Fault] = field(default_factory=list)

    def __str__(self) -> str:
        """One line."""
        told = ", ".join(f"{name} {n}" for name, n in self.errors.most_common())
        return (
            f"{self.kind:24} {self.count:5} spoilt: {self.volumes:5} opened, {sum(self.errors.values()):5} refused ({told}); "
            f"slowest {self.slowest:.2f} s, most memory {self.greediest / 1e6:.1f} MB; {len(self.faults)} faults"
        )

    def distinct(self) -> str:
        """One fault of every place that it comes from, and how many more."""
        places: dict[object, list[Fault]] = {}
        for fault in self.faults:
            places.setdefault((fault.what.partition(":")[0], fault.trace[-3:]), []).append(fault)
        return "\n".join(f"  {len(same)} times: {same[0]}" for same in places.values())


def run(kind: str, count: int, opener: Opener, *, seed: int = 0, only: int | None = None, keep: Path | None = None) -> Result:
    """Spoil the original of a kind `count` times and open what comes of it."""
    from originals import ORIGINALS

    original, result = ORIGINALS[kind], Result(kind)
    with tempfile.TemporaryDirectory(prefix="spoilt-", ignore_cleanup_errors=True) as name:
        honest = Path(name) / "honest"
        honest.mkdir()
        try:
            original.make(honest / original.name)
        except Exception as error:  # noqa: BLE001  # a kind that cannot be made is a fault too, and others follow
            result.faults.append(Fault(-1, "not at all", f"it cannot be made: {type(error).__name__}: {error}"))
            return result
        first = opener.ask(honest / original.name, original.opens, 60.0)  # imports what it needs
        if "fault" in first or not any(first["shapes"]):
            result.faults.append(Fault(-1, "not at all", f"the honest file does not open: {first}"))
            return result
        for index in range(count) if only is None else [only]:
            folder = Path(name) / str(index)
            shutil.copytree(honest, folder)
            path, rng = folder / original.name, np.random.default_rng([seed, zlib.crc32(kind.encode()), index])
            how = original.ways[int(rng.integers(len(original.ways)))](path, rng)
            beside = _beside(path)
            answer = _ask(opener, honest / original.name, path, original.opens, SECONDS)
            if "no answer" in answer.get("fault", "") or answer["seconds"] > SECONDS:  # a busy machine is no hang
                answer = _ask(opener, honest / original.name, path, original.opens, 2 * SECONDS)
            fault = _fault(answer, path, original) or ("" if _beside(path) == beside else f"changed what lies beside it: {beside} became {_beside(path)}")
            if fault:
                result.faults.append(Fault(index, how, fault, tuple(answer.get("trace", ()))))
                if keep is not None:
                    shutil.copytree(folder, keep / f"{kind} {index}", dirs_exist_ok=True)
            result.count += 1
            result.volumes += bool(any(answer["shapes"]))
            result.errors.update({answer["errors"][0][0]: 1} if answer["errors"] and not any(answer["shapes"]) else {})
            result.slowest, result.greediest = max(result.slowest, answer["seconds"]), max(result.greediest, answer["peak"])
            shutil.rmtree(folder, ignore_errors=True)
    return result


def _ask(opener: Opener, honest: Path, path: Path, opens: str, seconds: float) -> dict[str, Any]:
    if opener.process is None:  # the last file ended it: imports come first, and do not count
        opener.ask(honest, opens, 60.0)
    return opener.ask(path, opens, seconds)


def _beside(path: Path) -> dict[str, int]:
    """The other files of its folder, and their sizes: opening changes none of them."""
    return {p.name: p.stat().st_size for p in sorted(path.parent.iterdir()) if p != path}


def _fault(answer: dict[str, Any], path: Path, original: Any) -> str:
    if "fault" in answer:
        return str(answer["fault"])
    for kind, message in answer["errors"]:
        if "\n" in message or str(path.parent) in message or not message.strip():
            return f"{kind} is not told in one line without the folder: {message!r}"
    if answer["seconds"] > SECONDS:
        return f"took {answer['seconds']:.1f} s"
    there = sum(p.stat().st_size for p in path.parent.rglob("*") if p.is_file())
    if answer["peak"] > 2 * max(answer["bytes"], there) + SLACK:
        return f"took {answer['peak'] / 1e6:.0f} MB for {answer['bytes']} bytes of voxels in {there} bytes of files"
    told = None
    if original.tell is not None and path.exists():
        with suppress(Exception):
            told = original.tell(path)
    for shape in answer["shapes"]:
        if told and shape and sorted(n for n in shape if n != 1) != sorted(n for n in told if n != 1):
            return f"gave {shape} where the header states {told}"
    return ""


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=200)
    options.add_argument("--kind", action="append", help="only this kind; may be given again")
    options.add_argument("--only", type=int, help="only this number")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--keep", type=Path, help="folder for the spoilt files that show a fault")
    options.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        serve()
        return
    from originals import ORIGINALS

    opener, faults = Opener(), 0
    for kind in chosen.kind or ORIGINALS:
        result = run(kind, chosen.count, opener, seed=chosen.seed, only=chosen.only, keep=chosen.keep)
        faults += len(result.faults)
        print(result, result.distinct(), sep="\n", flush=True)  # noqa: T201
    opener.close()
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
