"""Rulers measure in the patient, and what was changed by hand is refused in words."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.annotation.rulers import Ruler, as_csv, rulers_from
from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import Geometry

PLACE = st.tuples(*(st.floats(-500, 500) for _ in range(3)))


def turned(degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0)


def test_a_distance_is_in_mm():
    assert Ruler(((0, 0, 0), (3, 4, 12))).words == "13.0 mm"


@pytest.mark.parametrize(("end", "degrees"), [((1, 0, 0), 0), ((1, 1, 0), 45), ((0, 0, 2), 90), ((-1, 0, 0), 180)])
def test_an_angle_is_that_at_its_second_place(end, degrees):
    assert Ruler(((5, 0, 0), (0, 0, 0), end)).degrees == pytest.approx(degrees)


@pytest.mark.parametrize("grid", [
    Geometry((20, 20, 20), (5.0, 0.7, 0.4)), Geometry((20, 20, 20), (5.0, 0.7, 0.4), (10.0, -30.0, 7.0), turned(27)),
])
def test_what_is_drawn_on_uneven_and_turned_voxels_is_right(grid):
    along_x = Ruler(tuple(map(tuple, grid.world([(4, 3, 2), (4, 3, 12)]))))
    through_slices = Ruler(tuple(map(tuple, grid.world([(4, 3, 2), (10, 3, 2)]))))
    corner = Ruler(tuple(map(tuple, grid.world([(4, 3, 12), (4, 3, 2), (10, 3, 2)]))))
    assert (along_x.mm, through_slices.mm, corner.degrees) == pytest.approx((4.0, 30.0, 90.0))


@given(st.tuples(PLACE, PLACE, PLACE))
def test_an_angle_does_not_depend_on_which_side_is_drawn_first(places):
    try:
        ruler = Ruler(places)
    except InvalidInputError:
        return
    assert 0 <= ruler.degrees <= 180
    assert ruler.degrees == pytest.approx(Ruler(places[::-1]).degrees)


@given(PLACE, PLACE)
def test_what_is_saved_comes_back(a, b):
    if math.dist(a, b) < 1:
        return
    kept, = rulers_from(json.loads(json.dumps([Ruler((a, b), "aorta").as_dict()])), "x")
    assert kept.name == "aorta"
    np.testing.assert_allclose(kept.places, (a, b), atol=1e-3)


@pytest.mark.parametrize("facts", [
    None, {}, [1], [{}], [{"places": [[0, 0, 0]]}], [{"places": [[0, 0], [1, 1]]}], [{"places": [[0, 0, 0], [0, 0, 0]]}],
    [{"places": [[0, 0, "x"], [0, 0, 1]]}], [{"places": [[0, 0, float("nan")], [0, 0, 1]]}], [{"places": [[0, 0, 0], [0, 0, 1]], "name": 3}],
    [{"places": [[0, 0, True], [0, 0, 3]]}],
])
def test_what_is_no_list_of_rulers_is_refused(facts):
    with pytest.raises(InvalidInputError):
        rulers_from(facts, "file.json")


def test_the_table_has_units():
    text = as_csv([Ruler(((0, 0, 0), (0, 0, 10)), "liver"), Ruler(((1, 0, 0), (0, 0, 0), (0, 1, 0)))]).splitlines()
    assert text[0].startswith("Name,Kind,Length (mm),Angle (degrees),x1 (mm, LPS)".replace("x1 (mm, LPS)", '"x1 (mm, LPS)"'))
    assert text[1].startswith("liver,distance,10.00,,")
    assert text[2].startswith(",angle,,90.00,")
