"""Every tab and page of the docks, one after the other, folds open: for the test of looks and the walk that takes pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from qtpy.QtWidgets import QToolButton

from napari_medseg.gui.review_tab import PAGES
from napari_medseg.gui.weak_tab import MODES
from napari_medseg.gui.window import MedsegWidget
from napari_medseg.session.segmenting import engines
from napari_medseg.session.state import Preview


def pages(dock: MedsegWidget, settle) -> Iterator[str]:
    """Turn to every page and yield its name; `settle` lets the window follow."""
    session = dock.desk.session
    yield from _tab(dock, "segment", settle)
    if session.current is not None:
        for engine in ("promptable", "salah2023", "threshold"):
            if any(row.id == engine for row in engines(session)):
                session.set(engine=engine)
                settle()
                yield f"segment-{engine}"
    for mode, _, _ in MODES:
        session.set(tab="weak", mode=mode)
        yield from _tab(dock, "weak", settle, f"weak-{mode}")
    yield from _tab(dock, "refine", settle)
    for page in PAGES:
        session.set(tab="review")
        session.reviewing.turn(page)
        yield from _tab(dock, "review", settle, f"review-{page}")


def propose(session) -> None:
    """A preview that waits for a yes: a ball in the middle of the scan."""
    scan = session.current
    preview = Preview(np.zeros(scan.display.geometry.shape, np.uint8), "level set", (session.label_class,), "12.3 ml after 140 updates", finished=True)
    middle = tuple(slice(size // 2 - size // 8, size // 2 + size // 8) for size in scan.display.geometry.shape)
    preview.labels[middle] = 1
    scan.preview = preview
    session.preview_changed.emit(scan, None)
    session.changed.emit()


def _tab(dock: MedsegWidget, tab: str, settle, name: str = "") -> Iterator[str]:
    dock.desk.session.set(tab=tab)
    settle()
    yield name or tab
    folds = [fold for fold in dock.tabs.currentWidget().findChildren(QToolButton) if fold.isCheckable() and not fold.isChecked() and fold.isVisible()]
    for fold in folds:
        fold.click()
    if folds:
        settle()
        yield f"{name or tab}-open"
        for fold in folds:
            fold.click()
