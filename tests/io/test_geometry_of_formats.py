"""A label stays at its millimetre: through every format that stores where voxels lie, every orientation there is, and the display.

The formats come from `formats.FORMATS`, so one that joins the table is tested here without a change. The peers read the same files.
"""

import shutil
from contextlib import suppress
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_series import save_series
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.errors import UnwritableFileError
from napari_medseg.io import read, read_labels, write
from napari_medseg.io.formats import FORMATS
from napari_medseg.volume import Geometry, Volume, axis_map, orient

TOLERANCE_MM = 1e-3
FEW = settings(max_examples=max(10, settings.default.max_examples // 5))  # an example writes and reads several files
LIMITED = ("GIPL", "TIFF")  # hold some grids and refuse the others
SUFFIXES = [s for f in FORMATS if f.writes and f.reads and not f.refers for s in f.suffixes]
WHOLE = [s for f in FORMATS if f.writes and f.reads and not f.refers and not f.title.startswith(LIMITED) for s in f.suffixes]
ITK_READS = [s for s in WHOLE if s.endswith((".nii", ".nii.gz", ".nrrd", ".mha"))]

ORIENTATIONS = ["".join(letters) for order in permutations(["LR", "PA", "SI"]) for letters in product(*order)]
TOWARDS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


def straight(letters: str) -> Geometry:
    """A grid whose voxel axes x, y, z point to the letters."""
    direction = np.array([TOWARDS[letter] for letter in letters], float).T
    return Geometry((3, 4, 5), (5.0, 0.7, 0.8), (-112.5, 90.25, -1040.0), tuple(direction.ravel()))


@st.composite
def grids(draw):
    """Any straight grid, turned anyhow, left- or right-handed; large enough that a small turn shows at its far corner."""
    matrix = Rotation.from_euler("zyx", draw(st.tuples(*[st.floats(-180, 180)] * 3)), degrees=True).as_matrix()
    if draw(st.booleans()):
        matrix[:, draw(st.integers(0, 2))] *= -1
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(1, 40)))
    spacing = draw(st.tuples(*[st.floats(0.2, 8.0)] * 3))
    return Geometry(shape, spacing, draw(st.tuples(*[st.floats(-1500, 1500)] * 3)), tuple(matrix.ravel()))


