"""What a run was asked for, on disk while it is unfinished, so that it can go on after a crash, kill -9 or a night without power.

`OUT/.run` holds the request as JSON and its arrays as .npz (whose zip format checks every byte); nothing in it can run code. Scans and labels that came from
folders are named, not copied, and must be as they were. The folder goes when the run is done. What the run had reached stands beside it: finished rounds in
rounds.json, the training that was cut off in its checkpoint.
"""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from napari_medseg import catalogue
from napari_medseg.errors import MedsegError, MissingFileError, TrainingError, UnwritableFileError
from napari_medseg.io.atomic import advice, flush, flush_folder, put
from napari_medseg.refine.cases import Case
from napari_medseg.refine.folder import RECORD
from napari_medseg.refine.method import AnyRecipe
from napari_medseg.refine.request import Folders, LabelMaps, RefineRequest, Replay
from napari_medseg.volume import Geometry, Volume

log = logging.getLogger(__name__)

FOLDER, REQUEST, LOCK = ".run", "request.json", "lock"
FORMAT = 1
SPARE = 64 << 20
"""Bytes that stay free beside what is kept, for checkpoints and labels."""
PLAIN = ("seed", "device", "start", "freeze", "every_round", "processes")
MAPS = ("corrected", "verified", "truth")
FOLDER_OF = "/folder"  # no case is named so
TODO = "Start the refinement again; the rounds that were finished are kept"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that was cut off.

    Attributes
    ----------
    out : Path
        Its folder; for `RefineRun.resume`.
    recipe : str
    round : int
        Rounds that are finished.
    rounds : int
        Rounds in all.
    written : datetime
        When it last saved itself, local time.
    cases : tuple of str
        Ids; empty for a run over folders.
    """

    out: Path
    recipe: str
    round: int
    rounds: int
    written: datetime
    cases: tuple[str, ...]


@contextmanager
def going_on(request: RefineRequest) -> Iterator[None]:
    """Hold the run's folder while it runs, and keep its request there until it is done; nothing for a run without a folder.

    Raises
    ------
    TrainingError
        When another process is at work in this folder.
    UnwritableFileError
        When the disk refuses or has no room.
    """
    if request.out is None:
        yield
        return
    out = Path(request.out)
    if not request.resume:
        with _held(out):
            pass  # nobody else is at work here
        _keep(request, out)
    with _held(out):
        yield
    forget(out)


def require_kept(out: Path | str) -> Path:
    """The folder, if a run was cut off there; raises as `kept` does, but looks at the scans no closer than at their names."""
    _record(Path(out))
    return Path(out)


def kept(out: Path | str) -> RefineRequest:
    """The request of an unfinished run, to go on with.

    Raises
    ------
    MissingFileError
        When nothing is unfinished there.
    TrainingError
        When what was kept is damaged or was written by a newer version, or files it names have changed since.
    """
    out = Path(out)
    record = _record(out)
    folder = out / FOLDER
    try:
        recipe: AnyRecipe = catalogue.load().find(record["recipe"]["name"], "recipe").build(**_tuples(record["recipe"]["settings"]))
        replay = record["replay"]
        return RefineRequest(
            cases=_cases(folder, record["cases"]), recipe=recipe, out=out, resume=True, base=_path(record["base"]),
            heldout=None if record["heldout"] is None else _cases(folder, record["heldout"]),
            replay=None if replay is None else Replay(_cases(folder, replay["cases"]), replay["share"], replay["watched"]),
            watch={name: _cases(folder, cases) for name, cases in record["watch"].items()},
            class_names={int(value): name for value, name in record["class_names"].items()},
            patients=record["patients"], sides=record["sides"],
            **_others(folder, record),
        )
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, MedsegError):
            raise
        raise TrainingError("what was kept of this run is damaged", where=out, todo=TODO) from error


def unfinished(folder: Path | str, damaged: Callable[[TrainingError], None] = lambda error: log.info("%s", error)) -> tuple[Unfinished, ...]:
    """Runs that were cut off in this folder and in the folders right below it, the latest first; those that run now are left out.

    Parameters
    ----------
    folder : Path
    damaged : callable
        Told of each run that cannot go on.
    """
    found = []
    top = Path(folder)
    for out in (top, *(sorted(p for p in top.iterdir() if p.is_dir()) if top.is_dir() else ())):
        if not (out / FOLDER / REQUEST).is_file() or _is_held(out):
            continue
        try:
            record = _record(out)
            cases = record["cases"]
            ids = tuple(str(case["id"]) for case in cases) if isinstance(cases, list) else ()
            recipe = record["recipe"]
            files = [p for p in (out / FOLDER / REQUEST, out / RECORD, *out.glob("checkpoint*/*")) if p.is_file()]
            written = datetime.fromtimestamp(max(p.stat().st_mtime for p in files))
            found.append(Unfinished(out, str(recipe["name"]), _rounds_done(out), int(recipe["rounds"]), written, ids))
        except (MedsegError, KeyError, TypeError, ValueError, OSError) as error:
            damaged(_cannot_go_on(out, error))
    return tuple(sorted(found, key=lambda run: run.written, reverse=True))


def _cannot_go_on(out: Path, error: Exception) -> TrainingError:
    if isinstance(error, TrainingError):
        return error
    log.info("%s: %s", out.name, error)
    return TrainingError("what was kept of this run is damaged, so it cannot go on; its finished rounds are whole", where=out, todo=TODO)


def forget(out: Path | str) -> None:
    """Give up an unfinished run; its finished rounds stay."""
    folder = Path(out) / FOLDER
    leaving = folder.with_name(f"{FOLDER}.partial")
    with suppress(OSError):
        shutil.rmtree(leaving, ignore_errors=True)
        put(folder, leaving)  # gone as a whole, whatever interrupts the rest
    shutil.rmtree(leaving, ignore_errors=True)


def _keep(request: RefineRequest, out: Path) -> None:
    partial = out / f"{FOLDER}.new.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        _need_room(request, out)
        partial.mkdir(parents=True)
        store = _Store(partial)
        record = _described(request, store)
        (partial / REQUEST).write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
        flush(partial / REQUEST)
        flush_folder(partial)
        forget(out)
        put(partial, out / FOLDER)
        flush_folder(out)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, MedsegError):
            raise
        raise UnwritableFileError(f"cannot be written ({error.strerror or error})", where=out, todo=advice(error)) from error


def _described(request: RefineRequest, store: _Store) -> dict[str, Any]:
    recipe = request.recipe
    settings: dict[str, Any] = asdict(recipe) if is_dataclass(recipe) else {}
    settings.pop("name", None)
    return {
        "format": FORMAT, "recipe": {"name": recipe.name, "rounds": recipe.rounds, "settings": settings},
        "base": None if request.base is None else str(Path(request.base).absolute()),
        "cases": store.cases(request.cases), "heldout": None if request.heldout is None else store.cases(request.heldout),
        "replay": None if request.replay is None else store.replay(request.replay),
        "watch": {name: store.cases(cases) for name, cases in request.watch.items()},
        "class_names": {str(value): name for value, name in request.class_names.items()},
        "patients": None if request.patients is None else dict(request.patients), "sides": None if request.sides is None else dict(request.sides),
        **{name: store.maps(getattr(request, name)) for name in MAPS}, **{name: getattr(request, name) for name in PLAIN},
    }


class _Store:
    """Volumes into numbered files; one that is given twice is written once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[int, str] = {}

    def cases(self, cases: tuple[Case, ...] | Folders) -> Any:
        if isinstance(cases, Folders):
            return {"images": _named(cases.images), "labels": _named(cases.labels)}
        return [{"id": case.id, "image": self._volume(case.image), "labels": self._volume(case.labels, labels=True)} for case in cases]

    def replay(self, replay: Replay) -> Any:
        return {"cases": self.cases(replay.cases), "share": replay.share, "watched": replay.watched}

    def maps(self, maps: LabelMaps | None) -> Any:
        if maps is None or isinstance(maps, Path):
            return None if maps is None else {FOLDER_OF: _named(maps)}
        return {name: self._volume(volume, labels=True) for name, volume in maps.items()}

    def _volume(self, volume: Volume, *, labels: bool = False) -> dict[str, Any]:
        name = self._known.get(id(volume.array))
        if name is None:
            name = self._known[id(volume.array)] = f"{len(self._known):04d}.npz"
            with (self._folder / name).open("wb") as file:
                (np.savez_compressed if labels else np.savez)(file, array=np.asarray(volume.array))
            flush(self._folder / name)
        facts = {key: getattr(volume, key) for key in ("name", "modality", "units", "series")}
        return {"file": name, "grid": asdict(volume.geometry), "channel_names": list(volume.channel_names), **facts}


