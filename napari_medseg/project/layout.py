"""Where things lie in a study folder. Every path is made from a case's number, a version's number or a fixed name, never from a stored text.

- `project.json`: what this folder is
- `store.json`: where a team's study has its database; then there is no `project.db`, and drafts lie in a folder for each person
- `project.db`: cases, versions, slices marked as right, runs, reviews, the audit log
- `sources.json`: where the scans lie and what they are called; never exported
- `labels/case-0001/0001.ome.zarr/`: one label version, written once
- `drafts/case-0001.journal`: autosaved work that is no version yet
- `reviews/0001/`: one blinded review: its plan and the raters' answers
- `backups/`: copies of project.db
- `lock`, `lock.json`: who is writing
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_medseg.errors import InvalidInputError

SUFFIX = ".medseg"
PART = ".part-"
"""Begins the name of what is being written; rubbish once its writer is gone."""

_CASE = re.compile(r"case-(\d{4,9})")
_GROUP = re.compile(r"(\d{4,9})\.ome\.zarr")
_JOURNAL = re.compile(r"(case-\d{4,9})\.journal")


def case_id(key: int) -> str:
    """The id of a case: "case-0001" for 1."""
    return f"case-{key:04d}"


def case_key(case: str) -> int:
    """The number in a case's id.

    Raises
    ------
    InvalidInputError
        When it is no id.
    """
    found = _CASE.fullmatch(case)
    if found is None or case_id(int(found[1])) != case:
        raise InvalidInputError(f"'{case[:40]}' is no case", where="case", todo="Give an id such as case-0001")
    return int(found[1])


def writer_of(user: str) -> str:
    """The folder of a person's drafts in a study that a team shares."""
    return hashlib.sha256(user.encode()).hexdigest()[:16]


def is_writer(path: Path) -> bool:
    """Whether a folder's name is such a one."""
    return path.is_dir() and not path.is_symlink() and re.fullmatch("[0-9a-f]{16}", path.name) is not None


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one study folder.

    Attributes
    ----------
    folder : Path
    writer : str
        Whose drafts are meant, in a study that a team shares; "" in one's own.
    """

    folder: Path
    writer: str = ""

    @property
    def marker(self) -> Path:
        """Says what the folder is."""
        return self.folder / "project.json"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "project.db"

    @property
    def sources(self) -> Path:
        """Where the scans lie."""
        return self.folder / "sources.json"

    @property
    def store(self) -> Path:
        """Says where a team's study has its database."""
        return self.folder / "store.json"

    @property
    def labels(self) -> Path:
        """Label versions."""
        return self.folder / "labels"

    @property
    def drafts(self) -> Path:
        """Autosaved work."""
        return self.folder / "drafts" / self.writer if self.writer else self.folder / "drafts"

    @property
    def backups(self) -> Path:
        """Copies of the database."""
        return self.folder / "backups"

    @property
    def reviews(self) -> Path:
        """Blinded reviews, a folder each."""
        return self.folder / "reviews"

    @property
    def lock(self) -> Path:
        """Held by the one who writes."""
        return self.folder / "lock"

    @property
    def holder(self) -> Path:
        """Says who holds the lock."""
        return self.folder / "lock.json"

    def versions(self, case: str) -> Path:
        """The folder of a case's label versions."""
        return self.labels / case_id(case_key(case))

    def group(self, case: str, number: int) -> Path:
        """The zarr group of one version."""
        return self.versions(case) / f"{number:04d}.ome.zarr"

    def saving(self, case: str, number: int) -> Path:
        """Is there from before a version's group appears until its row is in the database."""
        return self.versions(case) / f"{number:04d}.saving"

    def journal(self, case: str) -> Path:
        """A case's draft."""
        return self.drafts / f"{case_id(case_key(case))}.journal"

    def groups(self) -> Iterator[tuple[str, int, Path]]:
        """Every version folder there is: case, number, path."""
        for folder in _folders(self.labels):
            if _CASE.fullmatch(folder.name) and case_id(int(folder.name[5:])) == folder.name:
                for path in _folders(folder):
                    found = _GROUP.fullmatch(path.name)
                    if found is not None and path.name == f"{int(found[1]):04d}.ome.zarr":
                        yield folder.name, int(found[1]), path

    def journals(self) -> Iterator[tuple[str, Path]]:
        """Every draft there is: case, path."""
        if self.drafts.is_dir():
            for path in sorted(self.drafts.iterdir()):
                found = _JOURNAL.fullmatch(path.name)
                if found is not None and path.is_file() and not path.is_symlink():
                    yield found[1], path

    def inside(self, path: Path) -> str:
        """The path as it is said to people: from the study folder on."""
        return path.relative_to(self.folder).as_posix()


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()) if parent.is_dir() else []
