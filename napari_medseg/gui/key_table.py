"""Every key of the window in one table: its act, what a person is told of it, and where it works. The sheet, the bindings and the preferences all read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_medseg.gui import by_keys
from napari_medseg.gui import key_acts as act

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

EVERYWHERE, LABELS, SEGMENT, WEAK, CHECK, STUDY = "Everywhere", "Labels", "Segment", "Weak label", "Refine and Review", "Study"
BLINDED, NAPARI = "Blinded review, in its own window", "napari's own, on the canvas"


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes
    ----------
    id : str
        What preferences call its act.
    key : str
        As it is from the start, in napari's spelling: "Shift-Q".
    words : str
        What it does.
    where : str
        Where it works: the heading of the sheet it stands under.
    run : callable or None
        The act, given the desk; a generator function is held: it ends when the key is let go. None for keys that others bind.
    overrides : bool
        Whether it is meant to stand before a key of napari's own.
    """

    id: str
    key: str
    words: str
    where: str
    run: Callable[[Desk], Any] | None = None
    overrides: bool = False


TABLE: tuple[Key, ...] = (
    Key("sheet", "F1", "Show or close this sheet; ? does so too", EVERYWHERE, act.sheet),
    Key("run", "G", "Run what the open page is for: grow, segment, train, compare. A level set: run, pause, go on", EVERYWHERE, act.run),
    Key("accept", "K", "Accept the preview", EVERYWHERE, act.accept),
    Key("discard", "Shift-K", "Discard the preview", EVERYWHERE, act.discard),
    Key("hide", "H", "Hold it: preview, labels and prompts are hidden", EVERYWHERE, act.hide_while_held),
    Key("undo", "Control-Z", "Undo: the stroke on the layer that is selected, else what was done last to labels, seeds, prompts", EVERYWHERE, act.undo, True),
    Key("redo", "Control-Shift-Z", "Do it again", EVERYWHERE, act.redo, True),
    Key("flip", "Q", "Inside or outside, add or erase, add or cut out; in Level set: seeds on or off", EVERYWHERE, act.flip),
    Key("next tool", "Shift-Q", "The next tool: click, box, stroke, lasso in Segment; level set to clean-up in Weak label", EVERYWHERE, act.next_tool),
    Key("next place", "J", "The next place to look at: a doubt, what to correct, a disagreement, a narrow neck", EVERYWHERE, act.next_place),
    Key("last place", "Shift-J", "The place before", EVERYWHERE, act.last_place),
    Key("segment", "Control-1", "The Segment tab", EVERYWHERE, partial(act.turn_to, tab="segment")),
    Key("weak", "Control-2", "The Weak label tab", EVERYWHERE, partial(act.turn_to, tab="weak")),
    Key("refine", "Control-3", "The Refine tab", EVERYWHERE, partial(act.turn_to, tab="refine")),
    Key("review", "Control-4", "The Review tab", EVERYWHERE, partial(act.turn_to, tab="review")),
    Key("ortho", "U", "Axial, coronal, sagittal and 3D together, or the one view", EVERYWHERE, act.toggle_ortho),
    Key("crosshair", "Shift-U", "Crosshair in the main view, or none", EVERYWHERE, act.toggle_crosshair),
    Key("left", "Control-Shift-Left", "Crosshair 2 mm to the left", EVERYWHERE, partial(by_keys.move, right=-1)),
    Key("right", "Control-Shift-Right", "Crosshair 2 mm to the right", EVERYWHERE, partial(by_keys.move, right=1)),
    Key("up", "Control-Shift-Up", "Crosshair 2 mm up", EVERYWHERE, partial(by_keys.move, down=-1)),
    Key("down", "Control-Shift-Down", "Crosshair 2 mm down", EVERYWHERE, partial(by_keys.move, down=1)),
    Key("set down", "Shift-Enter", "Click at the crosshair with the tool in hand; begin and end a box or lasso there", EVERYWHERE, by_keys.set_down),
    Key("level", "W", "Window and level by dragging with the right button, or napari's zoom again", EVERYWHERE, act.toggle_levelling),
    Key("next label", "PageDown", "Choose the next label", LABELS, partial(act.choose_label, by=1)),
    Key("last label", "PageUp", "Choose the label before", LABELS, partial(act.choose_label, by=-1)),
    Key("lock", "Control-Shift-L", "Lock the chosen label, or unlock it", LABELS, act.lock_label),
    Key("show", "Control-Shift-H", "Hide the chosen label, or show it again", LABELS, act.show_label),
    Key("object", "0", "Another object of the same label", SEGMENT, act.new_object),
    Key("back", ",", "Level set: one update back", WEAK, act.rewind),
    Key("on", ".", "Level set: one update on", WEAK, act.step),
    Key("smaller", "8", "Level set: smaller", WEAK, partial(act.slide, slider="size", by=-1)),
    Key("bigger", "9", "Level set: bigger", WEAK, partial(act.slide, slider="size", by=1)),
    Key("sharper", "Alt-8", "Level set: sharper", WEAK, partial(act.slide, slider="smoothness", by=-1)),
    Key("smoother", "Alt-9", "Level set: smoother", WEAK, partial(act.slide, slider="smoothness", by=1)),
    Key("by grey", "Control-8", "Level set: more by grey values", WEAK, partial(act.slide, slider="edge", by=-1)),
    Key("by edges", "Control-9", "Level set: more by edges", WEAK, partial(act.slide, slider="edge", by=1)),
    Key("bubble", "Shift-O", "Bubble on or off: a click adds a ball, with Shift it cuts one out", WEAK, partial(act.take, tool="bubble")),
    Key("barrier", "Shift-B", "Barrier on or off: paint what a level set never crosses", WEAK, partial(act.take, tool="barrier")),
    Key("right slice", "Alt-K", "This slice is right, or not after all", CHECK, act.mark_right),
    Key("ruler", "Shift-R", "Distance in mm on or off: click on the slice", CHECK, partial(act.arm, tool="ruler")),
    Key("angle", "Alt-R", "Angle in degrees on or off: click on the slice", CHECK, partial(act.arm, tool="angle")),
    Key("next case", "N", "Next case of the study", STUDY, partial(act.go_to_case, by=1)),
    Key("last case", "Shift-N", "Case before", STUDY, partial(act.go_to_case, by=-1)),
    Key("version", "Control-Alt-V", "Save a version of the labels under a name", STUDY, act.name_version),
    Key("verify", "Control-Shift-K", "The labels of this case are checked and good", STUDY, act.verify),
)

