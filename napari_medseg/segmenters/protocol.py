"""What every segmenter is: a volume and prompts in, probabilities out, piece by piece.

A segmenter is any object with a title, capabilities and `predict`; it needs to inherit nothing. `napari_medseg.testing.segmenter_conformance` is the
suite that each, ours or a third party's, must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from napari_medseg.annotation.prompts import Prompts
from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.volume import FloatArray, LabelArray, Shape, Spacing, Volume

Box = tuple[slice, slice, slice]
Focus = int | Callable[[], int | None] | None
"""The slice a person looks at (index along axis 0 of the array), or what tells it now: a callable is asked again before every batch of windows."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a segmenter takes and gives; the window enables its buttons from this.

    Attributes
    ----------
    classes : tuple of str
        What it outlines, in the order of its probability maps; label value k is `classes[k - 1]`. Empty for one that outlines whatever it is
        pointed at: it gives one map for each label in `Prompts.labels`, in that order.
    licence : str
        SPDX name of code and weights.
    prompts : frozenset of str
        Any of "points", "boxes", "lassos", "scribbles", "mask"; empty for one that needs none.
    dims : int
        2 when it looks at slices, 3 at the volume.
    channels : int
        Values a voxel of its input has.
    modalities : frozenset of str
        "CT", "MR", ...; empty for any.
    spacing : (z, y, x) mm or None
        What it resamples to inside; None when it takes the grid as it is.
    fine_tunable : bool
        Whether refinement can start from it.
    remote : bool
        Whether the scan leaves this machine.
    threshold : float
        Probability above which a voxel belongs to a class; training may calibrate it.
    objects : bool
        Whether it also finds objects, slice by slice: `found.Finder`.
    looks : bool
        Whether it can also tell where it looks: `looking.Looker`.
    """

    classes: tuple[str, ...]
    licence: str
    prompts: frozenset[str] = frozenset()
    dims: int = 2
    channels: int = 1
    modalities: frozenset[str] = frozenset()
    spacing: Spacing | None = None
    fine_tunable: bool = False
    remote: bool = False
    threshold: float = 0.5
    objects: bool = False
    looks: bool = False

    @property
    def interactive(self) -> bool:
        """Whether it must be pointed at something."""
        return not self.classes


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """A piece of the answer.

    Attributes
    ----------
    box : (z, y, x) slices with start and stop, in the array of the volume that was given
    probabilities : float32 (classes, *box)
        0-1. A later piece replaces an earlier one where both lie.
    fraction : float or None
        Share of the work done, 0-1; None when it cannot be known.
    message : str
        What is being done, for people.
    disagreement : float32 box or None
        How far the members of an ensemble lie apart (`ensemble.Ensemble`); None from a segmenter that is one.
    """

    box: Box
    probabilities: FloatArray
    fraction: float | None
    message: str
    disagreement: FloatArray | None = None


@runtime_checkable
class Segmenter(Protocol):
    """The protocol.

    A segmenter is kept and asked again, so its network may stay loaded. One that has a method `release()` is told when another is chosen: it gives the
    device's memory back, and loads again when it is asked again.
    """

    @property
    def title(self) -> str:
        """What the window calls it."""

    @property
    def capabilities(self) -> Capabilities:
        """What it takes and gives; known without loading a network."""

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Segment a volume.

        Parameters
        ----------
        volume : Volume
            Any orientation, spacing and real dtype; NaN counts as nothing.
        prompts : Prompts, optional
            Only kinds named in `capabilities.prompts` are looked at.
        device : str
            "auto", "cpu", "cuda", "cuda:1", "mps".
        focus : int or callable, optional
            Index along axis 0 of `volume.array` to do first: the slice a person looks at; see `Focus`.

        Yields
        ------
        Prediction
            Pieces that together cover the whole grid; an interactive segmenter may leave out what it holds to be 0. Stop iterating (close the
            generator) to cancel.

        Raises
        ------
        InvalidInputError
            When the volume is not what `capabilities` asks for.
        SegmenterError
            When the network fails or answers with something that is no segmentation.
        UnavailableError
            When weights, a package or the device are not there.
        """


def collect(predictions: Iterable[Prediction], shape: Shape) -> FloatArray:
    """Put the pieces together.

    Parameters
    ----------
    shape : (z, y, x) of the volume

    Returns
    -------
    float32 (classes, z, y, x)
        0 where no piece lies.

    Raises
    ------
    SegmenterError
        When no piece came.
    """
    whole: FloatArray | None = None
    for piece in predictions:
        if whole is None:
            whole = np.zeros((len(piece.probabilities), *shape), dtype=np.float32)
        whole[(slice(None), *piece.box)] = piece.probabilities
    if whole is None:
        raise SegmenterError("the segmenter gave no answer", todo="Try another segmenter")
    return whole


def to_labels(probabilities: FloatArray, threshold: float = 0.5) -> LabelArray:
    """Label map of probability maps.

    Parameters
    ----------
    probabilities : (classes, z, y, x)
    threshold : float
        A voxel whose most probable class lies above it takes that class (1, 2, ...; the first of equals), else 0.

    Returns
    -------
    uint8 (z, y, x)

    Raises
    ------
    InvalidInputError
        When there are more classes than label values (254).
    """
    if not 1 <= len(probabilities) <= 254:
        raise InvalidInputError(f"{len(probabilities)} probability maps make no label map", where="probabilities", todo="Give 1 to 254 classes")
    if len(probabilities) == 1:
        return np.asarray(probabilities[0] > threshold, dtype=np.uint8)
    labels = np.asarray(probabilities.argmax(axis=0) + 1, dtype=np.uint8)
    labels[probabilities.max(axis=0) <= threshold] = 0
    return labels
