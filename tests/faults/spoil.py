"""Ways to spoil a file: bytes, text, JSON, DICOM elements, SQLite. Each takes a random generator, so that a number brings a spoilt file back."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import sqlite3
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import config

Rng = np.random.Generator
Way = Callable[[Path, Rng], str]  # spoils what lies at a path and says how

INTEGERS = (0, 1, 2, 7, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1, -1, -32768)
FLOATS = (0.0, -1.0, 1e-30, 1e30, 3.4e38, float("nan"), float("inf"), float("-inf"))
TOKENS = (
    "0", "-1", "1", "3", "99999999999999999999", "nan", "inf", "1e400", "1e-400", "", "a", "None", "(", ")", "%d", "../../x", "/etc/passwd", "é", "\x00",
    "1 2 3 4 5 6 7 8 9",
)
STRINGS = ("", "..", "../../x", "/etc/passwd", "C:\\Windows\\x", "a" * 5000, "\x00", "é\ud7ff", "nan", "0", "%s", "1.2.840", "\\\\server\\share\\x")
ELEMENTS = ("", "0", "-1", "nan", "inf", "1e300", "-1e-30", "99999999999", "abc", "1\\2", "1\\0\\0\\0\\1\\0", "1.2.3", "ISO_IR 999", "é", "A" * 3000, "../../x")
VALUES = (None, True, [], {}, [[]], "x", 0, -1, 1.5, 1e308, 2**63, 10**30, *STRINGS)


def one(rng: Rng, choices: Any) -> Any:
    """Any of them, as it is (numpy's own choice would turn them into an array)."""
    choices = list(choices)
    return choices[int(rng.integers(len(choices)))]


# Bytes ---------------------------------------------------------------------------------------------------------------------------------------------------

def spoil_bytes(data: bytes, rng: Rng, head: int = 512) -> tuple[bytes, str]:
    """Spoil bytes; three times of four among the first `head`."""
    if not data:
        return bytes(rng.integers(0, 256, 20, dtype=np.uint8)), "bytes out of nothing"
    out = bytearray(data)
    reach = min(head, len(out)) if rng.random() < 0.75 else len(out)
    place = int(rng.integers(reach))
    way = one(rng, ("bits", "bytes", "number", "float", "cut", "cut", "block gone", "block twice", "zeros", "longer"))
    if way == "bits":
        for _ in range(int(rng.integers(1, 9))):
            out[int(rng.integers(reach))] ^= 1 << int(rng.integers(8))
    elif way == "bytes":
        for _ in range(int(rng.integers(1, 9))):
            out[int(rng.integers(reach))] = one(rng, (0, 255, 127, 128, int(rng.integers(256))))
    elif way in ("number", "float"):
        form = one(rng, "<>") + one(rng, "hiq" if way == "number" else "fd")
        size = struct.calcsize(form)
        value = one(rng, INTEGERS) if way == "number" else one(rng, FLOATS)
        if way == "number":
            value &= (1 << 8 * size) - 1
            value -= 1 << 8 * size if value >> (8 * size - 1) else 0
        place -= place % min(size, 4)
        if place + size <= len(out):
            struct.pack_into(form, out, place, min(value, 3.4e38) if form[1] == "f" else value)
    elif way == "cut":
        out = out[: one(rng, (place, len(out) - 1, int(rng.integers(len(out)))))]
    elif way in ("block gone", "block twice", "zeros"):
        end = min(len(out), place + int(rng.integers(1, 65)))
        out[place:end] = {"block gone": b"", "block twice": out[place:end] * 2, "zeros": bytes(end - place)}[way]
    else:
        out += bytes(rng.integers(0, 256, int(rng.integers(1, 2000)), dtype=np.uint8))
    return bytes(out), f"{way} at {place}"


def raw(head: int = 512) -> Way:
    """Spoil the bytes of a file."""

    def way(path: Path, rng: Rng) -> str:
        data, how = spoil_bytes(path.read_bytes(), rng, head)
        path.write_bytes(data)
        return how

    return way


def unpacked(head: int = 512) -> Way:
    """Spoil what a gzipped file holds, and pack it again."""

    def way(path: Path, rng: Rng) -> str:
        data, how = spoil_bytes(gzip.decompress(path.read_bytes()), rng, head)
        path.write_bytes(gzip.compress(data, 1, mtime=0))
        return f"inside, {how}"

    return way


# Text ----------------------------------------------------------------------------------------------------------------------------------------------------

def header(end: bytes | None) -> Way:
    """Spoil the lines of a text header, which ends after `end`, or takes the whole file."""

    def way(path: Path, rng: Rng) -> str:
        data = path.read_bytes()
        stop = data.find(end) if end else len(data)
        stop = len(data) if stop < 0 else stop
        lines = data[:stop].decode("latin-1").split("\n")
        line = int(rng.integers(len(lines)))
        how = one(rng, ("number", "number", "number", "word", "line gone", "line twice", "swapped", "bytes"))
        if how in ("number", "word"):
            found = list(re.finditer(r"-?\d[\d.e+-]*" if how == "number" else r"[A-Za-z]+", "\n".join(lines)))
            if found:
                match, text = one(rng, found), "\n".join(lines)
                with_ = one(rng, TOKENS) if how == "number" or rng.random() < 0.5 else one(rng, found).group()
                lines = (text[: match.start()] + with_ + text[match.end() :]).split("\n")
        elif how == "line gone":
            del lines[line]
        elif how == "line twice":
            lines.insert(line, lines[line])
        elif how == "swapped":
            other = int(rng.integers(len(lines)))
            lines[line], lines[other] = lines[other], lines[line]
        else:
            spoilt, _ = spoil_bytes("\n".join(lines).encode("latin-1"), rng, stop)
            lines = spoilt.decode("latin-1").split("\n")
        path.write_bytes("\n".join(lines).encode("latin-1", "replace") + data[stop:])
        return f"header, {how} at line {line}"

    return way


# JSON ----------------------------------------------------------------------------------------------------------------------------------------------------

def spoil_json(tree: Any, rng: Rng) -> tuple[Any, str]:
    """Spoil one value of a JSON tree."""
    places = list(_places(tree))
    if not places:
        return one(rng, VALUES), "another document"
    holder, key = one(rng, places)
    way = one(rng, ("value", "value", "gone", "number", "twice"))
    value = holder[key]
    if way == "gone":
        del holder[key]
    elif way == "number" and isinstance(value, int | float):
        holder[key] = one(rng, (*INTEGERS, 1.5, -value, value + 1, value * 1000, str(value)))
    elif way == "twice" and isinstance(value, list):
        holder[key] = value * 2
    else:
        holder[key] = one(rng, VALUES)
    return tree, f"{way} of {key}"


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()):
        yield tree, key
        yield from _places(value)


