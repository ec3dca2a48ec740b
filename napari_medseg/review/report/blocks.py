"""What a page is put together from: plain pieces that the template knows how to draw, all of them text that it escapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph; `quiet` for an explanation, `empty` for what there is not enough data for."""

    text: str
    tone: str = ""
    kind: str = "words"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Names and what they are."""

    rows: Mapping[str, str]
    kind: str = "pairs"


@dataclass(frozen=True, slots=True)
class Table:
    """A table; every row is as long as the columns, its first cell is its head.

    Attributes
    ----------
    caption : str
    columns : str each
    rows : str each; "–" for nothing known
    words : numbers of the columns that hold words and stand left, beside the first
    folded : bool
        Whether the reader has to unfold it on a screen; paper shows it.
    code : number of a column of checksums, in small fixed letters; None for none
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int] = ()
    folded: bool = False
    code: int | None = None
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class Chart:
    """An SVG of ours, drawn by `charts`, and what stands below it; three of size "small" and two of "half" stand beside each other where there is room."""

    svg: str
    caption: str
    size: str = ""
    kind: str = "chart"


@dataclass(frozen=True, slots=True)
class Image:
    """A PNG as a data URI, with its size in CSS pixels."""

    source: str
    alt: str
    caption: str
    width: int
    height: int
    panels: int
    kind: str = "image"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading within a section."""

    text: str
    kind: str = "heading"


Block = Words | Pairs | Table | Chart | Image | Heading


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading of its own; `id` is where links lead."""

    id: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
