"""Where a training saves what it needs to go on after a crash, a full disk or a night without power.

One safetensors file with JSON in its metadata, so that nothing in it can run code; it is put in place whole or not at all, and a checksum tells a damaged
one.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from napari_medseg.errors import TrainingError
from napari_medseg.io.atomic import replacing

NAME = "checkpoint.safetensors"
KEY, SUM = "medseg.checkpoint", "medseg.crc32"


class Checkpoints:
    """The last checkpoint of a run.

    Parameters
    ----------
    folder : Path
        Must exist.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Replace the checkpoint by tensors of any shape and facts that JSON can hold; the one before stays until this one is whole.

        Raises
        ------
        UnwritableFileError
            When the disk refuses; the one before is untouched.
        """
        held = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        data = save_tensors(held, metadata={KEY: json.dumps(dict(facts), allow_nan=False), SUM: _checksum(held)})
        with replacing(self.path) as part:
            part.write_bytes(data)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and facts of the last checkpoint; None when there is none.

        Raises
        ------
        TrainingError
            When the file is damaged.
        """
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}
            if metadata[SUM] == _checksum(tensors):
                return tensors, json.loads(metadata[KEY])
            error: Exception | None = None
        except (SafetensorError, OSError, ValueError, KeyError) as found:
            error = found
        raise TrainingError("is cut short or damaged", where=self.path, todo="Delete it; the run then starts this round anew") from error

    def clear(self) -> None:
        """Forget the checkpoint; the round it belongs to is done."""
        self.path.unlink(missing_ok=True)


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    crc = 0
    for name in sorted(tensors):
        crc = zlib.crc32(name.encode(), crc)
        if tensors[name].numel():
            crc = zlib.crc32(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data, crc)
    return f"{crc:08x}"
