"""Keys: bound on the canvas while a dock of ours is open, given back when the last one closes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_medseg.session import levelset_live

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

SHEET = (
    ("G", "Run: grow from seeds, run the segmenter, start the refinement; a level set: run, pause, go on"),
    (", and .", "Level set: one update back, one update on"),
    ("8 and 9", "Level set: smaller, bigger; with Alt sharper, smoother; with Ctrl grey values, edges"),
    ("Shift+O", "Bubble on or off: a click adds a ball, with Shift it cuts one out"),
    ("Shift+B", "Barrier on or off: paint what a level set never crosses"),
    ("J, Shift+J", "Show the next place to look at, and the one before: where a segmenter is not sure; in Refine what to correct; J: a level set's neck"),
    ("Shift+Q", "Segment: the next prompt tool: click, box, stroke, lasso"),
    ("0", "Segment: another object of the same label"),
    ("Shift+R, Alt+R", "Ruler (mm) and angle (degrees) on or off: click on the slice"),
    ("K", "Accept the preview"),
    ("Shift+K", "Discard the preview"),
    ("Alt+K", "This slice is right, or not after all"),
    ("Q", "Add seeds on or off; clicks and strokes: inside or outside; limit brush: add or erase; bubbles: add or cut out"),
    ("H", "Hold to hide preview and labels"),
    ("N, Shift+N", "Next and previous case of the study"),
    ("Ctrl+Alt+V", "Save a version of the labels under a name"),
    ("Ctrl+Z, Ctrl+Shift+Z", "Undo and redo: the stroke on the layer that is selected, else the last change of the labels, or a Discard"),
)


def key_list() -> str:
    """Every key and what it does, for a tooltip."""
    rows = "".join(f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{act}</td></tr>" for key, act in SHEET)
    return f"<table>{rows}</table>"


class Keys:
    """The keys of one viewer.

    Parameters
    ----------
    viewer : napari viewer
    desk : Desk
    """

    def __init__(self, viewer: Any, desk: Desk) -> None:
        self._viewer, self._desk = viewer, desk
        self._before: dict[str, Callable[..., Any] | None] = {}

    def bind(self) -> None:
        """Take the keys."""
        if self._before:
            return
        acts: dict[str, Callable[[Any], Any]] = {
            "G": self._act(self._desk.run),
            ".": self._act(self._desk.step),
            ",": self._act(self._desk.rewind),
            "Shift-O": self._act(lambda: self._tool("bubble")),
            "Shift-B": self._act(lambda: self._tool("barrier")),
            "J": self._act(lambda: self._look(1)),
            "Shift-J": self._act(lambda: self._look(-1)),
            "Shift-Q": self._act(self._next_tool),
            "0": self._act(self._new_object),
            "Control-Z": self._act(self._desk.session.undo),
            "Control-Shift-Z": self._act(self._desk.session.redo),
            "Shift-R": self._act(lambda: self._desk.arm("ruler")),
            "Alt-R": self._act(lambda: self._desk.arm("angle")),
            "K": self._act(self._desk.session.accept),
            "Shift-K": self._act(self._desk.session.discard),
            "Alt-K": self._act(self._desk.mark_right),
            "Q": self._act(self._flip),
            "H": self._hold_to_hide,
            "N": self._act(lambda: self._desk.session.study.step(1)),
            "Shift-N": self._act(lambda: self._desk.session.study.step(-1)),
            "Control-Alt-V": self._act(self._desk.name_version),
        }
        for modifier, slider in (("", "size"), ("Alt-", "smoothness"), ("Control-", "edge")):
            for key, by in (("8", -1), ("9", 1)):
                acts[modifier + key] = self._act(partial(self._slide, slider, by))
        for key, act in acts.items():
            self._before[key] = self._viewer.bind_key(key, act, overwrite=True)

    def unbind(self) -> None:
        """Give the keys back to whoever had them."""
        for key, before in self._before.items():
            self._viewer.bind_key(key, before, overwrite=True)
        self._before = {}

    @staticmethod
    def _act(function: Callable[[], None]) -> Callable[[Any], None]:
        def on_key(viewer: Any) -> None:
            function()

        return on_key

    def _tool(self, tool: str) -> None:
        session = self._desk.session
        if (session.tab, session.mode) != ("weak", "levelset"):
            session.set(tab="weak", mode="levelset")
        self._desk.arm(tool)

    def _slide(self, slider: str, by: int) -> None:
        session = self._desk.session
        if (session.tab, session.mode) == ("weak", "levelset"):
            levelset_live.slide(session, slider, by)

    def _look(self, by: int) -> None:
        session = self._desk.session
        if session.tab == "segment":
            self._desk.go_to_doubt(by)
        elif session.tab == "refine":
            session.refining.step(by)
        elif session.reviewing.is_on("agreement"):
            self._desk.go_to_disagreement(by)
        elif by > 0:
            self._desk.show_neck()

    def _next_tool(self) -> None:
        if self._desk.session.tab == "segment":
            self._desk.next_prompt_tool()

    def _new_object(self) -> None:
        if self._desk.session.prompting.points_at():
            self._desk.new_object()

    def _flip(self) -> None:
        session = self._desk.session
        if session.tab == "segment":
            if session.prompting.can_flip():
                session.flip()
        elif session.tool == "bubble":
            session.flip()
        elif session.tab == "weak" and session.mode in ("scribbles", "limit"):
            session.flip()
        elif session.tab == "weak" and session.mode == "levelset":
            self._desk.arm("seeds")

    def _hold_to_hide(self, viewer: Any) -> Iterator[None]:
        scan = self._desk.session.current
        surface = self._desk.surface.get(scan) if scan is not None else None
        ours = (*self._desk.writer.of(scan).all(), *self._desk.prompts.of(scan), *([surface] if surface is not None else [])) if scan is not None else ()
        shown = [layer for layer in ours if layer.visible]
        for layer in shown:
            layer.visible = False
        yield
        for layer in shown:
            layer.visible = True
