"""Keys: bound on the canvas while a dock of ours is open, given back when the last one closes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

SHEET = (
    ("G", "Run: grow from seeds, run the segmenter, start the refinement"),
    ("K", "Accept the preview"),
    ("Shift+K", "Discard the preview"),
    ("Q", "Add seeds on or off; with scribbles: class or background"),
    ("H", "Hold to hide preview and labels"),
    ("N, Shift+N", "Next and previous case of the study"),
    ("Ctrl+Alt+V", "Save a version of the labels under a name"),
    ("Ctrl+Z, Ctrl+Shift+Z", "Undo and redo, on the label layer"),
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
            "K": self._act(self._desk.session.accept),
            "Shift-K": self._act(self._desk.session.discard),
            "Q": self._act(self._flip),
            "H": self._hold_to_hide,
            "N": self._act(lambda: self._desk.session.study.step(1)),
            "Shift-N": self._act(lambda: self._desk.session.study.step(-1)),
            "Control-Alt-V": self._act(self._desk.name_version),
        }
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

    def _flip(self) -> None:
        session = self._desk.session
        if session.tab == "weak" and session.mode == "scribbles":
            session.flip()
        elif session.tab == "weak" and session.mode == "levelset":
            self._desk.arm("seeds")

    def _hold_to_hide(self, viewer: Any) -> Iterator[None]:
        scan = self._desk.session.current
        shown = [layer for layer in self._desk.writer.of(scan).all() if layer.visible] if scan is not None else []
        for layer in shown:
            layer.visible = False
        yield
        for layer in shown:
            layer.visible = True
