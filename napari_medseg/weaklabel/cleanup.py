"""Clean-up of a label map in physical units: steps one after the other, each on every class or on those chosen for it.

What a step adds goes onto background (or onto the class that the edit mask names), never onto another class. Each class is worked on in its own box,
so a whole-body scan costs what its organs cost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import Spacing, format_shape
from napari_medseg.weaklabel.cleanup_actions import act
from napari_medseg.weaklabel.cleanup_bench import Bench
from napari_medseg.weaklabel.cleanup_steps import HIGHEST, CleanupChain, Close, Fill, KeepLargest, RemoveSmall, Step
from napari_medseg.weaklabel.scene import Box, checked_image, checked_labels, checked_spacing


@dataclass(frozen=True, slots=True)
class CleanupSettings:
    """The usual chain in its usual order: close, fill, drop small pieces, keep the largest.

    Attributes
    ----------
    close_mm : float
        Gaps up to twice this are closed; 0 closes none.
    fill : bool
        Fill holes, slice by slice, that the class encloses.
    min_ml : float
        Pieces smaller than this go; 0 keeps all.
    largest : bool
        Only the largest piece of each class stays.
    """

    close_mm: float = 0.0
    fill: bool = False
    min_ml: float = 0.0
    largest: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.close_mm < np.inf or not 0 <= self.min_ml < np.inf:
            raise InvalidInputError("sizes are zero or more", where="clean-up", todo="Give millimetres and millilitres, zero or more")

    def chain(self) -> CleanupChain:
        """As steps."""
        steps: list[Step] = [Close(self.close_mm)] if self.close_mm else []
        steps += [Fill()] if self.fill else []
        steps += [RemoveSmall(self.min_ml)] if self.min_ml else []
        steps += [KeepLargest()] if self.largest else []
        return CleanupChain(tuple(steps))


@dataclass(frozen=True, slots=True, eq=False)
class Cleaned:
    """A label map after one step of the chain.

    Attributes
    ----------
    labels : like the labels given, (z, y, x)
    removed_components : int
        Pieces that were dropped so far, all classes together.
    steps_done : int
        How many steps of the chain this is the result of.
    changed : int
        Voxels that the last step changed.
    box : three slices or None
        Holds all that the last step changed; None when that is nothing.
    fraction : float
        Share of the steps done, 0-1.
    message : str
        What the last step did, for people.
    """

    labels: npt.NDArray[Any]
    removed_components: int
    steps_done: int = 0
    changed: int = 0
    box: Box | None = None
    fraction: float = 1.0
    message: str = ""


def cleaning(
    labels: npt.NDArray[Any], spacing: Spacing, chain: CleanupSettings | CleanupChain | Sequence[Step], *,
    image: npt.NDArray[Any] | None = None, values: Sequence[int] | None = None, beside: npt.NDArray[Any] | None = None, finely: bool = False,
) -> Iterator[Cleaned]:
    """Do a chain step by step.

    Parameters
    ----------
    labels : whole numbers (z, y, x)
        0 is background; is not written to.
    spacing : mm per voxel (z, y, x)
    chain : CleanupChain, CleanupSettings or steps
    image : (z, y, x), optional
        The scan, where the chain's edit mask asks for grey values.
    values : sequence of int, optional
        Only these classes are touched, whatever the steps say.
    beside : whole numbers (z, y, x), optional
        A second label map, in which `Combine.other` and `EditMask.inside` look for their class.
    finely : bool
        Yield within the steps too, after each class: what the last whole step gave, once more, so that it can be stopped there.

    Yields
    ------
    Cleaned
        One after each step, with labels of its own; one without change for a chain without steps. Stop iterating to cancel.

    Raises
    ------
    InvalidInputError
        When the labels are no label map, the other arrays lie on another grid, or a step cannot be done as it is asked.
    """
    asked = chain if isinstance(chain, CleanupChain) else chain.chain() if isinstance(chain, CleanupSettings) else CleanupChain(tuple(chain))
    spacing = checked_spacing(spacing)
    work = _narrow(checked_labels(labels))
    if image is not None:
        _same_grid(checked_image(image), labels, "scan")
    if beside is not None:
        _same_grid(checked_labels(beside), labels, "second label map")
    bench = Bench(work, spacing, asked.edit, image=image, beside=beside, values=None if values is None else tuple(values))
    now = Cleaned(labels.copy(), 0, message="Nothing to do")
    if not asked.steps:
        yield now
    for count, step in enumerate(asked.steps, 1):
        bench.begin()
        removed = 0
        for gone in act(step, bench):
            removed += gone
            if finely:
                yield replace(now, fraction=(count - 1) / len(asked.steps), message=step.words(), changed=0, box=None)
        result = bench.labels.astype(labels.dtype)
        told = f"{step.words()}: " + (f"{removed} piece{'' if removed == 1 else 's'} removed" if removed else f"{bench.changed:,} voxels changed")
        now = replace(
            now, labels=result, removed_components=now.removed_components + removed, steps_done=count, changed=bench.changed, box=bench.touched,
            fraction=count / len(asked.steps), message=told,
        )
        yield now


def clean(
    labels: npt.NDArray[Any], spacing: Spacing, settings: CleanupSettings | CleanupChain | Sequence[Step] = CleanupSettings(), *,
    image: npt.NDArray[Any] | None = None, values: Sequence[int] | None = None, beside: npt.NDArray[Any] | None = None,
) -> Cleaned:
    """Do a whole chain; see `cleaning`, whose last result this is."""
    return deque(cleaning(labels, spacing, settings, image=image, values=values, beside=beside), maxlen=1)[0]


def _narrow(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy in the type our loops are made for."""
    if labels.dtype == np.uint8:
        return labels.copy(order="C")
    if labels.size and (int(labels.min()) < 0 or int(labels.max()) > HIGHEST):
        raise InvalidInputError("holds values below 0 or above 65535", where="labels", todo="Number the classes from 1 to 65535")
    return np.array(labels, np.uint8 if labels.dtype == bool else np.uint16, order="C")


def _same_grid(other: npt.NDArray[Any], labels: npt.NDArray[Any], where: str) -> None:
    if other.shape != labels.shape:
        what = f"{format_shape(other.shape)} voxels do not fit labels of {format_shape(labels.shape)}"
        raise InvalidInputError(what, where=where, todo="Give one on the labels' grid")