def json_file(path: Path, rng: Rng) -> str:
    """Spoil a JSON file: mostly a value, sometimes its bytes."""
    if rng.random() < 0.2:
        return raw(10_000)(path, rng)
    tree, how = spoil_json(json.loads(path.read_text(encoding="utf-8")), rng)
    path.write_text(json.dumps(tree), encoding="utf-8", errors="surrogatepass")
    return how


# Folders -------------------------------------------------------------------------------------------------------------------------------------------------

def any_file(ways: dict[str, Way]) -> Way:
    """Spoil a file of a folder, in the way that its name's end asks for ("" for any other); or remove it, empty it, or put a folder in its place."""

    def way(folder: Path, rng: Rng) -> str:
        files = sorted(p for p in folder.rglob("*") if p.is_file() and any(p.name.endswith(end) for end in ways))
        kinds = sorted({next(end for end in ways if p.name.endswith(end)) for p in files})
        kind = one(rng, kinds)  # one JSON file counts as much as all the chunks
        path = one(rng, [p for p in files if next(end for end in ways if p.name.endswith(end)) == kind])
        fate = rng.random()
        name = path.relative_to(folder).as_posix()
        if fate < 0.06:
            path.unlink()
            return f"{name} gone"
        if fate < 0.09:
            path.write_bytes(b"")
            return f"{name} empty"
        if fate < 0.11:
            path.unlink()
            path.mkdir()
            return f"{name} a folder"
        if fate < 0.13:
            parent = path.parent if path.parent != folder else path
            shutil.rmtree(parent) if parent.is_dir() else parent.unlink()
            return f"{parent.name} gone"
        if fate < 0.16:
            other = one(rng, files)
            shutil.copyfile(other, path) if other != path else path.unlink()
            return f"{name} is {other.name}"
        return f"{name}: {ways[kind](path, rng)}"

    return way


