"""The folder a refinement writes: round1, round2, ..., models/round1, ..., model, rounds.json and, last of all, final.

A round's folder is written under a hidden name and renamed when it is whole, so whatever stops the run leaves the earlier rounds whole and never half a file.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.errors import MedsegError, TrainingError, UnwritableFileError
from napari_medseg.io import write
from napari_medseg.io.atomic import put, replacing
from napari_medseg.refine.cases import Case, read_label_map
from napari_medseg.refine.examples import Word
from napari_medseg.refine.inputs import Inputs
from napari_medseg.refine.trust import locked
from napari_medseg.segmenters.named import MODEL
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:
    from napari_medseg.refine.checkpoint import Checkpoints
    from napari_medseg.refine.method import Model

FINAL, MODELS, RECORD, CHECKPOINT = "final", "models", "rounds.json", "checkpoint"


class RunFolder:
    """Where one run writes.

    Parameters
    ----------
    path : Path
        Made when missing. Results of an earlier run stay until the first round of this one is whole.
    going_on : bool
        Whether what is there belongs to this run.

    Raises
    ------
    UnwritableFileError
        When the folder cannot be made or written to.
    """

    def __init__(self, path: Path, *, going_on: bool = False) -> None:
        self.path = path
        self._fresh = going_on
        try:
            path.mkdir(parents=True, exist_ok=True)
            for left in path.glob(".*.partial"):
                shutil.rmtree(left)
        except OSError as error:
            raise _unwritable(path, error) from error

    def write_labels(self, name: str, cases: Iterable[Case], labels: Mapping[str, LabelArray]) -> None:
        """Write one label map a case, uint8 (z, y, x) under the case's id, into the folder `name`, all or none.

        Raises
        ------
        UnwritableFileError
            When the folder cannot be written.
        """
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
            put(partial, target)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, UnwritableFileError):
                raise
            raise _unwritable(self.path / name, error) from error

    def write_bare(self, number: int, bare: Mapping[str, LabelArray], words: Mapping[str, Word]) -> None:
        """Keep what a round's model says where a person's word stands in the labels that are written, so that a run can go on as if it had not stopped.

        Labels are uint8 (z, y, x) under the case's id.

        Raises
        ------
        UnwritableFileError
            When the disk refuses.
        """
        under = {str(index): bare[name][locked(word.trust)] for index, (name, word) in enumerate(words.items())}
        with replacing(self._under(number)) as part, part.open("wb") as file:
            np.savez_compressed(file, **under)  # type: ignore[arg-type]

    def read_bare(self, number: int, inputs: Inputs) -> dict[str, LabelArray]:
        """A finished round's labels as its model made them, uint8 (z, y, x) under the case's id.

        Raises
        ------
        TrainingError
            When they are not there any more, or are damaged.
        """
        bare = {}
        try:
            with np.load(self._under(number), allow_pickle=False) as under:
                for index, case in enumerate(inputs.cases):
                    bare[case.id] = np.array(read_label_map(self.path / f"round{number}" / case.file_name, case.image).channel())
                    bare[case.id][locked(inputs.words[case.id].trust)] = under[str(index)]
        except (MedsegError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise TrainingError(f"what round {number} left cannot be read", where=self.path, todo="Start the refinement again") from error
        return bare

    def model_of(self, number: int) -> Path:
        """Where a round's model lies."""
        return self.path / MODELS / f"round{number}" / "model.safetensors"

    def _under(self, number: int) -> Path:
        return self.model_of(number).with_name("under.npz")

    def write_model(self, model: Model, facts: Mapping[str, Any], number: int | None = None) -> Path:
        """Write the model of a round, or the chosen one, with its plan; gives the file."""
        return model.save(self.path / MODEL if number is None else self.path / MODELS / f"round{number}", facts)

    def checkpoints(self) -> Checkpoints:
        """Where a round that is learning saves itself."""
        from napari_medseg.refine.checkpoint import Checkpoints

        folder = self.path / CHECKPOINT
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error
        return Checkpoints(folder)

    def end(self) -> None:
        """Nothing is left to go on with."""
        shutil.rmtree(self.path / CHECKPOINT, ignore_errors=True)

    def read_record(self) -> dict[str, Any]:
        """What rounds.json holds; empty without one that is whole."""
        try:
            found = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write rounds.json: what was done and how it came out."""
        with replacing(self.path / RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")

    def _forget_earlier_run(self) -> None:
        self._fresh = True
        for old in self.path.iterdir():
            if old.is_dir() and (old.name in (FINAL, MODEL, MODELS) or re.fullmatch(r"round\d+", old.name)):
                shutil.rmtree(old)
        (self.path / RECORD).unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> UnwritableFileError:
    return UnwritableFileError(f"cannot be written ({error.strerror or error})", where=path, todo="Check the folder's permissions and free space")
