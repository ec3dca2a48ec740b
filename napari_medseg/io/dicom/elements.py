"""The header of a DICOM file as raw values, without its pixels (PS3.5, chapter 7).

Only what `tags` names is kept, and each file is read once, up to its pixels: several times faster than a general parser, and nothing in a file can make
it raise anything but HeaderFault or run deep. Values are turned into numbers and texts when they are asked for.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from napari_medseg.io.dicom import tags

UNDEFINED = 0xFFFFFFFF
DEPTH = 12  # sequences within sequences; enhanced images need four
LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT = frozenset({
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
})
ITEM, ITEM_END, SEQUENCE_END = 0xE000, 0xE00D, 0xE0DD
LAST = (tags.FLOAT_PIXELS, tags.DOUBLE_PIXELS, tags.PIXELS)


Values = dict[int, "bytes | list[DataSet]"]


class HeaderFault(ValueError):
    """What is wrong with a header, in words for a person."""


class MoreNeeded(Exception):
    """The header goes on after the bytes read so far.

    Parameters
    ----------
    size : int
        Bytes of the file that are needed at least.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(size)


@dataclass(slots=True)
class DataSet:
    """Attributes by tag: bytes, or the items of a sequence.

    Attributes
    ----------
    values : dict
    little : bool
        Byte order of the numbers.
    """

    values: Values
    little: bool = True

    def __contains__(self, tag: int) -> bool:
        return bool(self.values.get(tag))

    def raw(self, tag: int) -> bytes:
        """The bytes of a value; b"" when it is not there."""
        value = self.values.get(tag)
        return value if isinstance(value, bytes) else b""

    def items(self, tag: int) -> list[DataSet]:
        """The items of a sequence; [] when it is not there."""
        value = self.values.get(tag)
        return value if isinstance(value, list) else []

    def text(self, tag: int) -> str:
        """A text without its padding; "" when it is not there."""
        raw = self.raw(tag).strip(b" \0")
        return raw.decode("ascii") if raw.isascii() else _decoded(raw, self.raw(tags.CHARACTER_SET))

    def texts(self, tag: int) -> tuple[str, ...]:
        """The parts of a text of several values."""
        text = self.text(tag)
        return tuple(part.strip() for part in text.split("\\")) if text else ()

    def numbers(self, tag: int, count: int = 0) -> tuple[float, ...]:
        """Finite numbers; () when the attribute is not there or empty.

        Parameters
        ----------
        count : int
            How many there must be; 0 for any.

        Raises
        ------
        HeaderFault
            When they are no numbers, or too few or many.
        """
        raw = self.raw(tag)
        kind = tags.NUMBERS[tag]
        try:
            found = _decimals(raw) if kind == "text" else _binary(raw, ("<" if self.little else ">"), kind)
        except (ValueError, struct.error) as error:
            raise HeaderFault(f"{named(tag)} is no number") from error
        if found and count and len(found) != count:
            raise HeaderFault(f"{named(tag)} has {len(found)} values instead of {count}")
        return found

    def number(self, tag: int) -> float | None:
        """The first number, or None when the attribute is not there or empty."""
        found = self.numbers(tag)
        return found[0] if found else None

    def whole(self, tag: int, default: int) -> int:
        """The first number as a whole one."""
        found = self.number(tag)
        return default if found is None else int(found)

    def below(self, *over: DataSet) -> DataSet:
        """These attributes, with those of others put over them."""
        values = dict(self.values)
        for data in over:
            values.update(data.values)
        return DataSet(values, self.little)


@dataclass(slots=True)
class Pixels:
    """Where the pixels of a file lie.

    Attributes
    ----------
    tag : int
    start : int
        Bytes before them.
    length : int or None
        As the header gives it; None for compressed ones.
    words : bool
        Whether the byte order counts for pairs of bytes, too.
    """

    tag: int
    start: int
    length: int | None
    words: bool = False


