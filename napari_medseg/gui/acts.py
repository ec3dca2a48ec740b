"""What docks, keys and menus ask a desk for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_medseg.errors import InvalidInputError, MedsegError
from napari_medseg.gui.labels_writer import LabelsWriter
from napari_medseg.gui.looking import Looking
from napari_medseg.gui.opening import Opener
from napari_medseg.gui.pointing import TOOLS as POINTING
from napari_medseg.session import barrier, levelset_live
from napari_medseg.session.rulers import KINDS as RULERS
from napari_medseg.session.session import Session
from napari_medseg.session.state import Mode
from napari_medseg.session.study import is_study


class Acts(Looking):
    """The part of a desk that a person's acts go through; a fault of theirs is said, not raised."""

    writer: LabelsWriter
    opener: Opener

    def run(self) -> None:
        """Run what the open tab is for, from the slice in view."""
        self.session.run(self.focus())

    def arm(self, tool: str) -> None:
        """Turn a canvas tool on, or off when it is on."""
        session = self.session
        try:
            if tool == "limit":
                session.begin_limit()
            elif tool in POINTING or (tool == "scribbles" and session.tab == "segment"):
                session.prompting.arm(tool)  # type: ignore[arg-type]
            elif tool == "scribbles":
                session.begin_scribbles()
            elif tool == "barrier":
                barrier.begin(session)
            elif tool == "bubble":
                levelset_live.begin_bubble(session)
            elif tool == "pick":
                session.begin_pick()
            elif tool in RULERS:
                session.reviewing.rulers.arm(tool)
            elif session.current is None:
                raise InvalidInputError(session.declined or "no scan is open", where="Seeds", todo="Drop a scan on the window, or try a sample")
            else:
                session.set(tool="" if session.tool == "seeds" else "seeds")
        except MedsegError as error:
            session.report(error)

    def enter_mode(self, mode: Mode) -> None:
        """Turn to one of the weak-label tools; one that begins with a brush has it in hand at once."""
        self.session.set(mode=mode)
        if mode in ("scribbles", "limit") and self.session.current is not None and not self.session.current.arriving:
            self.arm(mode)

    def paint_labels(self) -> None:
        """Put napari's brush on the accepted labels into the person's hand, with the chosen class; empty labels are begun."""
        session, scan = self.session, self.session.current
        if scan is None or scan.arriving:
            return
        if scan.labels is None:
            scan.hold_nothing()
            session.labels_changed.emit(scan, None)
        session.set(tool="")
        layer = self.writer.of(scan).labels
        if layer is not None and layer in self.viewer.layers:
            layer.visible, layer.selected_label = True, session.chosen
            self.viewer.layers.selection.active = layer
            layer.mode = "paint"
            self.writer.brush_in_hand()

    def step(self) -> None:
        """Let the level set make one update."""
        self._or_report(levelset_live.step)

    def go_farther(self) -> None:
        """Let the level set grow farther from its seeds."""
        self._or_report(levelset_live.farther)

    def rewind(self) -> None:
        """Take the level set's last update back."""
        self._or_report(levelset_live.rewind)

    def next_prompt_tool(self) -> None:
        """Take the next prompt tool in the hand."""
        self._or_report(lambda session: session.prompting.next_tool())

    def new_object(self) -> None:
        """Begin another object of the chosen class."""
        self._or_report(lambda session: session.prompting.new_object())

    def start_from_label(self) -> None:
        """The accepted label of the chosen class is what the segmenter starts from."""
        self._or_report(lambda session: session.prompting.start_from_label())

    def go_to_doubt(self, by: int) -> None:
        """Go to the next place the segmenter is not sure of, or to the one before."""
        self._or_report(lambda session: session.doubt.go(by))

    def go_to_disagreement(self, by: int) -> None:
        """Go to the axial slice on which annotators disagree most, then to the next, or to the one before."""
        scan = self.session.current
        spot = self.session.reviewing.agreement.step(by)
        if scan is not None and spot is not None:
            self.show_slice(0, spot[0])
            self.bring(scan, spot)

    def mark_right(self) -> None:
        """The slice in view is right, or not after all."""
        axis = self.along()
        index = self.slice_in_view(axis) if axis is not None else None
        self._or_report(lambda session: session.verified.toggle(-1 if index is None else index, axis or 0))

    def is_right(self) -> bool:
        """Whether the slice in view is marked as right."""
        scan, axis = self.session.current, self.along()
        return scan is not None and axis is not None and self.slice_in_view(axis) in self.session.verified.of(scan, axis)

    def propose_rest(self) -> None:
        """Propose the other slices of the current scan from those that were corrected."""
        self._or_report(lambda session: session.rest.start())

    def clear_barrier(self) -> None:
        """Remove the current scan's barrier; Ctrl+Z on its layer brings it back."""
        if self.session.current is not None:
            barrier.clear(self.session, self.session.current)

    def clear_seeds(self) -> None:
        """Remove the chosen class's seeds from the current scan."""
        scan = self.session.current
        if scan is not None:
            self.session.set_seeds(scan, {v: p for v, p in scan.seeds.items() if v != self.session.chosen})

    def combine_selected(self) -> None:
        """Show the selected scans as the channels of one more."""
        chosen = self.viewer.layers.selection
        self.opener.combine(self.pictures.volumes(layer for layer in self.viewer.layers if layer in chosen))

    def open_path(self, path: Path, series: str | None = None) -> None:
        """Open a study, or a scan beside the window."""
        if is_study(path):
            self.session.study.open(path)
        else:
            self.opener.open(path, series)

    def open_sample(self, key: str) -> None:
        """Open a sample scan through napari, as its own menu would."""
        self.viewer.open_sample("napari-medseg", key)

    def _or_report(self, act: Callable[[Session], object]) -> None:
        self.session.attempt(lambda: act(self.session))
