"""A study as such: who holds it, its title, its label schema, its audit log."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from napari_medseg.annotation import LabelClass, classes_to_dicts
from napari_medseg.errors import InvalidInputError, ProjectError, UnwritableFileError
from napari_medseg.project import rows
from napari_medseg.project.database import Database
from napari_medseg.project.layout import Layout
from napari_medseg.project.locking import Sharing, WriterLock
from napari_medseg.project.records import Event, Run

CLASS_VIEW = "class view"  # the setting that holds it


class Study:
    """An open study folder.

    Attributes
    ----------
    folder : Path
    shared : bool
        Whether a team writes to it at once.
    user : str
        Who works.
    readonly : bool
        Whether nothing can be saved; `notice` says why when it was not asked for.
    notice : str
        What a person should know of the last thing done; "" for nothing.
    """

    def __init__(self, layout: Layout, database: Database, lock: WriterLock | Sharing | None, user: str, notice: str = "") -> None:
        self.folder = layout.folder
        self.user = user
        self.readonly = lock is None
        self.shared = database.shared
        self.notice = notice
        self._layout, self._database, self._lock = layout, database, lock
        self._mutex = threading.RLock()
        with database.reading() as connection:
            self._title, self._salt = (str(rows.setting(connection, name, "")) for name in ("title", "salt"))
            self._keep_names = rows.setting(connection, "keep_names", False) is True
            self._classes = rows.classes(connection)

    def close(self) -> None:
        """Let others write; may be called twice. What is used later is refused."""
        with self._mutex:
            self._database.close()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
        if self._database.shared:  # others may have changed it
            with self._database.reading() as connection:
                self._classes = rows.classes(connection)
        return self._classes

    def set_classes(self, classes: Iterable[LabelClass]) -> None:
        """Change names, colours and codes, or add classes.

        Values that some version uses, or that somebody else has just added, stay with the name they had when they are left out.

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
            used = rows.used_values(connection)
            values, names = {c.value for c in wanted}, {c.name.casefold() for c in wanted}
            seen = {c.value for c in self._classes}
            for kept in (c for c in rows.classes(connection) if c.value not in values and (c.value in used or c.value not in seen)):
                wanted.append(kept if kept.name.casefold() not in names else replace(kept, name=f"{kept.name} {kept.value}"))
            schema = tuple(sorted(wanted, key=lambda c: c.value))
            self._store_classes(connection, schema)
        self._classes = schema

    @property
    def class_view(self) -> dict[str, Any]:
        """How a window treats the classes: which are locked, hidden, taken out; {} when nothing is kept, or it is nothing of the kind."""
        with self._database.reading() as connection:
            found = rows.setting(connection, CLASS_VIEW, {})
        return found if isinstance(found, dict) else {}

    def set_class_view(self, view: Mapping[str, Sequence[int]]) -> None:
        """Keep how a window treats the classes.

        Raises
        ------
        UnwritableFileError
        """
        with self._mutex, self._database.writing() as connection:
            rows.set_setting(connection, CLASS_VIEW, {key: list(values) for key, values in view.items()})

    def events(self, case_id: str | None = None) -> list[Event]:
        """The audit log, oldest first; of one case or of all."""
        with self._database.reading() as connection:
            return rows.events(connection, None if case_id is None else self._row(connection, case_id).id)

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

    def _store_classes(self, connection: Any, classes: tuple[LabelClass, ...], *notes: str) -> None:
        rows.set_setting(connection, "classes", classes_to_dicts(classes))
        rows.log(connection, self.user, "classes", classes=classes_to_dicts(classes), notes=list(notes))

    def _row(self, connection: Any, case_id: str) -> rows.CaseRow:
        found = rows.cases(connection, case_id)
        if not found:
            raise ProjectError(f"holds no {case_id}", where=self.folder, todo="See `medseg project list`")
        return found[0]

    def _require_writer(self) -> None:
        if self.readonly:
            raise UnwritableFileError("is open read-only", where=self.folder, todo="Open it for writing, or save a copy elsewhere")
