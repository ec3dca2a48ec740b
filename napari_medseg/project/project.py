"""A study on disk, as the window and the commands use it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from napari_medseg.annotation import LabelClass
from napari_medseg.errors import UnwritableFileError
from napari_medseg.project import folder as folders
from napari_medseg.project.database import Database
from napari_medseg.project.drafts import Drafts
from napari_medseg.project.locking import WriterLock, login_name


class Project(Drafts):
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
                database.backup_daily()
            project = cls(layout, database, lock, user, notice)
            if lock is not None:
                project._drop_settled_drafts()
        except BaseException:
            database.close()
            if lock is not None:
                lock.release()
            raise
        return project
