"""A segmenter by the words a person uses: an id of the catalogue or a model's path, what it asks for, and what it is averaged with.

Words travel between processes and machines; a network is built from them where it works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_medseg import catalogue
from napari_medseg.errors import InvalidInputError, MissingFileError
from napari_medseg.segmenters.opening import CLEANUP, cleanup_of
from napari_medseg.segmenters.protocol import Segmenter

MODEL = "model"
"""The folder in a refinement's folder that holds the model that counts."""
MODEL_OR_ID = "Choose a folder that `medseg refine` wrote, or an id from `medseg catalogue`"


@dataclass(frozen=True, slots=True)
class Named:
    """What to build.

    Attributes
    ----------
    name : str
        A segmenter's id in the catalogue, else the path of a model or of a refinement's folder.
    answers : (name, value), ...
        What the segmenter asks for; "cleanup" on or off for a model that holds one.
    also : tuple of str
        Others that it is averaged with.
    mirror : tuple of str
        Mirror images that are averaged too: left-right, front-back, head-feet.
    """

    name: str
    answers: tuple[tuple[str, str], ...] = ()
    also: tuple[str, ...] = ()
    mirror: tuple[str, ...] = ()

    def build(self) -> Segmenter:
        """The segmenter; loads no network where it is one of the catalogue.

        Raises
        ------
        CatalogueError, MissingFileError, InvalidInputError
            When there is none of this name, or it does not ask for what is answered.
        """
        members = [_built(self.name, dict(self.answers)), *(_built(other, {}) for other in self.also)]
        if self.mirror:
            from napari_medseg.segmenters.mirrored import mirrored

            members = [mirrored(member, list(self.mirror)) for member in members]
        if len(members) == 1:
            return members[0]
        from napari_medseg.segmenters.ensemble import Ensemble

        return Ensemble(members)

    @property
    def members(self) -> list[tuple[str | Path, dict[str, str]]]:
        """Id, or path of the model, of each, and the answers to what it asks; raises MissingFileError for a path where nothing is."""
        found: list[tuple[str | Path, dict[str, str]]] = []
        for number, name in enumerate((self.name, *self.also)):
            if _is_entry(name) and _looks_like_path(name):
                raise MissingFileError("there is no model here", where=Path(name), todo=MODEL_OR_ID)
            found.append((name if _is_entry(name) else model_in(Path(name)), {} if number else dict(self.answers)))
        return found

    @property
    def models(self) -> tuple[Path, ...]:
        """Paths of those that are no entries of the catalogue."""
        return tuple(model_in(Path(name)) for name in (self.name, *self.also) if not _is_entry(name))


def model_in(path: Path) -> Path:
    """The model of a whole run's folder, or the path itself."""
    return path / MODEL if (path / MODEL).is_dir() else path


def _is_entry(name: str) -> bool:
    entries = catalogue.load().entries
    return not Path(name).exists() or (name in entries and entries[name].kind == "segmenter")


def _built(name: str, answers: Mapping[str, str]) -> Segmenter:
    """The catalogue's segmenter of this id built with these answers, else the model at this path."""
    parts = catalogue.load()
    if _is_entry(name):
        if _looks_like_path(name):
            raise MissingFileError("there is no model here", where=Path(name), todo=MODEL_OR_ID)
        entry = parts.find(name, "segmenter")
        _only_asked(answers, [ask.name for ask in entry.asks], entry.title)
        built: Segmenter = entry.build(**answers)
        return built
    _only_asked(answers, [CLEANUP] if answers and cleanup_of(model_in(Path(name))) is not None else [], name)
    refined: Segmenter = parts.find("unet", "segmenter").build(model=str(model_in(Path(name))), **answers)
    return refined


def _only_asked(answers: Mapping[str, str], names: list[str], title: str) -> None:
    unknown = sorted(set(answers) - set(names))
    if unknown:
        raise InvalidInputError(f"does not ask for {', '.join(unknown)}", where=title, todo=f"It asks for: {', '.join(names) or 'nothing'}")


def _looks_like_path(name: str) -> bool:
    return "/" in name or "\\" in name or name.endswith(".safetensors")