def _volume(folder: Path, record: Mapping[str, Any]) -> Volume:
    with np.load(folder / Path(record["file"]).name, allow_pickle=False) as content:
        array = content["array"]
    facts = {key: record[key] for key in ("name", "modality", "units", "series")}
    return Volume(array, Geometry(**_tuples(record["grid"])), channel_names=tuple(record["channel_names"]), **facts)


def _cases(folder: Path, record: Any) -> tuple[Case, ...] | Folders:
    if isinstance(record, dict):
        return Folders(_unchanged(record["images"]), _unchanged(record["labels"]))
    return tuple(Case(each["id"], _volume(folder, each["image"]), _volume(folder, each["labels"])) for each in record)


def _maps(folder: Path, record: Any) -> LabelMaps | None:
    if record is None:
        return None
    if FOLDER_OF in record:
        return _unchanged(record[FOLDER_OF])
    return {name: _volume(folder, each) for name, each in record.items()}


def _named(folder: Path) -> dict[str, Any]:
    """A folder of files by its name, with what tells whether one of them has changed."""
    return {"path": str(Path(folder).absolute()), "files": _stamps(Path(folder))}


def _unchanged(record: Mapping[str, Any]) -> Path:
    folder = Path(record["path"])
    now = _stamps(folder)
    changed = sorted(name for name in now.keys() | record["files"].keys() if now.get(name) != record["files"].get(name))
    if changed:
        what = f"is not as it was when the run began ({changed[0]}{f' and {len(changed) - 1} more' if len(changed) > 1 else ''})"
        raise TrainingError(what, where=folder, todo="Put the files back as they were, or start the refinement again")
    return folder