INFORMATION: tuple[Key, ...] = (
    *(Key("", key, words, BLINDED) for key, words in (
        ("A", "The left outline is better"), ("S", "No difference"), ("D", "The right outline is better"), ("X", "Neither could be used"),
        ("Z", "Back one"), ("Enter", "Go on without changing the answer"), ("N", "Write a note"), ("H", "Hold it: outlines are hidden"),
        ("F", "Outlines or areas"), ("W", "The whole slice"), ("0", "The region around the outlines"),
    )),
    *(Key("", key, words, NAPARI) for key, words in (
        ("Left, Right", "One slice on or back"), ("Space", "Hold it: a drag moves the picture, whatever tool is in the hand"),
        ("Control-R", "The whole scan in view"),
        ("Control-Y", "Slices or 3D"), ("Control-E", "Roll the axes: axial, coronal, sagittal"), ("[ and ]", "A smaller or larger brush"),
        ("1, 2, 3, 4", "On a label layer: erase, paint, polygon, fill"), ("X", "On a label layer: the label or background"),
        ("V", "Show or hide the selected layers"),
        ("Control-Shift-P", "The command palette: every act by name"),
    )),
)


def spelt(key: str) -> str:
    """A key as people write it: "Ctrl+Shift+Z"."""
    return key if " " in key else key.replace("Control-", "Ctrl+").replace("Shift-", "Shift+").replace("Alt-", "Alt+")


def assigned(chosen: Mapping[str, str]) -> dict[str, str]:
    """The key of every act: as in the table, but for those a person chose; "" for none. Unknown acts are left out."""
    return {row.id: chosen.get(row.id, row.key) for row in TABLE}


def with_key(keys: Mapping[str, str], act_id: str, key: str) -> dict[str, str]:
    """The keys after an act was given another one; who had that key before gets the old one."""
    before = keys[act_id]
    return {other: key if other == act_id else before if held == key and key else held for other, held in keys.items()}


def changed(keys: Mapping[str, str]) -> dict[str, str]:
    """Those that are not as in the table: what preferences keep."""
    return {row.id: keys[row.id] for row in TABLE if keys[row.id] != row.key}


def matching(words: str, rows: Iterable[Key], keys: Mapping[str, str]) -> list[Key]:
    """Rows that hold all words of a search in their key, their words or their heading."""
    wanted = words.casefold().split()
    return [row for row in rows if all(word in f"{spelt(keys.get(row.id, row.key))} {row.words} {row.where}".casefold() for word in wanted)]
