"""What keys do, one act each; all of them speak to the desk as the docks do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication

from napari_medseg.gui.ortho_frame import find_canvas
from napari_medseg.session import levelset_live
from napari_medseg.session.state import Mode, Tab

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

MODES: tuple[Mode, ...] = ("levelset", "scribbles", "limit", "interpolate", "cleanup")


def sheet(desk: Desk) -> None:
    """Show the sheet of keys, or close it."""
    desk.keys.sheet.toggle()


def run(desk: Desk) -> None:
    """Run what the open tab is for."""
    desk.run()


def accept(desk: Desk) -> None:
    """Accept the preview."""
    desk.session.accept()


def discard(desk: Desk) -> None:
    """Discard the preview."""
    desk.session.discard()


def undo(desk: Desk) -> None:
    """Take the last change back."""
    desk.session.undo()


def redo(desk: Desk) -> None:
    """Do it again."""
    desk.session.redo()


def toggle_ortho(desk: Desk) -> None:
    """All four views, or the one."""
    desk.views.toggle_ortho()


def toggle_crosshair(desk: Desk) -> None:
    """The crosshair in the main view, or none."""
    desk.session.views.toggle_crosshair()


def toggle_levelling(desk: Desk) -> None:
    """The right button drags the window, or zooms."""
    desk.session.views.toggle_levelling()


def turn_to(desk: Desk, tab: Tab) -> None:
    """Open a tab."""
    if desk.session.tab != tab:
        desk.session.set(tab=tab)


def hide_while_held(desk: Desk) -> Iterator[None]:
    """Hide what lies over the scan until the key is let go; layers that show nothing yet stay as they are."""
    scan = desk.session.current
    if scan is not None:
        single = (layer for layer in (desk.surface.get(scan), desk.found.get(scan)) if layer is not None)
        over = (*desk.writer.filled(scan), *(layer for layer in desk.prompts.of(scan) if len(layer.data)), *single)
        desk.hiding.hide(over)
    yield
    desk.hiding.bring_back()


def flip(desk: Desk) -> None:
    """The other side of the tool in hand; in Level set, seeds on or off."""
    session = desk.session
    if session.tab == "segment":
        if session.prompting.can_flip():
            session.flip()
    elif session.tool == "bubble":
        session.flip()
    elif session.tab == "weak" and session.mode in ("scribbles", "limit"):
        session.flip()
    elif session.tab == "weak" and session.mode == "levelset":
        desk.arm("seeds")


def next_tool(desk: Desk) -> None:
    """The next prompt tool, or the next tool for weak labels."""
    session = desk.session
    if session.tab == "segment":
        desk.next_prompt_tool()
    elif session.tab == "weak":
        desk.enter_mode(MODES[(MODES.index(session.mode) + 1) % len(MODES)])


def next_place(desk: Desk) -> None:
    """The next place to look at."""
    _look(desk, 1)


def last_place(desk: Desk) -> None:
    """The place before."""
    _look(desk, -1)


def choose_label(desk: Desk, by: int) -> None:
    """Choose the next label of the table, or the one before; the last one is followed by the first."""
    session = desk.session
    values = [c.value for c in session.classes]
    session.choose_class(values[(values.index(session.chosen) + by) % len(values)])


def lock_label(desk: Desk) -> None:
    """Lock the chosen label, or unlock it."""
    session = desk.session
    session.table.lock(session.chosen, session.chosen not in session.table.locked)


def show_label(desk: Desk) -> None:
    """Hide the chosen label, or show it."""
    session = desk.session
    session.table.show(session.chosen, session.chosen in session.table.hidden)


def new_object(desk: Desk) -> None:
    """Another object of the same label."""
    if desk.session.prompting.points_at():
        desk.new_object()


def step(desk: Desk) -> None:
    """One update of the level set."""
    desk.step()


def rewind(desk: Desk) -> None:
    """One update back."""
    desk.rewind()


def slide(desk: Desk, slider: str, by: int) -> None:
    """Move a slider of the level set."""
    session = desk.session
    if (session.tab, session.mode) == ("weak", "levelset"):
        levelset_live.slide(session, slider, by)


def take(desk: Desk, tool: str) -> None:
    """Take a tool of the level set in the hand, or put it down."""
    session = desk.session
    if (session.tab, session.mode) != ("weak", "levelset"):
        session.set(tab="weak", mode="levelset")
    desk.arm(tool)


def arm(desk: Desk, tool: str) -> None:
    """Take a tool in the hand, or put it down."""
    desk.arm(tool)


def mark_right(desk: Desk) -> None:
    """The slice in view is right, or not after all."""
    desk.mark_right()


def go_to_case(desk: Desk, by: int) -> None:
    """Open another case of the study."""
    desk.session.study.step(by)
    canvas = find_canvas(QApplication.activeWindow())
    if canvas is not None:
        canvas.setFocus()  # the arrows were a button's or a table's, where one of those was used last


def name_version(desk: Desk) -> None:
    """Save a version under a name."""
    desk.name_version()


def verify(desk: Desk) -> None:
    """The labels are checked and good."""
    desk.session.study.verify()


def _look(desk: Desk, by: int) -> None:
    session = desk.session
    if session.tab == "segment":
        desk.go_to_doubt(by)
    elif session.tab == "refine":
        session.refining.step(by)
    elif session.reviewing.is_on("agreement"):
        desk.go_to_disagreement(by)
    elif by > 0:
        desk.show_neck()
