"""How the window was left is how it opens again: tab and tool, windows by modality, and the level set's sliders by the label they were set for.

Names of labels are kept, nothing of a scan or a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, get_args

from napari_medseg.session import preferences
from napari_medseg.session.settings import EDGE_STEPS, SIZES, SMOOTHS, LevelSetChoices, Solver
from napari_medseg.session.state import Mode, Tab
from napari_medseg.volume.windows import Preset, Window

if TYPE_CHECKING:
    from napari_medseg.session.choices import Choices
    from napari_medseg.session.session import Session

MOST_CLASSES = 100
SLIDERS = {"size": (-SIZES, SIZES), "smoothness": (-SMOOTHS, SMOOTHS), "edge": (0, EDGE_STEPS)}


def settle(session: Session, choices: Choices) -> None:
    """Work as a person settled in the preferences, from now on."""
    before, session.choices = session.choices, choices
    if choices.device != before.device:
        session.device = choices.device
        session.levelset = replace(session.levelset, device="auto" if choices.device == "mps" else choices.device)
    if choices.live != before.live:
        session.scribble, session.segment = replace(session.scribble, live=choices.live), replace(session.segment, live=choices.live)
        session.cleanup = replace(session.cleanup, live=choices.live)
    session.letters, session.readout = choices.letters, choices.place
    session.changed.emit()


class Remembering:
    """What is remembered of a session, and had back at the start of the next.

    Parameters
    ----------
    session : Session
    last : dict
        As it was left; what makes no sense in it counts as not there.
    """

    def __init__(self, session: Session, last: Mapping[str, Any]) -> None:
        self._session = session
        if last.get("tab") in get_args(Tab):
            session.tab = last["tab"]
        if last.get("mode") in get_args(Mode):
            session.mode = last["mode"]
        if last.get("solver") in get_args(Solver):
            session.scribble = replace(session.scribble, solver=last["solver"])
        engine = session.catalogue.entries.get(str(last.get("engine", "")))
        if engine is not None and engine.kind == "segmenter" and not engine.needs():
            session.engine = engine.id
        for kind, window in _table(last.get("windows")).items():
            if (preset := _preset(window)) is not None:
                session.windows.chosen[kind] = preset
        self._sliders = {name: _sliders(found) for name, found in _table(last.get("sliders")).items()}
        self._for = self._name()
        self._take(self._for)
        session.changed.connect(self._follow)

    def keep(self) -> None:
        """Remember how it is now."""
        session = self._session
        self._note(self._for)
        windows = {kind: _told(preset) for kind, preset in session.windows.chosen.items()}
        preferences.remember_last({
            "tab": session.tab, "mode": session.mode, "solver": session.scribble.solver, "engine": session.engine, "windows": windows,
            "sliders": dict(list(self._sliders.items())[-MOST_CLASSES:]),
        })

    def _follow(self) -> None:
        """Each label has its own sliders; those of a front that grows stay in hand."""
        name = self._name()
        if name == self._for or self._session.front is not None:
            return
        self._note(self._for)
        self._for = name
        self._take(name)

    def _note(self, name: str) -> None:
        now = self._session.levelset
        self._sliders.pop(name, None)
        if any(getattr(now, each) != getattr(LevelSetChoices(), each) for each in SLIDERS):
            self._sliders[name] = {each: getattr(now, each) for each in SLIDERS}

    def _take(self, name: str) -> None:
        kept = self._sliders.get(name)
        if kept is not None:
            self._session.levelset = replace(self._session.levelset, **kept)

    def _name(self) -> str:
        session = self._session
        return next((each.name for each in session.classes if each.value == session.chosen), "")


def _sliders(found: object) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, (low, high) in SLIDERS.items():
        value = _table(found).get(name)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            kept[name] = value
    return kept


def _told(preset: Preset) -> dict[str, Any]:
    values = {"share": list(preset.share)} if preset.window is None else {"level": preset.window.level, "width": preset.window.width}
    return {"key": preset.key, "title": preset.title, **values}


def _preset(found: object) -> Preset | None:
    """A window as it was told; None where it is no window."""
    kept = _table(found)
    key, title, width = str(kept.get("key", "")), str(kept.get("title", "")), kept.get("width")
    try:
        if width is not None:
            window = Window(float(kept["level"]), float(width))
            return Preset(key, title, window) if isfinite(window.level) and 0 < window.width < inf else None
        low, high = (float(each) for each in kept["share"])
    except (KeyError, TypeError, ValueError):
        return None
    return Preset(key, title, share=(low, high)) if 0 <= low < high <= 100 else None


def _table(found: object) -> dict[str, Any]:
    return {str(name): value for name, value in found.items()} if isinstance(found, dict) else {}