def _stamps(folder: Path) -> dict[str, list[int]]:
    files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")] if folder.is_dir() else []
    return {p.name: [p.stat().st_size, p.stat().st_mtime_ns] for p in files}


def _others(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _maps(folder, record[name]) for name in MAPS} | {name: record[name] for name in PLAIN if name in record}


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples they were."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}


def _record(out: Path) -> dict[str, Any]:
    try:
        record = json.loads((out / FOLDER / REQUEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError("holds no unfinished run", where=out, todo="Choose the folder of a run that was cut off") from error
    except (OSError, ValueError) as error:
        raise TrainingError("what was kept of this run is damaged", where=out, todo=TODO) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise TrainingError("was begun by another version of napari-medseg", where=out, todo=TODO)
    return record


def _rounds_done(out: Path) -> int:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return max(int(figures["round"]) for figures in json.loads((out / RECORD).read_text(encoding="utf-8"))["rounds"])
    return 0


def _need_room(request: RefineRequest, out: Path) -> None:
    """Refuse before the first byte where the scans will not fit."""
    groups = [request.cases, request.heldout, request.replay.cases if request.replay else None, *request.watch.values()]
    images = {id(case.image.array): case.image.array.nbytes for group in groups if isinstance(group, tuple) for case in group}
    out.mkdir(parents=True, exist_ok=True)
    need, free = sum(images.values()), shutil.disk_usage(out).free
    if need + (SPARE if need > SPARE else 0) > free:
        what = f"the scans of this run need {need / 1e9:.3f} GB there so that it can go on after a crash, and {free / 1e9:.3f} GB are free"
        raise UnwritableFileError(what, where=out, todo="Make space on the disk, or choose another folder")


@contextmanager
def _held(out: Path) -> Iterator[None]:
    folder = out / FOLDER
    if not folder.is_dir():
        yield
        return
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise TrainingError("another refinement is at work in this folder", where=out, todo="Wait until it is done, or choose another folder") from error
    except OSError as error:
        raise UnwritableFileError(f"cannot be written ({error.strerror or error})", where=out, todo=advice(error)) from error
    try:
        yield
    finally:
        lock.release()


def _is_held(out: Path) -> bool:
    try:
        with _held(out):
            return False
    except (TrainingError, UnwritableFileError):
        return True
