"""What napari's menus and its command palette can do with Medseg: open a tab, or do an act of the window by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_medseg.gui.launch import CASES, DOCK, PLUGIN

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk


def segment() -> None:
    """Open Medseg at the Segment tab."""
    _turn_to("segment")


def weak() -> None:
    """Open Medseg at the Weak label tab."""
    _turn_to("weak")


def refine() -> None:
    """Open Medseg at the Refine tab."""
    _turn_to("refine")


def review() -> None:
    """Open Medseg at the Review tab."""
    _turn_to("review")


def paint() -> None:
    """Take napari's brush in hand, on the accepted labels."""
    desk = _desk()
    if desk is not None:
        desk.paint_labels()


def cases() -> None:
    """Open the Cases dock beside Medseg."""
    desk = _desk()
    if desk is not None:
        desk.viewer.window.add_plugin_dock_widget(PLUGIN, CASES)


def run() -> None:
    """Run what the open tab is for."""
    _act("run")


def accept() -> None:
    """Accept the preview."""
    _act("accept")


def discard() -> None:
    """Discard the preview."""
    _act("discard")


def undo() -> None:
    """Take the last change back."""
    _act("undo")


def redo() -> None:
    """Do it again."""
    _act("redo")


def next_place() -> None:
    """Go to the next place to look at."""
    _act("next place")


def next_case() -> None:
    """Open the next case of the study."""
    _act("next case")


def last_case() -> None:
    """Open the case before."""
    _act("last case")


def version() -> None:
    """Save a version of the labels."""
    _act("version")


def verify() -> None:
    """Mark the labels of the open case as checked."""
    _act("verify")


def ruler() -> None:
    """Take the ruler in hand."""
    _act("ruler")


def keys() -> None:
    """Show the sheet of keys."""
    _act("sheet")


def _desk() -> Desk | None:
    """The desk of the window in front, which is opened where it is not; None without a window."""
    import napari

    from napari_medseg.gui.desk import desk_for, find_desk

    viewer = napari.current_viewer()
    if viewer is None:
        return None
    if find_desk(viewer) is None:
        viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    return desk_for(viewer)


def _turn_to(tab: str) -> None:
    desk = _desk()
    if desk is not None:
        desk.viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
        desk.session.set(tab=tab)


def _act(name: str) -> None:
    from napari_medseg.gui.key_table import TABLE

    desk, row = _desk(), next(row for row in TABLE if row.id == name)
    if desk is not None and row.run is not None:
        row.run(desk)
