"""A person's own PyTorch module: a Python file, the name of a class in it, and its weights.

The Python file is run as it is, with all that Python may do, so this engine asks first and remembers the answer for exactly that file (`consent`). It must
stand on its own: nothing is added to Python's path, so it can import installed packages but no files beside it, which nobody would have agreed to.
Weights come as safetensors or as a checkpoint that `safe_load` reads; they run nothing.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError
from napari_medseg.segmenters import consent
from napari_medseg.segmenters.engines.described import DescribedSegmenter, Network
from napari_medseg.segmenters.engines.description import describe

if TYPE_CHECKING:
    from torch import Tensor, nn

REASON = "its Python code runs with all your rights"


class OwnModuleSegmenter(DescribedSegmenter):
    """A class in a Python file with weights.

    Parameters
    ----------
    model : path
        The weights: .safetensors, or what `torch.save` wrote.
    code : path
        The Python file.
    class_name : str
        A `torch.nn.Module` in it.
    arguments : str, optional
        Keywords of the class as JSON, such as `{"channels": 16}`.
    trust : bool or None
        Whether the person agrees that the Python file is run; remembered.
    description : path, optional
        JSON or YAML; else the form, else the file beside the weights.
    **form
        Answers to the form; see `description.from_form`.

    Raises
    ------
    MissingFileError, UnreadableFileError, InvalidInputError
        When a file or the description is not there, or is no such thing.
    SegmenterError
        When nobody has agreed to this very file.
    """

    def __init__(
        self, model: str | Path, code: str | Path, class_name: str, arguments: str = "", trust: bool | None = None,
        description: str | Path | None = None, **form: Any,
    ) -> None:
        model, self.code, self.class_name = Path(model), Path(code), class_name
        for file in (model, self.code):
            if not file.is_file():
                raise MissingFileError("there is no such file", where=file, todo="Check the path")
        self.arguments = _keywords(arguments)
        consent.require(self.code, REASON, trust)
        super().__init__(model, describe(model, Path(description) if description else None, form), class_name)

    def open(self, device: str) -> Network:
        """Run the file, make the class, put the weights in."""
        from napari_medseg.segmenters.engines.torch_network import TorchNetwork
        from napari_medseg.segmenters.safe_load import load_into

        network = self._made()
        load_into(network, read_weights(self.model), self.model)
        return TorchNetwork(network, device, self.title, self.description.output.take, self.description.input.batch)

    def _made(self) -> nn.Module:
        from torch import nn

        source = consent.read(self.code, REASON)  # it may have changed since
        kind = getattr(_run(self.code, source), self.class_name, None)
        if not (inspect.isclass(kind) and issubclass(kind, nn.Module)):
            todo = "Give the name of a class made from torch.nn.Module"
            raise SegmenterError(f"holds no PyTorch module named '{self.class_name}'", where=self.code, todo=todo)
        try:
            return kind(**self.arguments)
        except Exception as error:
            what = f"{self.class_name} could not be made ({type(error).__name__}: {error})"
            raise SegmenterError(what, where=self.code, todo="Correct the arguments, or the class") from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Weights by name, from safetensors or a checkpoint.

    Raises
    ------
    SegmenterError
        When the file is neither, is damaged, or holds more than weights.
    """
    from napari_medseg.segmenters.safe_load import load_checkpoint, weights_in

    if path.suffix.lower() != ".safetensors":
        return weights_in(load_checkpoint(path), path)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return weights_in(load_file(path), path)
    except (SafetensorError, OSError, ValueError) as error:
        raise SegmenterError("is no safetensors file, or is cut short", where=path, todo="Copy it again from the source") from error


def _run(path: Path, source: bytes) -> ModuleType:
    """What a file holds as a module of its own name; run again whenever it changed."""
    name = f"napari_medseg_own_{hashlib.sha256(source).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses and pickling look there
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception):
            raise
        raise SegmenterError(f"could not be run ({type(error).__name__}: {error})", where=path, todo="Run it in Python and correct it") from error
    return module


def _keywords(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise InvalidInputError(f"the arguments are not JSON ({error})", where="arguments", todo='Write them as {"channels": 16}') from error
    if not isinstance(found, dict):
        raise InvalidInputError("the arguments are no names with values", where="arguments", todo='Write them as {"channels": 16}')
    return found
