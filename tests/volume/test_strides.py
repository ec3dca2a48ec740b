"""What comes out of an axis map is plain memory that every library takes."""

import numpy as np
import pytest

from napari_medseg.volume import AxisMap


@pytest.mark.parametrize("way", ["apply", "undo"])
def test_a_flipped_axis_of_one_voxel_leaves_no_negative_stride(way):
    turn = AxisMap(order=(0, 1, 2), flipped=(True, True, True))
    assert min(getattr(turn, way)(np.zeros((1, 4, 5))).strides) > 0