class Parser:
    """Reads the elements of one data set.

    Parameters
    ----------
    data : bytes
        The beginning of a file.
    whole : bool
        Whether it is the whole file.
    explicit, little : bool
        The transfer syntax.
    """

    def __init__(self, data: bytes, whole: bool, explicit: bool, little: bool) -> None:
        self.data, self.whole, self.explicit, self.little = data, whole, explicit, little
        order = "<" if little else ">"
        self._explicit = struct.Struct(order + "HH2sH").unpack_from
        self._implicit = struct.Struct(order + "HHI").unpack_from
        self._length = struct.Struct(order + "I").unpack_from
        self.pixels: Pixels | None = None
        self.found = DataSet({}, little)

    def parse(self, at: int) -> None:
        """Fill `found` and `pixels` from the elements at `at` up to the pixels.

        Raises
        ------
        MoreNeeded
            When the header goes on behind `data`.
        HeaderFault
            When it makes no sense; `found` holds what came before.
        """
        self.found.values.clear()
        self._elements(at, len(self.data), self.found.values, 0, self.explicit, self.whole)

    def _elements(self, at: int, end: int, values: Values | None, depth: int, explicit: bool, closed: bool) -> int:
        """Read elements from `at` to `end`, or to a delimiter unless `closed`; gives where they end. `values` None skips them."""
        if depth > DEPTH:
            raise HeaderFault("sequences lie too deep in each other")
        data, head, plain, wanted = self.data, self._explicit, self._implicit, tags.WANTED
        while at + 8 <= end:
            if explicit:
                group, element, kind, length = head(data, at)
                start = at + 8
                if kind in LONG:
                    if at + 12 > end:
                        self._short(at + 12, end)
                    (length,) = self._length(data, start)
                    start = at + 12
                elif kind not in SHORT and group != 0xFFFE:
                    raise HeaderFault("an attribute is of no known type")
            else:
                group, element, length = plain(data, at)
                kind, start = b"", at + 8
            if group == 0xFFFE:
                if depth and element == ITEM_END:
                    return at + 8
                raise HeaderFault("a sequence ends where none began")
            tag = group << 16 | element
            if depth == 0 and tag in LAST:
                self.pixels = Pixels(tag, start, None if length == UNDEFINED else length, kind in (b"", b"OW"))
                return at
            keep = values is not None and tag in wanted
            if length == UNDEFINED:
                items: list[DataSet] | None = [] if keep and tag in tags.SEQUENCES else None
                at = self._items(start, end, items, depth + 1, explicit and kind != b"UN")
                if items is not None and values is not None:
                    values[tag] = items
                continue
            stop = start + length
            if stop > end:
                self._short(stop, end)
            if keep and values is not None:
                if tag not in tags.SEQUENCES:
                    values[tag] = data[start:stop]
                else:
                    values[tag] = items = []
                    self._items(start, stop, items, depth + 1, explicit and kind != b"UN", stop)
            at = stop
        if at < end or not closed:
            self._short(at + 8, end)
        return at

    def _items(self, at: int, end: int, items: list[DataSet] | None, depth: int, explicit: bool, stop: int | None = None) -> int:
        """Read the items of a sequence up to `stop`, or to its delimiter."""
        while stop is None or at < stop:
            if at + 8 > end:
                self._short(at + 8, end)
            group, element, length = self._implicit(self.data, at)
            at += 8
            if group != 0xFFFE or element not in (ITEM, SEQUENCE_END):
                raise HeaderFault("a sequence holds something that is no item")
            if element == SEQUENCE_END:
                return at
            values: Values | None = {} if items is not None else None
            if length == UNDEFINED:
                at = self._elements(at, end, values, depth, explicit, False)
            elif at + length > end:
                self._short(at + length, end)
            else:
                if values is not None:
                    self._elements(at, at + length, values, depth, explicit, True)
                at += length
            if items is not None and values is not None:
                items.append(DataSet(values, self.little))
        return at

    def _short(self, needed: int, end: int) -> None:
        if end == len(self.data) and not self.whole:
            raise MoreNeeded(needed)
        raise HeaderFault("is cut short, or an attribute is longer than the file")


def named(tag: int) -> str:
    """What PS3.6 calls an attribute, with its number."""
    from pydicom.datadict import keyword_for_tag

    return f"{keyword_for_tag(tag) or 'attribute'} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


@lru_cache(4096)
def _decimals(raw: bytes) -> tuple[float, ...]:
    text = raw.strip(b" \0")
    return _finite(tuple(float(part) for part in text.split(b"\\"))) if text else ()


@lru_cache(4096)
def _binary(raw: bytes, order: str, kind: str) -> tuple[float, ...]:
    count, rest = divmod(len(raw), struct.calcsize(kind))
    if rest:
        raise ValueError
    return _finite(struct.unpack(f"{order}{count}{kind}", raw))


def _finite(found: tuple[float, ...]) -> tuple[float, ...]:
    if not all(map(math.isfinite, found)):
        raise ValueError
    return found


@lru_cache(256)
def _decoded(raw: bytes, charsets: bytes) -> str:
    """Text in another character set; what cannot be read in it becomes question marks."""
    import warnings

    from pydicom.charset import convert_encodings, decode_bytes

    convert: Callable[..., list[str]] = convert_encodings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            names = [part.strip() for part in charsets.decode("ascii", "replace").strip(" \0").split("\\")]
            return str(decode_bytes(raw, convert(names or None), {0x5C})).strip(" \0")
        except (LookupError, ValueError):
            return raw.decode("ascii", "replace")
