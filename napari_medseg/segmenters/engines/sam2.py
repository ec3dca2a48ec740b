"""SAM 2 (Ravi et al., arXiv:2408.00714): the slices of a scan as the pictures of a film; what is marked on one is followed to both sides.

Through the package `sam2`. Points, boxes and outlines count on the slice they lie on. It starts on the first slice that says what is inside, goes up and
down, and stops where the object has been gone for three slices; clicks that only say what is outside correct what it found, and it goes again.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError, UnavailableError
from napari_medseg.segmenters.downloads import Download, fetch
from napari_medseg.segmenters.engines.sam2_prompts import FramePrompts, by_frame
from napari_medseg.segmenters.promptable.pointed import Pointed, pointed
from napari_medseg.segmenters.protocol import Box, Capabilities, Focus, Prediction
from napari_medseg.segmenters.slices import box_in_file, slice_order
from napari_medseg.volume import Array, AxisMap, FloatArray, Volume
from napari_medseg.volume.windows import percentiles

if TYPE_CHECKING:
    from torch import Tensor

    from napari_medseg.annotation.prompts import Prompts

log = logging.getLogger(__name__)

TITLE = "SAM 2"
TINY = Download(
    url="https://dl.fbaipublicfiles.com/segment_anything_2/092824/sam2.1_hiera_tiny.pt", title="SAM 2.1 tiny", licence="Apache-2.0", size=156_008_466,
    sha256="7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
)
GONE = 3  # slices without the object after which it is not looked for any farther
FULL = "the graphics card ran out of memory, going on with the processor"
NOWHERE: Box = (slice(0, 0), slice(0, 0), slice(0, 0))


class Sam2Segmenter:
    """Marks on slices, followed through the scan.

    Parameters
    ----------
    model : path, optional
        A checkpoint of SAM 2 or 2.1, any size, or one finetuned from it; the tiny one that was fetched when not given.
    download : bool
        Whether the tiny one may be fetched (156 MB) when it is not there.
    side : number or str
        Pixels a side that slices are shown with: 1024 as published, 512 for MedSAM2.
    low, high : float, optional
        Values shown black and white; the 0.5 and 99.5 percent points of the scan when not given.

    Raises
    ------
    MissingFileError
        When the file is not there.
    InvalidInputError
        When low is not below high, or the side is none it can see.
    """

    title = TITLE
    _predictor: Any
    _held: Any
    _scan: weakref.ref[Array] | None
    _device: str
    _full: bool
    capabilities = Capabilities(classes=(), licence="Apache-2.0", prompts=frozenset({"points", "boxes", "lassos", "scribbles", "mask"}), dims=2)

    def __init__(
        self, model: str | Path | None = None, download: bool = False, side: float | str = 1024, low: float | None = None, high: float | None = None,
    ) -> None:
        self.model, self._may_fetch, self.side = Path(model) if model else None, download, int(float(side))
        if self.model is not None and not self.model.is_file():
            raise MissingFileError("there is no such file", where=self.model, todo="Check the path")
        if self.side < 64 or self.side % 32:
            raise InvalidInputError(f"slices of {self.side} pixels a side cannot be seen", where=TITLE, todo="Use 1024, or 512 for MedSAM2")
        if (low is None) != (high is None) or (low is not None and high is not None and low >= high):
            raise InvalidInputError("low and high belong together, low below high", where=TITLE, todo="Give both, or none")
        self.limits = None if low is None or high is None else (low, high)
        self._forget()

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Outline what the prompts point at; see `protocol.Segmenter`. The slices that were marked come first; `focus` changes nothing."""
        if volume.channels != 1:
            raise InvalidInputError(f"has {volume.channels} channels, {TITLE} takes 1", where=volume.name or "volume", todo="Choose one channel of the scan")
        turn = slice_order(volume.geometry)
        return self._run(volume, turn, pointed(prompts, volume, turn, turn.geometry(volume.geometry)), device)

    def release(self) -> None:
        """Give its memory back; the next scan loads it again."""
        self._forget()

    def _run(self, volume: Volume, turn: AxisMap, objects: dict[int, list[Pointed]], device: str) -> Iterator[Prediction]:
        import torch

        yield from self._fetched(len(objects))
        yield Prediction(NOWHERE, np.zeros((len(objects), 0, 0, 0), np.float32), None, "Preparing the scan")
        try:
            yield from self._followed(volume, turn, objects, device)
        except torch.OutOfMemoryError as error:
            if device != "auto" or self._full:
                raise SegmenterError("the graphics card has not enough memory", where=TITLE, todo="Choose the device auto or cpu") from error
            log.warning("%s: %s", TITLE, FULL)
            self._forget()
            self._full = True
            torch.cuda.empty_cache()
            yield from self._followed(volume, turn, objects, device)

    def _fetched(self, maps: int) -> Iterator[Prediction]:
        file = self._file()
        if file.is_file():
            return
        if not self._may_fetch:
            todo = "Agree to the download, or give a checkpoint of your own"
            raise UnavailableError(f"its weights are not here ({TINY.words()})", where=TITLE, todo=todo)
        for step in fetch(TINY, file):
            yield Prediction(NOWHERE, np.zeros((maps, 0, 0, 0), np.float32), step.fraction, step.message)

    def _file(self) -> Path:
        return self.model or platformdirs.user_cache_path("napari-medseg", appauthor=False) / "models" / "sam2.1_hiera_tiny.pt"

    def _followed(self, volume: Volume, turn: AxisMap, objects: dict[int, list[Pointed]], device: str) -> Iterator[Prediction]:
        """Every slice as it is found."""
        state = self._state(volume, turn, device)
        shape = turn.geometry(volume.geometry).shape
        numbered = [(label, each) for label, own in objects.items() for each in own]
        rows = [list(objects).index(label) for label, _ in numbered]
        asked = {number: by_frame(each, shape) for number, (_, each) in enumerate(numbered)}

        def piece(frame: int, logits: Tensor, fraction: float | None, message: str) -> Prediction:
            maps = _probabilities(logits)
            whole = np.zeros((len(objects), 1, *shape[1:]), dtype=np.float32)
            for row, found in zip(rows, maps, strict=False):
                whole[row] = np.maximum(whole[row], found)
            told = message + (f" ({FULL})" if self._full else "")
            return Prediction(box_in_file(turn, (slice(frame, frame + 1), slice(0, shape[1]), slice(0, shape[2])), shape), turn.undo(whole), fraction, told)

        rounds = [r for r in _rounds(asked) if r]
        for count, marks in enumerate(rounds):
            for number, frame, prompts in marks:
                if count and frame not in state["frames_tracked_per_obj"][state["obj_id_to_idx"][number]]:
                    continue  # nothing was found there that could be outside
                yield piece(frame, self._marked(state, number, frame, prompts), count / len(rounds), f"Slice {frame + 1}")
            for done, frame, logits in self._both_ways(state):
                fraction = (count + min(1.0, done / shape[0])) / len(rounds)
                yield piece(frame, logits, fraction, f"Following: slice {frame + 1} of {shape[0]}")
        yield Prediction(NOWHERE, np.zeros((len(objects), 0, 0, 0), np.float32), 1.0, "Followed to both sides")

    def _marked(self, state: Any, number: int, frame: int, prompts: FramePrompts) -> Tensor:
        """Logits (objects so far, 1, h, w) of a slice after what was pointed at there."""
        with self._context():
            if prompts.mask is not None:
                *_, logits = self._predictor.add_new_mask(state, frame, number, prompts.mask)
            if prompts.points or prompts.box is not None:
                *_, logits = self._predictor.add_new_points_or_box(
                    state, frame, number, points=prompts.points or None, labels=prompts.signs or None, box=prompts.box,
                )
        return logits  # type: ignore[no-any-return]

    def _both_ways(self, state: Any) -> Iterator[tuple[int, int, Tensor]]:
        """Slices done, slice, logits: upwards from the first marked one, then downwards."""
        done = 0
        conditioned = [frame for one in state["output_dict_per_obj"].values() for frame in one["cond_frame_outputs"]]
        pending = [frame for one in state["temp_output_dict_per_obj"].values() for frame in one["cond_frame_outputs"]]
        last = max(conditioned + pending)
        for reverse in (False, True):
            gone = 0
            steps = self._predictor.propagate_in_video(state, reverse=reverse)
            while gone < GONE:
                with self._context():
                    step = next(steps, None)
                if step is None:
                    break
                frame, _, logits = step
                done += 1
                past = reverse or frame > last
                gone = gone + 1 if past and not bool((logits > 0).any()) else 0
                yield done, frame, logits
            steps.close()

    def _state(self, volume: Volume, turn: AxisMap, device: str) -> Any:
        """The package's inference state for this scan, with nothing marked yet."""
        from napari_medseg.segmenters.devices import choose
        from napari_medseg.segmenters.engines.sam2_network import Frames, load_predictor

        where = "cpu" if self._full else choose(device)
        if self._predictor is None or self._device != where:
            self._predictor, self._device, self._scan = load_predictor(self._file(), self.side, where), where, None
        if self._held is None or self._scan is None or self._scan() is not volume.array:
            limits = self.limits or percentiles(turn.view(volume.channel()), (0.5, 99.5))
            with self._context():
                self._held = self._predictor.init_state(
                    Frames(turn.view(volume.channel()), limits, self.side), offload_video_to_cpu=True, offload_state_to_cpu=where != "cpu",
                )
            self._scan = weakref.ref(volume.array)
        self._predictor.reset_state(self._held)
        return self._held

    def _context(self) -> Any:
        """Half precision on an NVIDIA card, as its authors run it."""
        import torch

        return torch.autocast("cuda", torch.bfloat16, enabled=self._device.startswith("cuda"))

    def _forget(self) -> None:
        self._predictor = None
        self._held = None
        self._scan = None
        self._device = ""
        self._full = False

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name not in ("_predictor", "_held", "_scan", "_device", "_full")}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._forget()


def _rounds(asked: dict[int, dict[int, FramePrompts]]) -> tuple[list[tuple[int, int, FramePrompts]], list[tuple[int, int, FramePrompts]]]:
    """(object, slice, prompts): first where something says what is inside, then where there are corrections only."""
    every = [(number, frame, prompts) for number, frames in asked.items() for frame, prompts in frames.items()]
    return [one for one in every if one[2].says_inside], [one for one in every if not one[2].says_inside]


def _probabilities(logits: Tensor) -> FloatArray:
    """Logits (objects, 1, h, w) as float32 0-1."""
    if not bool(logits.isfinite().all()):
        raise SegmenterError("the network answered with values that are no numbers (NaN)", where=TITLE, todo="Use another model; this one is damaged")
    return np.asarray(logits.detach().float().sigmoid().cpu().numpy())
