"""The swappable parts of the product: plugins.yaml to validated entries to objects, on demand.

Sources, later ones win per id: the packaged plugins.yaml, entry points of the group `napari_medseg.plugins` (each a callable that returns entries as
dictionaries), the user's own plugins.yaml in the configuration folder, the file named by MEDSEG_PLUGINS. A faulty entry or source
costs itself only and is listed in `Catalogue.problems`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import platformdirs
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from napari_medseg.asks import Ask, answered
from napari_medseg.errors import CatalogueError, UnavailableError

Kind = Literal["segmenter", "weaklabel", "recipe", "network", "loss", "exporter"]
GROUP = "napari_medseg.plugins"
VARIABLE = "MEDSEG_PLUGINS"
LOOK_EVERY_S = 10.0  # for a package that was missing and may be installed meanwhile


class Entry(BaseModel):
    """One part.

    Attributes
    ----------
    id : str
        What commands and projects call it.
    kind : str
        Which shelf it stands on.
    title, summary : str
        What the window shows: a few words, and one sentence.
    factory : str
        "module:object"; called with `parameters` as keywords.
    requires : dict of str to str
        Importable module to the pip requirement that brings it.
    capabilities : dict
        What it takes and gives; the kind defines the keys.
    modalities : tuple of str
        "CT", "MR", ...; empty for any.
    licence : str
        SPDX name of code and weights.
    parameters : dict
        Defaults handed to the factory.
    asks : tuple of Ask
        What a person must or may give before it can work (a model folder, a choice); the answers are keywords of the factory. A segmenter that
        asks for a model leaves `classes` out of its capabilities: the built one knows them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    kind: Kind
    title: str = Field(min_length=1)
    summary: str = ""
    factory: str = Field(pattern=r"^[\w.]+:\w+$")
    requires: dict[str, str] = Field(default_factory=dict)
    capabilities: dict[str, Any] = Field(default_factory=dict)
    modalities: tuple[str, ...] = ()
    licence: str = Field(min_length=1)
    parameters: dict[str, Any] = Field(default_factory=dict)
    asks: tuple[Ask, ...] = ()

    @field_validator("asks", mode="before")
    @classmethod
    def _in_one_list(cls, asks: Any) -> Any:
        """Lists within the list are taken in, so that entries can share a form (`- *form` in YAML)."""
        return [one for part in asks for one in (part if isinstance(part, list) else [part])] if isinstance(asks, list) else asks

    def needs(self, *, try_import: bool = False) -> tuple[str, ...]:
        """Pip requirements that are missing.

        Parameters
        ----------
        try_import : bool
            Import each module, which may take seconds, instead of only looking for it: some packages install and do not import.
        """
        return tuple(pip for module, pip in self.requires.items() if not _present(module, try_import))

    def build(self, **overrides: Any) -> Any:
        """Call the factory.

        Parameters
        ----------
        **overrides
            Answers to `asks`, checked here (text will do), and parameters that differ from the entry's.

        Raises
        ------
        UnavailableError
            When a package is missing or does not import; says the command that brings it.
        CatalogueError
            When the factory does not exist or refuses its parameters.
        InvalidInputError, MissingFileError
            When a question is not answered, or its answer does not fit.
        """
        missing = self.needs()
        if missing:
            raise UnavailableError(f"needs {', '.join(missing)}", where=self.title, todo=install_hint(missing))
        names = {ask.name for ask in self.asks}
        known = {**self.parameters, **overrides}
        known.update(answered(self.asks, {name: known.pop(name, None) for name in names}, self.title))
        module, _, name = self.factory.partition(":")
        try:
            factory = getattr(import_module(module), name)
        except ImportError as error:
            raise UnavailableError(f"could not be loaded ({error})", where=self.title, todo="Run `medseg doctor` for details") from error
        except AttributeError as error:
            raise CatalogueError(f"{module} has no {name}", where=self.id, todo="Correct `factory` in plugins.yaml") from error
        try:
            return factory(**known)
        except TypeError as error:
            raise CatalogueError(f"wrong parameters ({error})", where=self.id, todo="Correct `parameters` in plugins.yaml") from error


