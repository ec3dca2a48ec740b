"""Which keys are napari's own, as they are set now, and which a person can type."""

from __future__ import annotations

from collections.abc import Iterable

from napari import layers
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QKeyEvent, QKeySequence

LAYERS = (layers.Image, layers.Labels, layers.Points, layers.Shapes, layers.Surface, layers.Tracks, layers.Vectors)
NAMES = {"Ins": "Insert", "Del": "Delete", "PgUp": "PageUp", "PgDown": "PageDown", "Return": "Enter", "Esc": "Escape"}
SPECIAL = frozenset((
    *(f"F{number}" for number in range(1, 13)), "Up", "Down", "Left", "Right", "Insert", "Delete", "Home", "End", "PageUp", "PageDown", "Backspace",
))
PLAIN = frozenset(",.;'/\\`-=[]0123456789")
MODIFIERS = (
    (Qt.KeyboardModifier.ControlModifier, "Control-"), (Qt.KeyboardModifier.AltModifier, "Alt-"), (Qt.KeyboardModifier.ShiftModifier, "Shift-"),
)


def napari_act(key: str, actions: Iterable[QAction] = ()) -> str:
    """What napari does with a key ("Control-Y") on some layer, in the viewer or in a menu; "" when it is free."""
    wanted = coerce_keybinding(key)
    for act, keys in get_settings().shortcuts.shortcuts.items():
        if wanted in keys:
            return act.removeprefix("napari:").replace("_", " ")
    for kind in LAYERS:
        for base in kind.__mro__:
            found = getattr(base, "class_keymap", {}).get(wanted)
            if found is not None:
                return f"{getattr(found, '__name__', 'act').replace('_', ' ')} ({kind.__name__})"
    portable = {str(wanted)}
    return next((a.text().replace("&", "") for a in actions if any(s.toString(_PORTABLE) in portable for s in a.shortcuts())), "")


def typed(event: QKeyEvent) -> str:
    """A key that was pressed, in napari's spelling; "" for one that cannot be bound, such as a modifier alone or a sign that Shift makes another."""
    name = QKeySequence(event.key()).toString(_PORTABLE)
    name = NAMES.get(name, name)
    held = event.modifiers()
    letter = len(name) == 1 and name.isascii() and name.isalpha()
    if not letter and name not in SPECIAL and (name not in PLAIN or held & Qt.KeyboardModifier.ShiftModifier):
        return ""
    return "".join(word for flag, word in MODIFIERS if held & flag) + name


_PORTABLE = QKeySequence.SequenceFormat.PortableText
