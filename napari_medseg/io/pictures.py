"""Pictures (.png, .jpg, .bmp): one slice, colours as channels, 1 mm a pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io.faults import SEND_AGAIN, typed
from napari_medseg.io.formats import stem_of
from napari_medseg.io.series import SeriesInfo
from napari_medseg.io.values import in_order, volume_of
from napari_medseg.volume import Geometry, Volume

KINDS = ("PNG", "JPEG", "BMP")
LARGEST = 1 << 26  # pixels; a scanner's plate has 2 ** 24
BEST = 1100  # bytes that one packed byte can give
NO_SIZE = "a picture does not say how large its pixels are: 1 mm is assumed"
EIGHT_BITS = "its 16-bit colours were read as 8-bit"
_CHANNELS = {"1": 1, "L": 1, "I;16": 1, "I;16B": 1, "I;16L": 1, "I": 1, "F": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_DTYPES = {"I;16": "uint16", "I;16B": "uint16", "I;16L": "uint16", "I": "int32", "F": "float32"}


def describe(path: Path) -> list[SeriesInfo]:
    """What the header says."""
    with typed(path), _open(path) as image:
        return [_info(image, path)]


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Read the picture.

    Raises
    ------
    UnreadableFileError
        No picture, cut short, damaged, or more pixels than its file can hold.
    """
    with typed(path), _open(path) as image:
        info = _info(image, path)
        try:
            array = np.array(image if image.mode in _CHANNELS else image.convert(_plain(image)))
        except SyntaxError as error:  # how Pillow calls a broken PNG
            raise UnreadableFileError("is cut short or damaged", where=path, todo=SEND_AGAIN) from error
    array = array.astype(info.dtype, copy=False)[None]
    return volume_of(info, array if array.ndim == 3 else in_order(np.moveaxis(array, -1, 0)), path)


def _open(path: Path) -> Any:
    try:
        image = Image.open(path, formats=KINDS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path) from error
    except (UnidentifiedImageError, SyntaxError) as error:
        raise UnreadableFileError("is not a picture, whatever its name says", where=path, todo="Check what it is, or export it again") from error
    pixels = image.width * image.height
    if pixels > LARGEST or pixels > path.stat().st_size * BEST * 8:
        image.close()
        raise _too_large(path)
    return image


def _too_large(path: Path) -> UnreadableFileError:
    return UnreadableFileError("has more pixels than a picture of its file's size should", where=path, todo="Save it smaller, or as TIFF")


def _plain(image: Any) -> str:
    return "RGBA" if image.mode in ("PA", "RGBa", "La") or "transparency" in image.info else "RGB"


def _info(image: Any, path: Path) -> SeriesInfo:
    mode = image.mode if image.mode in _CHANNELS else _plain(image)
    channels = _CHANNELS[mode]
    names = {2: ("grey", "opacity"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "opacity")}.get(channels, ())
    notes = (NO_SIZE, EIGHT_BITS) if channels > 1 and _bits(path) == 16 else (NO_SIZE,)
    geometry = Geometry((1, image.height, image.width))
    return SeriesInfo(
        geometry.shape, geometry.spacing, geometry.origin, geometry.direction, _DTYPES.get(mode, "uint8"), channels=channels, title=stem_of(path),
        channel_names=names, notes=notes,
    )


def _bits(path: Path) -> int:
    """Bits a PNG has for each colour; 0 for other kinds."""
    with path.open("rb") as file:
        head = file.read(25)
    return head[24] if head.startswith(b"\x89PNG") and len(head) == 25 else 0