@dataclass(frozen=True)
class Catalogue:
    """Every entry that could be read, and what could not.

    Attributes
    ----------
    entries : mapping of id to Entry
    problems : tuple of str
        One line a fault: source, entry, reason.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def of_kind(self, kind: Kind) -> Iterator[Entry]:
        """Entries of one shelf, in the catalogue's order."""
        return (entry for entry in self.entries.values() if entry.kind == kind)

    def find(self, name: str, kind: Kind) -> Entry:
        """The entry with this id.

        Raises
        ------
        CatalogueError
            When there is none of this kind; lists those there are.
        """
        entry = self.entries.get(name)
        if entry is None or entry.kind != kind:
            known = ", ".join(e.id for e in self.of_kind(kind))
            raise CatalogueError(f"there is no {kind} '{name}'", todo=f"Choose one of: {known}")
        return entry


def load() -> Catalogue:
    """Read every source again; cheap, so nothing is cached and a user's edit counts at once."""
    entries: dict[str, Entry] = {}
    problems: list[str] = []
    for source, items in _sources(problems):
        for item in items:
            name = item.get("id", "?") if isinstance(item, dict) else repr(item)
            try:
                entry = Entry.model_validate(item)
            except ValidationError as error:
                reasons = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}" for e in error.errors())
                problems.append(f"{source}: entry '{name}' left out ({reasons})")
                continue
            entries[entry.id] = entry
    return Catalogue(entries, tuple(problems))


def shipped(name: str) -> Path:
    """A file or folder that ships with the package: beside the code in a wheel, beside the package in a checkout."""
    here = Path(__file__).parent
    inside = here / name
    return inside if inside.exists() else here.parent / name


def user_file() -> Path:
    """Where a user's own plugins.yaml is looked for."""
    return platformdirs.user_config_path("napari-medseg", appauthor=False) / "plugins.yaml"


def install_hint(requirements: Iterable[str]) -> str:
    """The command that brings packages without replacing the running torch."""
    try:
        from importlib.metadata import version

        pin = [f"torch=={version('torch').partition('+')[0]}"]
    except ImportError:
        pin = []
    return "Install it with: python -m pip install " + " ".join(f'"{r}"' for r in [*requirements, *pin])


_there: set[str] = set()
_missed: dict[str, float] = {}


def _found(module: str) -> bool:
    """Whether a module can be found. Docks ask at every change and looking costs milliseconds, so what was missing is not looked for again at once."""
    if module in _there:
        return True
    if monotonic() - _missed.get(module, -LOOK_EVERY_S) < LOOK_EVERY_S:
        return False
    try:
        there = find_spec(module) is not None
    except (ImportError, ValueError):  # the package around the module is missing, or half there
        there = False
    if there:
        _there.add(module)
    else:
        _missed[module] = monotonic()
    return there


def _present(module: str, try_import: bool) -> bool:
    try:
        if not _found(module):
            return False
        if try_import:
            import_module(module)
    except (ImportError, OSError, RuntimeError, ValueError):  # a broken install raises any of these
        return False
    return True


def _sources(problems: list[str]) -> Iterator[tuple[str, list[Any]]]:
    yield from _read(shipped("plugins.yaml"), problems)
    for point in entry_points(group=GROUP):
        try:
            yield f"package {point.name}", list(point.load()())
        except Exception as error:  # noqa: BLE001 - third-party code; its fault must cost only itself
            problems.append(f"package {point.name}: {type(error).__name__}: {error}")
    named = os.environ.get(VARIABLE)
    for path in filter(None, [user_file() if user_file().exists() else None, Path(named) if named else None]):
        yield from _read(path, problems)


def _read(path: Path, problems: list[str]) -> Iterator[tuple[str, list[Any]]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problems.append(f"{path.name}: cannot be read ({' '.join(str(error).split())})")
        return
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        problems.append(f"{path.name}: no list named 'parts'")
        return
    yield path.name, [_beside(path.absolute().parent, part) for part in parts]


def _beside(folder: Path, part: Any) -> Any:
    """An entry whose parameters that begin with ./ name files beside the catalogue's own, so that both can be moved together."""
    if not isinstance(part, dict) or not isinstance(part.get("parameters"), dict):
        return part
    found = {name: str(folder / value[2:]) if isinstance(value, str) and value.startswith("./") else value for name, value in part["parameters"].items()}
    return {**part, "parameters": found}
