"""Cases of a study as layers: shown when a case is opened, taken away when it is left; and what the person does in the viewer counts as work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Layer

from napari_medseg.errors import InvalidInputError
from napari_medseg.gui import layers
from napari_medseg.session.state import Scan

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk


class StudyView:
    """The viewer's side of a session's study.

    Parameters
    ----------
    desk : Desk
    viewer : napari viewer
    """

    def __init__(self, desk: Desk, viewer: Any) -> None:
        self._desk, self._viewer, self._study = desk, viewer, desk.session.study
        self._study.prepare, self._study.present, self._study.dismiss = layers.volume_layers, self._present, self._dismiss
        viewer.mouse_move_callbacks.append(self._on_act)
        viewer.dims.events.current_step.connect(self._on_act)

    def close(self) -> None:
        """Let the viewer go."""
        if self._on_act in self._viewer.mouse_move_callbacks:
            self._viewer.mouse_move_callbacks.remove(self._on_act)
        self._viewer.dims.events.current_step.disconnect(self._on_act)

    def _present(self, made: Sequence[layers.LayerTuple]) -> Scan:
        known = list(self._desk.session.scans)
        for data, keywords, kind in made:
            self._viewer.add_layer(Layer.create(data, keywords, kind))
        opened = [scan for scan in self._desk.session.scans if scan not in known]
        if not opened:
            why = self._desk.session.declined or "cannot be worked on"
            raise InvalidInputError(why, where="Cases", todo="Open its file by itself to look at it")
        self._desk.in_hand.again()  # napari has selected the picture meanwhile
        return opened[0]

    def _dismiss(self, scan: Scan) -> None:
        """Its pictures go first: with them the scan is closed and its labels are put away, before their layers go."""
        desk, shown = self._desk, self._viewer.layers
        seeds = desk.seeds.get(scan)
        for layer in (*desk.pictures.all(scan), *desk.writer.of(scan).all(), *([seeds] if seeds is not None else [])):
            if layer in shown:
                shown.remove(layer)
        if scan in desk.session.scans:
            desk.session.close(scan)
        if desk.session.scans:
            shown.selection.active = desk.image(desk.session.scans[-1])
            desk.in_hand.again()
        self._viewer.reset_view()
        self._viewer.dims.set_current_step(0, int(self._viewer.dims.nsteps[0]) // 2)

    def _on_act(self, *_: Any) -> None:
        self._desk.session.act()
