"""Checkpoints a person brings, read without running anything in them.

A torch checkpoint is a pickle, and a pickle can name any function to call. torch's `weights_only` unpickler knows tensors and plain containers and
refuses every other name; nnU-Net and others also keep numpy numbers in theirs, so these few names are let through here. Nothing else is, whatever a
person agrees to: weights need no code.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import collections
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor

from napari_medseg.errors import MissingFileError, SegmenterError

TODO = "Get the file again, from a source you trust; a model as safetensors or TorchScript needs no such file"
DAMAGED = "is no checkpoint of plain weights, or is cut short or damaged"
WEIGHTS = ("network_weights", "state_dict", "model_state_dict", "model", "net", "network")
"""Where programs keep the weights inside a checkpoint: nnU-Net, Lightning, MONAI and others."""

_RECONSTRUCT: Callable[..., Any] = multiarray._reconstruct
_SCALAR: Callable[..., Any] = multiarray.scalar
ALLOWED: list[Any] = [
    np.ndarray, np.dtype, *(type(np.dtype(code)) for code in "?bBhHiIlLqQefdFDSU"), collections.defaultdict,
    (_RECONSTRUCT, "numpy.core.multiarray._reconstruct"), (_RECONSTRUCT, "numpy._core.multiarray._reconstruct"),
    (_SCALAR, "numpy.core.multiarray.scalar"), (_SCALAR, "numpy._core.multiarray.scalar"),
]


def load_checkpoint(path: str | Path) -> Any:
    """Read what `torch.save` wrote: tensors, numbers, texts, numpy arrays and containers of them.

    Parameters
    ----------
    path : path

    Returns
    -------
    Any
        The object, its tensors on the processor.

    Raises
    ------
    MissingFileError
        When there is no such file.
    SegmenterError
        When it names anything else (says what), is something else, cut short, damaged, or would unpack to more than it is.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError("there is no such file", where=file, todo="Check the path")
    _check_archive(file)
    try:
        with torch.serialization.safe_globals(ALLOWED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch and numpy speak of old formats; nothing a person can act on
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SegmenterError(_refusal(str(error)), where=file, todo=TODO) from error
    except OSError as error:
        raise SegmenterError(f"cannot be read ({error.strerror or 'cut short'})", where=file, todo=TODO) from error
    except MemoryError as error:
        raise SegmenterError("asks for more memory than there is", where=file, todo=TODO) from error
    except Exception as error:  # bytes of any kind may make an unpickler raise anything
        raise SegmenterError(DAMAGED, where=file, todo=TODO) from error


def weights_in(checkpoint: Any, where: str | Path) -> dict[str, Tensor]:
    """The network's weights, wherever the program that wrote the checkpoint keeps them.

    Parameters
    ----------
    checkpoint : object from `load_checkpoint`
    where : str or Path
        Named in errors.

    Returns
    -------
    dict of name to tensor
        Without the prefixes that wrappers add ("module.", "_orig_mod.").

    Raises
    ------
    SegmenterError
        When no weights are found.
    """
    for name in (None, *WEIGHTS):
        found = checkpoint if name is None else checkpoint.get(name) if isinstance(checkpoint, Mapping) else None
        if isinstance(found, Mapping) and found and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items()):
            return {re.sub(r"^(module\.|_orig_mod\.)+", "", key): value for key, value in found.items()}
    raise SegmenterError("holds no weights of a network", where=where, todo="Choose the file with the model's state_dict")


def load_into(network: torch.nn.Module, weights: Mapping[str, Tensor], where: str | Path) -> None:
    """Put weights into a network, all of them.

    Raises
    ------
    SegmenterError
        When names or shapes do not fit; names the first that does not.
    """
    try:
        network.load_state_dict(dict(weights))
    except (RuntimeError, TypeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
        told = f" ({lines[0][:160].rstrip('. ')})" if lines else ""
        raise SegmenterError(f"holds weights that do not fit the network{told}", where=where, todo="Choose the weights that belong to this network") from error


def _check_archive(file: Path) -> None:
    """What `torch.save` writes is stored as it is, so parts that are packed, or larger than the file together, are a trap."""
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # an older checkpoint, or none at all: torch says which
    if any(part.filename.endswith("/constants.pkl") for part in parts):
        raise SegmenterError("is a TorchScript model, not a checkpoint", where=file, todo="Choose it as a TorchScript model")
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or sum(part.file_size for part in parts) > file.stat().st_size:
        raise SegmenterError("unpacks to more than a checkpoint of its size holds", where=file, todo=TODO)


def _refusal(message: str) -> str:
    named = re.search(r"GLOBAL ([\w.]*\w)", message)
    if named is not None:
        return f"is refused: it wants to use {named.group(1)}, and a checkpoint that names code could run it"
    return DAMAGED
