import pytest

from napari_medseg.annotation import LabelClass, default_classes, palette
from napari_medseg.errors import InvalidInputError


def test_every_class_has_a_colour_of_its_own():
    colours = palette(254)
    assert len(set(colours)) == 254
    assert all(0 <= part <= 1 for colour in colours for part in colour)


def test_a_longer_palette_begins_with_the_shorter_one():
    assert palette(20)[:5] == palette(5)
    assert palette(0) == ()


def test_default_classes_count_from_one():
    assert [(c.value, c.name) for c in default_classes(2)] == [(1, "Class 1"), (2, "Class 2")]
    assert [(c.value, c.name) for c in default_classes(["Liver", "Spleen"])] == [(1, "Liver"), (2, "Spleen")]


@pytest.mark.parametrize("arguments", [(0, "Liver", (0, 0, 0)), (255, "Liver", (0, 0, 0)), (1, " ", (0, 0, 0)), (1, "Liver", (0, 0, 2))])
def test_a_class_that_cannot_be_is_refused(arguments):
    with pytest.raises(InvalidInputError):
        LabelClass(*arguments)


def test_more_than_254_classes_are_refused():
    with pytest.raises(InvalidInputError, match="255"):
        default_classes(255)
