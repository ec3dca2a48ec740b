"""Strokes made of a label map."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_medseg.errors import NoLabelsError
from napari_medseg.weaklabel.as_strokes import as_strokes
from napari_medseg.weaklabel.scribble import grow, whole

SPACING = (4.0, 1.0, 1.0)


@pytest.fixture
def labels():
    z, y, x = np.mgrid[:16, :70, :70]
    made = np.zeros(z.shape, np.uint8)
    made[(4 * (z - 8)) ** 2 + (y - 24) ** 2 + (x - 24) ** 2 < 14**2] = 1
    made[(4 * (z - 8)) ** 2 + (y - 46) ** 2 + (x - 48) ** 2 < 8**2] = 7
    return made


def whole_strokes(labels, **options):
    box, part = as_strokes(labels, SPACING, **options)
    strokes = np.zeros(labels.shape, np.uint8)
    strokes[box] = part
    return strokes


def test_every_class_is_sure_of_its_core_only(labels):
    strokes = whole_strokes(labels)
    for value in (1, 7):
        core = strokes == value
        assert core.any()
        depth = ndi.distance_transform_edt(labels == value, sampling=SPACING)
        assert depth[core].min() >= 0.5 * depth.max()


def test_every_piece_has_a_core_however_small(labels):
    labels[2, 60, 60] = 1
    assert whole_strokes(labels)[2, 60, 60] == 1


def test_a_thin_shell_in_millimetres_lies_around_them(labels):
    strokes = whole_strokes(labels, away_mm=6.0)
    away = ndi.distance_transform_edt(labels == 0, sampling=SPACING)
    shell = strokes == 255
    assert away[shell].min() >= 6.0
    assert away[shell].max() < 6.0 + max(SPACING)
    pieces, count = ndi.label(~shell)
    assert count >= 2
    assert pieces[8, 24, 24] != pieces[0, 0, 0], "there is no way out but through it"


def test_grown_again_they_give_the_labels_back(labels):
    image = np.choose(labels, [0, 100, 0, 0, 0, 0, 0, 200]).astype(np.float32)
    *_, growth = grow(image, whole_strokes(labels), SPACING)
    found = whole(growth, labels.shape)
    for value in (1, 7):
        both = (found == value) & (labels == value)
        assert 2 * both.sum() / ((found == value).sum() + (labels == value).sum()) > 0.95


def test_an_empty_map_is_a_sentence(labels):
    with pytest.raises(NoLabelsError, match="no label"):
        as_strokes(np.zeros_like(labels), SPACING)
