"""What every architecture here is: a module with free channels, classes and dimensions that takes windows of any size.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as nnf

from napari_medseg.errors import InvalidInputError, SegmenterError

Dims = Literal[2, 3]


class Network(nn.Module):
    """A network that answers a window with one map of logits a class, against a background of 0.

    The probability of class c is exp(l_c) / (1 + sum of exp(l)). Architectures define `logits`, which may rely on sides that are multiples of `step`;
    windows of other sizes are padded at their far ends with the values at the edge, and the answer is cut to the window again.

    Parameters
    ----------
    in_channels : int
        Values a voxel has.
    classes : int
        Maps to answer with; the background is none of them.
    dims : 2 or 3
    step : int or one for each axis
        What the sides of a window are multiples of.
    smallest : int
        Fewest voxels a side may have inside; a single one where that is enough.

    Attributes
    ----------
    ENCODER : names of modules or parameters
        What sees the image before anything is decoded: what pre-training hands on, and what freezing the encoder freezes.
    SMALL : mapping
        Parameters that make a small one of the same build, which the conformance suite can afford to train.
    UPDATES : int
        Within which a small one learns the suite's phantom (Adam, two windows an update) to a Dice over 0.9.
    RATE : float
        Adam's learning rate in the suite; it falls to 0 with the last update. With normalisation 2e-2 is often quicker.
    HEAVY : set of str
        Tests of the suite ("onnx", "training") that take over 4 s even with a small one.
    EXPORTABLE : bool
        Whether it can leave for other programs as TorchScript or ONNX.

    Raises
    ------
    InvalidInputError
        When a number makes no network.
    """

    ENCODER: ClassVar[tuple[str, ...]] = ()
    SMALL: ClassVar[Mapping[str, Any]] = {}
    UPDATES: ClassVar[int] = 60
    RATE: ClassVar[float] = 3e-3
    HEAVY: ClassVar[frozenset[str]] = frozenset()
    EXPORTABLE: ClassVar[bool] = True

    def __init__(self, in_channels: int, classes: int, dims: int, step: int | tuple[int, ...] = 1, smallest: int = 1) -> None:
        super().__init__()
        if in_channels < 1 or not 1 <= classes <= 254 or dims not in (2, 3):
            what = f"no network has {in_channels} channels, {classes} classes and {dims} dimensions"
            raise InvalidInputError(what, where=type(self).__name__, todo="Give 1 or more channels, 1-254 classes and 2 or 3 dimensions")
        self.in_channels, self.classes, self.dims = in_channels, classes, dims
        self.step = (step,) * dims if isinstance(step, int) else tuple(step)
        self.smallest = smallest

    def forward(self, windows: Tensor) -> Tensor:
        """Logits (n, classes, [z,] y, x) of windows (n, channels, [z,] y, x).

        Raises
        ------
        InvalidInputError
            When the windows have other channels or dimensions than the network.
        """
        return self._cut(self.logits(self._padded(windows)), windows)

    def logits(self, windows: Tensor) -> Tensor:
        """Logits of windows whose sides are multiples of `step`."""
        raise NotImplementedError

    def looks(self, windows: Tensor) -> dict[str, Tensor]:
        """Maps by name (n, 1, [z,] y, x), 0-1, that tell a person how the network came to its answer; none unless an architecture has them.

        Windows may be of any size, as in `forward`.
        """
        return {name: self._cut(found, windows) for name, found in self.looked(self._padded(windows)).items()}

    def looked(self, windows: Tensor) -> Mapping[str, Tensor]:
        """The `looks` of windows whose sides are multiples of `step`: what an architecture defines, on the windows' own grid."""
        return {}

    def take(self, weights: Mapping[str, Tensor], where: str | Path = "") -> None:
        """Take these weights, by name and of the shapes that `state_dict` has; `where` is what an error names.

        Raises
        ------
        SegmenterError
            When they are another network's; this one is as it was.
        """
        own = self.state_dict()
        odd = [name for name in own.keys() | weights.keys() if name not in own or name not in weights or own[name].shape != weights[name].shape]
        if odd:
            what = f"holds the weights of another network ({min(odd)} and {len(odd) - 1} more do not fit {type(self).__name__})"
            raise SegmenterError(what, where=where or type(self).__name__, todo="Choose the network they were trained in, with the same channels and classes")
        self.load_state_dict(dict(weights))

    def encoder(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters of the encoder by their names in the whole network."""
        for name, parameter in self.named_parameters():
            if any(name == part or name.startswith(f"{part}.") for part in self.ENCODER):
                yield name, parameter

    def _padded(self, windows: Tensor) -> Tensor:
        if windows.ndim != self.dims + 2 or windows.shape[1] != self.in_channels:
            what = f"takes windows (n, {self.in_channels}, {', '.join('zyx'[3 - self.dims :])}), not {tuple(windows.shape)}"
            raise InvalidInputError(what, where=type(self).__name__, todo="Choose scans with the channels that the network was made for")
        missing = [-max(n, self.smallest) % step + max(0, self.smallest - n) for n, step in zip(windows.shape[2:], self.step, strict=True)]
        return nnf.pad(windows, [side for far in reversed(missing) for side in (0, far)], mode="replicate") if any(missing) else windows

    @staticmethod
    def _cut(found: Tensor, windows: Tensor) -> Tensor:
        for axis, n in enumerate(windows.shape[2:], start=2):
            found = found.narrow(axis, 0, n) if found.shape[axis] != n else found
        return found
