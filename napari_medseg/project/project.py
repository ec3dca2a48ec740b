"""A study on disk, as the window and the commands use it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

from napari_medseg.annotation import LabelClass
from napari_medseg.errors import UnwritableFileError
from napari_medseg.project import folder as folders
from napari_medseg.project import rows
from napari_medseg.project.address import parse
from napari_medseg.project.checking import examine, rescue
from napari_medseg.project.drafts import Drafts
from napari_medseg.project.durable import looking
from napari_medseg.project.exporting import LeftOut, export
from napari_medseg.project.layout import Layout, writer_of
from napari_medseg.project.locking import Sharing, WriterLock, login_name
from napari_medseg.project.records import Kind, Problem
from napari_medseg.project.stores import database_of


class Project(Drafts):
    """A study: cases, their label versions, autosaved drafts and an audit log, in one folder.

    One writer at a time, any number may look; a study whose database is on a server has many writers, who claim cases.
    Methods may be called from any thread. What a method saved is on the disk when it returns.

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
    def create(cls, folder: Path | str, *, title: str = "", classes: Iterable[LabelClass] = (), user: str = "", database: str = "") -> Self:
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
        database : str
            For a team: `postgresql://HOST/DATABASE`, see `address.parse`; what MEDSEG_STUDY_DATABASE says when not given, else a file in the folder.

        Raises
        ------
        UnwritableFileError
            When the folder holds something, or the disk refuses.
        InvalidInputError, UnavailableError, StudyServerError
            When that is no address or holds a password, psycopg is missing, or the server does not answer.
        """
        path = folders.study_path(folder)
        url = database or os.environ.get("MEDSEG_STUDY_DATABASE", "")
        address = parse(url, f"study_{secrets.token_hex(8)}") if url else None
        folders.create(path, title, classes, user or login_name(), address)
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
        layout, user, notice = folders.find(folder), user or login_name(), ""
        lock: WriterLock | Sharing | None = None
        if layout.store.exists():
            layout = replace(layout, writer=writer_of(user))
        if not readonly:
            try:
                lock = Sharing(layout) if layout.writer else WriterLock(layout, user)
            except UnwritableFileError as error:
                notice = f"{layout.folder.name} {error.what}; it is open for looking only"
        try:
            return cls._open(layout, lock, user, notice)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    @classmethod
    def rescue(cls, folder: Path | str, *, user: str = "") -> tuple[Self, list[Problem]]:
        """Open a study for writing even when its database is damaged: it goes back to its last good copy, and takes in the versions that copy does not know.

        Returns
        -------
        project, problems
            What was wrong with the database; see `check` for the rest.

        Raises
        ------
        MissingFileError, ProjectError, ProjectLockedError, UnwritableFileError
            When it is no study, another one writes to it, or the disk refuses; when the database on a team's server is damaged, which the server's keeper
            restores.
        """
        layout = folders.find(folder)
        user = user or login_name()
        if layout.store.exists():
            return cls.open(folder, user=user), []
        lock = WriterLock(layout, user)
        try:
            problems = [] if folders.is_whole(layout) else rescue(layout)
            return cls._open(layout, lock, user, ""), problems
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open(cls, layout: Layout, lock: WriterLock | Sharing | None, user: str, notice: str) -> Self:
        database = database_of(layout, readonly=lock is None)
        try:
            with looking(layout.folder):
                database.open()
                if lock is not None:
                    folders.sweep(layout, database)
                    database.backup_daily()
                project = cls(layout, database, lock, user, notice)
                if lock is not None:
                    project._drop_settled_drafts()
        except BaseException:
            database.close()
            raise
        return project

    # -- out of it, and whether it is whole ----------------------------------------------------------------------------------------------------------------

    def export(
        self, dst: Path | str, *, suffix: str = ".nii.gz", cases: Iterable[str] | None = None, kinds: Iterable[Kind] | None = None, images: bool = False,
        left_out: list[LeftOut] | None = None,
    ) -> list[Path]:
        """Write the latest labels of each case as files named after the case, with a table and the classes; no patient's name goes along.

        Parameters
        ----------
        dst : Path
            A folder outside of the study; made when missing. Gets `case-0001.nii.gz`, ..., `cases.csv`, `classes.json`, `classes.label`
            (for ITK-SNAP), and `images/` when asked for.
        suffix : str
            Any that can be written; ".seg.dcm" and ".rtstruct.dcm" refer to the scan's DICOM files, without its patient unless `keep_names`.
        cases : str each, optional
            All when not given.
        kinds : Kind each, optional
            Each case's latest version of these kinds; its latest at all when not given.
        images : bool
            Whether the scans are written too, under the same names.
        left_out : list, optional
            Takes the cases that cannot be written, such as a scan that is no DICOM as DICOM SEG, while the others are; when not given the first ends the
            export.

        Returns
        -------
        list of Path
            What was written.

        Raises
        ------
        NoLabelsError
            When no case has such labels.
        InvalidInputError, ProjectError, UnwritableFileError, MedsegError
            When the suffix, a kind or a case is none, a version is damaged, a scan is not where it was, or the disk refuses;
            with `left_out` when no case can be written.
        """
        return list(self.exporting(dst, suffix=suffix, cases=cases, kinds=kinds, images=images, left_out=left_out))

    def exporting(
        self, dst: Path | str, *, suffix: str = ".nii.gz", cases: Iterable[str] | None = None, kinds: Iterable[Kind] | None = None, images: bool = False,
        left_out: list[LeftOut] | None = None,
    ) -> Iterator[Path]:
        """As `export`, one file after the other; closing it leaves those that are whole."""
        count = 0
        for count, path in enumerate(export(self, Path(dst), suffix, cases, kinds, images, left_out), 1):  # noqa: B007
            yield path
        if not self.readonly:
            with self._database.writing() as connection:
                rows.log(connection, self.user, "exported", files=count, suffix=suffix, images=images, names=self.keep_names)

    def check(self, repair: bool = False, told: Callable[[int, int], None] | None = None) -> list[Problem]:
        """Compare database, folders and checksums; read every version.

        Parameters
        ----------
        repair : bool
            Mend what is safe to: take versions back in that the database lost, move damaged drafts aside. A version is never changed.
        told : callable, optional
            Is told how many versions were read, and of how many.

        Returns
        -------
        list of Problem
            Empty when all is well.

        Raises
        ------
        ProjectDamagedError
            When the database itself makes no sense: `rescue` goes back to its last copy.
        UnwritableFileError
            When a repair is asked for and the study is read-only.
        """
        if repair:
            self._require_writer()
        with self._mutex, looking(self.folder):
            return examine(self, self._layout, repair, told)
