"""Cases of a study as layers: shown when a case is opened, taken away when it is left; and what the person does in the viewer counts as work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Layer

from napari_medseg.errors import InvalidInputError
from napari_medseg.gui import layers
from napari_medseg.gui.leaving import Leaving
from napari_medseg.session.state import Scan

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk


class StudyView:
    """The viewer's side of a session's study.

    Parameters
    ----------
    desk : Desk
    viewer : napari viewer

    Attributes
    ----------
    leaving : Leaving
        Layers of cases that were left, which are on their way out: nobody's labels any more.
    """

    def __init__(self, desk: Desk, viewer: Any) -> None:
        self._desk, self._viewer, self._study = desk, viewer, desk.session.study
        self.leaving = Leaving(viewer, desk)
        self._study.prepare, self._study.present, self._study.dismiss = layers.volume_layers, self._present, self._dismiss
        viewer.mouse_move_callbacks.append(self._on_act)
        viewer.dims.events.current_step.connect(self._on_act)

    def close(self) -> None:
        """Let the viewer go."""
        self.leaving.close()
        if self._on_act in self._viewer.mouse_move_callbacks:
            self._viewer.mouse_move_callbacks.remove(self._on_act)
        self._viewer.dims.events.current_step.disconnect(self._on_act)

    def _present(self, made: Sequence[layers.LayerTuple]) -> Scan:
        self.leaving.finish()
        known = list(self._desk.session.scans)
        for data, keywords, kind in made:
            self._viewer.add_layer(Layer.create(data, keywords, kind))
        opened = [scan for scan in self._desk.session.scans if scan not in known]
        if not opened:
            why = self._desk.session.declined or "cannot be worked on"
            raise InvalidInputError(why, where="Cases", todo="Open its file by itself to look at it")
        self._desk.pictures.fit(opened[0])
        self._desk.in_hand.again()  # napari has selected the picture meanwhile
        return opened[0]

    def _dismiss(self, scan: Scan) -> None:
        """The scan is closed at once, and with it its labels are put away; its layers go in turns after that, and the picture goes first."""
        desk, shown = self._desk, self._viewer.layers
        gone = self._layers_of(scan)
        desk.session.close(scan)
        if desk.session.scans:
            shown.selection.active = desk.image(desk.session.scans[-1])
            desk.in_hand.again()
        self.leaving.add(gone)

    def _layers_of(self, scan: Scan) -> tuple[Layer, ...]:
        """All that were added for a scan."""
        desk = self._desk
        maps = (desk.doubt.get(scan), desk.disagreement.get(scan), desk.looks.get(scan))
        single = (desk.seeds.get(scan), *maps, desk.surface.get(scan), desk.found.get(scan))
        many = (*desk.pictures.all(scan), *desk.writer.of(scan).all(), *desk.prompts.of(scan), *(desk.rulers.layers.of(scan) or ()), *desk.glimpse.of(scan))
        return (*many, *(layer for layer in single if layer is not None))

    def _on_act(self, *_: Any) -> None:
        self._desk.session.act()
