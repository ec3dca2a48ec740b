from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage as ndi

from napari_medseg.catalogue import shipped
from napari_medseg.errors import UnavailableError
from napari_medseg.testing import annotator
from napari_medseg.weaklabel import front, front_torch, scene
from napari_medseg.weaklabel.fronts import front_on
from napari_medseg.weaklabel.levelset import LevelSet
from napari_medseg.weaklabel.settings import LevelSetSettings
from napari_medseg.weaklabel.speed import Speed

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (6.5, 0.8, 0.8), (2.0, 0.9, 1.3)]
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not front_torch.has_card(), reason="no GPU")])]


@pytest.fixture(autouse=True)
def _one_thread():
    """Boxes this small only wait for each other on several threads, and for minutes on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


class Fixed:
    """A drive that is known beforehand and notes which tiles are asked for."""

    tile, method = 16, "region"

    def __init__(self, speed, spacing, edge=0.0, stopping=None, curvature_mm=0.1):
        self.shape, self.spacing, self.speed, self.stopping = speed.shape, spacing, speed, stopping
        self.edge, self.advection, self.balloon, self.curvature_mm, self.version = edge, 1.0, 0.1, curvature_mm, 0
        self.asked = np.zeros([-(-n // self.tile) for n in speed.shape], bool)

    def prepare(self, tiles):
        self.asked |= tiles

    def learn(self, inside):
        return False

    def describe(self):
        return "made up"


def scene_of(spacing, width=(30.0, 33.0, 36.0), seed=0):
    """A lumpy target with noise, a start in it, something not allowed beside it and a voxel kept: all on one grid."""
    shape = tuple(max(1, int(w / s)) for w, s in zip(width, spacing, strict=True))
    rng = np.random.default_rng(seed)
    z, y, x = ((np.arange(n) - (n - 1) / 2).reshape([-1 if a == axis else 1 for a in range(3)]) * spacing[axis] for axis, n in enumerate(shape))
    away = np.sqrt(z**2 + y**2 + (1.2 * x) ** 2)
    truth = away + 3 * np.sin(y / 4) * np.cos(x / 5) < 11
    shown = ndi.gaussian_filter(np.where(truth, 0.9, 0.1) + rng.normal(0, 0.25, shape), 1)
    edges = ndi.gaussian_gradient_magnitude(shown, 1.0)
    blocked = np.broadcast_to((y > 6) & (np.abs(x) < 3), shape)
    kept = np.zeros(shape, bool)
    kept[shape[0] // 2, shape[1] // 2, shape[2] // 2] = kept[0, shape[1] // 9, 3] = True
    speed = np.clip(2 * shown - 1, -1, 1).astype(np.float32)
    return SimpleNamespace(
        truth=truth, start=away < max(5, 1.1 * max(spacing)), speed=speed, stopping=(1 / (1 + (edges / 0.05) ** 2)).astype(np.float32),
        allowed=~blocked, kept=kept & ~blocked, spacing=spacing,
    )


def both(made, device):
    return (
        front.Front(made.start.copy(), made.spacing, made.allowed.copy(), made.kept.copy()),
        front_torch.Front(made.start.copy(), made.spacing, made.allowed.copy(), made.kept.copy(), device),
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("edge", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_it_moves_as_the_processors_front_does(spacing, edge, device):
    made = scene_of(spacing)
    ours, theirs = both(made, device)
    drive = Fixed(made.speed, spacing, edge, made.stopping if edge else None)
    for iterations in (1, 3, 20):
        was = theirs.inside.copy()
        expected, moved = ours.advance(drive, iterations), theirs.advance(drive, iterations)
        assert dice(ours.inside, theirs.inside) >= 0.999
        assert theirs.iterations == ours.iterations
        assert theirs.time == pytest.approx(ours.time, rel=1e-3)
        assert moved.changed == pytest.approx(expected.changed, rel=0.01, abs=3)
        outside = (was != theirs.inside).copy()
        outside[moved.box] = False
        assert not outside.any()
    assert not theirs.inside[~made.allowed].any()
    assert theirs.inside[made.kept].all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("width", [(1.0, 40.0, 40.0), (2.0, 30.0, 40.0), (30.0, 1.0, 40.0)])
def test_one_slice_and_thin_slabs_too(width, device):
    made = scene_of((1.0, 1.0, 1.0), width)
    ours, theirs = both(made, device)
    drive = Fixed(made.speed, made.spacing)
    for front_ in (ours, theirs):
        front_.advance(drive, 40)
    assert dice(ours.inside, theirs.inside) >= 0.99


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", ["brain1_t1gd.nii.gz brain1_tumour.nii.gz", "breast1_image.nrrd breast1_label.nrrd"])
def test_real_tumours_come_out_the_same(case, device):
    scan, mask = (sitk.ReadImage(str(shipped("sample_data") / name)) for name in case.split())
    image, truth, spacing = sitk.GetArrayFromImage(scan), sitk.GetArrayFromImage(mask) > 0, scan.GetSpacing()[::-1]
    limit, seeds = annotator.hand_mask(truth, spacing), annotator.seeds(truth, spacing)
    box = scene.box_around(limit, 9.0, spacing)
    points = seeds - [part.start for part in box]
    fronts = []
    for device_ in ("cpu", "torch" if device == "cpu" else "cuda"):
        speed = Speed(image[box], spacing, LevelSetSettings(), points, limit=limit[box], allowed=limit[box], inward=True)
        kept = np.zeros(limit[box].shape, bool)
        kept[tuple(points.T)] = True
        fronts.append(front_on(device_, limit[box].copy(), spacing, limit[box].copy(), kept))
        for _ in range(2):
            fronts[-1].advance(speed, 20)
            speed.learn(fronts[-1].inside)
        fronts[-1].advance(speed, 20)
    assert dice(fronts[0].inside, limit[box]) < 0.98
    assert dice(fronts[0].inside, fronts[1].inside) >= 0.99


@pytest.mark.parametrize("device", ["cpu", "torch"])
def test_what_is_known_beforehand_changes_no_mask(device):
    made = scene_of((3.0, 1.0, 1.0))
    drive = Fixed(made.speed, made.spacing)
    around, masks = scene.box_around(made.start | made.kept, 0.0, made.spacing), []
    for known in ((None, None), (around, drive.version)):
        moving = front_on(device, made.start.copy(), made.spacing, made.allowed.copy(), made.kept.copy(), *known)
        moving.advance(drive, 12)
        masks.append(moving.inside)
    assert np.array_equal(*masks)
    assert (masks[0] != made.start).any()


def test_only_tiles_the_front_comes_to_are_asked_for():
    made = scene_of((1.0, 1.0, 1.0), (32.0, 32.0, 80.0))
    drive = Fixed(made.speed, made.spacing)
    _, theirs = both(made, "cpu")
    theirs.kept[...] = False
    theirs.reset(made.start)
    theirs.advance(drive, 3)
    assert drive.asked.any()
    assert not drive.asked[:, :, [0, -1]].any()
    theirs.advance(drive, 15)
    assert not (theirs.inside & ~np.kron(drive.asked, np.ones((16, 16, 16), bool))).any()


def test_a_speed_made_anew_is_taken_up():
    made = scene_of((1.0, 1.0, 1.0))
    drive = Fixed(made.speed.copy(), made.spacing)
    ours, theirs = both(made, "cpu")
    for front_ in (ours, theirs):
        front_.advance(drive, 10)
    drive.speed[...] = -0.5
    drive.version += 1
    for front_ in (ours, theirs):
        front_.advance(drive, 10)
    assert np.array_equal(ours.inside, theirs.inside)
    assert theirs.inside.sum() < made.start.sum()


def test_a_barrier_and_another_mask_are_taken_up():
    made = scene_of((1.0, 1.0, 1.0))
    drive = Fixed(made.speed, made.spacing)
    ours, theirs = both(made, "cpu")
    wall = np.zeros(made.start.shape, bool)
    wall[:, :, 22] = True
    for front_ in (ours, theirs):
        front_.bar(wall)
        front_.advance(drive, 20)
    assert np.array_equal(ours.inside, theirs.inside)
    assert not theirs.inside[wall].any()
    ball = ndi.binary_dilation(made.start, iterations=3)
    for front_ in (ours, theirs):
        front_.reset(ball)
        assert not (front_.inside & wall).any()
        front_.advance(drive, 2)
    assert np.array_equal(ours.inside, theirs.inside)


def test_where_nothing_moves_it_stops_and_says_so():
    made = scene_of((1.0, 1.0, 1.0))
    still = Fixed(np.zeros_like(made.speed), made.spacing, curvature_mm=0.0)
    ours, theirs = both(made, "cpu")
    for front_ in (ours, theirs):
        moved = front_.advance(still, 10)
        assert (moved.changed, moved.box, front_.iterations) == (0, None, 1)
    empty = front_torch.Front(np.zeros((4, 5, 6), bool), (1.0, 1.0, 1.0), np.ones((4, 5, 6), bool), np.zeros((4, 5, 6), bool), "cpu")
    assert empty.advance(Fixed(np.ones((4, 5, 6), np.float32), (1.0, 1.0, 1.0)), 5).changed == 0


def test_the_same_run_gives_the_same_mask():
    made = scene_of((2.0, 0.9, 1.3), seed=4)
    masks = []
    for _ in range(2):
        _, theirs = both(made, "cpu")
        theirs.advance(Fixed(made.speed, made.spacing), 25)
        masks.append(theirs.inside)
    assert np.array_equal(*masks)


def test_devices_have_names():
    grid = np.zeros((3, 3, 3), bool)
    given = (grid, (1.0, 1.0, 1.0), ~grid, grid)
    assert isinstance(front_on("cpu", *given), front.Front)
    assert isinstance(front_on("torch", *given), front_torch.Front)
    if not front_torch.has_card():
        with pytest.raises(UnavailableError, match="no graphics card"):
            front_on("cuda", *given)


@pytest.mark.gpu
@pytest.mark.skipif(not front_torch.has_card(), reason="no GPU")
def test_compiled_passes_agree_with_the_plain_ones():
    made = scene_of((2.0, 0.9, 1.3))
    drive = Fixed(made.speed, made.spacing, 0.5, made.stopping)
    device = torch.device("cuda")
    _, plain = both(made, "cuda")
    if not front_torch.compile_passes(device):
        pytest.skip("no compiler for this card")
    _, compiled = both(made, "cuda")
    plain.advance(drive, 40)
    compiled.advance(drive, 40)
    assert dice(plain.inside, compiled.inside) >= 0.999


@pytest.mark.parametrize("device", ["torch", pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not front_torch.has_card(), reason="no GPU")])])
def test_a_whole_run_with_steering_ends_on_the_same_mask(device):
    made = scene_of((2.0, 0.9, 1.3))
    image = 60 + 50 * made.truth + np.random.default_rng(2).normal(0, 8, made.truth.shape)
    masks = []
    for device_ in ("cpu", device):
        level_set = LevelSet(image, made.spacing, LevelSetSettings(device=device_, reach_mm=30, iterations=48), seeds=annotator.seeds(made.truth, made.spacing))
        for update, _ in enumerate(level_set):
            if update == 4:
                level_set.bubble((7, 20, 10), 4.0, True)
            if update == 8:
                level_set.change(LevelSetSettings(device=device_, reach_mm=30, iterations=48, size=0.5))
        *_, last = level_set
        masks.append(last.mask)
    assert dice(masks[0], made.truth) > 0.7
    assert dice(*masks) >= 0.99
