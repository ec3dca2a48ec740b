"""What messages and the manual tell a person to type is a command that there is, with options that it has."""

import re
from pathlib import Path

import typer

import napari_medseg
from napari_medseg.cli.app import app

HOUSE = Path(napari_medseg.__file__).parent
TYPED = re.compile(r"(?:`|Example: |^ *(?:MEDSEG_TOKEN=\S+ )?)medseg ([a-z][^`\n]*)", re.MULTILINE)


def faults(text, command):
    """What of a line is no command and no option of one."""
    words = re.split(r"[^\w-]+", text)
    while words and getattr(command, "commands", None):
        word = words.pop(0)
        if not re.fullmatch("[a-z-]+", word):
            return []  # a family of commands, named as such
        if word not in command.commands:
            return [word]
        command = command.commands[word]
    options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    return [word for word in words if word.startswith("--") and word not in options]


def test_every_command_that_a_message_or_the_manual_names_is_there():
    top, pages = typer.main.get_command(app), [*HOUSE.rglob("*.py"), *(HOUSE.parent / "docs").rglob("*.md"), HOUSE.parent / "README.md"]
    typed = [(page.name, text) for page in pages for text in TYPED.findall(page.read_text(encoding="utf-8"))]
    assert len(typed) > 200
    assert (faults("project relocate", top), faults("convert A B --lik C", top)) == (["relocate"], ["--lik"])
    assert [(page, text, found) for page, text in typed if (found := faults(text, top))] == []
