"""Layers of a case that was left go in turns, and the next case stays in view as it is."""

import numpy as np
import pytest
from napari._qt.widgets.qt_dims import QtDims
from qtpy.QtCore import QObject

from napari_medseg.gui.leaving import Leaving


@pytest.mark.parametrize("slices", [12, 40])
def test_the_slice_in_view_stays_while_a_scan_of_other_slices_leaves(viewer, qtbot, slices):
    sliders = QtDims(viewer.dims)
    qtbot.addWidget(sliders)
    before = viewer.add_image(np.zeros((slices, 8, 8)), scale=(3, 1, 1), translate=(-3.0 * slices, 0, 0))
    viewer.add_image(np.zeros((21, 8, 8)), translate=(-20, 0, 0))
    viewer.dims.set_point(0, -10.0)
    leaving = Leaving(viewer, parent := QObject())
    leaving.add([before])
    assert before in leaving
    qtbot.waitUntil(lambda: before not in viewer.layers)
    assert viewer.dims.point[0] == -10.0
    assert viewer.dims.current_step[0] == 10
    assert before not in leaving
    leaving.close()
    parent.deleteLater()
