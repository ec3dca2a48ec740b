"""The promptable model as a segmenter: several objects at once, each refined by a further click."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.promptable.pointed import Pointed, pointed
from napari_medseg.segmenters.protocol import Box, Capabilities, Focus, Prediction
from napari_medseg.segmenters.slices import box_in_file
from napari_medseg.volume import Array, AxisMap, FloatArray, Shape, Spacing, Volume, axis_map

if TYPE_CHECKING:
    from napari_medseg.annotation.prompts import Prompts
    from napari_medseg.segmenters.promptable.answer import Answer
    from napari_medseg.segmenters.promptable.asking import Asking

TITLE = "Promptable model"
WEIGHTS = Path(__file__).parents[1] / "weights" / "promptable.safetensors"
REMEMBERED = 32  # steps of the answers of one scan
NOWHERE: Box = (slice(0, 0), slice(0, 0), slice(0, 0))

Key = tuple[int, int, bytes, bytes]


class PromptableSegmenter:
    """Outlines whatever it is pointed at: points, boxes, lassos, strokes, or a label to start from.

    The answer to n points follows from that to n - 1, as a person corrects what they see. The steps of the scan asked last are remembered, so that a further
    click costs one step; asked cold, the steps are gone through again and give the same.

    Parameters
    ----------
    model : path, optional
        Weights that `model.save_promptable` wrote; the shipped ones when not given.
    """

    def __init__(self, model: str | Path | None = None) -> None:
        self.model = Path(model) if model is not None else WEIGHTS
        self._asking: Asking | None = None
        self._device = ""
        self._scan: weakref.ref[Array] | None = None
        self._answers: OrderedDict[Key, Answer] = OrderedDict()

    @property
    def title(self) -> str:
        """What the window calls it."""
        return TITLE

    @property
    def capabilities(self) -> Capabilities:
        """Whatever it is pointed at, in space."""
        return Capabilities(classes=(), licence="BSD-3-Clause", prompts=frozenset({"points", "boxes", "lassos", "scribbles", "mask"}), dims=3)

    def release(self) -> None:
        """Give the network's memory back, and forget; the next `predict` loads it again."""
        gone, self._asking = self._asking, None
        self._forget()
        if gone is not None:
            from napari_medseg.segmenters.devices import give_back

            device = gone.device
            del gone
            give_back(device)

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Outline what the prompts point at; see `protocol.Segmenter`. One map for each of `prompts.labels`, 0 beyond the boxes that are yielded.

        Raises
        ------
        InvalidInputError
            When the scan has several channels, or strokes or mask lie on another grid.
        NoSeedsError
            When nothing says what is inside, or a prompt lies outside the scan.
        MissingFileError, SegmenterError
            When the weights are not there, or damaged.
        """
        if volume.channels != 1:
            raise InvalidInputError(f"has {volume.channels} channels, {TITLE} takes 1", where=volume.name or "volume", todo="Choose one channel of the scan")
        turn = axis_map(volume.geometry)
        objects = pointed(prompts, volume, turn, turn.geometry(volume.geometry))
        yield from self._answered(volume, turn, objects, self._loaded(device))

    def _step(self, asking: Asking, view: Array, scan: Spacing, prompts: Pointed, before: Answer | None) -> Iterator[Answer]:
        """One step of an answer; see `answer.step`. Made anew for every point; must depend on what it is given alone."""
        from napari_medseg.segmenters.promptable.answer import step

        yield from step(asking, view, scan, prompts, before)

    def _answered(self, volume: Volume, turn: AxisMap, objects: dict[int, list[Pointed]], asking: Asking) -> Iterator[Prediction]:
        self._recall(volume.array)
        grid, view = turn.geometry(volume.geometry), turn.view(volume.channel())
        maps = _Maps(list(objects), grid.shape)
        steps = sum(len(each.steps) for own in objects.values() for each in own)
        done = 0

        def piece(box: Box, message: str) -> Prediction:
            told = message + (f" ({asking.note})" if asking.note else "")
            return Prediction(box_in_file(turn, box, grid.shape), turn.undo(maps.within(box)), done / steps, told)

        for label, own in objects.items():
            for index, each in enumerate(own):
                answer: Answer | None = None
                for count in each.steps:
                    asked = each.until(count)
                    key = (label, index, each.key, asked.points.tobytes() + asked.signs.tobytes())
                    last = count == each.steps[-1]
                    known = self._answers.get(key)
                    shown: Answer | None = None
                    for found in self._step(asking, view, grid.spacing, asked, answer) if known is None else (known,):
                        if found.finished:
                            self._remember(key, found)
                            answer, done = found, done + 1
                        box = maps.take((label, index), found) if last and found is not shown else NOWHERE
                        shown = found
                        yield piece(box, f"{steps} prompt{'s' if steps != 1 else ''}" if done == steps else f"Prompt {done + 1} of {steps}")

    def _loaded(self, device: str) -> Asking:
        from napari_medseg.segmenters.promptable.asking import Asking

        if self._asking is None or device != self._device:
            self._asking, self._device = Asking(self.model, device, TITLE), device
            self._forget()
        return self._asking

    def _recall(self, array: Array) -> None:
        """Forget what was answered on another scan."""
        if self._scan is None or self._scan() is not array:
            self._forget()
            self._scan = weakref.ref(array)

    def _forget(self) -> None:
        """Drop all that was worked out for a scan."""
        self._answers.clear()

    def _remember(self, key: Key, answer: Answer) -> None:
        self._answers[key] = answer
        self._answers.move_to_end(key)
        while len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)


class _Maps:
    """The answers of all objects as they stand, and where they have been shown."""

    def __init__(self, labels: list[int], shape: Shape) -> None:
        self._labels, self._shape = labels, shape
        self._answers: dict[tuple[int, int], Answer] = {}
        self._shown: dict[tuple[int, int], Box] = {}

    def take(self, place: tuple[int, int], answer: Answer) -> Box:
        """Take an object's answer; the box in which it or what was shown of it before lies."""
        before = self._shown.get(place, answer.box)
        self._answers[place] = answer
        z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(before, answer.box, strict=True))
        self._shown[place] = (z, y, x)
        return z, y, x

    def within(self, box: Box) -> FloatArray:
        """Probabilities (maps, *box), objects of one label united."""
        out = np.zeros((len(self._labels), *(part.stop - part.start for part in box)), np.float32)
        for (label, _), answer in self._answers.items():
            shared = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, answer.box, strict=True)]
            if any(start >= stop for start, stop in shared):
                continue
            target = out[self._labels.index(label)][tuple(slice(a - part.start, b - part.start) for (a, b), part in zip(shared, box, strict=True))]
            source = answer.values[tuple(slice(a - part.start, b - part.start) for (a, b), part in zip(shared, answer.box, strict=True))]
            np.maximum(target, source, out=target)
        return out
