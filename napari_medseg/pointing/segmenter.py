"""The promptable model that ships: its network says where the object is, the strokes' solver draws its outline at the scan's own resolution."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.segmenters.promptable.pointed import Pointed
from napari_medseg.segmenters.promptable.segmenter import PromptableSegmenter
from napari_medseg.volume import Array, Spacing

if TYPE_CHECKING:
    from napari_medseg.pointing.settling import Settling
    from napari_medseg.segmenters.promptable.answer import Answer
    from napari_medseg.segmenters.promptable.asking import Asking


class PointingSegmenter(PromptableSegmenter):
    """Outlines whatever it is pointed at, by the promptable network and by what the marked voxels look like.

    The network answers first and is shown; then its word, a classifier that learned from the clicks and strokes, and the edges of the scan decide
    together (`settling.Settling`). What comes of it is what the network is told of as the last answer at the next point, unless that point says that it
    is of the wrong size (`refuted`): then all points are answered anew.

    Parameters
    ----------
    model : path, optional
        As `PromptableSegmenter`.
    """

    def __init__(self, model: str | Path | None = None) -> None:
        super().__init__(model)
        self._settling: Settling | None = None

    def _step(self, asking: Asking, view: Array, scan: Spacing, prompts: Pointed, before: Answer | None) -> Iterator[Answer]:
        from napari_medseg.pointing.refuted import borne_out, refuted

        if before is not None and refuted(prompts, before, view.shape, scan):
            anew = yield from self._made(asking, view, scan, prompts, None)
            if borne_out(prompts, anew, before, scan):
                yield anew
                return
        yield (yield from self._made(asking, view, scan, prompts, before))

    def _made(self, asking: Asking, view: Array, scan: Spacing, prompts: Pointed, before: Answer | None) -> Generator[Answer, None, Answer]:
        """An answer that builds upon another; what is shown until then is not finished."""
        from napari_medseg.pointing.settling import Settling

        if self._settling is None:
            self._settling = Settling(view, scan)
        for found in super()._step(asking, view, scan, prompts, before):
            yield replace(found, finished=False)
        for answer in self._settling.settled(prompts, found, before):
            if not answer.finished:
                yield answer
        return answer

    def _forget(self) -> None:
        super()._forget()
        self._settling = None
