"""The way of the Tab key through pages that are made when they are first wanted: Qt would put each behind the last part of the whole window."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget


def follow(before: QWidget, page: QWidget) -> None:
    """Let Tab go from one part to those of a page, in the order in which they were made.

    Parameters
    ----------
    before : QWidget
        What has the keys before, such as the chooser of the pages; in the same window.
    page : QWidget
        A page that was just put into the window.
    """
    parts, part = [], page.nextInFocusChain()
    while part is not None and part is not page:
        if page.isAncestorOf(part) and part.focusPolicy() & Qt.FocusPolicy.TabFocus and part.focusProxy() is None:
            parts.append(part)
        part = part.nextInFocusChain()
    for part in parts:
        QWidget.setTabOrder(before, part)
        before = part
