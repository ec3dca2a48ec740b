"""The manual: every picture and page it names is there and small, and what the program can say is explained."""

import ast
import re
import runpy
from pathlib import Path

import pytest
import typer
from PIL import Image

from napari_medseg.catalogue import Entry
from napari_medseg.cli.app import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "examples" not in path.parts)]
IMAGES = sorted((DOCS / "images").glob("*"))
KILOBYTES, ALL_KILOBYTES = 300, 2500
UPPER = ("COMMAND",)  # stands for any
COMMANDS = typer.main.get_command(app)


def addresses(page):
    """What a page links to or shows, without what lies elsewhere or on the same page."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [found.partition("#")[0] for found in re.findall(r"\]\(([^)\s]+)\)", text) if not found.startswith(("http", "#"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_everything_a_page_names_is_there(page):
    assert not [address for address in addresses(page) if not (page.parent / address).exists()]


def test_every_picture_is_shown_somewhere_and_taken_by_the_script():
    shown = {(page.parent / address).resolve() for page in PAGES for address in addresses(page) if address.endswith(".png")}
    assert shown == {path.resolve() for path in IMAGES}
    taken = runpy.run_path(str(DOCS / "screenshots.py"))["PICTURES"]
    assert {path.stem for path in IMAGES} == {name for names in taken.values() for name in names}


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_a_picture_is_small_and_has_a_palette(path):
    assert path.stat().st_size < KILOBYTES * 1024
    with Image.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "P")


def test_all_pictures_together_are_small():
    assert sum(path.stat().st_size for path in IMAGES) < ALL_KILOBYTES * 1024


def checks():
    """Names of everything `medseg doctor` can tell, also of what only a broken machine makes it tell."""
    tree = ast.parse((ROOT / "napari_medseg" / "cli" / "about.py").read_text(encoding="utf-8"))
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_check"]
    named = {node.args[0].value for node in called if isinstance(node.args[0], ast.Constant)}
    begun = {node.args[0].values[0].value.strip() for node in called if isinstance(node.args[0], ast.JoinedStr)}
    listed = {ast.literal_eval(node.value) for node in ast.walk(tree) if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PACKAGES"}
    return named | begun | {name for names in listed for name in names}


def test_each_check_of_the_doctor_has_its_entry():
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    explained = {name for heading in re.findall(r"^### (.*)$", page, re.MULTILINE) for name in re.findall(r"`([^`]+)`", heading)}
    assert checks() >= {"python", "torch", "Qt binding", "devices", "catalogue entry"}
    assert explained == checks()


def test_each_key_of_a_part_is_explained_on_the_page_of_the_catalogue():
    table = (DOCS / "catalogue.md").read_text(encoding="utf-8").partition("| key |")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(Entry.model_fields)


def shown_commands():
    """Every line of a page that begins with medseg, in a block or in code within the text, once each."""
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for line in [*re.findall(r"^ *(medseg [^\n]*)", text, re.MULTILINE), *re.findall(r"`(medseg [^`]*)`", text)]:
            found.setdefault(line.partition("#")[0].partition("||")[0].strip(" {}"), page.relative_to(ROOT).as_posix())
    return found


@pytest.mark.parametrize("line", shown_commands())
def test_a_command_that_is_shown_is_one_that_there_is(line):
    command = COMMANDS
    words = line.split()[1:]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert not hasattr(command, "commands") or not words or words[0].startswith("-") or words[0] in UPPER, f"no such command in {shown_commands()[line]}"
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"-h", "--help"}
    named = set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", re.sub(r"\"[^\"]*\"|'[^']*'", "", " ".join(words))))
    assert named <= known, f"{sorted(named - known)} in {shown_commands()[line]}"
