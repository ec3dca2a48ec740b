"""Nothing stops the window to ask: what asks lies in a dock, and what is done can be undone. File dialogs of the system are all that is allowed."""

import ast
from pathlib import Path

import pytest

import napari_medseg

SOURCES = sorted(Path(napari_medseg.__file__).parent.joinpath("gui").glob("*.py"))
STOPS = {"exec", "exec_", "setWindowModality", "QMessageBox", "QInputDialog", "QProgressDialog"}
ASKS_FOR_A_FILE = {"getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory"}


def words(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setModal":
            yield "setModal(True)" if not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value is False) else "setModal(False)"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_dock_opens_nothing_that_stops_the_window(path):
    found = set(words(path))
    assert not found & (STOPS | {"setModal(True)"})


def test_the_windows_that_ask_are_the_system_s_for_files():
    assert sum(bool(set(words(path)) & ASKS_FOR_A_FILE) for path in SOURCES) >= 3
