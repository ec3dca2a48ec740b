"""TorchScript: a network with its code in one file, as `torch.jit.save` writes it.

The file is opened by `torch.jit.load` alone, never by `torch.load`, so nothing in it is unpickled by Python. Its code is run by torch's own interpreter,
which knows tensors and little else, but it is its author's code: take models from people you trust.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from napari_medseg.errors import MissingFileError, SegmenterError
from napari_medseg.segmenters.engines.described import DescribedSegmenter, Network
from napari_medseg.segmenters.engines.description import describe

EXPORT = 'Save it with `torch.jit.save(torch.jit.trace(network, example), "model.pt")`'
PICKLE = b"\x80"


class TorchScriptSegmenter(DescribedSegmenter):
    """A TorchScript file.

    Parameters
    ----------
    model : path
    description : path, optional
        JSON or YAML; else the form, else the file beside the model.
    **form
        Answers to the form; see `description.from_form`.

    Raises
    ------
    MissingFileError, UnreadableFileError, InvalidInputError
        When the file or its description is not there, or is no such thing.
    SegmenterError
        When the file is no TorchScript; says what it is instead.
    """

    def __init__(self, model: str | Path, description: str | Path | None = None, **form: Any) -> None:
        model = Path(model)
        refuse_other_files(model)
        super().__init__(model, describe(model, Path(description) if description else None, form), "TorchScript")

    def open(self, device: str) -> Network:
        """Load it with `torch.jit.load`; raises as `DescribedSegmenter.open` does."""
        import torch

        from napari_medseg.segmenters.engines.torch_network import TorchNetwork

        try:
            network = torch.jit.load(self.model, map_location="cpu")  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError, OSError) as error:
            todo = "Copy it again, or save it with this torch's version"
            raise SegmenterError("is no TorchScript that torch can load", where=self.model, todo=todo) from error
        return TorchNetwork(network, device, self.title, self.description.output.take, self.description.input.batch)


def refuse_other_files(path: Path) -> None:
    """Look at a file's outside before torch opens it.

    Raises
    ------
    MissingFileError
        When it is not there.
    SegmenterError
        When it is a pickle, a checkpoint of weights, another zip, or cut short.
    """
    if not path.is_file():
        raise MissingFileError("there is no such file", where=path, todo="Check the path")
    with path.open("rb") as file:
        start = file.read(2)
    if start[:1] == PICKLE:
        raise SegmenterError("is a Python pickle, which may hold any code, and no TorchScript; it was not opened", where=path, todo=EXPORT)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        what = "is cut short or damaged" if start == b"PK" else "is no TorchScript"
        raise SegmenterError(what, where=path, todo="Copy it again from the source" if start == b"PK" else EXPORT) from error
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return
    if "data.pkl" in names:
        todo = f"{EXPORT}, or use it with the engine My own PyTorch module"
        raise SegmenterError("holds weights without a network (torch.save), and no TorchScript", where=path, todo=todo)
    raise SegmenterError("is an archive of another kind, and no TorchScript", where=path, todo=EXPORT)
