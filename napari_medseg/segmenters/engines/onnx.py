"""ONNX: a network exported to the exchange format, run by onnxruntime.

An ONNX file holds a graph of named operators and no code. Weights files it names must lie beside it (`onnx_files`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.catalogue import install_hint
from napari_medseg.errors import MissingFileError, SegmenterError, UnavailableError
from napari_medseg.segmenters.engines.described import DescribedSegmenter, Network
from napari_medseg.segmenters.engines.description import HELP, Description, describe
from napari_medseg.segmenters.engines.onnx_files import refuse_outside_files
from napari_medseg.volume import FloatArray

CARD, PROCESSOR = "CUDAExecutionProvider", "CPUExecutionProvider"
FULL = "the graphics card ran out of memory, going on with the processor"
OPERATORS = (r"([\w.:]+)\(-?\d+\) is not a registered", r"No Op registered for (\w+)", r"implementation for (\w+)")
ERRORS_ONLY = 4  # onnxruntime's log level for what is fatal; all else is raised
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class OnnxSegmenter(DescribedSegmenter):
    """An ONNX file.

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
        When the file is no ONNX model, or wants to read files outside its folder.
    """

    def __init__(self, model: str | Path, description: str | Path | None = None, **form: Any) -> None:
        model = Path(model)
        if not model.is_file():
            raise MissingFileError("there is no such file", where=model, todo="Check the path")
        refuse_outside_files(model)
        super().__init__(model, describe(model, Path(description) if description else None, form), "ONNX")

    def open(self, device: str) -> Network:
        """Start an onnxruntime session."""
        return OnnxNetwork(self.model, self.description, device, self.title)


class OnnxNetwork:
    """A model in an onnxruntime session.

    Raises
    ------
    SegmenterError
        When onnxruntime refuses the file (unknown operators, damage), or its input or answer is not as described.
    UnavailableError
        When a graphics card is asked for that this onnxruntime cannot use.
    """

    def __init__(self, model: Path, description: Description, device: str, title: str) -> None:
        self.note = ""
        self._model, self._title, self._take = model, title, description.output.take
        self._may_move = device == "auto"
        self._session = self._start(_providers(device, title))
        self._input, self._type, fixed = self._one_input(description)
        self._output = self._chosen_output()
        self._rows = fixed
        self.batch = fixed or description.input.batch

    def __call__(self, windows: FloatArray) -> FloatArray:
        """Windows in, maps out; see `described.Network`."""
        count = len(windows)
        if self._rows and count < self._rows:
            windows = np.concatenate([windows, np.repeat(windows[-1:], self._rows - count, axis=0)])
        answer = self._run(np.ascontiguousarray(windows, dtype=self._type))
        if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "fiub":
            raise SegmenterError("the model answered with something that is no map", where=self._title, todo="Use another model, or correct `take`")
        maps = np.asarray(answer[:count] if answer.ndim else answer, dtype=np.float32)
        if not np.isfinite(maps).all():
            raise SegmenterError("the model answered with values that are no numbers (NaN)", where=self._title, todo="Use another model; this one is damaged")
        return maps

    def _run(self, windows: FloatArray) -> object:
        try:
            return self._session.run([self._output], {self._input: windows})[0]
        except _faults() as error:
            if "allocate" in str(error).lower() and self._may_move and self._session.get_providers()[0] == CARD:
                self.note, self._may_move = FULL, False
                self._session = self._start([PROCESSOR])
                return self._run(windows)
            if "allocate" in str(error).lower():
                todo = "Choose the device cpu, or a smaller window"
                raise SegmenterError("there is not enough memory for this scan", where=self._title, todo=todo) from error
            raise SegmenterError(f"the model failed on this scan ({_short(error)})", where=self._title, todo=f"Check its description. {HELP}") from error

    def _start(self, providers: list[Any]) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        try:
            return onnxruntime.InferenceSession(str(self._model), sess_options=options, providers=providers)
        except _faults() as error:
            text = str(error)
            if any(sign in text for sign in ("is not a registered function/op", "NOT_IMPLEMENTED", "Could not find an implementation", "No Op registered")):
                todo = "Export it with the standard operators (opset 21 or lower), or install a newer onnxruntime"
                what = f"uses operators that this onnxruntime does not know ({_operator(text) or _short(error)})"
                raise SegmenterError(what, where=self._title, todo=todo) from error
            raise SegmenterError(f"is no ONNX model that onnxruntime can load ({_short(error)})", where=self._title, todo="Export it again") from error

    def _one_input(self, description: Description) -> tuple[str, Any, int]:
        """Name and type of the input, and how many windows it takes at once (0: any)."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            what = f"takes {len(inputs)} inputs ({', '.join(i.name for i in inputs)}), and an image is one"
            raise SegmenterError(what, where=self._title, todo="Export it with one input")
        found, wanted = inputs[0], description.input
        if found.type not in TYPES:
            raise SegmenterError(f"takes {found.type}, not an image of numbers", where=self._title, todo="Export it with a float input")
        window = wanted.size[1:] if wanted.dims == 2 else wanted.size
        asked = (wanted.channels, *(window[::-1] if wanted.axes == "xyz" else window))
        shape = list(found.shape)
        known = [n if isinstance(n, int) and n > 0 else None for n in shape]
        if len(shape) != len(asked) + 1 or any(n is not None and n != a for n, a in zip(known[1:], asked, strict=True)):
            what = f"takes an input of {_by(shape)}, and its description says {_by(['any', *asked])} (windows, channels, {wanted.axes})"
            raise SegmenterError(what, where=self._title, todo="Correct window, channels or axes in its description")
        return found.name, TYPES[found.type], known[0] or 0

    def _chosen_output(self) -> str:
        names = [output.name for output in self._session.get_outputs()]
        if isinstance(self._take, str) and self._take in names:
            return self._take
        if isinstance(self._take, int) and -len(names) <= self._take < len(names):
            return str(names[self._take])
        raise SegmenterError(f"gives no answer '{self._take}', but {', '.join(names)}", where=self._title, todo="Correct `take` in its description")


def _providers(device: str, title: str) -> list[Any]:
    """Where onnxruntime runs it, best first."""
    import onnxruntime

    kind, _, number = device.partition(":")
    card = (CARD, {"device_id": number or "0"})
    there = CARD in onnxruntime.get_available_providers()
    if kind == "cpu" or (kind == "auto" and not there):
        return [PROCESSOR]
    if kind == "auto":
        return [card, PROCESSOR]
    if kind == "cuda" and there:
        return [card]
    if kind == "cuda":
        raise UnavailableError("this onnxruntime has no graphics card to run on", where=title, todo=f"Use auto or cpu. {install_hint(['onnxruntime-gpu'])}")
    raise UnavailableError(f"onnxruntime does not run on '{device}' here", where=title, todo="Use auto or cpu")


def _faults() -> tuple[type[Exception], ...]:
    """What onnxruntime raises; its classes have no common parent."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
    return (*own, RuntimeError, ValueError, MemoryError)


def _short(error: Exception) -> str:
    """The first line of what onnxruntime says, without paths."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    words = [Path(word).name if "/" in word or "\\" in word else word for word in text.rpartition("[ONNXRuntimeError]")[2].split()]
    return " ".join(words)[:200]


def _operator(text: str) -> str:
    """The operator that onnxruntime complains of; "" where it names none."""
    found = next(filter(None, (re.search(pattern, text) for pattern in OPERATORS)), None)
    return found[1] if found else ""


def _by(numbers: Sequence[object]) -> str:
    return " x ".join("any" if number is None or isinstance(number, str) else str(number) for number in numbers)
