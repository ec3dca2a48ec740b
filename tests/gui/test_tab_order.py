"""The way of the Tab key through pages that are made when they are wanted."""

import pytest

pytestmark = pytest.mark.qt


def test_tab_goes_from_the_chooser_through_the_page_that_was_made_last_and_on(dock, desk, session):
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication

    desk.open_sample("brain1")
    dock.show()
    session.set(tab="weak")
    for mode in ("scribbles", "cleanup"):
        session.set(mode=mode)
        desk.refreshed.emit()
        QApplication.processEvents()
    tab = dock.tabs.widget(dock._keys.index("weak")).widget(0).widget()
    order, part = [], tab.mode.nextInFocusChain()
    while part is not tab.mode:
        if part.isVisible() and part.focusPolicy() & Qt.FocusPolicy.TabFocus:
            order.append(part)
        part = part.nextInFocusChain()
    page = tab.page("cleanup")
    inside = [at for at, part in enumerate(order) if page.isAncestorOf(part)]
    assert len(inside) > 8
    assert inside[0] == 0
    assert inside == list(range(len(inside))), "no other part of the window in between"
    assert order[len(inside)] is tab.run
