"""Label versions: saved whole or not at all, never changed, read only when they are what was saved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.errors import InvalidInputError, NoLabelsError, ProjectError
from napari_medseg.io.atomic import flush_folder, put
from napari_medseg.project import arrays as groups
from napari_medseg.project import folder, rows
from napari_medseg.project.cases import Cases
from napari_medseg.project.durable import writing
from napari_medseg.project.layout import PART
from napari_medseg.project.naming import joined
from napari_medseg.project.records import KINDS, Case, Kind, Version
from napari_medseg.volume import Array, require_same_grid


class Versions(Cases):
    """Saving labels, reading them, going back to them."""

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
            The engine's keyword arguments; what a person pointed at, LPS mm. Plain facts only; of a path only the suffix is kept.
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
        CaseClaimedError
            When somebody else works on the case.
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

    def _save(
        self, case_id: str, labels: LabelMap, kind: Kind, tool: str, parameters: Mapping[str, Any], prompts: Mapping[str, Any], arrays: Mapping[str, Array],
        parent: int | None, model: str, seconds: float, name: str, classes: tuple[LabelClass, ...] | None = None,
    ) -> Version:
        self._require_writer()
        with ExitStack() as held:
            held.enter_context(self._database.holding(case_id))
            with self._database.reading() as connection:
                self._require_free(connection, case_id)
            case = self.case(case_id)
            self.notice = ""
            array = _checked(labels, case, kind, seconds, arrays)
            if parent is not None:
                self.version(case.id, parent)
            voxels = counts(array)
            before = self.classes
            schema, notes = (before, []) if classes is not None else joined(before, labels.classes, voxels)
            if schema != before:
                held.enter_context(self._database.holding())  # who changes the classes does so alone
                before = self.classes
                schema, notes = joined(before, labels.classes, voxels)
            meaning = schema if classes is None else classes
            now = datetime.now(UTC)
            version = Version(
                case.id, self._next(case), kind, str(name), self.user, now.replace(microsecond=now.microsecond // 1000 * 1000), str(tool),
                rows.plain(parameters), rows.plain(prompts), parent, str(model), float(seconds), meaning, voxels,
                groups.checksum(array, case.geometry, meaning), array.dtype.name,
            )
            self._put(version, array, case, arrays)
            try:
                with self._database.writing() as connection:
                    if schema != before:
                        self._store_classes(connection, schema, *notes)
                    self._require_free(connection, case.id)
                    rows.add_version(connection, version)
                    rows.log(connection, self.user, "restored" if tool == "restore" else "saved", case.id, version.number, kind=kind, tool=version.tool)
            finally:
                with suppress(OSError, ProjectError):  # what cannot be settled now is when the study is opened next
                    folder.settle(self._layout, self._database, case.id, version.number)
        self._classes, self.notice = schema, "; ".join(notes)
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
                put(part, group)
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


def counts(array: Array) -> dict[int, int]:
    """Voxels of each value but 0, of a label map (z, y, x) with values up to 65535."""
    total = np.zeros(65536, np.int64)
    for plane in array:
        found = np.bincount(plane.ravel())
        total[:len(found)] += found
    return {int(value): int(total[value]) for value in np.flatnonzero(total) if value}
