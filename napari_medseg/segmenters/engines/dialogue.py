"""An engine that keeps a session: it is shown a scan once and told of one act after the other, and answers with the whole label each time.

nnInteractive works so, on this machine and on a server. What it was told is remembered here, so that a further click tells it that click alone; when
something is taken back, or another object's turn comes, it is told the object's acts again from the first.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError, MedsegError
from napari_medseg.segmenters.engines.interactions import Interaction, interactions_of, left_to_tell
from napari_medseg.segmenters.promptable.pointed import Pointed, pointed
from napari_medseg.segmenters.protocol import Box, Focus, Prediction
from napari_medseg.segmenters.slices import box_in_file
from napari_medseg.volume import Array, BoolArray, FloatArray, Shape, Volume, axis_map

if TYPE_CHECKING:
    from napari_medseg.annotation.prompts import Prompts

Bounds = list[list[int]]
Object = tuple[int, int]
NOWHERE: Box = (slice(0, 0), slice(0, 0), slice(0, 0))
PROMPTS = frozenset({"points", "boxes", "lassos", "scribbles", "mask"})


class Session(Protocol):
    """What is used of nnInteractive's sessions, the local and the remote one."""

    supported_interactions: dict[str, bool]

    def set_image(self, image: npt.NDArray[np.float32]) -> None: ...  # noqa: D102
    def set_target_buffer(self, target_buffer: npt.NDArray[np.uint8]) -> None: ...  # noqa: D102
    def reset_interactions(self) -> None: ...  # noqa: D102
    def add_point_interaction(self, coordinates: tuple[int, ...], include_interaction: bool) -> Bounds | None: ...  # noqa: D102
    def add_bbox_interaction(self, bbox_coords: Bounds, include_interaction: bool) -> Bounds | None: ...  # noqa: D102
    def add_scribble_interaction(self, scribble_image: Any, include_interaction: bool, *, interaction_bbox: Bounds) -> Bounds | None: ...  # noqa: D102
    def add_lasso_interaction(self, lasso_image: Any, include_interaction: bool, *, interaction_bbox: Bounds) -> Bounds | None: ...  # noqa: D102
    def add_initial_seg_interaction(self, initial_seg: Any, run_prediction: bool) -> Bounds | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """What the engine last said of an object.

    Attributes
    ----------
    told : tuple of Interaction
        What it had been told then.
    box : Box
        Round what it outlined.
    voxels : bool array of the box
    """

    told: tuple[Interaction, ...]
    box: Box
    voxels: BoolArray


