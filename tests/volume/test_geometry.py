"""A grid knows where its voxels lie, and refuses to be one that cannot be kept."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import Geometry

lengths = st.floats(0.3, 8.0)
places = st.floats(-500.0, 500.0)


@st.composite
def grids(draw):
    """Any straight grid, turned anyhow, left- or right-handed."""
    matrix = Rotation.from_euler("zyx", draw(st.tuples(*[st.floats(-180, 180)] * 3)), degrees=True).as_matrix()
    if draw(st.booleans()):
        matrix[:, 2] *= -1
    shape = draw(st.tuples(*[st.integers(1, 9)] * 3))
    return Geometry(shape, draw(st.tuples(lengths, lengths, lengths)), draw(st.tuples(places, places, places)), tuple(matrix.ravel()))


def as_sitk(grid: Geometry) -> sitk.Image:
    image = sitk.Image(grid.shape[::-1], sitk.sitkUInt8)
    image.SetSpacing(grid.spacing[::-1])
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    return image


@given(grids())
def test_the_corners_lie_where_simpleitk_puts_them(grid):
    image = as_sitk(grid)
    indices = [(z, y, x) for z in (0, grid.shape[0] - 1) for y in (0, grid.shape[1] - 1) for x in (0, grid.shape[2] - 1)]
    np.testing.assert_allclose(grid.corners(), [image.TransformIndexToPhysicalPoint((x, y, z)) for z, y, x in indices], atol=1e-6)


@given(grids(), st.tuples(*[st.floats(-20, 20)] * 3))
def test_a_point_goes_to_its_voxel_and_back(grid, voxel):
    np.testing.assert_allclose(grid.voxel(grid.world(voxel)), voxel, atol=1e-6)


@given(grids(), st.data())
def test_a_crop_keeps_every_voxel_at_its_millimetre(grid, data):
    start = [data.draw(st.integers(0, n - 1)) for n in grid.shape]
    stop = [data.draw(st.integers(a + 1, n)) for a, n in zip(start, grid.shape, strict=True)]
    part = grid.cropped(tuple(slice(a, b) for a, b in zip(start, stop, strict=True)))
    expected = as_sitk(grid)[tuple(slice(a, b) for a, b in zip(start[::-1], stop[::-1], strict=True))]
    assert part.shape == expected.GetSize()[::-1]
    np.testing.assert_allclose(part.origin, expected.GetOrigin(), atol=1e-6)


def test_grids_match_within_a_hundredth_of_a_voxel_at_every_corner():
    grid = Geometry((20, 300, 300), (5.0, 0.5, 0.5))
    near = Geometry(grid.shape, grid.spacing, (0.004, 0.0, 0.0))
    far = Geometry(grid.shape, grid.spacing, (0.006, 0.0, 0.0))
    stretched = Geometry(grid.shape, (5.0, 0.5, 0.5001))  # 0.06 voxel at the far corner
    assert grid.matches(near)
    assert not grid.matches(far)
    assert not grid.matches(stretched)
    assert not grid.matches(Geometry((20, 300, 301), grid.spacing))


@pytest.mark.parametrize("faulty", [
    {"spacing": (1.0, 0.0, 1.0)}, {"spacing": (1.0, -1.0, 1.0)}, {"spacing": (1.0, float("nan"), 1.0)}, {"origin": (float("inf"), 0.0, 0.0)},
    {"direction": (1.0, 0.3, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)}, {"direction": (0.0,) * 9}, {"shape": (0, 3, 3)}, {"shape": (3, 3)},
])
def test_a_grid_that_cannot_be_is_refused(faulty):
    with pytest.raises(InvalidInputError):
        Geometry(**{"shape": (2, 3, 4), **faulty})


def test_a_grid_is_oblique_from_a_tenth_of_a_degree():
    turned = [Geometry((2, 2, 2), direction=tuple(Rotation.from_euler("x", angle, degrees=True).as_matrix().ravel())) for angle in (0.05, 0.2, 90.0)]
    assert [bool(grid.is_oblique) for grid in turned] == [False, True, False]


def test_it_reads_as_scanners_write_it():
    assert str(Geometry((25, 256, 512), (6.5, 0.75, 0.75))) == "512 x 256 x 25 voxels of 0.75 x 0.75 x 6.5 mm"
