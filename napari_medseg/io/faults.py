"""Whatever bytes do to a parser becomes one typed line that names the file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
from isal import isal_zlib

from napari_medseg.errors import InvalidInputError, MedsegError, NoRoomError, UnreadableFileError

SEND_AGAIN = "Copy or export it again"
DAMAGED = (EOFError, zlib.error, cast(type[Exception], isal_zlib.error))
NOT_UNDERSTOOD = (ValueError, KeyError, IndexError, TypeError, ArithmeticError, AttributeError, struct.error)


@contextmanager
def typed(path: Path) -> Iterator[None]:
    """Turn what parsing raises into an UnreadableFileError.

    Parameters
    ----------
    path : Path
        What the user named.

    Raises
    ------
    UnreadableFileError
        The header makes no sense, packed data are damaged, or the system refuses the file. Errors of ours pass.
    NoRoomError
        When memory runs out.
    """
    try:
        with np.errstate(all="ignore"):  # numbers that cannot be are looked for, not warned of
            yield
    except InvalidInputError as error:  # a grid or a class that cannot be
        raise UnreadableFileError(error.what, where=path, todo=error.todo) from error
    except MedsegError:
        raise
    except MemoryError as error:
        raise NoRoomError("needs more memory than is free", where=path, todo="Close other programs, or crop the scan first") from error
    except DAMAGED as error:
        raise UnreadableFileError("is cut short or damaged: it cannot be unpacked", where=path, todo=SEND_AGAIN) from error
    except OSError as error:
        if error.errno is None:  # what libraries say of bytes, not the system of the disk
            raise UnreadableFileError("is cut short or damaged", where=path, todo=SEND_AGAIN) from error
        raise UnreadableFileError(f"cannot be read ({error.strerror or error})", where=path, todo="Check the disk and the file's permissions") from error
    except NOT_UNDERSTOOD as error:
        raise UnreadableFileError("has a header that cannot be understood", where=path, todo=SEND_AGAIN) from error


def mb(size: int) -> str:
    """Bytes in MB with three digits."""
    return f"{size / 1e6:.1f}" if size >= 1_000_000 else f"{size / 1e6:.3g}"
