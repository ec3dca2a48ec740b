"""Two kinds of viewer: the model alone, which needs no OpenGL and so runs anywhere, and napari's whole window for what only a window has."""

from functools import partial

import pytest


@pytest.fixture
def viewer(qtbot):
    from napari.components import ViewerModel
    from npe2 import PluginManager

    PluginManager.instance().discover()  # napari's window does this when it opens
    return ViewerModel()


@pytest.fixture
def dock(viewer, qtbot):
    from napari_medseg.gui.window import MedsegWidget

    widget = MedsegWidget(viewer)
    qtbot.addWidget(widget)
    yield widget
    widget.desk.shut()


@pytest.fixture
def desk(dock):
    return dock.desk


@pytest.fixture
def session(desk):
    return desk.session


@pytest.fixture
def window(make_napari_viewer):
    """napari's window; layers are not added to it, since drawing them needs OpenGL."""
    return make_napari_viewer()


@pytest.fixture
def notifications():
    """What napari told the person since the test began."""
    from napari.utils.notifications import notification_manager

    start = len(notification_manager.records)
    return partial(_told, notification_manager, start)


def _told(manager, start):
    return [(str(n.severity), n.message) for n in manager.records[start:]]


@pytest.fixture
def open_sample(viewer, dock, session):
    def open_one(key="brain1"):
        viewer.open_sample("napari-medseg", key)
        return session.current

    return open_one
