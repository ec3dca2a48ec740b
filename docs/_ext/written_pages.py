"""Parts of pages that are written from the product itself while the site is built, so that they cannot go stale.

A page says where with a line `<!-- written: NAME -->`; `WRITERS` has the names. What comes in its place is Markdown like the rest of the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
import yaml

import napari_medseg
from napari_medseg.catalogue import Catalogue, Entry, load
from napari_medseg.cli.app import app
from napari_medseg.gui.key_table import INFORMATION, TABLE, spelt

PLACE = re.compile(r"^<!-- written: ([a-z-]+) -->$", re.MULTILINE)
KINDS = (
    ("segmenter", "Segmenters"), ("weaklabel", "Weak-label tools"), ("recipe", "Recipes of refinement"), ("network", "Networks to train"), ("loss", "Losses"),
)
WORDS = {
    "list[str]": "text", "list[Path]": "path", "list[path]": "path", "<str>": "<text>", "float range": "number", "int range": "whole number",
    "<float>": "<number>", "<int>": "<whole number>",
}


def commands() -> str:
    """Every command with its arguments and options, from the program itself."""
    return "\n\n".join(_command(name, command) for name, command in _all("medseg", typer.main.get_command(app)))


def catalogue() -> str:
    """Every part that ships, shelf by shelf."""
    found = load()
    return "\n\n".join(f"## {title}\n\n{_shelf(found, kind)}" for kind, title in KINDS)


def keys() -> str:
    """The window's keys, under the headings of its own sheet."""
    rows: dict[str, list[str]] = {}
    for each in (*TABLE, *INFORMATION):
        rows.setdefault(each.where, ["| key | does |", "|---|---|"]).append(f"| {_cell(spelt(each.key))} | {_cell(each.words)} |")
    return "\n\n".join(f"## {where}\n\n" + "\n".join(lines) for where, lines in rows.items())


def preferences() -> str:
    """What napari's preferences ask, page by page, from the manifest."""
    manifest = yaml.safe_load((Path(napari_medseg.__file__).parent / "napari.yaml").read_text(encoding="utf-8"))
    pages = manifest["contributions"]["configurations"]
    return "\n\n".join(_page(page["title"], page["properties"].values()) for page in (pages.values() if isinstance(pages, dict) else pages))


WRITERS: dict[str, Callable[[], str]] = {"commands": commands, "catalogue": catalogue, "keys": keys, "preferences": preferences}


def write_into(text: str) -> str:
    """A page's text with everything that is to be written in it."""
    return PLACE.sub(lambda place: WRITERS[place[1]](), text)


def plain(lines: list[str]) -> list[str]:
    """A docstring's lines with | and * that are meant as such: ours are plain English, with code in backticks and after a double colon."""
    done, code_from = [], None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if code_from is not None and line.strip() and indent <= code_from:
            code_from = None
        if code_from is None and "`" not in line:
            line = re.sub(r"(?<!\\)([|*])", r"\\\1", line)
        if code_from is None and line.rstrip().endswith("::"):
            code_from = indent
        done.append(line)
    return done


def setup(sphinx: Any) -> dict[str, bool]:
    """Take part in a build."""

    def on_source_read(_: Any, __: str, source: list[str]) -> None:
        source[0] = write_into(source[0])

    def on_docstring(_: Any, __: str, ___: str, ____: Any, _____: Any, lines: list[str]) -> None:
        lines[:] = plain(lines)

    sphinx.connect("source-read", on_source_read)
    sphinx.connect("autodoc-process-docstring", on_docstring, priority=400)  # before napoleon writes its own marks
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _all(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    if not below:
        yield name, command
    for each in sorted(below):
        yield from _all(f"{name} {each}", below[each])


def _command(name: str, command: Any) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    told = [part.strip() for part in (command.help or "").split("\n\n")]
    examples = [part.removeprefix("Example: ") for part in told if part.startswith("Example: ")]
    parts = [f"## {name}", *(" ".join(part.split()) for part in told if part and not part.startswith("Example: "))]
    records = [record for each in command.params if (record := each.get_help_record(context)) is not None]
    if records:
        parts.append("\n".join(["| argument, option | |", "|---|---|", *(f"| `{_typed(left)}` | {_cell(right)} |" for left, right in records)]))
    if examples:
        parts.append("```text\n" + "\n".join(" ".join(one.split()) for one in examples) + "\n```")
    return "\n\n".join(parts)


def _page(title: str, asked: Iterable[dict[str, Any]]) -> str:
    rows = (f"| {_cell(one['title'])} | {_cell(one.get('description', ''))} | {_default(one['default'])} |" for one in asked)
    return "\n".join([f"**{title}**", "", "| | what it does | at first |", "|---|---|---|", *rows])


def _default(value: Any) -> str:
    return {True: "on", False: "off", "": ""}.get(value, str(value)) if isinstance(value, bool | str) else str(value)


def _shelf(found: Catalogue, kind: Any) -> str:
    return "\n".join(["| id | what it is | takes | modality | needs | licence |", "|---|---|---|---|---|---|", *map(_part, found.of_kind(kind))])


def _part(entry: Entry) -> str:
    needs = ", ".join(f"`{pip}`" for pip in entry.requires.values()) or "nothing"
    what = f"**{_cell(entry.title)}**. {_cell(entry.summary)}"
    return f"| {' | '.join([f'`{entry.id}`', what, _takes(entry), ', '.join(entry.modalities) or 'any', needs, _cell(entry.licence)])} |"


def _takes(entry: Entry) -> str:
    if entry.kind == "network":
        return " and ".join(f"{dims}D" for dims in entry.capabilities.get("dims", (2, 3)))
    if entry.kind == "loss":
        return ", ".join(f"`{name}`" for name in entry.parameters) or "no setting"
    taken = [*entry.capabilities.get("prompts", ()), *entry.capabilities.get("takes", ())]
    asked = [ask.name for ask in entry.asks if ask.required]
    return ", ".join([*taken, *(f"asks for `{name}`" for name in asked)]) or "the scan alone"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _typed(record: str) -> str:
    """An option as a person writes it: within code, so `<` stays, and Python's names of types become words."""
    for python, word in WORDS.items():
        record = record.replace(python, word)
    return " ".join(record.split()).replace("|", "\\|")
