"""The scans of a study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_medseg.annotation.rulers import Ruler, rulers_from
from napari_medseg.errors import InvalidInputError, ProjectError
from napari_medseg.io.atomic import put
from napari_medseg.io.series import SeriesInfo
from napari_medseg.project import rows
from napari_medseg.project.claims import Claims
from napari_medseg.project.durable import writing
from napari_medseg.project.layout import case_key
from napari_medseg.project.records import Case, status_of
from napari_medseg.project.sources import Source, fingerprint, pick, read_sources, require_readable, source_of, write_sources
from napari_medseg.volume import require_same_grid

RULERS = "rulers of case"  # the setting that holds them


class Cases(Claims):
    """Adding scans, finding them, telling about them."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._sources: dict[str, Source] = {}
        self._sources_seen: tuple[int, int] | None = None
        self._look_at_sources()

    def cases(self) -> list[Case]:
        """Every case, by id."""
        if self.shared:
            self._look_at_sources()
        with self._database.reading() as connection:
            taken = {one.case: one.who for one in self._claims(connection) if not one.mine}
            return [replace(self._case(row), claimed=taken.get(row.id, "")) for row in rows.cases(connection)]

    def case(self, case_id: str) -> Case:
        """One case.

        Raises
        ------
        ProjectError, InvalidInputError
            When the study has none of this id.
        """
        if self.shared:
            self._look_at_sources()
        with self._database.reading() as connection:
            taken = {one.case: one.who for one in self._claims(connection, [case_id]) if not one.mine}
            return replace(self._case(self._row(connection, case_id)), claimed=taken.get(case_id, ""))

    def add(self, path: Path | str, *, series: str = "", name: str = "", info: SeriesInfo | None = None) -> Case:
        """Add a scan; one that is known already, here or elsewhere, is the case it was.

        Parameters
        ----------
        path : Path
            A file or a DICOM folder.
        series : str
            Which series of it: its UID, or a description or beginning of the UID that only it has.
        name : str
            What the screen calls it; the file's or the series' name when not given. Kept in sources.json only. A name that another case has already
            gets the number of this one: scanners give all patients' series the same name.
        info : SeriesInfo, optional
            What `io.describe` told of that series; the path is looked through when not given, which costs as much for one of its series as for all.

        Raises
        ------
        MissingFileError, UnreadableFileError, InvalidInputError
            When it is not there, cannot be read, or holds several series and none was chosen.
        UnwritableFileError
        """
        self._require_writer()
        path = Path(path)
        info = pick(path, series) if info is None else require_readable(info, path)
        wanted = source_of(path, info.series, name or info.title or path.name, self.folder)
        mark = fingerprint(path, info, self._salt)
        with self._mutex:
            self.notice = ""
            with self._database.writing() as connection:
                if self.shared:
                    self._look_at_sources()
                known = next((row for row in rows.cases(connection) if row.fingerprint == mark or self._is_at(row, wanted)), None)
                case = rows.add_case(connection, info.modality, info.geometry, mark) if known is None else known.id
                there = known is not None and case in self._sources and self._sources[case].is_there(self.folder)
                if not there:
                    if known is None:
                        rows.log(connection, self.user, "added", case)
                    self._write_sources({**self._sources, case: replace(wanted, name=self._own_name(case, name or self._name(case) or wanted.name))})
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
            if self.shared:
                self._look_at_sources()
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

    def rulers(self, case_id: str) -> tuple[Ruler, ...]:
        """What was measured on a case with rulers.

        Raises
        ------
        InvalidInputError
            When the case is unknown, or what is stored is no list of rulers.
        """
        with self._database.reading() as connection:
            key = self._row(connection, case_id).id
            return rulers_from(rows.setting(connection, f"{RULERS} {key}", []), f"rulers of {case_id}")

    def set_rulers(self, case_id: str, rulers: Iterable[Ruler]) -> None:
        """Keep the rulers of a case in the place of those before.

        Raises
        ------
        InvalidInputError, UnwritableFileError, CaseClaimedError
        """
        with self._mutex, self._database.writing() as connection:
            key = self._row(connection, case_id).id
            self._require_free(connection, key)
            rows.set_setting(connection, f"{RULERS} {key}", [ruler.as_dict() for ruler in rulers])

    def _look_at_sources(self) -> None:
        """Read where the scans lie, unless the file is as it was."""
        path = self._layout.sources
        try:
            found = path.stat() if path.exists() else None
            seen = None if found is None else (found.st_mtime_ns, found.st_size)
            if seen != self._sources_seen:
                self._sources, self._sources_seen = read_sources(path), seen
        except ProjectError as error:  # labels are worth more than knowing where the scans lie
            self._sources = {}
            self.notice = f"{error.where} {error.what}: this study does not know where its scans lie"

    def _write_sources(self, sources: dict[str, Source]) -> None:
        try:
            read_sources(self._layout.sources)
        except ProjectError:  # somebody may still mend it by hand
            with writing(self._layout.sources):
                put(self._layout.sources, self._layout.sources.with_name("sources.damaged.json"))
        write_sources(self._layout.sources, sources)
        self._sources = sources

    def _case(self, row: rows.CaseRow) -> Case:
        source = self._sources.get(row.id)
        return Case(
            row.id, self._name(row.id) or row.id, status_of(row.kind), row.modality, row.geometry, row.versions, row.latest, row.author, row.seconds, row.added,
            source is not None and source.is_there(self.folder), self._layout.journal(row.id).is_file(),
        )

    def _is_at(self, row: rows.CaseRow, wanted: Source) -> bool:
        """Whether a case that lost its fingerprint, as after a repair, was last seen there."""
        source = self._sources.get(row.id)
        return not row.fingerprint and source is not None and (source.found(self.folder), source.series) == (wanted.path, wanted.series)

    def _own_name(self, case: str, name: str) -> str:
        """The name, with the number of the case where another one is called so."""
        taken = any(source.name == name for other, source in self._sources.items() if other != case)
        return f"{name} {int(case.rpartition('-')[2])}" if taken else name

    def _name(self, case: str) -> str:
        return self._sources[case].name if case in self._sources else ""
