"""The folder a refinement writes: round1, round2, ..., model, rounds.json and, last of all, final.

A round's folder is written under a hidden name and renamed when it is whole, so whatever stops the run leaves the earlier rounds whole and never half a file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import UnwritableFileError
from napari_medseg.io import write
from napari_medseg.refine.cases import Case
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:
    from napari_medseg.segmenters.unet import UNet

FINAL, MODEL, RECORD = "final", "model", "rounds.json"


class RunFolder:
    """Where one run writes.

    Parameters
    ----------
    path : Path
        Made when missing. Results of an earlier run stay until the first round of this one is whole.

    Raises
    ------
    UnwritableFileError
        When the folder cannot be made or written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fresh = False
        try:
            path.mkdir(parents=True, exist_ok=True)
            for left in path.glob(".*.partial"):
                shutil.rmtree(left)
        except OSError as error:
            raise _unwritable(path, error) from error

    def write_labels(self, name: str, cases: Iterable[Case], labels: Mapping[str, LabelArray]) -> None:
        """Write one label map a case into the folder `name`, all or none."""
        partial = self.path / f".{name}.partial"
        try:
            partial.mkdir()
            for case in cases:
                write(case.labels.like(labels[case.id]), partial / case.file_name)
            if not self._fresh:
                self._forget_earlier_run()
            target = self.path / name
            if target.exists():
                shutil.rmtree(target)
            os.replace(partial, target)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, UnwritableFileError):
                raise
            raise _unwritable(self.path / name, error) from error

    def write_model(self, network: UNet, plan: dict[str, Any]) -> Path:
        """Write the network into `model`; gives the file."""
        from napari_medseg.segmenters.weights import save_model

        return save_model(self.path / MODEL, network, plan)

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write rounds.json: what was done and how it came out."""
        from napari_medseg.io.atomic import replacing

        with replacing(self.path / RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")

    def _forget_earlier_run(self) -> None:
        self._fresh = True
        for old in self.path.iterdir():
            if old.is_dir() and (old.name in (FINAL, MODEL) or re.fullmatch(r"round\d+", old.name)):
                shutil.rmtree(old)
        (self.path / RECORD).unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> UnwritableFileError:
    return UnwritableFileError(f"cannot be written ({error.strerror or error})", where=path, todo="Check the folder's permissions and free space")
