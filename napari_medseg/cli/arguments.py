"""Arguments that several commands take, and the checks they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import typer

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.errors import InvalidInputError, UnavailableError, UnwritableFileError
from napari_medseg.io import read, read_labels, require_writable
from napari_medseg.volume import Array, Geometry, LabelArray, Volume

T = TypeVar("T")

Image = Annotated[Path, typer.Argument(help="The scan: a file, an OME-Zarr folder or a DICOM folder.", show_default=False)]
Output = Annotated[Path, typer.Option("-o", "--output", help="The mask to write (.nii.gz, .nrrd, .seg.nrrd, .mha, .ome.zarr, ...).", show_default=False)]

Device = Annotated[str, typer.Option(help="auto (the preferences' device, else a graphics card where there is one), cpu, cuda, cuda:1 or mps.")]

DeviceOrServer = Annotated[str, typer.Option(help="As auto, cpu, cuda, cuda:1 or mps; or https://host:port of a `medseg serve`, where the scan is sent.")]


def device_of(wanted: str) -> str:
    """The device that was asked for; for "auto" the one of the preferences, unless this machine has none of that kind, which is said."""
    from napari_medseg.session import preferences

    preferred = preferences.load().choices.device
    if wanted != "auto" or preferred in ("auto", "cpu"):
        return wanted if wanted != "auto" else preferred
    from napari_medseg.segmenters.devices import choose

    try:
        return choose(preferred, where="preferences")
    except UnavailableError as error:
        typer.echo(f"{error.what}; it is chosen anew (preferences, device)", err=True)
        return "auto"


def output(path: Path, *inputs: Path | None) -> Path:
    """The path, if it can be written without overwriting an input.

    Raises
    ------
    UnwritableFileError
        When it cannot.
    """
    require_writable(path)
    sources = [source.resolve() for source in inputs if source is not None and source.exists()]
    if path.exists() and any(path.samefile(part) for source in sources for part in (source, *source.parents)):  # labels may lie in the OME-Zarr of their scan
        raise UnwritableFileError("would overwrite what it is made from", where=path, todo="Give another name with -o")
    return path


def scan(path: Path) -> Volume:
    """Read a scan of one channel.

    Raises
    ------
    InvalidInputError
        When it has several.
    """
    volume = read(path)
    if volume.channels > 1:
        named = f" ({', '.join(volume.channel_names)})" if volume.channel_names else ""
        todo = "Write the one you need to a file of its own: medseg convert SRC DST --channel N"
        raise InvalidInputError(f"has {volume.channels} channels{named}", where=path, todo=todo)
    tell(volume)
    return volume


def tell(volume: Volume) -> None:
    """Say on stderr what the reader had to decide."""
    for note in volume.notes:
        typer.echo(f"Note: {volume.name}: {note}", err=True)


def mask(path: Path | None, like: Geometry) -> LabelArray | None:
    """A label map that must lie on the scan's grid, or None where none was given; (z, y, x)."""
    return None if path is None else uint8(read_labels(path, like), path)


def drawn_on(image: Volume, labels: LabelArray, classes: Iterable[LabelClass] = ()) -> LabelMap:
    """Labels made on a scan, as what is written: its grid and its files, not its modality or units."""
    return LabelMap(labels, image.geometry, image.name, source=image.source, series=image.series, classes=tuple(classes))


def numbers(text: str, option: str, kind: Callable[[str], T]) -> list[T]:
    """Numbers between commas.

    Raises
    ------
    BadParameter
        When they are not; names the option.
    """
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        example = "3,9,14" if kind is int else "40,180"
        raise typer.BadParameter(f"'{text}' is no list of numbers such as {example}", param_hint=option) from error


def named_values(given: list[str], example: str) -> dict[str, str]:
    """What `--set NAME=VALUE` says, given several times.

    Raises
    ------
    InvalidInputError
        When one is not written so, or is there twice.
    """
    found: dict[str, str] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name.strip():
            raise InvalidInputError(f"'{one}' is not NAME=VALUE", where="--set", todo=f"Write for example --set {example}")
        if name.strip() in found:
            raise InvalidInputError(f"'{name.strip()}' is given twice", where="--set", todo="Give it once")
        found[name.strip()] = value
    return found


def uint8(labels: Volume, path: Path) -> LabelArray:
    """Label values of one byte.

    Raises
    ------
    InvalidInputError
        When one exceeds 255.
    """
    if labels.array.dtype != np.uint8:
        raise InvalidInputError(f"holds the value {labels.array.max()}", where=path, todo="Number the classes from 1 to 254")
    return labels.channel()


def voxels_by_class(labels: Array, geometry: Geometry) -> dict[str, dict[str, float]]:
    """Voxels and millilitres of each class, under its value as a string."""
    values, counts = np.unique(labels, return_counts=True)
    return {str(v): {"voxels": int(n), "volume_ml": float(n * geometry.voxel_ml)} for v, n in zip(values, counts, strict=True) if v}


def told_by_class(classes: dict[str, dict[str, float]]) -> str:
    """The same for a person."""
    return "; ".join(f"class {value}: {facts['voxels']:,} voxels, {facts['volume_ml']:.4g} ml" for value, facts in classes.items()) or "nothing is labelled"