def label_map(grid: Geometry) -> LabelMap:
    """Two classes whose places differ along every axis, so that a flip or a swap shows."""
    array = np.zeros(grid.shape, np.uint8)
    array[0, 0, : grid.shape[2] // 2] = 1
    array[grid.shape[0] // 2 :, grid.shape[1] // 3, 0] = 2
    return LabelMap(array, grid, classes=default_classes(2))


def paint_on_the_display(labels: LabelMap, share: tuple[float, float, float]) -> tuple[LabelMap, np.ndarray]:
    """The label map with one voxel more, painted in display order; and the voxel's millimetre as the display tells it."""
    shown, turn = orient(labels), axis_map(labels.geometry)
    voxel = tuple(int(s * (n - 1)) for s, n in zip(share, shown.geometry.shape, strict=True))
    shown.array[voxel] = 7
    return LabelMap(turn.undo(shown.array), labels.geometry), shown.geometry.world(voxel)


def there_and_back(folder: Path, suffix: str, grid: Geometry, share: tuple[float, float, float]) -> None:
    path = folder / f"label{suffix}"
    labels = label_map(grid)
    write(labels, path)
    back = read_labels(path)
    np.testing.assert_array_equal(back.array, labels.array)
    np.testing.assert_allclose(back.geometry.corners(), grid.corners(), atol=TOLERANCE_MM)
    painted, millimetre = paint_on_the_display(back, share)
    write(painted, path)
    again = read_labels(path)
    (found,) = np.argwhere(again.array == 7)
    np.testing.assert_allclose(again.geometry.world(found), millimetre, atol=TOLERANCE_MM)
    np.testing.assert_allclose(grid.world(found), millimetre, atol=TOLERANCE_MM)  # and where the first grid has that voxel
    assert np.count_nonzero(again.array != labels.array) <= 1


@pytest.mark.parametrize("suffix", WHOLE)
def test_a_voxel_painted_on_the_display_lies_at_its_millimetre_from_all_48_orientations(tmp_path, suffix):
    for letters in ORIENTATIONS:
        there_and_back(tmp_path, suffix, straight(letters), (0.5, 1.0, 0.3))


@pytest.mark.parametrize("suffix", WHOLE)
def test_a_voxel_painted_on_the_display_lies_at_its_millimetre_on_any_oblique_grid(tmp_path_factory, suffix):
    folder = tmp_path_factory.mktemp("oblique")

    @FEW
    @given(grids(), st.tuples(*[st.floats(0, 1)] * 3))
    def any_grid(grid, share):
        there_and_back(folder, suffix, grid, share)

    any_grid()


@pytest.mark.parametrize("suffix", WHOLE)
def test_the_far_corner_of_a_large_oblique_grid_stays_in_its_place(tmp_path, suffix):
    turned = Rotation.from_euler("zyx", (33, -21, 8), degrees=True).as_matrix()
    there_and_back(tmp_path, suffix, Geometry((2, 512, 512), (5.0, 0.9, 0.9), (-912.5, 690.25, -1540.0), tuple(turned.ravel())), (1.0, 1.0, 1.0))


@pytest.fixture
def scanned(tmp_path):
    """Write a DICOM series on a grid and read it again: what labels are drawn on."""

    def make(grid: Geometry) -> tuple[Path, Volume]:
        folder = tmp_path / "series"
        shutil.rmtree(folder, ignore_errors=True)
        save_series(folder, np.zeros(grid.shape, np.uint16), grid)
        volume = read(folder)
        np.testing.assert_allclose(volume.geometry.corners(), grid.corners(), atol=TOLERANCE_MM)
        return folder, volume

    return make


def test_simpleitk_and_we_find_the_same_corners_in_a_dicom_series(scanned):
    @settings(max_examples=max(8, settings.default.max_examples // 10))
    @given(grids().filter(lambda grid: min(grid.shape[:2]) > 1 and np.linalg.det(grid.matrix) > 0))  # ITK stacks slices of one row along y
    def any_grid(grid):
        folder, volume = scanned(grid)
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        np.testing.assert_allclose(volume.geometry.corners(), corners_of(reader.Execute()), atol=TOLERANCE_MM)

    any_grid()


@pytest.mark.parametrize("suffix", [s for f in FORMATS if f.writes and f.refers and f.module != "dicomlabels.rtstruct" for s in f.suffixes])
def test_a_voxel_painted_for_a_dicom_series_lies_at_its_millimetre_from_every_orientation_a_scanner_has(tmp_path, suffix, scanned):
    turned = Rotation.from_euler("zyx", (33, -21, 8), degrees=True).as_matrix()
    oblique = Geometry((3, 14, 15), (5.0, 0.7, 0.8), (-112.5, 90.25, -1040.0), tuple(turned.ravel()))
    for grid in (oblique, *(straight(letters) for letters in ORIENTATIONS)):
        if np.linalg.det(grid.matrix) > 0:  # slices have no side of their own
            folder, volume = scanned(grid)
            labels = replace(label_map(volume.geometry), source=folder)
            painted, millimetre = paint_on_the_display(labels, (0.5, 1.0, 0.3))
            write(painted, tmp_path / f"label{suffix}", source=folder)
            again = read_labels(tmp_path / f"label{suffix}", like=volume.geometry)
            (found,) = np.argwhere(again.array == 7)
            np.testing.assert_allclose(again.geometry.world(found), millimetre, atol=TOLERANCE_MM)
            np.testing.assert_allclose(grid.world(found), millimetre, atol=TOLERANCE_MM)
            np.testing.assert_array_equal(again.array, painted.array)


@pytest.mark.parametrize("suffix", [s for f in FORMATS if f.module == "dicomlabels.rtstruct" for s in f.suffixes])
def test_the_surface_of_a_structure_set_stays_within_a_voxel_in_every_orientation_a_scanner_has(tmp_path, suffix, scanned):
    turned = Rotation.from_euler("zyx", (33, -21, 8), degrees=True).as_matrix()
    directions = [turned, *(straight(letters).matrix for letters in ORIENTATIONS[::5])]
    for direction in (d for d in directions if np.linalg.det(d) > 0):
        grid = Geometry((9, 40, 44), (3.0, 0.7, 0.8), (-112.5, 90.25, -1040.0), tuple(direction.ravel()))
        folder, volume = scanned(grid)
        z, y, x = np.indices(grid.shape)
        array = ((((z - 4) / 3.2) ** 2 + ((y - 18) / 11) ** 2 + ((x - 25) / 14) ** 2) < 1).astype(np.uint8)
        write(LabelMap(array, volume.geometry, classes=default_classes(1), source=folder), tmp_path / f"label{suffix}", source=folder)
        again = read_labels(tmp_path / f"label{suffix}", like=volume.geometry)
        there = [np.argwhere(mask & ~ndi.binary_erosion(mask)) for mask in (array > 0, again.array > 0)]
        points = [g.world(v) for g, v in zip((grid, again.geometry), there, strict=True)]
        distances = np.concatenate([cKDTree(points[1]).query(points[0])[0], cKDTree(points[0]).query(points[1])[0]])
        assert distances.max() <= 0.8 * 2**0.5
        assert distances.mean() < 0.2


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s not in WHOLE])
def test_a_format_without_directions_holds_what_it_can_and_refuses_the_rest(tmp_path, suffix):
    held = []
    for letters, origin in product(ORIENTATIONS, [straight("LPS").origin, (0.0, 0.0, 0.0)]):
        with suppress(UnwritableFileError):
            there_and_back(tmp_path, suffix, replace(straight(letters), origin=origin), (0.5, 1.0, 0.3))
            held.append(letters)
    assert "LPS" in held
    assert len(set(held)) < len(ORIENTATIONS)
    turned = Geometry((3, 4, 5), direction=tuple(Rotation.from_euler("z", 10, degrees=True).as_matrix().ravel()))
    with pytest.raises(UnwritableFileError, match=r"turned"):
        write(label_map(turned), tmp_path / f"turned{suffix}")
    there_and_back(tmp_path, suffix, Geometry((3, 4, 5), (2.5, 0.75, 0.75)), (0.5, 1.0, 0.3))


@pytest.mark.parametrize("suffix", ITK_READS)
def test_simpleitk_finds_the_corners_of_what_we_write_where_we_do(tmp_path_factory, suffix):
    path = tmp_path_factory.mktemp("ours") / f"scan{suffix}"

    @FEW
    @given(grids())
    def any_grid(grid):
        write(label_map(grid), path)
        np.testing.assert_allclose(corners_of(sitk.ReadImage(str(path))), grid.corners(), atol=TOLERANCE_MM)

    any_grid()


@pytest.mark.parametrize("suffix", ITK_READS)
def test_we_find_the_corners_of_what_simpleitk_writes_where_it_does(tmp_path_factory, suffix):
    path = tmp_path_factory.mktemp("theirs") / f"scan{suffix}"

    @FEW
    @given(grids())
    def any_grid(grid):
        image = sitk.GetImageFromArray(label_map(grid).array)
        image.SetSpacing(grid.spacing[::-1])
        image.SetOrigin(grid.origin)
        image.SetDirection(grid.direction)
        sitk.WriteImage(image, str(path))
        np.testing.assert_allclose(read(path).geometry.corners(), corners_of(sitk.ReadImage(str(path))), atol=TOLERANCE_MM)

    any_grid()


@pytest.mark.parametrize("suffix", [s for s in WHOLE if s.startswith(".nii")])
@pytest.mark.parametrize("codes", [(0, 1), (1, 0), (1, 1), (2, 4)], ids=str)
def test_nibabel_and_we_find_the_same_corners_in_a_nifti(tmp_path_factory, suffix, codes):
    path = tmp_path_factory.mktemp("nifti") / f"scan{suffix}"
    ras = np.diag([-1.0, -1.0, 1.0, 1.0])

    @FEW
    @given(grids())
    def any_grid(grid):
        image = nibabel.Nifti1Image(label_map(grid).array.T, ras @ grid.affine)
        image.set_qform(ras @ grid.affine, codes[0])
        image.set_sform(ras @ grid.affine, codes[1])
        nibabel.save(image, path)
        theirs = corners_by(ras @ nibabel.load(path).affine, grid)
        if codes[1] == 0 and np.abs(theirs - corners_of(sitk.ReadImage(str(path)))).max() > TOLERANCE_MM:
            theirs = corners_of(sitk.ReadImage(str(path)))  # within 0.07 degrees of a half turn nibabel rounds; the standard's code does not
        np.testing.assert_allclose(read(path).geometry.corners(), theirs, atol=TOLERANCE_MM)
        write(label_map(grid), path)
        np.testing.assert_allclose(corners_by(ras @ nibabel.load(path).affine, grid), grid.corners(), atol=TOLERANCE_MM)

    any_grid()


def corners_of(image: sitk.Image) -> np.ndarray:
    """As ITK places them, in the order of `Geometry.corners`."""
    return np.array([image.TransformIndexToPhysicalPoint(index[::-1]) for index in product(*((0, n - 1) for n in image.GetSize()[::-1]))])


def corners_by(affine: np.ndarray, grid: Geometry) -> np.ndarray:
    """As an affine from voxel x, y, z to LPS mm places them."""
    indices = np.array([index[::-1] for index in product(*((0, n - 1) for n in grid.shape))])
    return indices @ affine[:3, :3].T + affine[:3, 3]
