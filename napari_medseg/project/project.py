"""A study on disk, as the window and the commands use it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_medseg.annotation import LabelClass, LabelMap, classes_to_dicts, named
from napari_medseg.errors import InvalidInputError, NoLabelsError, ProjectError, UnwritableFileError
from napari_medseg.project import arrays as groups
from napari_medseg.project import folder as folders
from napari_medseg.project import rows
from napari_medseg.project.database import Database
from napari_medseg.project.durable import flush_folder, writing
from napari_medseg.project.journal import Base, Draft, difference, read_journal, replay
from napari_medseg.project.layout import PART, Layout, case_key
from napari_medseg.project.locking import WriterLock, login_name
from napari_medseg.project.naming import joined
from napari_medseg.project.records import KINDS, Box, Case, Event, Kind, Run, Unsaved, Version, status_of
from napari_medseg.project.sources import Source, fingerprint, pick, read_sources, source_of, write_sources
from napari_medseg.volume import Array, Geometry, require_same_grid


class Project:
    """A study: cases, their label versions, autosaved drafts and an audit log, in one folder.

    One writer at a time; any number may look. Methods may be called from any thread. What a method saved is on the disk when it returns.

    Attributes
    ----------
    folder : Path
    title, user : str
    readonly : bool
        Whether nothing can be saved; `notice` says why when it was not asked for.
    notice : str
        What a person should know of the last thing done; "" for nothing.
    """

    def __init__(self, layout: Layout, database: Database, lock: WriterLock | None, user: str, notice: str = "") -> None:
        self.folder = layout.folder
        self.user = user
        self.readonly = lock is None
        self.notice = notice
        self._layout, self._database, self._lock = layout, database, lock
        self._mutex = threading.RLock()
        self._drafts: dict[str, Draft] = {}
        self._sources = read_sources(layout.sources)
        with database.reading() as connection:
            self._title, self._salt = (str(rows.setting(connection, name, "")) for name in ("title", "salt"))
            self._keep_names = rows.setting(connection, "keep_names", False) is True
            self._classes = rows.classes(connection)

    # -- opening and closing -------------------------------------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: Path | str, *, title: str = "", classes: Iterable[LabelClass] = (), user: str = "") -> Self:
        """Make a study and open it.

        Parameters
        ----------
        folder : Path
            Must not hold anything; ".medseg" is added to its name when it does not end so.
        title : str
            For people; name no patient.
        classes : LabelClass each
            What the values mean in every case.
        user : str
            Who works; the login name when not given.

        Raises
        ------
        UnwritableFileError
            When the folder holds something, or the disk refuses.
        """
        path = folders.study_path(folder)
        folders.create(path, title, classes, user or login_name())
        return cls.open(path, user=user)

    @classmethod
    def open(cls, folder: Path | str, *, user: str = "", readonly: bool = False) -> Self:
        """Open a study; clears up after a crash and brings an older one up to date.

        A folder that cannot be written is opened read-only, and `notice` says so.

        Raises
        ------
        MissingFileError, ProjectError
            When nothing is there, or it is no study, damaged, or made by a newer program.
        ProjectLockedError
            When somebody else is writing to it; says who.
        """
        layout = folders.find(folder)
        user, notice, lock = user or login_name(), "", None
        if not readonly:
            try:
                lock = WriterLock(layout, user)
            except UnwritableFileError as error:
                notice = f"{layout.folder.name} {error.what}; it is open for looking only"
        database = Database(layout, readonly=lock is None)
        try:
            database.open()
            if lock is not None:
                folders.sweep(layout, database)
            project = cls(layout, database, lock, user, notice)
            if lock is not None:
                project._drop_settled_drafts()
        except BaseException:
            database.close()
            if lock is not None:
                lock.release()
            raise
        return project

    def close(self) -> None:
        """Close drafts and database and let others write; may be called twice."""
        for draft in list(self._drafts.values()):
            draft.close()
        with self._mutex:
            self._database.close()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the study -----------------------------------------------------------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """What people call the study."""
        return self._title

    @property
    def keep_names(self) -> bool:
        """Whether exports may hold the scans' names; off unless a person turned it on."""
        return self._keep_names

    @keep_names.setter
    def keep_names(self, keep: bool) -> None:
        with self._mutex, self._database.writing() as connection:
            rows.set_setting(connection, "keep_names", bool(keep))
            rows.log(connection, self.user, "settings", keep_names=bool(keep))
        self._keep_names = bool(keep)

    @property
    def classes(self) -> tuple[LabelClass, ...]:
        """The label schema: what each value means in every case."""
        return self._classes

    def set_classes(self, classes: Iterable[LabelClass]) -> None:
        """Change names, colours and codes, or add classes. Values that some version uses stay, with the name they had, when they are left out.

        Raises
        ------
        InvalidInputError
            When two classes share a value or a name.
        UnwritableFileError
        """
        wanted = list(classes)
        for key in ([c.value for c in wanted], [c.name.casefold() for c in wanted]):
            if len(set(key)) != len(key):
                raise InvalidInputError("two classes share a value or a name", where="classes", todo="Give each its own")
        with self._mutex, self._database.writing() as connection:
            used = {value for row in rows.cases(connection) for version in rows.versions(connection, row.id) for value in version.voxels}
            values, names = {c.value for c in wanted}, {c.name.casefold() for c in wanted}
            for kept in (c for c in self._classes if c.value in used and c.value not in values):
                wanted.append(kept if kept.name.casefold() not in names else replace(kept, name=f"{kept.name} {kept.value}"))
            self._store_classes(connection, tuple(sorted(wanted, key=lambda c: c.value)))

    def events(self, case_id: str | None = None) -> list[Event]:
        """The audit log, oldest first; of one case or of all."""
        with self._database.reading() as connection:
            return rows.events(connection, self._row(connection, case_id).id if case_id else "")

    def record_run(
        self, kind: str, *, parameters: Mapping[str, Any], figures: Mapping[str, Any], model: str = "", cases: Iterable[str] = (),
    ) -> int:
        """Record a run over cases, such as a refinement; its number.

        Raises
        ------
        InvalidInputError, ProjectError, UnwritableFileError
            When something of it is no plain fact, a case is not there, or nothing can be written.
        """
        chosen = list(cases)
        with self._mutex, self._database.writing() as connection:
            for case in chosen:
                self._row(connection, case)
            run = rows.add_run(connection, self.user, kind, parameters, figures, model, chosen)
            rows.log(connection, self.user, "ran", run=run, kind=kind, cases=len(chosen))
        return run

    def runs(self) -> list[Run]:
        """Recorded runs, oldest first."""
        with self._database.reading() as connection:
            return rows.runs(connection)

    # -- cases ---------------------------------------------------------------------------------------------------------------------------------------------

    def cases(self) -> list[Case]:
        """Every case, by id."""
        with self._database.reading() as connection:
            return [self._case(row) for row in rows.cases(connection)]

    def case(self, case_id: str) -> Case:
        """One case.

        Raises
        ------
        ProjectError, InvalidInputError
            When the study has none of this id.
        """
        with self._database.reading() as connection:
            return self._case(self._row(connection, case_id))

    def add(self, path: Path | str, *, series: str = "", name: str = "") -> Case:
        """Add a scan; one that is known already, here or elsewhere, is the case it was.

        Parameters
        ----------
        path : Path
            A file or a DICOM folder.
        series : str
            Which series of it: its UID, or a description or beginning of the UID that only it has.
        name : str
            What the screen calls it; the file's or the series' name when not given. Kept in sources.json only.

        Raises
        ------
        MissingFileError, UnreadableFileError, InvalidInputError
            When it is not there, cannot be read, or holds several series and none was chosen.
        UnwritableFileError
        """
        self._require_writer()
        path = Path(path)
        info = pick(path, series)
        wanted = source_of(path, info.series, name or info.title or path.name, self.folder)
        mark = fingerprint(path, info, self._salt)
        with self._mutex:
            self.notice = ""
            with self._database.writing() as connection:
                known = next((row for row in rows.cases(connection) if row.fingerprint == mark), None)
                case = rows.add_case(connection, info.modality, info.geometry, mark) if known is None else known.id
                there = known is not None and case in self._sources and self._sources[case].found(self.folder).exists()
                if not there:
                    if known is None:
                        rows.log(connection, self.user, "added", case)
                    self._write_sources({**self._sources, case: replace(wanted, name=name or self._name(case) or wanted.name)})
                else:
                    self.notice = f"this scan is {case} already"
        return self.case(case)

    def source(self, case_id: str) -> tuple[Path, str]:
        """Where a case's scan lies, and which series of it.

        Raises
        ------
        ProjectError
            When the study has no such case, or does not know where its scan is.
        """
        case = self.case(case_id).id
        source = self._sources.get(case)
        if source is None:
            raise ProjectError("nobody said where its scan lies", where=case, todo="Show it the scan again")
        return source.found(self.folder), source.series

    def relocate(self, case_id: str, path: Path | str) -> Case:
        """Say where a case's scan lies now.

        Raises
        ------
        MissingFileError, UnreadableFileError, InvalidInputError
            When it is not there or cannot be read.
        GridMismatchError
            When it is another scan: its grid differs.
        """
        self._require_writer()
        path = Path(path)
        case = self.case(case_id)
        before = self._sources.get(case.id, Source(path, name=case.id))
        found = pick(path, before.series) if before.series else pick(path, "")
        require_same_grid(case.geometry, found.geometry, path)
        with self._mutex, self._database.writing() as connection:
            mark = fingerprint(path, found, self._salt)
            same = mark == self._row(connection, case.id).fingerprint
            self.notice = "" if same else f"it has the grid of {case.id}, but is not the file that was added"
            rows.log(connection, self.user, "relocated", case.id, same=same)
            self._write_sources({**self._sources, case.id: source_of(path, found.series, before.name, self.folder)})
        return self.case(case.id)

    def worked(self, case_id: str, seconds: float) -> None:
        """Add active work to a case. What `save` is told of one version is part of it, not more.

        Raises
        ------
        InvalidInputError
            When it is no time.
        """
        if not 0 <= seconds < 1e9:
            raise InvalidInputError(f"{seconds} is no time", where="seconds", todo="Give seconds of work")
        with self._mutex, self._database.writing() as connection:
            key = case_key(self._row(connection, case_id).id)
            cases = rows.t.cases
            connection.execute(cases.update().where(cases.c.id == key).values(seconds=cases.c.seconds + float(seconds)))

    # -- label versions ------------------------------------------------------------------------------------------------------------------------------------

    def save(
        self, case_id: str, labels: LabelMap, *, kind: Kind, tool: str, parameters: Mapping[str, Any] | None = None, prompts: Mapping[str, Any] | None = None,
        arrays: Mapping[str, Array] | None = None, parent: int | None = None, model: str = "", seconds: float = 0.0, name: str = "",
    ) -> Version:
        """Save labels as a new version; it is on the disk when this returns.

        Parameters
        ----------
        case_id : str
        labels : LabelMap
            uint8 or uint16, on the scan's own grid and in its voxel order. Values that the study has no class for join its schema under the name they
            bring; `notice` says so, and where names differ.
        kind : Kind
        tool : str
            "levelset", "scribble", "cleanup", "segment:<id>", "refine", "brush", "import", ...
        parameters, prompts : dict
            The engine's keyword arguments; what a person pointed at, LPS mm. Plain facts only; of paths the last part is kept.
        arrays : dict
            Strokes, limit, ...: (z, y, x) on the same grid, stored with the version.
        parent : int, optional
            The version it was made from.
        model : str
            Hash of the network that made it.
        seconds : float
            Active work that went into it.
        name : str
            What a person calls it.

        Raises
        ------
        GridMismatchError, InvalidInputError, ProjectError
            When the labels do not fit the case, a fact cannot be recorded, or case or parent are not there.
        UnwritableFileError
            Disk full, no permission, read-only. Nothing has changed then, and `labels` is as it was.
        """
        with self._mutex:
            return self._save(case_id, labels, kind, tool, parameters or {}, prompts or {}, arrays or {}, parent, model, seconds, name)

    def versions(self, case_id: str) -> list[Version]:
        """A case's versions, oldest first."""
        with self._database.reading() as connection:
            return rows.versions(connection, self._row(connection, case_id).id)

    def version(self, case_id: str, number: int | None = None) -> Version:
        """One version of a case; the latest when no number is given.

        Raises
        ------
        NoLabelsError
            When the case has none.
        ProjectError
            When it has no such version.
        """
        with self._database.reading() as connection:
            row = self._row(connection, case_id)
            if row.latest is None:
                raise NoLabelsError("has no labels yet", where=row.id, todo="Make or import some first")
            found = rows.versions(connection, row.id, row.latest if number is None else number)
        if not found:
            raise ProjectError(f"has no version {number}", where=row.id, todo=f"Give 1 to {row.latest}; see `medseg project history`")
        return found[0]

    def labels(self, case_id: str, number: int | None = None) -> LabelMap:
        """The labels of a version, on the scan's grid; the latest when no number is given.

        Raises
        ------
        NoLabelsError, ProjectError
            As `version`; also when its files are missing, damaged or were changed.
        """
        version = self.version(case_id, number)
        case = self.case(case_id)
        found = groups.read_labels(self._layout.group(case.id, version.number), case.geometry.shape, version.dtype)
        if groups.checksum(found, case.geometry, version.classes) != version.checksum:
            todo = "Restore its folder from a backup; other versions are not affected"
            raise ProjectError(f"version {version.number} was changed after it was saved", where=case.id, todo=todo)
        return LabelMap(found, case.geometry, name=case.id, modality=case.modality, classes=version.classes)

    def arrays(self, case_id: str, number: int) -> dict[str, Array]:
        """Strokes, limit and what else was stored with a version, by name; (z, y, x).

        Raises
        ------
        ProjectError
            As `labels`.
        """
        version, case = self.version(case_id, number), self.case(case_id)
        path = self._layout.group(case.id, version.number)
        sums = groups.read_record(path).get("arrays", {})
        if not isinstance(sums, dict) or not all(isinstance(text, str) for pair in sums.items() for text in pair):
            raise ProjectError("is damaged", where=self._layout.inside(path), todo="Restore the folder from a backup")
        return groups.read_arrays(path, case.geometry.shape, sums)

    def restore(self, case_id: str, number: int) -> Version:
        """Make an old version the latest again, as a new one equal to it; those between stay.

        Raises
        ------
        NoLabelsError, ProjectError, UnwritableFileError
            As `labels` and `save`.
        """
        with self._mutex:
            old = self.version(case_id, number)
            return self._save(
                case_id, self.labels(case_id, number), old.kind, "restore", {"number": number}, old.prompts, self.arrays(case_id, number),
                self.version(case_id).number, old.model, 0.0, old.name, classes=old.classes,
            )

    # -- autosave ------------------------------------------------------------------------------------------------------------------------------------------

    def draft(self, case_id: str, parent: int | None) -> Draft:
        """Autosave for a case, on top of one of its versions (None: of nothing).

        An open draft of the same parent is given again, and unsaved work of it gone on with.

        Raises
        ------
        ProjectError
            When there is unsaved work on another version: recover or discard that first.
        """
        self._require_writer()
        with self._mutex:
            case = self.case(case_id)
            base = self._base(case.id, parent, case.geometry)
            open_draft = self._drafts.get(case.id)
            if open_draft is not None:
                if open_draft.parent == parent:
                    return open_draft
                open_draft.close()
            path = self._layout.journal(case.id)
            if path.is_file() and read_journal(path).parent != parent:
                self._drop_settled_draft(case.id)
                if path.is_file():
                    was = read_journal(path).parent
                    of = "no version" if was is None else f"version {was}"
                    raise ProjectError(f"has unsaved work on top of {of}", where=case.id, todo="Recover it or discard it first")
            draft = Draft(path, case.id, parent, case.geometry.shape, base, self._draft_gone)
            self._drafts[case.id] = draft
            return draft

    def rebase(self, draft: Draft, version: Version) -> None:
        """Let a draft go on from a version that was just saved from it; what was autosaved since stays unsaved work.

        Call `draft.write` with the labels of now first, so that the draft is not older than the version.

        Raises
        ------
        UnwritableFileError
        """
        case = self.case(version.case)
        draft.rebase(version.number, self._base(case.id, version.number, case.geometry))

    def unsaved(self) -> list[Unsaved]:
        """Autosaved work that is in no version, by case.

        A draft that cannot be read is left out here; `check` tells of it.
        """
        found = []
        for case_id, _ in self._layout.journals():
            with suppress(ProjectError, NoLabelsError, InvalidInputError):
                one = self._unsaved(case_id)
                if one is not None:
                    found.append(one)
        return found

    def recover(self, case_id: str) -> LabelMap:
        """The labels with their unsaved work: the draft's parent and what was autosaved on top of it.

        Raises
        ------
        ProjectError
            When there is no draft, or it is damaged.
        """
        case = self.case(case_id)
        path = self._layout.journal(case.id)
        if not path.is_file():
            raise ProjectError("has no unsaved work", where=case.id, todo="Open its latest version")
        journal = read_journal(path)
        self._require_fitting(case, journal.case, journal.shape)
        if journal.parent is None:
            start = np.zeros(case.geometry.shape, np.uint8)
        else:
            start = self.labels(case.id, journal.parent).array
        found = replay(path, journal, start)
        return LabelMap(found, case.geometry, name=case.id, modality=case.modality, classes=named(found, self._classes))

    def discard_unsaved(self, case_id: str) -> None:
        """Throw a case's unsaved work away.

        Raises
        ------
        UnwritableFileError
        """
        self._require_writer()
        with self._mutex:
            case = self.case(case_id)
            open_draft = self._drafts.get(case.id)
            if open_draft is not None:
                open_draft.discard()
            elif (path := self._layout.journal(case.id)).is_file():
                with writing(path.name):
                    path.unlink()
                self._log_discarded(case.id)

    # -- below -----------------------------------------------------------------------------------------------------------------------------------------------

    def _save(
        self, case_id: str, labels: LabelMap, kind: Kind, tool: str, parameters: Mapping[str, Any], prompts: Mapping[str, Any], arrays: Mapping[str, Array],
        parent: int | None, model: str, seconds: float, name: str, classes: tuple[LabelClass, ...] | None = None,
    ) -> Version:
        self._require_writer()
        case = self.case(case_id)
        self.notice = ""
        array = _checked(labels, case, kind, seconds, arrays)
        if parent is not None:
            self.version(case.id, parent)
        voxels = _counts(array)
        schema, notes = (self._classes, []) if classes is not None else joined(self._classes, labels.classes, voxels)
        meaning = schema if classes is None else classes
        now = datetime.now(UTC)
        version = Version(
            case.id, self._next(case), kind, str(name), self.user, now.replace(microsecond=now.microsecond // 1000 * 1000), str(tool), rows.plain(parameters),
            rows.plain(prompts), parent, str(model), float(seconds), meaning, voxels, groups.checksum(array, case.geometry, meaning), array.dtype.name,
        )
        self._put(version, array, case, arrays)
        with self._database.writing() as connection:
            if schema != self._classes:
                self._store_classes(connection, schema, *notes)
            rows.add_version(connection, version)
            rows.log(connection, self.user, "restored" if tool == "restore" else "saved", case.id, version.number, kind=kind, tool=version.tool)
        with suppress(OSError):
            self._layout.saving(case.id, version.number).unlink(missing_ok=True)
        self.notice = "; ".join(notes)
        return version

    def _put(self, version: Version, array: Array, case: Case, arrays: Mapping[str, Array]) -> None:
        """The version's files, whole and on the disk under their name, marked as not yet committed."""
        home, group = self._layout.versions(case.id), self._layout.group(case.id, version.number)
        record = {"case": case.id, "grid": rows.grid_facts(case.geometry), "modality": case.modality, **rows.version_facts(version)}
        record["arrays"] = {name: groups.plain_checksum(values) for name, values in arrays.items()}
        part = home / f"{PART}{os.getpid()}-{group.name}"
        with writing(self._layout.inside(group)):
            if not home.is_dir():
                home.mkdir(parents=True)
                flush_folder(home.parent)
            try:
                groups.write_group(part, array, case.geometry, version.classes, record, arrays)
                self._layout.saving(case.id, version.number).touch()
                os.replace(part, group)
                flush_folder(home)
            except BaseException:
                with suppress(OSError):
                    if part.is_dir():
                        groups.remove_group(part)
                raise

    def _next(self, case: Case) -> int:
        """The next free number: after every row, and after every folder even if no row knows it."""
        folder = max((number for id_, number, _ in self._layout.groups() if id_ == case.id), default=0)
        return max(folder, case.latest or 0) + 1

    def _base(self, case: str, parent: int | None, geometry: Geometry) -> Base:
        if parent is None:
            empty = np.zeros((1, 1, 1), np.uint8)
            return lambda box: np.broadcast_to(empty, tuple(s.stop - s.start for s in box))
        version = self.version(case, parent)
        path = self._layout.group(case, parent)

        def part(box: Box) -> Array:
            return groups.read_part(path, geometry.shape, version.dtype, box)

        return part

    def _unsaved(self, case_id: str) -> Unsaved | None:
        case = self.case(case_id)
        path = self._layout.journal(case.id)
        journal = read_journal(path)
        self._require_fitting(case, journal.case, journal.shape)
        if not journal.chunks:
            return None
        count, box = difference(path, journal, self._base(case.id, journal.parent, case.geometry))
        if box is None or (case.latest is not None and case.latest != journal.parent and self._is_saved(case, journal.parent)):
            return None
        return Unsaved(case.id, journal.parent, journal.written, count, box)

    def _is_saved(self, case: Case, parent: int | None) -> bool:
        """Whether a later version equals the draft, as after a crash between saving and tidying up."""
        later = [v for v in self.versions(case.id) if v.number > (parent or 0)]
        recovered = self.recover(case.id).array
        voxels = _counts(recovered)
        return any(v.voxels == voxels and np.array_equal(self.labels(case.id, v.number).array, recovered) for v in later)

    def _drop_settled_drafts(self) -> None:
        for case_id, _ in self._layout.journals():
            with suppress(ProjectError, NoLabelsError, InvalidInputError):
                self._drop_settled_draft(case_id)

    def _drop_settled_draft(self, case_id: str) -> None:
        if self._unsaved(case_id) is None:
            with writing(self._layout.journal(case_id).name):
                self._layout.journal(case_id).unlink(missing_ok=True)

    def _draft_gone(self, draft: Draft, discarded: bool) -> None:
        with self._mutex:
            if self._drafts.get(draft.case) is draft:
                del self._drafts[draft.case]
            if discarded:
                self._log_discarded(draft.case)

    def _log_discarded(self, case_id: str) -> None:
        with self._database.writing() as connection:
            rows.log(connection, self.user, "discarded", case_id)

    def _store_classes(self, connection: Any, classes: tuple[LabelClass, ...], *notes: str) -> None:
        rows.set_setting(connection, "classes", classes_to_dicts(classes))
        rows.log(connection, self.user, "classes", classes=classes_to_dicts(classes), notes=list(notes))
        self._classes = classes

    def _write_sources(self, sources: dict[str, Source]) -> None:
        write_sources(self._layout.sources, sources)
        self._sources = sources

    def _row(self, connection: Any, case_id: str) -> rows.CaseRow:
        found = rows.cases(connection, case_id)
        if not found:
            raise ProjectError(f"holds no {case_id}", where=self.folder, todo="See `medseg project list`")
        return found[0]

    def _case(self, row: rows.CaseRow) -> Case:
        source = self._sources.get(row.id)
        return Case(
            row.id, self._name(row.id) or row.id, status_of(row.kind), row.modality, row.geometry, row.versions, row.latest, row.author, row.seconds, row.added,
            source is not None and source.found(self.folder).exists(), self._layout.journal(row.id).is_file(),
        )

    def _name(self, case: str) -> str:
        return self._sources[case].name if case in self._sources else ""

    def _require_writer(self) -> None:
        if self.readonly:
            raise UnwritableFileError("is open read-only", where=self.folder, todo="Open it for writing, or save a copy elsewhere")

    def _require_fitting(self, case: Case, told: str, shape: tuple[int, ...]) -> None:
        if told != case.id or shape != case.geometry.shape:
            raise ProjectError("is a draft of another case", where=self._layout.journal(case.id).name, todo="Move it away; saved versions are not affected")


def _checked(labels: LabelMap, case: Case, kind: str, seconds: float, arrays: Mapping[str, Array]) -> Array:
    """The labels as they are stored, if they and what comes with them can be."""
    require_same_grid(case.geometry, labels.geometry, case.id)
    array = labels.array
    if array.ndim != 3 or array.dtype.kind not in "uib" or array.min() < 0 or array.max() > 65535:
        raise InvalidInputError("is no label map", where=labels.name or "labels", todo="Labels are whole numbers from 0 to 65535, one a voxel")
    if kind not in KINDS:
        raise InvalidInputError(f"'{kind}' is no kind of labels", where="kind", todo=f"Use one of {', '.join(KINDS)}")
    if not 0 <= seconds < 1e9:
        raise InvalidInputError(f"{seconds} is no time", where="seconds", todo="Give seconds of work")
    for name, values in arrays.items():
        groups.array_name(name)
        if values.shape != case.geometry.shape or values.dtype.name not in groups.ARRAY_TYPES:
            raise InvalidInputError(f"'{name}' does not lie on the scan's grid, or is no array of numbers", where=case.id, todo="Give it as (z, y, x)")
    return array if array.dtype.name in groups.LABEL_TYPES else array.astype(np.uint8 if array.max() <= 255 else np.uint16)


def _counts(array: Array) -> dict[int, int]:
    """Voxels of each value but 0."""
    total = np.zeros(65536, np.int64)
    for plane in array:
        found = np.bincount(plane.ravel())
        total[:len(found)] += found
    return {int(value): int(total[value]) for value in np.flatnonzero(total) if value}
