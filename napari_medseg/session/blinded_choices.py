"""What a person chooses for a new blinded review, and where its scans and masks come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_medseg.errors import InvalidInputError

if TYPE_CHECKING:
    from napari_medseg.project import Project
    from napari_medseg.review.blinded.sources import Source


@dataclass
class BlindedChoices:
    """What a person chose for a new review.

    Attributes
    ----------
    source : str
        "folders", or "study" for two versions of the open study's cases.
    images, a, b : Path or None
        Folders of scans and of the two sets of masks, with the same file names.
    keep : Path or None
        Folder for plan and answers; a study keeps them itself.
    version_a, version_b : str
        As `StudySource`.
    kind : str
        "slices" or "volumes".
    slices : int
    repeats : float
        Share of the questions that is asked again.
    """

    source: Literal["folders", "study"] = "folders"
    images: Path | None = None
    a: Path | None = None
    b: Path | None = None
    keep: Path | None = None
    version_a: str = "proposal"
    version_b: str = "verified"
    kind: Literal["slices", "volumes"] = "slices"
    slices: int = 40
    repeats: float = 0.0

    def lacks(self) -> str:
        """What is still to be said; "" for nothing."""
        if self.source == "study":
            return "" if self.version_a != self.version_b else "two different versions"
        folders = {"the scans": self.images, "the first masks": self.a, "the second masks": self.b, "a folder to keep the answers in": self.keep}
        return next((name for name, path in folders.items() if path is None), "")


def new_source(choices: BlindedChoices, project: Project | None) -> Callable[[], Source]:
    """What opens the scans and masks of a new review, for a working thread; `project` is the open study, if it can be written to.

    Raises
    ------
    InvalidInputError
        When the study that was chosen cannot be written to.
    """
    if choices.source == "study":
        if project is None:
            raise InvalidInputError("no study is open that can be written to", where="Blinded choice", todo="Open one, or compare two folders")
        a, b = choices.version_a, choices.version_b

        def of_study() -> Source:
            from napari_medseg.review.blinded import StudySource

            return StudySource(project, a, b)

        return of_study
    images, first, second, keep = choices.images, choices.a, choices.b, choices.keep

    def of_folders() -> Source:
        from napari_medseg.review.blinded import FolderSource
        from napari_medseg.review.blinded.folder import require_free

        if images is None or first is None or second is None or keep is None:
            raise InvalidInputError("a folder is missing", where="Blinded choice", todo="Name it on the Review tab")
        require_free(keep)
        return FolderSource(images, first, second, beside=keep)

    return of_folders
