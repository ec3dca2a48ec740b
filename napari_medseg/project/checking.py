"""Whether a study is whole: rows and folders and checksums agree. Repair mends what it can without touching a version."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.errors import MedsegError, ProjectError
from napari_medseg.io import replacing
from napari_medseg.io.atomic import put
from napari_medseg.project import folder, rows
from napari_medseg.project.arrays import checksum, read_labels, read_record
from napari_medseg.project.durable import writing
from napari_medseg.project.journal import read_journal
from napari_medseg.project.layout import Layout, case_key, is_writer
from napari_medseg.project.naming import joined
from napari_medseg.project.records import Problem, Version
from napari_medseg.project.sources import read_sources

if TYPE_CHECKING:
    from napari_medseg.project.project import Project

BACKUP = "Restore it from a backup; other versions are not affected"
OTHERS = {"thumbs.db", "desktop.ini"}  # what file managers leave everywhere
Told = Callable[[int, int], None]


def examine(project: Project, layout: Layout, repair: bool, told: Told | None) -> list[Problem]:
    """Everything that is wrong, and what was mended; see `Project.check`."""
    database = project._database
    problems = [Problem(text, "project.db", "Run `medseg project check --repair` after closing the study everywhere") for text in database.integrity()]
    problems += _orphans(project, layout, repair)
    todo = [(case.id, version) for case in project.cases() for version in project.versions(case.id)]
    for number, (_, version) in enumerate(todo):
        if told is not None:
            told(number, len(todo))
        problems += _version(project, layout, version)
    problems += _drafts(project, layout, repair)
    problems += _sources(layout)
    problems += _strange(layout)
    if repair and any(problem.mended for problem in problems):
        with database.writing() as connection:
            rows.log(connection, project.user, "repaired", mended=sum(problem.mended for problem in problems))
    return problems


def _version(project: Project, layout: Layout, version: Version) -> Iterator[Problem]:
    where = layout.inside(layout.group(version.case, version.number))
    try:
        project.labels(version.case, version.number)
        project.arrays(version.case, version.number)
        record = read_record(layout.group(version.case, version.number))
        same = {key: record.get(key) for key in rows.version_facts(version)} == rows.version_facts(version)
    except MedsegError as error:
        yield Problem(f"version {version.number} of {version.case} {error.what}", where, BACKUP, version.case)
        return
    if not same:
        yield Problem(f"the database says something else of version {version.number} than its folder", where, BACKUP, version.case)


def _orphans(project: Project, layout: Layout, repair: bool) -> Iterator[Problem]:
    """Version folders that the database does not know, as after it was replaced by an older copy: they are taken back in."""
    found = [(case, number, path) for case, number, path in layout.groups() if not layout.saving(case, number).exists()]
    known = {(case.id, version.number) for case in project.cases() for version in project.versions(case.id)}  # asked last: others may be saving
    for case, number, path in found:
        if (case, number) in known:
            continue
        where = layout.inside(path)
        what = f"version {number} of {case} is not in the database"
        if not repair:
            yield Problem(what, where, "Run `medseg project check --repair`, which takes it back in", case)
            continue
        try:
            _adopt(project, case, number, path)
        except MedsegError as error:
            yield Problem(f"{what} and cannot be taken back in: it {error.what}", where, "Move the folder out of the study, or restore it from a backup", case)
        else:
            yield Problem(what, where, "It was taken back in", case, mended=True)


def _adopt(project: Project, case: str, number: int, path: Path) -> None:
    record = read_record(path)
    version, grid = rows.version_from_facts(case, record), rows.grid_from_facts(record.get("grid"))
    if version.number != number or record.get("case") != case:
        raise ProjectError("belongs to another case or number", where=path.name)
    if checksum(read_labels(path, grid.shape, version.dtype), grid, version.classes) != version.checksum:
        raise ProjectError("was changed after it was saved", where=path.name)
    with project._database.writing() as connection:
        there = rows.cases(connection, case)
        if not there:
            rows.add_case(connection, str(record.get("modality", "")), grid, "", case_key(case))
        elif not there[0].geometry.matches(grid):
            raise ProjectError("lies on another grid than its case", where=path.name)
        if version.parent is not None and not rows.versions(connection, case, version.parent):
            raise ProjectError(f"was made from version {version.parent}, which is missing", where=path.name)
        schema, notes = joined(project.classes, version.classes, [c.value for c in version.classes])
        if schema != project.classes:
            project._store_classes(connection, schema, *notes)
        rows.add_version(connection, version)
        rows.log(connection, project.user, "adopted", case, number)
    project._classes = schema


def _drafts(project: Project, layout: Layout, repair: bool) -> Iterator[Problem]:
    known = {case.id: case for case in project.cases()}
    for case, path in layout.journals():
        where = layout.inside(path)
        try:
            journal = read_journal(path)
            if case not in known:
                what = f"a draft of {case}, which the study does not hold"
            elif journal.case != case or journal.shape != known[case].geometry.shape:
                what = "a draft of another case lies under this name"
            elif journal.parent is not None and journal.parent not in {v.number for v in project.versions(case)}:
                what = f"a draft on top of version {journal.parent}, which is missing"
            else:
                project._unsaved(case)
                continue
        except MedsegError as error:
            what = f"the draft {error.what}"
        if repair:
            with writing(path):
                layout.backups.mkdir(exist_ok=True)
                put(path, layout.backups / f"{path.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
            yield Problem(what, where, "It was moved to the folder backups", case, mended=True)
        else:
            yield Problem(what, where, "Run `medseg project check --repair`, which moves it to the folder backups", case)


def _sources(layout: Layout) -> Iterator[Problem]:
    try:
        read_sources(layout.sources)
    except ProjectError as error:
        yield Problem(error.what, "sources.json", error.todo)


def _strange(layout: Layout) -> Iterator[Problem]:
    """Names that nobody here gives. What is being written now begins with a dot."""
    known = {path for _, _, path in layout.groups()} | {path for _, path in layout.journals()}
    homes = [path for path in layout.labels.iterdir() if path.is_dir() and _is_case(path.name)] if layout.labels.is_dir() else []
    for parent in (layout.labels, layout.drafts, *homes):
        for path in sorted(parent.iterdir()) if parent.is_dir() else ():
            ours = path in known or path in homes or path.suffix == ".saving" or (parent == layout.drafts and is_writer(path))
            if not ours and not path.name.startswith(".") and path.name.lower() not in OTHERS:
                yield Problem("does not belong here", layout.inside(path), "Move it out of the study")


def _is_case(name: str) -> bool:
    try:
        return case_key(name) > 0
    except MedsegError:
        return False


def _is_good(layout: Layout) -> bool:
    try:
        return folder.is_whole(layout)
    except ProjectError:
        return False


def rescue(layout: Layout) -> list[Problem]:
    """Put a database that cannot be opened aside and go back to its last good copy, or to none; the caller holds the lock and has found it damaged.

    Versions that the copy does not know are taken back in by `examine`.
    """
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with writing(layout.database):
        layout.backups.mkdir(exist_ok=True)
        for name in ("project.db", "project.db-wal", "project.db-shm", "project.db-journal"):
            if (path := layout.folder / name).exists():
                put(path, layout.backups / f"damaged-{stamp}-{name}")
        for copy in sorted(layout.backups.glob("project-*.db"), reverse=True):
            with replacing(layout.database) as temporary:
                shutil.copyfile(copy, temporary)
            if _is_good(layout):
                return [Problem("the database was damaged", "project.db", f"Its copy {copy.name} took its place; the damaged one is in backups", mended=True)]
            layout.database.unlink()
    folder.new_database(layout, "", (), "")
    return [Problem("the database was damaged and had no good copy", "project.db", "A new one was made; the damaged one is in backups", mended=True)]
