"""Making a study folder, finding it, and clearing up after a crash."""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from napari_medseg.annotation import LabelClass, classes_to_dicts
from napari_medseg.errors import MissingFileError, ProjectDamagedError, ProjectError, UnwritableFileError
from napari_medseg.io.atomic import put
from napari_medseg.project import rows
from napari_medseg.project.address import Address, write_address
from napari_medseg.project.arrays import remove_group
from napari_medseg.project.database import DAY, Database
from napari_medseg.project.durable import flush_tree, looking, read_json, write_json, writing
from napari_medseg.project.layout import PART, SUFFIX, Layout
from napari_medseg.project.sources import write_sources
from napari_medseg.project.stores import database_of

FORMAT = "napari-medseg study"
LAYOUT = 1
_REPLACING = re.compile(r"\.[0-9a-f]{12}\.part.*")


def study_path(folder: Path | str) -> Path:
    """The folder's name as studies have it, NAME.medseg."""
    folder = Path(folder)
    return folder if folder.name.endswith(SUFFIX) else folder.with_name(f"{folder.name}{SUFFIX}")


def create(folder: Path, title: str, classes: Iterable[LabelClass], user: str, address: Address | None = None) -> Layout:
    """Make a study: under another name first, so that a half-made one never counts. With an address its database is on that server.

    Raises
    ------
    UnwritableFileError, StudyServerError
        When something is there already, or the disk or the server refuses.
    """
    with writing(folder):
        if folder.is_symlink() or folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise UnwritableFileError("holds something already", where=folder, todo="Choose another name, or open it")
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Layout(folder.with_name(f".{secrets.token_hex(6)}.part{SUFFIX}"))
        try:
            made.folder.mkdir()
            for inner in (made.labels, made.drafts, made.backups):
                inner.mkdir()
            _fill(made, title, classes, user, address)
            flush_tree(made.folder)
            if folder.is_dir():
                folder.rmdir()
            put(made.folder, folder)
        except BaseException:
            if made.store.exists():
                _drop(made)
            shutil.rmtree(made.folder, ignore_errors=True)
            raise
    return Layout(folder)


def find(folder: Path | str) -> Layout:
    """The study in a folder; ".medseg" may be left out.

    Raises
    ------
    MissingFileError, ProjectError
        When nothing is there, it is no study, or a newer program made it.
    """
    path = Path(folder)
    with looking(path):
        return _found(path)


def _found(path: Path) -> Layout:
    if not path.exists() and study_path(path).exists():
        path = study_path(path)
    if not path.exists():
        raise MissingFileError("there is no such study", where=path, todo="Check the path, or make one with `medseg project init`")
    layout = Layout(path)
    if not path.is_dir() or not layout.marker.is_file():
        raise ProjectError("is no study folder", where=path, todo="Choose a folder that `medseg project init` made; it ends in .medseg")
    told = read_json(layout.marker)
    if not isinstance(told, dict) or told.get("format") != FORMAT or type(told.get("layout")) is not int:
        raise ProjectError("is no study: project.json says something else", where=path, todo="Choose another folder, or restore project.json from a backup")
    if told["layout"] > LAYOUT:
        raise ProjectError("was made by a newer version of napari-medseg", where=path, todo="Update napari-medseg, then open it again")
    return layout


def sweep(layout: Layout, database: Database) -> None:
    """Take away what a writer that died left half-written; what counts is never touched, nor what another writer has under way."""
    eldest = time.time() - DAY if database.shared else float("inf")
    with writing(layout.folder):
        for folder in (layout.folder, layout.drafts, layout.labels):
            for path in folder.iterdir() if folder.is_dir() else ():
                if _is_half(path) and _changed(path) < eldest:
                    _delete(path)
        for folder in _case_folders(layout):
            if any(_is_half(path) or path.suffix == ".saving" for path in folder.iterdir()):
                with database.holding(folder.name):
                    _sweep_case(layout, database, folder)


def _sweep_case(layout: Layout, database: Database, folder: Path) -> None:
    for path in list(folder.iterdir()):
        if _is_half(path):
            _delete(path)
    for marker in sorted(folder.glob("*.saving")):
        if marker.stem.isdecimal():
            settle(layout, database, folder.name, int(marker.stem))


def settle(layout: Layout, database: Database, case: str, number: int) -> None:
    """End a save: the version stays if its row is in the database, else its folder goes."""
    with database.holding(case):
        with database.reading() as connection:
            committed = bool(rows.versions(connection, case, number))
        group = layout.group(case, number)
        if not committed and group.is_dir():
            remove_group(group)
        layout.saving(case, number).unlink(missing_ok=True)


def new_database(layout: Layout, title: str, classes: Iterable[LabelClass], user: str, address: Address | None = None) -> None:
    """Make an empty database where none is."""
    database = database_of(layout, address, network=True)  # a rollback journal until it is opened in its place
    try:
        database.create()
        with database.writing() as connection:
            for name, value in (("title", title), ("classes", classes_to_dicts(classes)), ("salt", secrets.token_hex(16)), ("keep_names", False)):
                rows.set_setting(connection, name, value)
            rows.log(connection, user, "created")
    finally:
        database.close()


def is_whole(layout: Layout) -> bool:
    """Whether the database opens and every row of it makes sense; one of a newer program is an error, not damage."""
    database = database_of(layout)
    try:
        database.open()
        if database.integrity():
            return False
        with database.reading() as connection:
            rows.classes(connection), rows.events(connection), rows.runs(connection), rows.marks(connection), rows.sides(connection)
            return all(row.versions == len(rows.versions(connection, row.id)) for row in rows.cases(connection))
    except ProjectDamagedError:
        return False
    finally:
        database.close()


def _fill(layout: Layout, title: str, classes: Iterable[LabelClass], user: str, address: Address | None) -> None:
    new_database(layout, title, classes, user, address)
    if address is not None:
        write_address(layout.store, address)
    write_sources(layout.sources, {})
    write_json(layout.marker, {"format": FORMAT, "layout": LAYOUT})


def _case_folders(layout: Layout) -> list[Path]:
    return [path for path in layout.labels.glob("case-*") if path.is_dir() and not path.is_symlink()]


def _drop(layout: Layout) -> None:
    """Take the database of a study that never was from its server."""
    database = database_of(layout)
    try:
        database.drop()
    finally:
        database.close()


def _is_half(path: Path) -> bool:
    return path.name.startswith(PART) or _REPLACING.fullmatch(path.name) is not None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # just put in its place
        return float("inf")


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            path.unlink()
