"""Drive the real window as a person does, by the pointer and the keys of the X server, and count what it takes; needs a display, a window manager and xdotool.

Every act is looked at beside what the Guide says at that moment: an act that it names, by its key, its button or its words, is one that the window answered by
itself; any other is a question that a person would have to ask. Times of hands are those of the keystroke-level model (Card, Moran and Newell, 1980).
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qtpy.QtCore import QPoint, QRect, QTimer
from qtpy.QtWidgets import QAbstractButton, QApplication, QComboBox, QDockWidget, QFileDialog, QLineEdit, QMenu, QTabBar, QWidget

from napari_medseg.gui.window import MedsegWidget
from napari_medseg.session import next_step

log = logging.getLogger("walkthrough")
SETTLE = 0.15
SECONDS = {"keys": 0.28, "typed": 0.28, "clicks": 0.2, "pointed": 1.1, "homed": 0.4, "thoughts": 1.35}
"""Seconds of the keystroke-level model: a key of an average typist, a button pressed and let go, a move of the pointer, a hand that changes between
keyboard and mouse, and a moment to read and decide, here one a sentence of the Guide."""
HANDLED = re.compile(r"\b(click|draw|paint|drag|press|scroll|look|point|correct)", re.IGNORECASE)


@dataclass
class State:
    """The window at one moment: what the Guide said, which button was filled, what had been done until then."""

    name: str
    sentence: str
    key: str
    why: str
    filled: list[str]
    seconds: float
    waited: float
    counts: dict[str, int] = field(default_factory=dict)


class Driver:
    """A hand, an eye and a clock.

    Parameters
    ----------
    out : Path
        Folder for pictures and figures.
    viewer : napari viewer
        With its window shown.
    theme : str
    """

    def __init__(self, out: Path, viewer: Any, theme: str = "dark") -> None:
        self.out, self.viewer, self.theme = out, viewer, theme
        out.mkdir(parents=True, exist_ok=True)
        viewer.theme = theme
        self.counts: Counter[str] = Counter()
        self.waited = self.extra = 0.0
        self.states: list[State] = []
        self.unanswered: list[str] = []
        self._hand, self._read = "mouse", ""
        self.wait(2)
        self.began = time.monotonic()

    # -- what is there -------------------------------------------------------------------------------------------------------------------------------------

    @property
    def dock(self) -> MedsegWidget:
        """The Medseg dock."""
        return next(w for w in QApplication.allWidgets() if isinstance(w, MedsegWidget) and w.isVisible())

    @property
    def top(self) -> QWidget:
        """napari's window."""
        return next(w for w in QApplication.topLevelWidgets() if w.findChild(QDockWidget) is not None and w.isVisible())

    @property
    def session(self) -> Any:
        """What the dock shows."""
        return self.dock.desk.session

    @property
    def canvas(self) -> QWidget:
        """Where the slices are."""
        return next(w for w in self.top.findChildren(QWidget) if type(w).__name__ == "CanvasBackendDesktop" and w.isVisible())

    def filled(self) -> list[str]:
        """Texts of the filled buttons in sight."""
        buttons = self.top.findChildren(QAbstractButton)
        return [b.text() for b in buttons if b.property("primary") and b.isVisible()]

    def find(self, text: str, within: QWidget | None = None) -> QAbstractButton:
        """The button in sight whose text begins so."""
        found = [b for b in (within or self.top).findChildren(QAbstractButton) if b.isVisible() and b.text().replace("&", "").startswith(text)]
        if not found:
            raise LookupError(f"no button begins with {text!r}")
        return found[0]

    # -- time ----------------------------------------------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float = SETTLE) -> None:
        """Let the window live."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.005)

    def until(self, met: Callable[[], object], seconds: float = 300) -> None:
        """Wait for the machine; its time is counted."""
        start = time.monotonic()
        while not met():
            if time.monotonic() - start > seconds:
                self.picture("stuck")
                raise TimeoutError(self.session.trouble or f"it did not happen in time; the Guide says: {self.guide()[0]}")
            self.wait(0.03)
        self.waited += time.monotonic() - start
        self.wait()

    # -- the hand ------------------------------------------------------------------------------------------------------------------------------------------

    def press(self, text: str | QAbstractButton, within: QWidget | None = None) -> None:
        """Click a button."""
        button = self.find(text, within) if isinstance(text, str) else text
        explained = button.parent() is not None and button.parent().objectName() == "medsegNotice"  # which says itself what its button is for
        label = re.sub(r"[^\w ()-]", "", button.text()).strip().lower()
        named = len(label) > 1 and label in self._told()
        self._asked(f"press {button.text()}", explained or bool(button.property("primary")) or named)
        self.click(button)
        self.wait(0.4)

    def click(self, widget: QWidget, at: QPoint | None = None) -> None:
        """Click into a widget."""
        self._to("mouse")
        where = widget.mapToGlobal(at if at is not None else widget.rect().center())
        self._point(where)
        _x("click", "1")
        self.counts["clicks"] += 1
        self.wait()

    def tab(self, title: str) -> None:
        """Turn to one of the dock's tabs."""
        bar: QTabBar = self.dock.tabs.tabBar()
        index = next(i for i in range(bar.count()) if bar.tabText(i) == title)
        self._asked(f"tab {title}", title.lower() in self._told())
        self.click(bar, bar.tabRect(index).center())
        self.wait(0.3)

    def key(self, name: str) -> None:
        """Press a key, named as the Guide names it: K, Alt+K, Ctrl+Z."""
        self._to("keys")
        self._asked(f"key {name}", name == self.guide()[1] or bool(re.search(rf"(?<![\w+]){re.escape(name)}(?![\w+])", " ".join(self.guide()))))
        *held, last = name.split("+")
        _x("key", "+".join((*(each.lower() for each in held), last if len(last) > 1 else last.lower())))  # the X server's names: Return, Left, k
        self.counts["keys"] += 1
        self.wait()

    def type(self, text: str) -> None:
        """Type into whatever has the keys."""
        self._to("keys")
        _x("type", "--delay", "4", text)
        self.counts["typed"] += len(text)
        self.wait()

    def choose(self, button: str | QAbstractButton, *actions: str) -> None:
        """Open a button's menu and click an entry, or an entry of its submenu."""
        left = list(actions)

        def step() -> None:
            menus = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMenu) and w.isVisible()]
            menu = next((m for m in reversed(menus) for a in m.actions() if a.text().replace("&", "").startswith(left[0])), None)
            if menu is None:
                QTimer.singleShot(100, step)
                return
            action = next(a for a in menu.actions() if a.text().replace("&", "").startswith(left[0]))
            left.pop(0)
            rect: QRect = menu.actionGeometry(action)
            self._click_at(menu.mapToGlobal(rect.center()))
            if left:
                QTimer.singleShot(400, step)

        QTimer.singleShot(400, step)
        found = self.find(button) if isinstance(button, str) else button
        label = re.sub(r" *[(…].*", "", actions[-1]).lower()
        self._asked(f"menu {found.text()} > {' > '.join(actions)}", bool(found.property("primary")) or label in self._told())
        self.click(found)
        self.wait(0.5)

    def menu(self, *titles: str) -> None:
        """Go through the window's menu bar by clicks."""
        bar = self.top.menuBar()
        place: Any = bar
        for title in titles:
            action = next(a for a in place.actions() if a.text().replace("&", "").startswith(title))
            self._point(place.mapToGlobal(place.actionGeometry(action).center()))
            _x("click", "1")
            self.counts["clicks"] += 1
            self.wait(0.5)
            place = action.menu() or place
        self.wait(0.5)

    def pick(self, box: QComboBox, title: str) -> None:
        """Choose an entry of a drop-down."""
        self._asked(f"pick {title}", title.lower() in self._told())
        self.click(box)
        self.wait(0.5)
        view, index = box.view(), box.model().index(box.findText(title), 0)
        self._click_at(view.viewport().mapToGlobal(view.visualRect(index).center()))
        self.wait(0.5)

    def answer(self, text: str, kind: str = "") -> None:
        """Say beforehand what will be typed into the next file dialog, and which kind of file is chosen there."""
        tries = [0]

        def step() -> None:
            dialog = next((w for w in QApplication.topLevelWidgets() if isinstance(w, QFileDialog) and w.isVisible()), None)
            tries[0] += 1
            if dialog is None:
                if tries[0] < 100:
                    QTimer.singleShot(100, step)
                return
            if kind:
                dialog.selectNameFilter(next(each for each in dialog.nameFilters() if kind in each))
                self.counts["clicks"] += 2
                self.counts["pointed"] += 2
            line = dialog.findChild(QLineEdit)
            self.picture_of(dialog, f"dialog-{len(self.states)}")
            self._click_at(line.mapToGlobal(line.rect().center()))
            _x("key", "ctrl+a")
            _x("type", "--delay", "4", text)
            self.counts["keys"] += 1
            self.counts["typed"] += len(text)
            QTimer.singleShot(500, lambda: confirm(dialog))

        def confirm(dialog: QFileDialog) -> None:
            _x("key", "Return")
            self.counts["keys"] += 1
            QTimer.singleShot(700, lambda: again(dialog))

        def again(dialog: QFileDialog) -> None:
            try:
                still = dialog.isVisible()
            except RuntimeError:
                return
            if still:
                confirm(dialog)

        QTimer.singleShot(500, step)

    def click_voxel(self, voxel: Sequence[int], modifier: str = "") -> None:
        """Click on a voxel of the slice in sight, after going to its slice."""
        self.drag([voxel], modifier)

    def drag(self, voxels: Sequence[Sequence[int]], modifier: str = "") -> None:
        """Press at the first voxel, move over the others of its slice, let go at the last."""
        self._asked("canvas", bool(HANDLED.search(self._told())))
        self._to("mouse")
        self.to_slice(int(voxels[0][0]))
        places = [self._on_canvas(voxel) for voxel in voxels]
        self._point(places[0])
        if modifier:
            _x("keydown", modifier)
        _x("mousedown", "1")
        self.wait(0.05)
        for place in places[1:]:
            _x("mousemove", str(place.x()), str(place.y()))
            self.wait(0.02)
        _x("mouseup", "1")
        if modifier:
            _x("keyup", modifier)
        self.counts["clicks"] += 1
        self.wait()

    def to_slice(self, index: int) -> None:
        """Go to a slice by the wheel over its slider, one notch a slice."""
        now = self.dock.desk.focus()
        if now is None or now == index:
            return
        self.counts["notches"] += abs(index - now)
        self.extra += min(4.0, 0.05 * abs(index - now) + 0.5)
        self.viewer.dims.set_point(0, self._world((index, 0, 0))[0])
        self.wait(0.5)  # nobody scrolls so fast that two clicks would count as a double click

    # -- the eye -------------------------------------------------------------------------------------------------------------------------------------------

    def guide(self) -> tuple[str, str, str]:
        """Sentence, key and reason, as far as they are in sight, as soon as they tell the session as it is."""
        guide, end = self.dock.guide, time.monotonic() + 2
        while time.monotonic() < end and not guide.sentence.text().endswith(next_step(self.session).sentence[1:]):
            self.wait(0.03)
        return guide.sentence.text(), re.sub(r"</?b>|[\[\]]", "", guide.key.text()), guide.why.text() if guide.why.isVisible() else ""

    def state(self, name: str) -> None:
        """Note what the window says now, and take a picture of it."""
        self.wait(0.9)
        sentence, key, why = self.guide()
        self.wait(0.3)
        number = f"{len(self.states) + 1:02d}-{name}"
        self.states.append(State(number, sentence, key, why, self.filled(), time.monotonic() - self.began, self.waited, dict(self.counts)))
        self.picture(number)
        log.info("%s: %s%s  %s", number, sentence, f" [{key}]" if key else "", self.states[-1].filled)

    def picture(self, name: str) -> None:
        """The screen."""
        self.top.screen().grabWindow(0).save(str(self.out / f"{name}-{self.theme}.png"))

    def picture_of(self, widget: QWidget, name: str) -> None:
        """One widget."""
        widget.grab().save(str(self.out / f"{name}-{self.theme}.png"))

    def seconds(self) -> float:
        """What a person would have needed until now: hands and eyes by the model, and the waiting."""
        return sum(each * self.counts[name] for name, each in SECONDS.items()) + self.extra + self.waited

    def report(self, **more: Any) -> dict[str, Any]:
        """What it took; also written as a file."""
        counts, hands = dict(self.counts), self.seconds() - self.waited
        told = {
            "theme": self.theme, **counts, "waited_s": round(self.waited, 1), "hands_s": round(hands, 1), "person_s": round(hands + self.waited, 1),
            "clock_s": round(time.monotonic() - self.began, 1), "questions": self.unanswered, **more,
            "several_filled": [state.name for state in self.states if len(state.filled) > 1], "states": [asdict(state) for state in self.states],
        }
        (self.out / f"walk-{self.theme}.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
        log.info("%s", json.dumps({key: value for key, value in told.items() if key != "states"}, indent=1))
        return told

    # -- inside --------------------------------------------------------------------------------------------------------------------------------------------

    def _told(self) -> str:
        return " ".join(self.guide()).lower()

    def _asked(self, act: str, answered: bool) -> None:
        """Every sentence is read once; an act it does not name is a question."""
        sentence = self.guide()[0]
        if sentence != self._read:
            self._read = sentence
            self.counts["thoughts"] += 1
        if not answered:
            self.unanswered.append(f"{act} (the Guide: {sentence})")

    def _to(self, hand: str) -> None:
        if hand != self._hand:
            self._hand = hand
            self.counts["homed"] += 1

    def _point(self, where: QPoint) -> None:
        _x("mousemove", str(where.x()), str(where.y()))
        self.counts["pointed"] += 1
        self.wait(0.08)

    def _click_at(self, where: QPoint) -> None:
        _x("mousemove", str(where.x()), str(where.y()), "click", "1")
        self.counts["clicks"] += 1
        self.counts["pointed"] += 1

    def _world(self, voxel: Sequence[int]) -> Sequence[float]:
        return self.dock.desk.image(self.session.current).data_to_world([float(v) for v in voxel])

    def _on_canvas(self, voxel: Sequence[int]) -> QPoint:
        world, centre, zoom = self._world(voxel), self.viewer.scene.camera.center, self.viewer.scene.camera.zoom
        canvas = self.canvas
        x, y = canvas.width() / 2 + (world[2] - centre[2]) * zoom, canvas.height() / 2 + (world[1] - centre[1]) * zoom
        return canvas.mapToGlobal(QPoint(round(x), round(y)))


def _x(*words: str) -> None:
    subprocess.run(["xdotool", *words], check=True)
