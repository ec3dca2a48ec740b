"""Rulers of a session: clicks make them, undo takes them back in the order of work, a study keeps them."""

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.io import write
from napari_medseg.session import Session, next_step
from napari_medseg.volume import Geometry, Volume


@pytest.fixture
def opened(session):
    geometry = Geometry((8, 16, 16), (5.0, 1.0, 0.5))
    session.open(Volume(np.random.default_rng(0).normal(100, 20, geometry.shape).astype(np.float32), geometry, name="made"))
    session.reviewing.turn("rulers")
    return session


@pytest.fixture
def rulers(opened):
    return opened.reviewing.rulers


def draw(rulers, *places, kind="ruler"):
    rulers.arm(kind)
    for place in places:
        rulers.click(place)


def test_two_clicks_are_a_distance_and_three_an_angle(opened, rulers):
    draw(rulers, (0, 0, 0), (0, 3, 4))
    draw(rulers, (1, 0, 0), (0, 0, 0), (0, 1, 0), kind="angle")
    assert [each.words for each in opened.current.rulers] == ["5.0 mm", "90.0°"]
    assert opened.tool == "angle"


def test_the_guide_follows_the_clicks(opened, rulers):
    assert "Press Distance or Angle" in next_step(opened).sentence
    rulers.arm("ruler")
    assert "begins" in next_step(opened).sentence
    rulers.click((0, 0, 0))
    assert "ends" in next_step(opened).sentence


def test_undo_takes_them_back_in_the_order_of_work(opened, rulers):
    scan = opened.current
    draw(rulers, (0, 0, 0), (0, 3, 4))
    rulers.move(scan, 0, 1, (0, 0, 9))
    rulers.rename(scan, 0, "width")
    rulers.remove(scan, 0)
    assert scan.rulers == ()
    opened.undo()
    assert scan.rulers[0].name == "width"
    opened.undo()
    opened.undo()
    assert scan.rulers[0].mm == 5
    opened.undo()
    assert scan.rulers == ()
    opened.redo()
    assert scan.rulers[0].mm == 5


def test_an_unfinished_one_goes_with_its_tool(opened, rulers):
    rulers.arm("ruler")
    rulers.click((0, 0, 0))
    opened.set(tool="")
    assert rulers.places == ()


def test_two_clicks_at_one_place_are_refused_and_can_be_made_again(opened, rulers):
    rulers.arm("ruler")
    rulers.click((0, 0, 0))
    with pytest.raises(InvalidInputError):
        rulers.click((0, 0, 0))
    rulers.click((0, 0, 7))
    assert opened.current.rulers[0].mm == 7


def test_without_a_scan_there_is_nothing_to_measure(session):
    with pytest.raises(InvalidInputError):
        session.reviewing.rulers.arm("ruler")


def test_they_are_saved_as_csv_or_json(opened, rulers, tmp_path, problems):
    rulers.save(tmp_path / "none.csv")
    assert "no ruler" in str(problems[0])
    draw(rulers, (0, 0, 0), (0, 3, 4))
    for name in ("a.csv", "a.json"):
        rulers.save(tmp_path / name)
    assert "5.00" in (tmp_path / "a.csv").read_text()
    assert '"places"' in (tmp_path / "a.json").read_text()


def test_a_study_keeps_them_with_the_case(owner, tmp_path):
    geometry = Geometry((6, 8, 8), (2.0, 1.0, 1.0))
    path = tmp_path / "one.nii.gz"
    write(Volume(np.arange(384, dtype=np.int16).reshape(6, 8, 8), geometry, name="one"), path)
    first = Session(owner)
    first.study.create(tmp_path / "made")
    owner.run_until(lambda: first.study.is_open)
    first.study.add([path])
    owner.run_until(lambda: len(first.study.cases) == 1)
    first.study.go(first.study.cases[0].id)
    owner.run_until(lambda: first.current is not None and bool(first.current.case))
    owner.run_until(lambda: first.current in first.reviewing.rulers._kept)
    draw(first.reviewing.rulers, (0, 0, 0), (0, 3, 4))
    first.reviewing.rulers.rename(first.current, 0, "stem")
    first.shut()
    again = Session(owner)
    again.study.open(tmp_path / "made.medseg")
    owner.run_until(lambda: again.study.is_open and bool(again.study.cases))
    again.study.go(again.study.cases[0].id)
    owner.run_until(lambda: again.current is not None and bool(again.current.rulers))
    assert [(each.name, each.words) for each in again.current.rulers] == [("stem", "5.0 mm")]
    again.shut()
