"""A server as one more device of the Segment tab: a real one, on this machine, with the segmenter that ships."""

import numpy as np
import pytest
from qtpy.QtWidgets import QLineEdit

from napari_medseg.cluster.remote import address as book
from napari_medseg.cluster.server.running import Running, Settings
from napari_medseg.cluster.server.tokens import Tokens
from napari_medseg.gui.segment_tab import ADD, SegmentTab
from napari_medseg.session.segmenting import engines

pytestmark = pytest.mark.qt


@pytest.fixture
def tokens(tmp_path):
    return Tokens(tmp_path / "users.json")


@pytest.fixture
def server(tmp_path, tokens, monkeypatch):
    monkeypatch.setenv(book.FILE, str(tmp_path / "servers.json"))
    running = Running(Settings(port=0, users=tokens.path, log=tmp_path / "audit.log", runs=tmp_path / "runs", device="cpu"))
    stop = running.start()
    yield running
    stop()


@pytest.fixture
def tab(server, dock, session):
    session.set(tab="segment")
    return dock.findChild(SegmentTab)


def choose(tab, key):
    tab.device.setCurrentIndex(tab.device.findData(key))
    tab.device.activated.emit(tab.device.currentIndex())


def connect(tab, qtbot, address, token):
    choose(tab, ADD[0])
    tab.server.address.setText(address)
    tab.server.token.setText(token)
    tab.server.connect.click()
    qtbot.waitUntil(lambda: not tab._desk.session.servers.asking, timeout=20000)
    says(tab, qtbot, tab._desk.session.servers.told)


def says(tab, qtbot, words):
    qtbot.waitUntil(lambda: words in tab.server.told.text())


@pytest.mark.slow  # the promptable network is loaded and its loops are compiled, for the server
def test_a_server_that_answers_is_one_more_device_and_what_is_clicked_is_outlined_there(tab, server, tokens, session, ball, qtbot, tmp_path):
    assert tab.server.isHidden()
    assert tab.server.token.echoMode() == QLineEdit.EchoMode.Password
    connect(tab, qtbot, server.address, "no-such-token")
    assert "token" in tab.server.told.text()
    assert session.servers.chosen == ""
    assert not book.known()
    connect(tab, qtbot, server.address, tokens.add("ann"))
    assert session.servers.chosen == server.address == tab.device.currentData()
    assert "Answers in" in tab.server.line.text()
    assert "sent there" in tab.server.line.toolTip()
    assert all(row.remote and not row.missing for row in engines(session))
    assert "sends the scan to a server" in tab.about.text()

    session.set(engine="promptable")
    scan = session.open(ball)
    session.prompting.point(tuple(scan.display.geometry.world(np.array(scan.display.geometry.shape) // 2)))
    qtbot.waitUntil(lambda: scan.preview is not None and scan.preview.finished, timeout=60000)
    inside = scan.display.array > 150
    assert 2 * (inside & (scan.preview.labels > 0)).sum() / (inside.sum() + (scan.preview.labels > 0).sum()) > 0.8
    assert session.devices == server.address.partition("//")[2]
    assert "ann" in (tmp_path / "audit.log").read_text(encoding="utf-8")

    tab.server.forget.click()
    assert not book.known()
    qtbot.waitUntil(tab.server.isHidden)
    assert tab.device.currentData() == "auto"


def test_what_is_no_address_is_said_and_the_device_stays(tab, session, qtbot):
    choose(tab, ADD[0])
    wrong = (("gpu", "t", "is no address of a server"), ("http://gpu:8433", "t", "without encryption"), ("https://gpu:8433", " ", "wants a token"))
    for address, token, said in wrong:
        tab.server.address.setText(address)
        tab.server.token.setText(token)
        tab.server.connect.click()
        says(tab, qtbot, said)
    tab.server.cancel.click()
    qtbot.waitUntil(tab.server.isHidden)
    assert (session.servers.chosen, tab.device.currentData()) == ("", "auto")