# DICOM ---------------------------------------------------------------------------------------------------------------------------------------------------

def dicom_element(path: Path, rng: Rng) -> str:
    """Spoil one element of a DICOM file, at any depth."""
    config.settings.writing_validation_mode = config.settings.reading_validation_mode = config.IGNORE
    before = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(path)
        places = [(data, e.tag) for e in data] + [(data.file_meta, e.tag) for e in data.file_meta] + list(_nested(data))
        holder, tag = one(rng, places)
        element = holder[tag]
        how = f"{element.keyword or tag} {element.VR}"
        try:
            how += " " + _spoil_element(holder, element, rng)
            data.save_as(path, enforce_file_format=False)
        except Exception:  # noqa: BLE001  # what pydicom will not write is spoilt byte by byte
            path.write_bytes(before)
            return raw(2000)(path, rng)
    return how


def _nested(data: pydicom.Dataset) -> Iterator[tuple[pydicom.Dataset, Any]]:
    for element in data:
        if element.VR == "SQ":
            for item in element.value:
                yield from ((item, e.tag) for e in item)
                yield from _nested(item)


def _spoil_element(holder: pydicom.Dataset, element: pydicom.DataElement, rng: Rng) -> str:
    if rng.random() < 0.2:
        del holder[element.tag]
        return "gone"
    if element.VR == "SQ":
        items = list(element.value)
        way = one(rng, ("none", "twice", "one", "an empty one", "turned round"))
        holder[element.tag].value = {
            "none": [], "twice": items * 2, "one": items[:1], "an empty one": [pydicom.Dataset(), *items[1:]], "turned round": items[::-1],
        }[way]
        return way
    if element.VR in ("OB", "OW", "UN"):
        value, way = spoil_bytes(bytes(element.value), rng)
        element.value = value + b"\0" * (len(value) % 2)
        return way
    if element.VR in ("US", "UL", "SS", "SL"):
        low, high = {"US": (0, 65535), "UL": (0, 2**32 - 1), "SS": (-32768, 32767), "SL": (-(2**31), 2**31 - 1)}[element.VR]
        value = one(rng, [v for v in (*INTEGERS, 8, 12, 16, 32) if low <= v <= high])
    elif element.VR in ("FD", "FL"):
        value = one(rng, FLOATS)
    else:
        value = one(rng, ELEMENTS)
        plain = "LT" if "\\" not in value and element.VR in ("DS", "IS") else element.VR  # what is no number would not be taken as one
        element = pydicom.DataElement(element.tag, plain, value, validation_mode=config.IGNORE)
        element.VR = holder[element.tag].VR
        holder[element.tag] = element
        return f"= {value!r:.40}"
    element.value = value
    return f"= {value}"


# SQLite --------------------------------------------------------------------------------------------------------------------------------------------------

def sqlite_rows(path: Path, rng: Rng) -> str:
    """Spoil what a database holds: a value, rows, a table; sometimes its bytes."""
    if rng.random() < 0.4:
        return raw(8192)(path, rng)
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        tables = [row[0] for row in base.execute("select name from sqlite_master where type='table' and name not like 'sqlite_%' order by name")]
        base.execute("pragma foreign_keys=off")
        table = one(rng, tables)
        columns = [row[1] for row in base.execute(f'pragma table_info("{table}")')]
        column, way, value = one(rng, columns), one(rng, ("value", "value", "value", "all values", "rows gone", "table gone", "column gone")), one(rng, VALUES)
        value = json.dumps(value) if isinstance(value, list | dict) or (isinstance(value, int) and abs(value) >= 2**63) else value
        try:
            if way == "value":
                base.execute(f'update "{table}" set "{column}" = ? where rowid = (select min(rowid) from "{table}")', (value,))
            elif way == "all values":
                base.execute(f'update "{table}" set "{column}" = ?', (value,))
            elif way == "rows gone":
                base.execute(f'delete from "{table}"')
            else:
                base.execute(f'drop table "{table}"' if way == "table gone" else f'alter table "{table}" drop column "{column}"')
        except (sqlite3.Error, UnicodeEncodeError) as error:  # the schema or a trigger holds
            return f"{table}.{column}: refused ({error})"
    return f"{table}.{column}: {way} {value!r:.40}"
