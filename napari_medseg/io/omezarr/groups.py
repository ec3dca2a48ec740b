"""The groups of a Zarr folder: their metadata, and the paths in it, which are never followed out of the folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medseg.errors import UnreadableFileError

LARGEST = 1 << 24  # bytes of a metadata file; 65,535 named labels take a quarter of it
AGAIN = "Copy the whole folder again, or export it again"


@dataclass(frozen=True, slots=True)
class Group:
    """A group and what it says of itself.

    Attributes
    ----------
    root : Path
        The folder that a person named; everything read lies in it.
    folder : Path
        Of this group.
    attributes : dict
        All of them.
    ome : dict
        Those of OME-Zarr: under "ome" since 0.5, beside the others before.
    zarr_format : int
        2 or 3.
    """

    root: Path
    folder: Path
    attributes: dict[str, Any]
    ome: dict[str, Any]
    zarr_format: int

    def child(self, path: object) -> Path:
        """The folder that a path in the metadata means.

        Raises
        ------
        UnreadableFileError
            When it leads out of the folder that was named, by its letters or by a link.
        """
        parts = path.split("/") if isinstance(path, str) else []
        if not parts or any(part in ("", ".", "..") or set(part) & set('\\:\0<>|"?*') for part in parts):
            raise UnreadableFileError(f"its metadata names the path {str(path)[:80]!r}, which is none inside it", where=self.root, todo=AGAIN)
        found = self.folder.joinpath(*parts)
        if not found.resolve().is_relative_to(self.root.resolve()):
            raise UnreadableFileError(f"'{path}' is a link that leads out of the folder", where=self.root, todo="Copy what it points to into the folder")
        return found


def open_group(root: Path, folder: Path) -> Group | None:
    """The group in a folder; None when there is none.

    Raises
    ------
    UnreadableFileError
        When its metadata cannot be understood.
    """
    found = read_json(root, folder / "zarr.json")
    if found is not None:
        if found.get("node_type") != "group":
            return None
        attributes = _mapping(found.get("attributes"))
        return Group(root, folder, attributes, _mapping(attributes.get("ome")), 3)
    attributes = read_json(root, folder / ".zattrs") or {}
    if not attributes and not (folder / ".zgroup").is_file():
        return None
    return Group(root, folder, attributes, attributes, 2)


def read_json(root: Path, path: Path) -> dict[str, Any] | None:
    """The object in a metadata file; None when there is no such file.

    Raises
    ------
    UnreadableFileError
        When it is none, too long, or a link.
    """
    if path.is_symlink():
        raise UnreadableFileError(f"{path.name} is a link, which is not followed", where=root, todo="Copy what it points to into the folder")
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LARGEST + 1)
        found = json.loads(text) if len(text) <= LARGEST else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError(f"{path.name} is cut short or damaged", where=root, todo=AGAIN) from error
    except OSError as error:
        raise UnreadableFileError(f"{path.name} cannot be opened ({error.strerror})", where=root, todo="Check its permissions") from error
    if not isinstance(found, dict):
        raise UnreadableFileError(f"{path.name} holds no metadata, or too much", where=root, todo=AGAIN)
    return found


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
