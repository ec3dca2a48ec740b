"""torch is loaded beside the window without making it stand still.

Python loads a library with the interpreter's lock held, so that no other thread runs meanwhile, the window's neither: 0.3 to 0.5 s for torch's largest.
The system's own loader, called through ctypes, runs without the lock, and the library is there already when `import torch` asks for it. On Windows torch
itself loads its libraries so.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

ENDS = {"linux": ".so", "darwin": ".dylib"}
FIRST, ALL = "libtorch_global_deps", "libtorch"
"""What torch loads first, seen by all libraries after it; and what all of its own hang on."""


def load() -> None:
    """Import torch, on a thread that the window does not wait for."""
    if "torch" not in sys.modules:
        _settle_scipy()
        _load_libraries()
    import torch  # noqa: F401


def _settle_scipy() -> None:
    """Let scipy find out of every type that comes whether it is a tensor: it does so once for each, and fails where torch is half loaded then.

    Else a NIfTI file could not be saved, nor napari's camera turned, while torch was loaded on another thread.
    """
    from scipy.spatial.transform import Rotation

    for angle in (0, 0.0, [0.0], (0.0,), np.zeros(1), np.int64(0), np.float32(0), np.float64(0)):
        Rotation.from_euler("x", angle)


def _load_libraries() -> bool:
    """Whether they are loaded; where they are not, torch looks for them itself and says what is missing."""
    spec, end = find_spec("torch"), ENDS.get(sys.platform)
    if spec is None or spec.origin is None or end is None:
        return False
    folder = Path(spec.origin).parent / "lib"
    first, every = folder / f"{FIRST}{end}", folder / f"{ALL}{end}"
    if not (first.is_file() and every.is_file()):
        return False
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    return bool(dlopen(os.fsencode(first), os.RTLD_NOW | os.RTLD_GLOBAL) and dlopen(os.fsencode(every), os.RTLD_NOW))
