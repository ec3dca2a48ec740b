"""Errors are one line in a person's words, builtins to others, and survive a trip between processes."""

import inspect
import pickle
from pathlib import Path

import pytest

from napari_medseg import errors
from napari_medseg.errors import GridMismatchError, MedsegError, MissingFileError, UnreadableFileError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, MedsegError)]


def test_an_error_reads_where_what_and_what_to_do():
    error = UnreadableFileError("is cut short (read 3.1 of 17.9 MB)", where=Path("/data/scan.nii.gz"), todo="Copy it again")
    assert str(error) == "scan.nii.gz: is cut short (read 3.1 of 17.9 MB). Copy it again."
    assert (error.what, error.where, error.todo) == ("is cut short (read 3.1 of 17.9 MB)", "scan.nii.gz", "Copy it again")


def test_where_and_what_to_do_may_be_missing():
    assert str(MedsegError("it rains")) == "it rains."


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_comes_back_whole_from_another_process(kind):
    error = pickle.loads(pickle.dumps(kind("what", where="where", todo="todo")))
    assert type(error) is kind
    assert (error.what, error.where, error.todo) == ("what", "where", "todo")
    assert str(error) == "where: what. todo."


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not MedsegError])
def test_every_error_is_a_builtin_too(kind):
    assert issubclass(kind, (OSError, ValueError, ImportError, RuntimeError, MemoryError))


def test_those_who_know_only_builtins_still_catch_it():
    with pytest.raises(FileNotFoundError):
        raise MissingFileError("there is no such file")
    with pytest.raises(ValueError, match="grid"):
        raise GridMismatchError("lies on another grid")
