"""Several pictures at each place: which are timepoints, which are contrasts, by what their headers say.

Attributes are tried alone, then two together, then three, contrasts before times, until each combination of values has at most one picture at each place.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

from napari_medseg.io.dicom.frames import Frame
from napari_medseg.io.dicom.keys import CLOCKS, KEYS, RANK, Key, Value, reference, trigger

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """One picture at each place.

    Attributes
    ----------
    name : str
        What tells it from the others, e.g. "TE 4.6 ms, t 2 (3.1 s)"; "" when there are no others.
    slices : list of Frame
        Lowest place first.
    """

    name: str
    slices: list[Frame]


@dataclass(frozen=True, slots=True)
class Parts:
    """What lies at the same places.

    Attributes
    ----------
    parts : list of Part
        Contrast by contrast, each in the order of time.
    timepoints : int
        How many of each contrast; 1 when time tells none apart.
    notes : tuple of str
    told_apart : bool
        False when there are several pictures at a place and nothing says which is which.
    """

    parts: list[Part]
    timepoints: int = 1
    notes: tuple[str, ...] = ()
    told_apart: bool = True


def parts_of(places: list[list[Frame]]) -> Parts:
    """Sort the pictures at each place into parts that have one at each."""
    places, dropped = _without_copies(places)
    notes = (f"{dropped} {'image is there' if dropped == 1 else 'images are there'} twice, alike to the last bit: one of each is used",) if dropped else ()
    most = max(map(len, places))
    if most == 1:
        return Parts([Part("", [frames[0] for frames in places])], 1, notes)
    keys = [replace(key, value=_remembered(key.value)) for key in KEYS if any(len({key.value(frame) for frame in frames}) > 1 for frames in places)]
    clocks = [_remembered(clock) for clock in CLOCKS]
    for size in (1, 2, 3):
        for chosen in combinations(keys, size):
            found = _split(places, chosen, most)
            if found is not None:
                return _told(found, chosen, len(places), notes)
    for size in (0, 1, 2):
        for chosen in combinations([key for key in keys if not key.is_time], size):
            for clock in clocks:
                found = _ranked(places, chosen, clock)
                if found is not None:
                    return _told(found, (*chosen, RANK), len(places), notes)
    return Parts([Part("", [frames[0] for frames in places])], most, notes, told_apart=False)


Split = dict[tuple[Value, ...], list[Frame]]


def _split(places: list[list[Frame]], keys: tuple[Key, ...], most: int) -> Split | None:
    """Parts by their values; None when they do not tell every picture apart, or no part is whole."""
    found: Split = defaultdict(list)
    for frames in places:
        values = [tuple(key.value(frame) for key in keys) for frame in frames]
        if len(set(values)) < len(values):
            return None
        for value, frame in zip(values, frames, strict=True):
            found[value].append(frame)
        if len(found) > most:
            return None  # the values belong to places, not to parts
    return found if any(len(part) == len(places) for part in found.values()) else None


def _ranked(places: list[list[Frame]], keys: tuple[Key, ...], clock: Callable[[Frame], float | None]) -> Split | None:
    """Parts by their order in time at each place, where each place has its own times."""
    found: Split = defaultdict(list)
    for frames in places:
        groups: dict[tuple[Value, ...], list[tuple[float, Frame]]] = defaultdict(list)
        for frame in frames:
            time = clock(frame)
            if time is None:
                return None
            groups[tuple(key.value(frame) for key in keys)].append((time, frame))
        for value, group in groups.items():
            group.sort(key=lambda pair: pair[0])
            if len({time for time, _ in group}) < len(group):
                return None
            for rank, (_, frame) in enumerate(group):
                found[*value, (rank,)].append(frame)
    return found if all(len(part) == len(places) for part in found.values()) else None


def _told(found: Split, keys: tuple[Key, ...], count: int, notes: tuple[str, ...]) -> Parts:
    """Order and name the parts; those that lack slices are left out and said."""
    keys = tuple(sorted(keys, key=lambda key: key.is_time))
    whole = {value: part for value, part in found.items() if len(part) == count}
    lost = len(found) - len(whole)
    if lost:
        notes += (f"{lost} of {len(found)} images of the whole volume lack slices and {'is' if lost == 1 else 'are'} left out",)
    timed = any(key.is_time for key in keys)
    channels = [i for i, key in enumerate(keys) if not key.is_time]
    by_channel: dict[tuple[Value, ...], list[tuple[Value, ...]]] = defaultdict(list)
    for value in sorted(whole, key=_sortable):
        by_channel[tuple(value[i] for i in channels)].append(value)
    starts = {value: _start(part) for value, part in whole.items()}
    known = [s for s in starts.values() if s is not None]
    begin = min(known) if len(known) == len(starts) else None
    parts = []
    for channel, values in by_channel.items():
        labels = [keys[i].label(v) for i, v in zip(channels, channel, strict=True)]
        for number, value in enumerate(values, 1):
            when = [] if not timed else [f"t {number}" + (f" ({(starts[value] or 0) - begin:.1f} s)" if begin is not None else "")]
            parts.append(Part(", ".join(label for label in labels + when if label), whole[value]))
    lengths = {len(values) for values in by_channel.values()}
    return Parts(parts, lengths.pop() if timed and len(lengths) == 1 else 1, notes)


def _sortable(value: tuple[Value, ...]) -> list[tuple[int, str, float]]:
    """An order for values of any kind: missing first, numbers by size, words by the alphabet."""
    flat = [part for single in value for part in (single or (None,))]
    return [(2, v, 0.0) if isinstance(v, str) else (1, "", float(v)) if isinstance(v, float | int) else (0, "", 0.0) for v in flat]


def _start(slices: list[Frame]) -> float | None:
    """Seconds of the first slice, on whatever clock the file has."""
    for clock in (trigger, reference, *CLOCKS):
        times = [clock(frame) for frame in slices]
        known = [t for t in times if t is not None]
        if len(known) == len(times):
            return min(known)
    return None


def _without_copies(places: list[list[Frame]]) -> tuple[list[list[Frame]], int]:
    """Keep one of the pictures that say the same of themselves and are alike in every byte."""
    kept, dropped = [], 0
    for frames in places:
        if len(frames) == 1:
            kept.append(frames)
            continue
        told = [tuple(key.value(frame) for key in KEYS) for frame in frames]
        often = Counter(told)
        unique = {(value, _digest(frame) if often[value] > 1 else b""): frame for value, frame in zip(reversed(told), reversed(frames), strict=True)}
        dropped += len(frames) - len(unique)
        kept.append(list(unique.values())[::-1])
    return kept, dropped


def _digest(frame: Frame) -> bytes:
    """Of the bytes of its pixels, as they lie in the file."""
    pixels = frame.header.pixels
    found = hashlib.blake2b(digest_size=16)
    with frame.header.path.open("rb") as file:
        packed = pixels is None or pixels.length is None
        file.seek(pixels.start + (0 if packed else frame.index * frame.size) if pixels else 0)
        found.update(file.read() if packed else file.read(frame.size))
        if packed:
            found.update(str(frame.index).encode())
    return found.digest()


def _remembered(ask: Callable[[Frame], T]) -> Callable[[Frame], T]:
    """The same, asking each frame once."""
    told: dict[int, T] = {}

    def value(frame: Frame) -> T:
        mark = id(frame)
        if mark not in told:
            told[mark] = ask(frame)
        return told[mark]

    return value
