"""Surfaces: closed, outward, at the patient's millimetres, and as large as what they enclose."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.errors import InvalidInputError, UnwritableFileError
from napari_medseg.io import write
from napari_medseg.io.surfaces import surface
from napari_medseg.volume import Geometry, Volume

OBLIQUE = tuple(float(v) for v in Rotation.from_euler("xyz", [25, -40, 60], degrees=True).as_matrix().ravel())
MIRRORED = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
TURNED = (0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
LIVER, VEIN = LabelClass(2, "Liver lobe", (1.0, 0.5, 0.0)), LabelClass(9, "Vein/left", (0.0, 0.0, 1.0))


def ball(spacing=(1.0, 1.0, 1.0), direction=OBLIQUE, radius=15.0, value=2) -> LabelMap:
    shape = tuple(int(2 * radius / s) + 5 for s in spacing)
    grid = Geometry(shape, spacing, (-70.0, 30.0, 12.5), direction)
    middle = [(n - 1) / 2 for n in shape]
    inside = sum(((index - m) * s) ** 2 for index, m, s in zip(np.indices(shape), middle, spacing, strict=True)) < radius**2
    return LabelMap(inside.astype(np.uint8) * value, grid, classes=(LIVER,))


def two() -> LabelMap:
    array = np.zeros((12, 14, 16), np.uint8)
    array[2:6, 3:9, 4:12], array[7:12, 0:5, 10:16] = 2, 9
    return LabelMap(array, Geometry(array.shape, (2.0, 1.0, 1.0)), classes=(LIVER, VEIN, LabelClass(3, "Absent", (0, 0, 0))))


def read_stl(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Normals (m, 3) and corners (m, 3, 3)."""
    data = path.read_bytes()
    (count,) = np.frombuffer(data, "<u4", 1, 80)
    assert len(data) == 84 + 50 * count
    triangles = np.frombuffer(data, np.dtype([("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")]), count, 84)
    return triangles["n"].astype(float), triangles["v"].astype(float)


def read_ply(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Header lines, vertices and faces."""
    head, _, body = path.read_bytes().partition(b"\nend_header\n")
    lines = head.decode("ascii").splitlines()
    vertices, faces = (int(line.split()[2]) for line in lines if line.startswith("element"))
    kind = np.dtype([("v", "<f4", 3), ("rgb", "u1", 3), ("label", "u1")])
    face = np.dtype([("n", "u1"), ("i", "<i4", 3)])
    assert len(body) == vertices * kind.itemsize + faces * face.itemsize
    return lines, np.frombuffer(body, kind, vertices), np.frombuffer(body, face, faces, vertices * kind.itemsize)


def is_closed(triangles: np.ndarray) -> bool:
    """Whether every edge belongs to two triangles that run along it in opposite directions."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).tolist()
    once = {tuple(edge) for edge in edges}
    return len(once) == len(edges) and all((b, a) in once for a, b in once)


def millilitres(corners: np.ndarray) -> float:
    return float(np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6000


@pytest.mark.parametrize("direction", [OBLIQUE, MIRRORED, TURNED])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.7, 0.8)])
def test_a_ball_keeps_its_place_its_size_and_its_outside(tmp_path, direction, spacing):
    labels = ball(spacing, direction)
    write(labels, tmp_path / "ball.stl")
    normals, corners = read_stl(tmp_path / "ball.stl")
    centre = labels.geometry.world([(n - 1) / 2 for n in labels.array.shape])
    outwards = corners.mean(axis=1) - centre
    np.testing.assert_allclose(corners.reshape(-1, 3).min(axis=0) + corners.reshape(-1, 3).max(axis=0), 2 * centre, atol=0.2)
    assert (np.linalg.norm(outwards, axis=1) > 15 - max(spacing)).all()
    assert (np.einsum("ij,ij->i", outwards, normals) > 0).all()
    assert millilitres(corners - centre) == pytest.approx(np.count_nonzero(labels.array) * labels.geometry.voxel_ml, rel=0.01)
    written = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    np.testing.assert_allclose(written / np.linalg.norm(written, axis=1, keepdims=True), normals, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.98), st.booleans())
def test_every_surface_is_closed(seed, density, smooth):
    mask = np.random.default_rng(seed).random((6, 7, 8)) < density
    mask[3, 3, 3] = True
    found = surface(mask, Geometry(mask.shape, direction=MIRRORED), smooth=smooth)
    assert is_closed(found.triangles)
    assert found.volume_ml > 0


