"""What stored numbers mean: signs, rescale, look-up tables, units (PS3.3, C.11.1; PS3.5, 8.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from napari_medseg.io.dicom import tags
from napari_medseg.io.dicom.elements import HeaderFault, named
from napari_medseg.io.dicom.frames import Frame
from napari_medseg.volume import Array

COLOURS = ("red", "green", "blue")
INT16 = np.iinfo(np.int16)
WHOLE = 2.0**30  # slopes and intercepts up to this keep 32-bit values in 64 bits
SENSIBLE = 1e12


@dataclass(frozen=True, slots=True)
class Scale:
    """How the stored values of one frame become those it means.

    Attributes
    ----------
    stored : dtype
        As the bytes lie, in the machine's order.
    bits, high : int
        How many are used, and which is the highest.
    slope, intercept : float
    table : ndarray or None
        A look-up table in place of slope and intercept.
    first : int
        The stored value that its first entry stands for.
    """

    stored: np.dtype[np.generic]
    bits: int
    high: int
    slope: float = 1.0
    intercept: float = 0.0
    table: Array | None = None
    first: int = 0

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and largest value that can come out."""
        if self.table is not None:
            return float(self.table.min()), float(self.table.max())
        if self.stored.kind == "f":
            return -math.inf, math.inf
        ends = (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) if self.stored.kind == "i" else (0, 2**self.bits - 1)
        low, high = sorted(end * self.slope + self.intercept for end in ends)
        return low, high

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers come out."""
        return self.stored.kind != "f" and (self.table is not None or all(v.is_integer() and abs(v) <= WHOLE for v in (self.slope, self.intercept)))


def scale_of(frame: Frame) -> Scale:
    """How the values of a frame are stored and what they mean.

    Raises
    ------
    HeaderFault
        When the header contradicts itself.
    """
    data, pixels = frame.data, frame.header.pixels
    if pixels is not None and pixels.tag != tags.PIXELS:
        return Scale(np.dtype(f"f{frame.bits // 8}"), frame.bits, frame.bits - 1)
    bits = data.whole(tags.BITS_STORED, frame.bits)
    high = data.whole(tags.HIGH_BIT, bits - 1)
    if not 1 <= bits <= frame.bits or not bits - 1 <= high < frame.bits:
        raise HeaderFault(f"keeps {bits} bits a value up to bit {high} in {frame.bits}")
    stored = np.dtype(f"{'i' if data.whole(tags.SIGNED, 0) == 1 else 'u'}{frame.bits // 8}")
    tables = data.items(tags.MODALITY_LUT)
    if tables:
        first, table = lookup(tables[0].raw(tags.LUT_DESCRIPTOR), tables[0].raw(tags.LUT_DATA), data.little, stored.kind == "i")
        return Scale(stored, bits, high, table=table, first=first)
    dose = data.number(tags.DOSE_SCALING)
    slope, intercept = data.number(tags.SLOPE) if dose is None else dose, data.number(tags.INTERCEPT)
    slope, intercept = slope or 1.0, intercept or 0.0
    if max(abs(slope), abs(intercept)) > SENSIBLE:
        raise HeaderFault(f"gives a rescale of {slope:g} and {intercept:g}")
    return Scale(stored, bits, high, slope, intercept)


def lookup(descriptor: bytes, entries: bytes, little: bool, signed: bool) -> tuple[int, Array]:
    """A look-up table: the stored value of its first entry, and its entries (PS3.3, C.11.1.1).

    Raises
    ------
    HeaderFault
        When it is shorter than it says.
    """
    if len(descriptor) != 6:
        raise HeaderFault(f"{named(tags.LUT_DESCRIPTOR)} is no description of a table")
    order = "<" if little else ">"
    count, first, bits = (int(v) for v in np.frombuffer(descriptor, order + "u2"))
    if signed and first > INT16.max:
        first -= 1 << 16
    count = count or 1 << 16
    wide = len(entries) >= 2 * count
    table = np.frombuffer(entries, order + "u2" if wide else "u1")[:count]
    if len(table) < count or not 1 <= bits <= 16:
        raise HeaderFault("has a look-up table that is shorter than it says")
    return first, table.astype(np.uint16 if bits > 8 else np.uint8)


def dtype_of(scales: list[Scale], units: str) -> np.dtype[np.generic]:
    """The smallest type that holds what comes out of all frames; int16 for whole HU, which no scanner exceeds."""
    if not all(scale.is_whole for scale in scales):
        return np.dtype(np.float64 if any(s.stored.itemsize > 4 or (s.stored.itemsize == 4 and s.stored.kind != "f") for s in scales) else np.float32)
    if units == "HU":
        return np.dtype(np.int16)
    limits = {scale.limits for scale in scales}
    low, high = min(pair[0] for pair in limits), max(pair[1] for pair in limits)
    fits = (t for t in (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32) if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
    return np.dtype(next(fits, np.float64))


def units_of(frame: Frame) -> str:
    """Of the values, as far as the file says."""
    data, modality = frame.data, frame.data.text(tags.MODALITY)
    told = data.text(tags.PET_UNITS) if modality == "PT" else data.text(tags.DOSE_UNITS) or data.text(tags.RESCALE_TYPE)
    if told.upper() in ("US", "NORMALIZED", ""):  # unspecified
        return "HU" if modality == "CT" and not told and tags.INTERCEPT in data else ""
    return told


def padding_of(frame: Frame, scale: Scale) -> float | None:
    """The value of voxels outside the field of view, as they come out; None when the file gives none."""
    raw = frame.data.raw(tags.PADDING)[:2]
    if len(raw) < 2 or scale.stored.kind == "f" or scale.table is not None:
        return None
    stored = int.from_bytes(raw, "little" if frame.data.little else "big", signed=scale.stored.kind == "i")
    return stored * scale.slope + scale.intercept


def straight_bits(plane: Array, scale: Scale) -> None:
    """Clear, in place, what lies outside the stored bits of values as wide as `scale.stored`, of any shape, and spread the sign."""
    width = 8 * scale.stored.itemsize
    if scale.stored.kind == "f" or scale.bits == width:
        return
    view = plane.view(scale.stored)
    if scale.high + 1 < width:
        np.left_shift(view, width - 1 - scale.high, out=view)
    np.right_shift(view, width - scale.bits, out=view)


def apply(stored: Array, scale: Scale, out: Array) -> int:
    """Write the meaning of stored values to `out`, which may share their memory; gives how many did not fit and were cut off.

    Both are of one shape, whichever it is.
    """
    if scale.table is not None:
        index = np.clip(stored.astype(np.int64) - scale.first, 0, len(scale.table) - 1)
        out[...] = scale.table[index]
        return 0
    if out.dtype.kind == "f":
        if scale.slope == 1 and scale.intercept == 0:
            out[...] = stored
        else:
            out[...] = stored * np.float64(scale.slope) + scale.intercept
        return 0
    bounds = np.iinfo(out.dtype)
    low, high = scale.limits
    if low < bounds.min or high > bounds.max:
        ends = sorted(int(end) * scale.slope + scale.intercept for end in (stored.min(), stored.max()))
        if ends[0] < bounds.min or ends[1] > bounds.max:
            exact = stored.astype(np.int64) * int(scale.slope) + int(scale.intercept)
            lost = int(np.count_nonzero((exact < bounds.min) | (exact > bounds.max)))
            out[...] = np.clip(exact, bounds.min, bounds.max)
            return lost
    if (scale.slope, scale.intercept) == (1, 0):
        if out is not stored:
            out[...] = stored.view(out.dtype) if stored.dtype.itemsize == out.dtype.itemsize else stored
        return 0
    if stored.dtype.itemsize == out.dtype.itemsize:  # whole numbers that fit in the end fit on the way, modulo 2**n
        source = stored.view(out.dtype)
        if scale.slope != 1:
            source = np.multiply(source, np.array(int(scale.slope)).astype(out.dtype), out=out)
        np.add(source, np.array(int(scale.intercept)).astype(out.dtype), out=out)
    else:
        out[...] = stored.astype(np.int64) * int(scale.slope) + int(scale.intercept)
    return 0
