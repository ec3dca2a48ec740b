"""What may tell pictures at one place apart: contrasts by what made them, times by any clock there is."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import date

from napari_medseg.io.dicom import tags
from napari_medseg.io.dicom.elements import HeaderFault
from napari_medseg.io.dicom.frames import Frame

DAY = 86400.0
KINDS = {
    "M": "magnitude", "P": "phase", "R": "real", "I": "imaginary", "W": "water", "F": "fat", "IP": "in phase", "OP": "opposed phase", "IN_PHASE": "in phase",
    "OUT_PHASE": "opposed phase", "OPP_PHASE": "opposed phase", "MAGNITUDE": "magnitude", "PHASE": "phase", "REAL": "real", "IMAGINARY": "imaginary",
    "WATER": "water", "FAT": "fat", "PHASE MAP": "phase", "FAT_FRACTION": "fat fraction", "ADC": "ADC",
}

Value = tuple[Hashable, ...] | None


@dataclass(frozen=True, slots=True)
class Key:
    """Something that may tell pictures apart."""

    value: Callable[[Frame], Value]
    label: Callable[[Value], str]
    is_time: bool = False


def _number(*wanted: int) -> Callable[[Frame], Value]:
    def value(frame: Frame) -> Value:
        for tag in wanted:
            try:
                found = frame.data.numbers(tag)
            except HeaderFault:
                continue
            if found:
                return tuple(round(v, 4) for v in found)
        return None

    return value


def _kind(frame: Frame) -> Value:
    kinds = frame.image_type[2:] + frame.data.texts(tags.COMPLEX_COMPONENT)
    return kinds or None


def _kind_label(value: Value) -> str:
    found = [KINDS.get(str(part), "") for part in value or ()]
    named = [name for name in found if name]
    return " ".join(dict.fromkeys(named)) or " ".join(str(part) for part in value or ()).lower()


def _labelled(form: str) -> Callable[[Value], str]:
    def label(value: Value) -> str:
        try:
            return form.format(*value) if value else ""
        except (IndexError, ValueError):
            return ""

    return label


def _clock(tag: int) -> Callable[[Frame], float | None]:
    """Seconds of a time of day, or of a date and time."""

    def seconds(frame: Frame) -> float | None:
        text = frame.data.text(tag)
        day = frame.data.text(tags.ACQUISITION_DATE) if tag == tags.ACQUISITION_TIME else ""
        if tag in (tags.FRAME_ACQUISITION_DATE_TIME, tags.ACQUISITION_DATE_TIME):
            day, text = text[:8], text[8:].partition("+")[0].partition("-")[0]
        text = text.replace(":", "")
        try:
            if not text[:2].isdigit():
                return None
            found = DAY * _day(day) + 3600 * int(text[:2]) + 60 * int(text[2:4] or 0) + float(text[4:] or 0)
        except ValueError:
            return None
        return found if math.isfinite(found) else None

    return seconds


def _day(text: str) -> int:
    """A number that grows by one from one day to the next; 0 when there is no date."""
    text = text.replace(".", "")
    return date(int(text[:4]), int(text[4:6]), int(text[6:8])).toordinal() if len(text) == 8 else 0


def _scaled(factor: float, *wanted: int) -> Callable[[Frame], float | None]:
    value = _number(*wanted)

    def seconds(frame: Frame) -> float | None:
        found = value(frame)
        return factor * float(str(found[0])) if found else None

    return seconds


def _timed(clock: Callable[[Frame], float | None]) -> Callable[[Frame], Value]:
    def value(frame: Frame) -> Value:
        found = clock(frame)
        return None if found is None else (found,)

    return value


trigger = _scaled(1e-3, tags.TRIGGER_DELAY, tags.TRIGGER_TIME)
reference = _scaled(1e-3, tags.FRAME_REFERENCE_TIME)
CLOCKS = (*map(_clock, (tags.FRAME_ACQUISITION_DATE_TIME, tags.ACQUISITION_DATE_TIME, tags.ACQUISITION_TIME, tags.CONTENT_TIME)), trigger)


def _unnamed(value: Value) -> str:
    return ""


KEYS = (
    Key(_number(tags.EFFECTIVE_ECHO_TIME, tags.ECHO_TIME), _labelled("TE {:g} ms")),
    Key(_number(tags.B_VALUE), _labelled("b {:g}")),
    Key(_kind, _kind_label),
    Key(_number(tags.INVERSION_TIME), _labelled("TI {:g} ms")),
    Key(_number(tags.FLIP_ANGLE), _labelled("flip angle {:g} degrees")),
    Key(_number(tags.GRADIENT), _labelled("direction {:.2f} {:.2f} {:.2f}")),
    Key(_number(tags.ECHO_NUMBER), _labelled("echo {:g}")),
    Key(_number(tags.TEMPORAL_POSITION, tags.TEMPORAL_INDEX), _unnamed, is_time=True),
    Key(_number(tags.TEMPORAL_OFFSET), _unnamed, is_time=True),
    Key(_number(tags.TRIGGER_DELAY, tags.TRIGGER_TIME), _unnamed, is_time=True),
    Key(_number(tags.FRAME_REFERENCE_TIME), _unnamed, is_time=True),
    *(Key(_timed(clock), _unnamed, is_time=True) for clock in CLOCKS[:3]),
    Key(_number(tags.ACQUISITION_NUMBER), _unnamed, is_time=True),
    Key(_timed(CLOCKS[3]), _unnamed, is_time=True),
)
RANK = Key(lambda frame: None, _unnamed, is_time=True)  # the order at each place
