"""docs/cli.md shows real answers: each command in it, run on a small study, gives every key that is shown."""

import json
import re
import shutil
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```\nmedseg (.+?) --json\n(\{.+?\})\n```", PAGE)


def keys(value, path=""):
    if isinstance(value, dict):
        return {f"{path}.{key}" for key in value} | set().union(*(keys(item, f"{path}.{key}") for key, item in value.items()), set())
    return set().union(*(keys(item, path) for item in value), set()) if isinstance(value, list) else set()


def test_the_page_shows_every_command_that_needs_no_network():
    assert len(SHOWN) == 8


@pytest.mark.parametrize(("command", "answer"), SHOWN, ids=[command.partition(".")[0] for command, _ in SHOWN])
def test_an_answer_holds_every_key_the_page_shows(medseg, study, command, answer):
    for name in ("weak", "slices"):
        shutil.copy(study.truth, study.folder / f"{name}.nii.gz")
    given = medseg(*command.split(), "--json").answer
    assert keys(json.loads(answer)) <= keys(given)
