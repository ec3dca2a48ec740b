"""The simulated annotator gives the same voxels every time, and those of the reference where it is at hand."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_medseg.catalogue import shipped
from napari_medseg.errors import NoLabelsError
from napari_medseg.testing import annotator

REFERENCE = Path(__file__).parents[3] / "shared" / "annotator.py"
BRAIN1 = [shipped("sample_data") / "brain1_tumour.nii.gz", REFERENCE.parent / "data" / "sample" / "brain1_tumour.nii.gz"]
SPACING = (5.0, 0.8, 1.1)


@pytest.fixture(scope="module")
def bean():
    """Two overlapping balls and a small one apart: concave and in two pieces."""
    z, y, x = np.indices((9, 48, 40))
    ball = lambda cz, cy, cx, r: ((z - cz) * 5.0) ** 2 + ((y - cy) * 0.8) ** 2 + ((x - cx) * 1.1) ** 2 < r * r  # noqa: E731
    return ball(4, 16, 15, 9) | ball(5, 26, 22, 7) | ball(6, 40, 8, 3)


@pytest.fixture(scope="module")
def brain1():
    path = next((p for p in BRAIN1 if p.exists()), None)
    if path is None:
        pytest.skip("the sample scan brain1 is not there")
    image = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(image) > 0, image.GetSpacing()[::-1]


@pytest.fixture(scope="module")
def reference():
    if not REFERENCE.exists():
        pytest.skip("the reference annotator (../shared/annotator.py) is not beside this checkout")
    spec = importlib.util.spec_from_file_location("reference_annotator", REFERENCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fingerprint(array) -> str:
    data = np.packbits(array).tobytes() if array.dtype == bool else np.ascontiguousarray(array).astype("<i4").tobytes()
    return hashlib.sha256(data).hexdigest()[:12]


def everything(module, truth, spacing, *, reference=False):
    """All the annotator does to one truth, as arrays."""
    hand = module.hand_mask(truth, spacing)
    voxel, sign = module.next_click(truth, hand, spacing)
    missed, alarm = (module.first_strokes(truth, spacing) for _ in range(2))
    extra = (spacing,) if reference else ()
    assert module.stroke(missed, truth, np.zeros_like(truth), *extra)
    assert module.stroke(alarm, truth, hand, *extra)
    return {
        "seeds": module.seeds(truth, spacing), "hand": hand, "sloppy0": module.sloppy_mask(truth, spacing, 0), "sloppy1": module.sloppy_mask(truth, spacing, 1),
        "click": np.array([*voxel, sign]), "first": module.first_strokes(truth, spacing), "missed": missed, "alarm": alarm,
        "deformed": module.deform(truth, np.random.default_rng(0)),
    }


FROZEN_BRAIN1 = {
    "seeds": "ac183477b459", "hand": "88637dfb8af4", "sloppy0": "b22dde88b799", "sloppy1": "2b154df4504d", "click": "6ca9c6065486",
    "first": "b8fe42e5e550", "missed": "145c03bbf7e4", "alarm": "fcfebb5bc7ff", "deformed": "e99ed33bc75c",
}
FROZEN_BEAN = {
    "seeds": "66f38422b16a", "hand": "227b341414ce", "sloppy0": "f4eaa8ed8360", "sloppy1": "e1a202e242c7", "click": "db35d0706254",
    "first": "79a03ca2791a", "missed": "611f99e843b0", "alarm": "1b031da06cd7", "deformed": "18d31879603d",
}


@pytest.mark.parametrize("part", FROZEN_BRAIN1)
def test_brain1_gives_the_frozen_voxels(brain1, part):
    assert fingerprint(everything(annotator, *brain1)[part]) == FROZEN_BRAIN1[part]


@pytest.mark.parametrize("part", FROZEN_BEAN)
def test_a_made_up_shape_gives_the_frozen_voxels(bean, part):
    assert fingerprint(everything(annotator, bean, SPACING)[part]) == FROZEN_BEAN[part]


@pytest.mark.parametrize("case", ["bean", "brain1"])
def test_the_reference_gives_the_same_voxels(reference, request, case):
    found = request.getfixturevalue(case)
    truth, spacing = found if isinstance(found, tuple) else (found, SPACING)
    ours, theirs = everything(annotator, truth, spacing), everything(reference, truth, spacing, reference=True)
    for part, array in ours.items():
        np.testing.assert_array_equal(array, theirs[part], err_msg=part)


def test_brain1_figures_of_the_hand_mask(brain1):
    truth, spacing = brain1
    hand = annotator.hand_mask(truth, spacing)
    assert hand.sum() == 8015
    assert 2 * (hand & truth).sum() / (hand.sum() + truth.sum()) == pytest.approx(0.681, abs=5e-4)


def test_the_hand_mask_holds_the_whole_truth_and_only_its_slices(bean):
    hand = annotator.hand_mask(bean, SPACING)
    assert not (bean & ~hand).any()
    np.testing.assert_array_equal(hand.any((1, 2)), bean.any((1, 2)))


def test_strokes_never_paint_a_voxel_with_the_wrong_class(bean):
    strokes = annotator.first_strokes(bean, SPACING)
    current = np.zeros_like(bean)
    current[4:, 10:44] = True
    for _ in range(5):
        assert annotator.stroke(strokes, bean, current)
        assert bean[strokes == 1].all()
        assert not bean[strokes == 255].any()
        current = (current | (strokes == 1)) & (strokes != 255)


def test_clicking_where_it_is_wrong_ends_when_nothing_is(bean):
    voxel, sign = annotator.next_click(bean, np.zeros_like(bean), SPACING)
    assert (bean[tuple(voxel)], sign) == (True, 1)
    voxel, sign = annotator.next_click(bean, np.ones_like(bean), SPACING)
    assert (bean[tuple(voxel)], sign) == (False, -1)
    assert annotator.next_click(bean, bean, SPACING) is None
    assert annotator.stroke(np.zeros(bean.shape, np.uint8), bean, bean) is False


def test_a_corrected_slice_is_the_truth_and_the_rest_stays(bean):
    current = np.zeros_like(bean)
    corrected, z = annotator.corrected_slice(bean, current)
    assert z == bean.sum((1, 2)).argmax()
    np.testing.assert_array_equal(corrected[z], bean[z])
    assert corrected.sum() == bean[z].sum()
    assert not current.any()


def test_a_stronger_deformation_agrees_less(bean):
    def agreement(strength):
        found = [annotator.deform(bean, np.random.default_rng(i), strength) for i in range(6)]
        return np.mean([2 * (f & bean).sum() / (f.sum() + bean.sum()) for f in found])

    assert 1 > agreement(2) > agreement(12) > 0.2
    assert not annotator.deform(np.zeros_like(bean), np.random.default_rng(0)).any()


@pytest.mark.parametrize("ask", [annotator.seeds, annotator.first_strokes])
def test_an_empty_truth_is_refused(ask):
    with pytest.raises(NoLabelsError):
        ask(np.zeros((3, 8, 8), bool), SPACING)