class DialogueSegmenter:
    """A segmenter round a `Session`; an engine says how one is opened and what its faults mean."""

    title: str
    _session: Session | None
    _device: str
    _scan: weakref.ref[Array] | None
    _buffer: npt.NDArray[np.uint8]
    _at: Object | None
    _acts: list[Interaction]
    _touched: list[Bounds]
    _labels: dict[Object, Label]
    showing = "Preparing the scan"

    def __init__(self) -> None:
        self._forget()

    def open(self, device: str) -> Session:
        """A session on a device; asked again only after `close`."""
        raise NotImplementedError

    def close(self) -> None:
        """Give the session up."""

    def fault(self, error: Exception) -> MedsegError:
        """What a fault of the engine means to a person."""
        raise NotImplementedError

    def recover(self, error: Exception) -> bool:
        """Make the next `open` work where this session could not go on; False when nothing can be done."""
        return False

    @property
    def note(self) -> str:
        """What a person should know about where it runs; "" for nothing."""
        return ""

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Outline what the prompts point at; see `protocol.Segmenter`. Voxels are in or out (1 or 0); nothing is said beyond the boxes that are yielded."""
        if volume.channels != 1:
            found = f"has {volume.channels} channels, {self.title} takes 1"
            raise InvalidInputError(found, where=volume.name or "volume", todo="Choose one channel of the scan")
        turn = axis_map(volume.geometry)
        grid = turn.geometry(volume.geometry)
        return self._answers(volume, pointed(prompts, volume, turn, grid), device)

    def release(self) -> None:
        """Give its memory back; the next scan opens it again."""
        self.close()
        self._forget()

    def _answers(self, volume: Volume, objects: dict[int, list[Pointed]], device: str) -> Iterator[Prediction]:
        turn = axis_map(volume.geometry)
        shape: Shape = turn.geometry(volume.geometry).shape
        asked = [(label, index, each) for label, own in objects.items() for index, each in enumerate(own)]
        found: dict[int, list[Label]] = {label: [] for label in objects}

        def piece(box: Box, fraction: float, message: str) -> Prediction:
            maps = np.stack([_painted(labels, box) for labels in found.values()])
            return Prediction(box_in_file(turn, box, shape), turn.undo(maps), fraction, message + (f" ({self.note})" if self.note else ""))

        yield piece(NOWHERE, 0.0, self.showing)
        if not self._knows(volume, device) and _is_blank(volume.channel()):
            yield piece(NOWHERE, 1.0, "The scan holds one value only: there is nothing to outline")
            return
        self._show(volume, device)
        for count, (label, index, each) in enumerate(asked):
            name = "Outlining" if len(asked) == 1 else f"Object {count + 1} of {len(asked)}"
            steps = self._told((label, index), each, shape, volume, device)
            for done, total in steps:
                yield piece(NOWHERE, (count + done / (total + 1)) / len(asked), f"{name}: prompt {done} of {total}")
            found[label].append(self._labels[label, index])
            yield piece(self._labels[label, index].box, (count + 1) / len(asked), name)

    @property
    def _shape(self) -> Shape:
        z, y, x = self._buffer.shape
        return z, y, x

    def _knows(self, volume: Volume, device: str) -> bool:
        return self._session is not None and self._device == device and self._scan is not None and self._scan() is volume.array

    def _show(self, volume: Volume, device: str) -> None:
        """Open the session and hand the scan over, if it is not there yet."""
        if self._knows(volume, device):
            return
        image = axis_map(volume.geometry).apply(volume.channel()).astype(np.float32)
        image = np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0, copy=False)
        if self._session is None or self._device != device:
            self.close()
            self._session = self._tried(lambda: self.open(device))
            self._device = device
        self._at, self._labels = None, {}
        self._buffer = np.zeros(image.shape, dtype=np.uint8)
        self._tried(lambda: self._hand_over(image))
        self._scan = weakref.ref(volume.array)

    def _hand_over(self, image: FloatArray) -> None:
        assert self._session is not None
        self._session.set_image(image[None])
        self._session.set_target_buffer(self._buffer)

    def _told(self, which: Object, each: Pointed, shape: Shape, volume: Volume, device: str) -> Iterator[tuple[int, int]]:
        """Tell the session what it does not know of an object; yields (acts done, acts in all) before each."""
        assert self._session is not None
        wanted = interactions_of(each, shape, solid_boxes=bool(self._session.supported_interactions.get("bbox3d")))
        known = self._labels.get(which)
        if known is not None and left_to_tell(known.told, wanted) == []:
            return
        fresh = left_to_tell(self._acts, wanted) if self._at == which else None
        while fresh is None or fresh:
            try:
                if fresh is None:
                    assert self._session is not None
                    self._session.reset_interactions()
                    self._at, self._acts, self._touched, fresh = which, [], [], list(wanted)
                yield len(self._acts) + 1, len(self._acts) + len(fresh)
                self._tell(fresh[0], alone=len(wanted) == 1)
                self._acts.append(fresh.pop(0))
            except Exception as error:
                self._at, fresh = None, None
                if isinstance(error, MedsegError) or not self.recover(error):
                    raise error if isinstance(error, MedsegError) else self.fault(error) from error
                self._session = None
                self._show(volume, device)
        self._labels[which] = Label(tuple(self._acts), *self._outlined())

    def _tell(self, act: Interaction, *, alone: bool) -> None:
        """One act; notes the region that it may have changed."""
        session = self._session
        assert session is not None
        bounds = [[part.start, part.stop] for part in act.box]
        changed: Bounds | None
        match act.kind:
            case "mask":
                session.add_initial_seg_interaction(act.within(self._shape).astype(np.uint8), run_prediction=alone)
                changed = [[0, n] for n in self._buffer.shape]
            case "point":
                changed = session.add_point_interaction(tuple(part.start for part in act.box), act.positive)
            case "box":
                changed = session.add_bbox_interaction(bounds, act.positive)
            case _:
                assert act.voxels is not None
                add = session.add_lasso_interaction if act.kind == "lasso" else session.add_scribble_interaction
                changed = add(act.voxels.astype(np.uint8), act.positive, interaction_bbox=bounds)
        if changed is not None:
            self._touched.append(changed)

    def _outlined(self) -> tuple[Box, BoolArray]:
        """The label in the session's buffer and the box round it."""
        if not self._touched:
            return NOWHERE, np.zeros((0, 0, 0), dtype=bool)
        low, high = (np.array(self._touched)[..., side] for side in (0, 1))
        first = low.min(axis=0)
        voxels = np.argwhere(self._buffer[tuple(slice(a, b) for a, b in zip(first, high.max(axis=0), strict=True))])
        if not len(voxels):
            return NOWHERE, np.zeros((0, 0, 0), dtype=bool)
        ends = zip(voxels.min(axis=0) + first, voxels.max(axis=0) + first + 1, strict=True)
        box: Box = tuple(slice(int(a), int(b)) for a, b in ends)  # type: ignore[assignment]
        return box, self._buffer[box] > 0

    def _tried(self, act: Any) -> Any:
        try:
            return act()
        except MedsegError:
            raise
        except Exception as error:
            self._scan = None
            raise self.fault(error) from error

    def _forget(self) -> None:
        self._session = None
        self._device = ""
        self._scan = None
        self._buffer = np.zeros((0, 0, 0), dtype=np.uint8)
        self._at = None
        self._acts = []
        self._touched = []
        self._labels = {}

    def __getstate__(self) -> dict[str, object]:
        own = ("_session", "_device", "_scan", "_buffer", "_at", "_acts", "_touched", "_labels")
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._forget()


def _is_blank(array: Array) -> bool:
    """Whether all that is finite is one value; the engines would divide by its spread."""
    finite = array if array.dtype.kind in "iub" else array[np.isfinite(array)]
    return not finite.size or bool(finite.min() == finite.max())


def _painted(labels: list[Label], box: Box) -> FloatArray:
    """What is outlined in a box, float32."""
    painted = np.zeros(tuple(part.stop - part.start for part in box), dtype=np.float32)
    for label in labels:
        low = [max(a.start, b.start) for a, b in zip(label.box, box, strict=True)]
        high = [min(a.stop, b.stop) for a, b in zip(label.box, box, strict=True)]
        if all(a < b for a, b in zip(low, high, strict=True)):
            here = tuple(slice(a - part.start, b - part.start) for a, b, part in zip(low, high, box, strict=True))
            there = tuple(slice(a - part.start, b - part.start) for a, b, part in zip(low, high, label.box, strict=True))
            painted[here] = np.maximum(painted[here], label.voxels[there])
    return painted
