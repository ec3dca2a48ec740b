"""What napari's own tools do to a label layer, told as steps of our log, so that one log holds for every tool.

napari keeps a history of its own, of a hundred steps, which does not know what other tools did and stays when the layer's data is replaced. Here each of
its `paint` events becomes a difference of ours, the layer's `undo` and `redo` are ours (so keys, menus and scripts agree), and napari's history is never used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QTimer

from napari_medseg.session.history import Box, History, Step, of_paint

NAPARI_STEPS = 100
LARGEST_BYTES = 256 * 1024 * 1024  # of what napari keeps beside our log; beyond it napari's is dropped


class Keeper(Protocol):
    """Whose map the layer shows."""

    @property
    def history(self) -> History:
        """Its log."""

    def keep(self, step: Step) -> None:
        """A change was painted."""

    def undo(self) -> None:
        """Take the last change back."""

    def redo(self) -> None:
        """Do it again."""

    def drawing(self, box: Box) -> None:
        """A stroke goes on, here; its voxels are in the array before napari tells them."""

    def replaced(self, array: Any) -> None:
        """Somebody gave the layer another array."""


class PaintLog:
    """The wiring of one layer; `close` gives the layer back as it was."""

    def __init__(self, layer: Labels, keeper: Keeper) -> None:
        self._layer, self._keeper = layer, keeper
        self._kept: deque[int] = deque(maxlen=NAPARI_STEPS)
        layer.events.paint.connect(self._on_paint)
        layer.events.data.connect(self._on_data)
        layer.mouse_drag_callbacks.append(self._on_drag)
        layer.undo, layer.redo = keeper.undo, keeper.redo

    def close(self) -> None:
        """Let go of the layer."""
        layer = self._layer
        layer.events.paint.disconnect(self._on_paint)
        layer.events.data.disconnect(self._on_data)
        if self._on_drag in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.remove(self._on_drag)
        for name in ("undo", "redo"):
            layer.__dict__.pop(name, None)

    def _on_paint(self, event: Any) -> None:
        atoms = list(event.value)
        step = of_paint(self._layer.data, atoms)
        if step is not None:
            self._keeper.keep(step)
        self._kept.append(sum(np.asarray(part).nbytes for atom in atoms for part in atom if isinstance(part, np.ndarray)))
        if sum(self._kept) > LARGEST_BYTES:
            self._kept.clear()
            _soon(self._drop_napari_s)

    def _drop_napari_s(self) -> None:
        """A layer that is not editable for a moment forgets its own history; nothing else public does that."""
        layer, mode = self._layer, self._layer.mode
        layer.editable = False
        layer.editable = True
        layer.mode = mode

    def _on_data(self, event: Any) -> None:
        self._keeper.replaced(self._layer.data)

    def _on_drag(self, layer: Labels, event: Any) -> Iterator[None]:
        """From press to release is one step, however often napari tells of it."""
        history, draws = self._keeper.history, layer.mode in ("paint", "erase")
        history.press()
        last = layer.world_to_data(event.position)
        yield
        while event.type == "mouse_move":
            here = layer.world_to_data(event.position)
            if draws:
                self._brushed(last, here)
            last = here
            yield
        if draws:
            self._finish(last, layer.world_to_data(event.position), event)
        _soon(history.release)  # the tool itself may tell its stroke after us

    def _finish(self, last: Any, end: Any, event: Any) -> None:
        """Draw to where the button was released: napari gathers moves and, when it is busy, has not drawn the last ones by then."""
        layer = self._layer
        way = np.asarray(end, float) - last
        steps = int(np.ceil(np.abs(way).max())) if len(event.dims_displayed) == 2 else 0
        if not steps:
            return
        value = 0 if layer.mode == "erase" else layer.selected_label
        with layer.block_history():
            for step in range(1, steps + 1):
                place = last + way * (step / steps)
                if all(0 <= round(at) < size for at, size in zip(place, layer.data.shape, strict=True)):
                    layer.paint(tuple(place), value, refresh=False)
        layer.refresh(extent=False, thumbnail=False, highlight=False)

    def _brushed(self, last: Any, here: Any) -> None:
        """Tell the box that the brush passed through between two places; some voxels more do no harm."""
        layer, shape = self._layer, self._layer.data.shape
        reach = layer.brush_size / 2 + 2
        low = np.floor(np.minimum(last, here) - reach).astype(int)
        high = np.ceil(np.maximum(last, here) + reach).astype(int)
        z, y, x = (slice(max(int(a), 0), min(int(b), size)) for a, b, size in zip(low[-3:], high[-3:], shape[-3:], strict=True))
        if min(side.stop - side.start for side in (z, y, x)) > 0:
            self._keeper.drawing((z, y, x))


def _soon(function: Callable[[], None]) -> None:
    QTimer.singleShot(0, function)
