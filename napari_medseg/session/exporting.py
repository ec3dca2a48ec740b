"""The model of the rounds that are shown, written for other machines and programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.errors import InvalidInputError
from napari_medseg.session.jobs import Looked

if TYPE_CHECKING:
    from napari_medseg.session.session import Session


def export(session: Session, folder: Path) -> None:
    """Write the trained model with its card, so that any catalogue can load it; beside the window.

    Parameters
    ----------
    folder : Path
        Written into if it is empty or not there yet; else a new folder is made in it.
    """
    model, title = session.refine.model, f"{session.study.title or 'refined'} model"
    if model is None:
        session.report(InvalidInputError("there is no trained model yet", where="Export", todo="Train a round first"))
        return
    taken: list[Path] = []

    def write() -> Iterator[Looked]:
        from napari_medseg.refine.export import export_model

        taken.append(_empty(folder, title))
        yield Looked(None, f"Writing to {taken[0].name}")
        export_model(model, taken[0])
        yield Looked(1.0, f"Wrote {taken[0].name}")

    def done() -> None:
        session.notice = f"Exported the model to the folder {taken[0].name}, with its card"

    session.jobs.start("export", "Exporting the model", write, apply=lambda _: None, done=done, failed=session.report, own_thread=True)


def _empty(folder: Path, title: str) -> Path:
    """The folder if nothing is in it, else a new one there."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return folder
    names = (title, *(f"{title} {number}" for number in range(2, 1000)))
    return next(folder / name for name in names if not (folder / name).exists())
