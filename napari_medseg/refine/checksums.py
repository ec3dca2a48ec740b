"""Checksums that say which labels and which model something was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from napari_medseg.refine.method import Example
from napari_medseg.volume import Array


def array_sha256(*arrays: Array) -> str:
    """Of dtype, shape and values, in order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def labels_sha256(examples: Iterable[Example]) -> str:
    """Of the labels and trust of examples, in order."""
    return hashlib.sha256("".join(array_sha256(one.labels, one.trust) for one in examples).encode()).hexdigest()
