"""Pixels in colour: palettes and YBR become red, green and blue."""

from __future__ import annotations

import numpy as np

from napari_medseg.io.dicom import tags
from napari_medseg.io.dicom.elements import HeaderFault
from napari_medseg.io.dicom.frames import Frame
from napari_medseg.io.dicom.headers import NATIVE
from napari_medseg.volume import Array


def coloured(frame: Frame, plane: Array) -> Array:
    """Stored values, (rows, columns) indices or (rows, columns, 3), as (rows, columns, 3) red, green and blue.

    Raises
    ------
    HeaderFault
        When the palette does not make sense.
    """
    kind = frame.data.text(tags.PHOTOMETRIC)
    if frame.samples == 1:
        return _looked_up(frame, plane)
    if kind == "YBR_FULL" and frame.header.syntax in NATIVE:
        from pydicom.pixels.processing import convert_color_space

        if plane.dtype != np.uint8:
            raise HeaderFault("keeps YBR colours of 16 bits, which are not read here")
        return np.asarray(convert_color_space(plane, "YBR_FULL", "RGB"))
    return plane


def _looked_up(frame: Frame, plane: Array) -> Array:
    from pydicom import Dataset
    from pydicom.pixels.processing import apply_color_lut

    palette, order = Dataset(), "<" if frame.data.little else ">"
    try:
        for tag in tags.PALETTE:
            raw = frame.data.raw(tag)
            if raw and tag < 0x00281200:
                palette.add_new(tag, "US", [int(v) for v in np.frombuffer(raw[:6], order + "u2")])
            elif raw:
                palette.add_new(tag, "OW", raw if frame.data.little else np.frombuffer(raw, ">u2").astype("<u2").tobytes())
        found = np.asarray(apply_color_lut(plane, palette))
    except (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError) as error:
        raise HeaderFault("has a colour palette that makes no sense") from error
    return (found >> 8).astype(np.uint8) if found.dtype == np.uint16 else found