def test_smoothing_takes_the_steps_away_without_shrinking():
    labels = ball(direction=OBLIQUE)
    rough, smooth = (surface(labels.array > 0, labels.geometry, smooth=s) for s in (False, True))
    centre = labels.geometry.world([(n - 1) / 2 for n in labels.array.shape])
    spread = [float(np.linalg.norm(found.points - centre, axis=1).std()) for found in (rough, smooth)]
    assert spread[1] < 0.6 * spread[0]
    assert smooth.volume_ml == pytest.approx(np.count_nonzero(labels.array) * labels.geometry.voxel_ml, rel=0.01)


def test_a_structure_that_fills_the_scan_is_closed_too():
    found = surface(np.ones((3, 4, 5), bool), Geometry((3, 4, 5)), smooth=False)
    assert is_closed(found.triangles)
    np.testing.assert_allclose(found.points.max(axis=0), [4.5, 3.5, 2.5])
    np.testing.assert_allclose(found.points.min(axis=0), [-0.5, -0.5, -0.5])


def test_a_ply_holds_every_class_in_its_colour(tmp_path):
    assert write(two(), tmp_path / "organs.ply") == [tmp_path / "organs.ply"]
    lines, vertices, faces = read_ply(tmp_path / "organs.ply")
    assert [line for line in lines if line.startswith("comment")] == [
        "comment SPACE=LPS", "comment unit mm", "comment For research, not a medical device", "comment class 2 Liver lobe", "comment class 9 Vein/left",
    ]
    assert is_closed(faces["i"])
    colours = {int(v): tuple(vertices["rgb"][vertices["label"] == v][0]) for v in np.unique(vertices["label"])}
    assert colours == {2: (255, 128, 0), 9: (0, 0, 255)}
    vein = vertices["v"][vertices["label"] == 9]
    np.testing.assert_allclose([vein.min(axis=0), vein.max(axis=0)], [[9.5, -0.5, 13], [15.5, 4.5, 23]], atol=0.3)


def test_a_name_outside_ascii_does_not_break_the_header(tmp_path):
    labels = two()
    write(LabelMap(labels.array, labels.geometry, classes=(LabelClass(2, "Gefäß\nend_header", (1, 0, 0)),)), tmp_path / "o.ply")
    lines, _, faces = read_ply(tmp_path / "o.ply")
    assert "comment class 2 Gef\\xe4\\xdf end_header" in lines
    assert len(faces)


def test_an_stl_of_several_classes_becomes_a_file_for_each(tmp_path):
    written = write(two(), tmp_path / "organs.stl")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in written) == ["organs_Liver_lobe.stl", "organs_Vein_left.stl"]
    _, corners = read_stl(tmp_path / "organs_Liver_lobe.stl")
    assert millilitres(corners) == pytest.approx(4 * 6 * 8 * 2 / 1000, rel=0.1)


def test_two_classes_of_one_name_do_not_share_a_file(tmp_path):
    labels = two()
    classes = (LabelClass(2, "Node", (1, 0, 0)), LabelClass(9, "node", (0, 1, 0)))
    write(LabelMap(labels.array, labels.geometry, classes=classes), tmp_path / "n.stl")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["n_Node.stl", "n_node_9.stl"]


def test_what_has_no_surface_is_refused_and_nothing_is_left(tmp_path):
    grid = Geometry((3, 4, 5))
    with pytest.raises(UnwritableFileError, match="no voxel is labelled"):
        write(Volume(np.zeros((3, 4, 5), np.uint8), grid), tmp_path / "m.stl")
    with pytest.raises(UnwritableFileError, match="the value 300"):
        write(Volume(np.full((3, 4, 5), 300), grid), tmp_path / "m.ply")
    with pytest.raises(InvalidInputError, match="no label map"):
        write(Volume(np.full((3, 4, 5), 0.5), grid), tmp_path / "m.ply")
    assert not list(tmp_path.iterdir())


def test_a_fault_in_one_of_several_files_leaves_none(tmp_path, monkeypatch):
    really, made = Path.write_bytes, []

    def full(path, data):
        made.append(path)
        if len(made) == 2:
            raise OSError(28, "No space left on device")
        return really(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UnwritableFileError, match="Make space"):
        write(two(), tmp_path / "organs.stl")
    assert not list(tmp_path.iterdir())
