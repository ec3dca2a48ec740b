"""Pointing at things and what a segmenter makes of it, without a window; the segmenter of the tests outlines what is as bright as the clicks."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from pointed import Pointed, entry

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.errors import InvalidInputError, NoLabelsError, UnavailableError
from napari_medseg.io import write
from napari_medseg.project import Project
from napari_medseg.session import segmenting
from napari_medseg.session.guide import next_step
from napari_medseg.session.history import change
from napari_medseg.session.replay import replay
from napari_medseg.session.state import Preview
from napari_medseg.volume import Geometry, Volume

AS_SHOWN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
FIRST, SECOND, AWAY = (12, 18, 14), (12, 20, 32), (3, 3, 3)


@pytest.fixture
def truth():
    z, y, x = np.mgrid[:24, :40, :44]
    labels = np.zeros(z.shape, np.uint8)
    labels[(z - 12) ** 2 + (y - 18) ** 2 + (x - 14) ** 2 < 64] = 1
    labels[(z - 12) ** 2 + (y - 20) ** 2 + (x - 32) ** 2 < 36] = 2
    return labels


@pytest.fixture
def volume(truth):
    return Volume(np.choose(truth, [0.0, 130.0, 300.0]).astype(np.float32), Geometry(truth.shape, direction=AS_SHOWN), name="two balls")


@pytest.fixture
def engine(session):
    Pointed.reset()
    clicks, wary = entry("clicks", capabilities={"prompts": ["points"]}), entry("wary", factory="pointed:Wary")
    entries = {**session.catalogue.entries, "pointed": entry(), "other": entry("other"), "wary": wary, "clicks": clicks}
    session.catalogue = replace(session.catalogue, entries=entries)
    session.set(engine="pointed", device="cpu")
    yield Pointed
    if Pointed.slow is not None:
        Pointed.slow.set()
    Pointed.reset()


@pytest.fixture
def scan(session, engine, volume):
    scan = session.open(volume)
    session.add_class("Second")
    session.choose_class(1)
    session.set(tab="segment")
    return scan


@pytest.fixture
def click(session, scan, owner):
    def at(voxel, sign=1, *, wait=True):
        session.prompting.point(scan.display.geometry.world(np.array(voxel, float)), sign)
        if wait:
            owner.run_until(lambda: not session.jobs.active)

    return at


def place(scan, voxel):
    return tuple(float(v) for v in scan.display.geometry.world(np.array(voxel, float)))


def stroke(session, scan, where, value):
    box = tuple(side if isinstance(side, slice) else slice(side, side + 1) for side in where)
    step = change(scan.strokes, box, np.full([side.stop - side.start for side in box], value, np.uint8))
    scan.keep_stroke(step)
    session.stroked(scan, step.boxes)


def test_a_click_is_answered_at_once_and_a_click_outside_takes_away(session, scan, click, truth):
    click(FIRST)
    assert np.array_equal(scan.preview.labels == 1, truth == 1)
    assert scan.preview.finished
    assert scan.labels is None
    before = int((scan.preview.labels > 0).sum())
    preview = scan.preview
    click((12, 18, 8), -1)
    assert scan.preview is preview, "the preview stays; only what changed is written"
    assert 0 < int((preview.labels > 0).sum()) < before
    assert not preview.labels[12, 18, 8]


def test_what_an_older_answer_had_more_of_goes(session, scan, click, owner):
    click(FIRST)
    first = scan.preview.labels.copy()
    click(SECOND)
    assert (scan.preview.labels > 0).sum() > (first > 0).sum()
    session.undo()
    owner.run_until(lambda: not session.jobs.active)
    assert np.array_equal(scan.preview.labels, first)


def test_prompts_are_taken_back_and_done_again_and_the_answer_follows(session, scan, click, owner):
    click(FIRST)
    first = scan.preview.labels.copy()
    click((12, 18, 8), -1)
    second = scan.preview.labels.copy()
    session.undo()
    owner.run_until(lambda: not session.jobs.active)
    assert np.array_equal(scan.preview.labels, first)
    session.redo()
    owner.run_until(lambda: not session.jobs.active)
    assert np.array_equal(scan.preview.labels, second)
    session.undo()
    session.undo()
    assert scan.preview is None
    assert scan.board.is_empty
    while scan.history.can_undo:  # a label that was added before
        session.undo()
    session.undo()
    assert session.notice == "Nothing to take back"


def test_points_strokes_and_accepts_are_taken_back_in_the_order_they_were_made(session, scan, click, owner):
    session.prompting.arm("scribbles")
    click(FIRST)
    stroke(session, scan, np.s_[12, 20, 30:34], 1)
    owner.run_until(lambda: not session.jobs.active)
    click((12, 18, 8), -1)
    session.accept()
    assert (scan.labels == 1).any()
    assert not scan.strokes.any()
    assert scan.board.is_empty
    session.undo()
    assert not scan.labels.any()
    assert scan.strokes.any()
    assert len(scan.board.target().marks) == 2
    session.undo()
    assert len(scan.board.target().marks) == 1
    session.undo_stroke(scan)
    assert not scan.strokes.any()
    assert len(scan.board.target().marks) == 1
    session.undo()
    assert scan.board.is_empty
    for marks, drawn, accepted in ((1, False, False), (1, True, False), (2, True, False), (0, False, True)):
        session.redo()
        target = scan.board.target()
        assert (len(target.marks) if target else 0, bool(scan.strokes.any()), bool(scan.labels.any())) == (marks, drawn, accepted)
    owner.run_until(lambda: not session.jobs.active)


def test_accepting_puts_the_prompts_away_and_the_next_click_begins_anew(session, scan, click, truth):
    click(FIRST)
    session.accept()
    assert np.array_equal(scan.labels == 1, truth == 1)
    session.choose_class(2)
    click(SECOND)
    assert set(np.unique(scan.preview.labels)) == {0, 2}
    session.accept()
    assert np.array_equal(scan.labels, truth)


def test_discarding_takes_prompts_and_answer_and_one_undo_brings_both_back(session, scan, click):
    click(FIRST)
    shown = scan.preview
    session.discard()
    assert scan.preview is None
    assert scan.board.is_empty
    session.undo()
    assert scan.preview is shown
    assert len(scan.board.target().marks) == 1
    click((12, 18, 8), -1)
    assert scan.preview is shown
    session.undo()
    session.undo()
    session.redo()
    session.redo()
    assert len(scan.board.target().marks) == 2


def test_several_objects_of_several_classes_each_keep_their_answer(session, scan, click, engine, truth):
    click(FIRST)
    session.choose_class(2)
    click(SECOND)
    assert np.array_equal(scan.preview.labels, truth)
    assert [asked.labels for asked in engine.asked] == [(1,), (2,)], "the first object is not asked for again"
    assert [(t.name, t.value) for t in scan.board.targets] == [("Organ", 1), ("Second", 2)]
    session.prompting.remove(scan.board.targets[0].number)
    assert set(scan.board.values()) == {2}


def test_removing_an_object_removes_what_was_answered_for_it(session, scan, click, owner):
    click(FIRST)
    session.choose_class(2)
    click(SECOND)
    session.prompting.remove(scan.board.targets[0].number)
    owner.run_until(lambda: not session.jobs.active)
    assert set(np.unique(scan.preview.labels)) == {0, 2}
    session.undo()
    owner.run_until(lambda: not session.jobs.active)
    assert set(np.unique(scan.preview.labels)) == {0, 1, 2}


def test_another_object_of_the_same_class_has_a_name_of_its_own_and_can_be_renamed(session, scan, click, engine):
    click(FIRST)
    session.prompting.new_object()
    click(SECOND)
    assert [t.name for t in scan.board.targets] == ["Organ", "Organ 2"]
    assert [len(o.points) for o in engine.asked[-1].objects] == [1, 1]
    session.prompting.rename(1, "Left")
    session.prompting.choose(1)
    click((12, 18, 10))
    assert [(t.name, len(t.marks)) for t in scan.board.targets] == [("Left", 2), ("Organ 2", 1)]
    session.prompting.new_object()
    session.prompting.new_object()
    assert len(scan.board.targets) == 3, "an object that nothing was pointed at for makes room for the next"


def test_with_live_off_prompts_wait_for_run(session, scan, click, engine, owner, truth):
    session.set(segment=replace(session.segment, live=False))
    click(FIRST)
    session.choose_class(2)
    click(SECOND)
    assert engine.asked == []
    assert scan.preview is None
    assert session.prompting.waiting(scan) == 2
    session.run()
    owner.run_until(lambda: not session.jobs.active)
    assert np.array_equal(scan.preview.labels, truth)
    assert session.prompting.waiting(scan) == 0
    session.run()
    owner.run_until(lambda: not session.jobs.active)
    assert len(engine.asked) == 4, "Run asks again where nothing is new"


def test_the_newest_prompt_wins(session, scan, click, engine, owner, truth):
    engine.slow = threading.Event()
    click(FIRST, wait=False)
    owner.run_until(lambda: engine.asked)
    for x in (12, 13, 15):
        click((12, 18, x), wait=False)
    engine.slow.set()
    owner.run_until(lambda: not session.jobs.active)
    assert np.array_equal(scan.preview.labels == 1, truth == 1)
    assert [len(asked.objects[0].points) for asked in engine.asked] == [1, 4]


def test_boxes_are_extended_over_slices_and_lassos_count(session, scan, engine, owner):
    session.prompting.box(place(scan, (10, 10, 6)), place(scan, (10, 26, 22)))
    session.prompting.box(place(scan, (14, 12, 8)), place(scan, (14, 24, 24)), extend=True)
    session.prompting.lasso([place(scan, (12, 10, 6)), place(scan, (12, 26, 6)), place(scan, (12, 18, 24))])
    session.prompting.lasso([place(scan, (12, 10, 6)), place(scan, (12, 26, 6))])
    owner.run_until(lambda: not session.jobs.active)
    (asked,) = engine.asked[-1].objects
    assert len(asked.lassos) == 1
    (box,) = asked.boxes
    ends = np.sort(scan.display.geometry.voxel(np.array(box)), axis=0)
    assert np.allclose(ends, [[10, 10, 6], [14, 26, 24]])
    assert (scan.preview.labels > 0).any()


def test_an_accepted_label_is_what_the_next_answer_starts_from(session, scan, click, engine, owner, truth):
    with pytest.raises(NoLabelsError):
        session.prompting.start_from_label()
    click(FIRST)
    session.accept()
    session.prompting.start_from_label()
    owner.run_until(lambda: not session.jobs.active)
    assert np.array_equal(engine.asked[-1].mask.array == 1, truth == 1)
    click((12, 18, 8), -1)
    session.accept()
    assert 0 < (scan.labels == 1).sum() < (truth == 1).sum()


def test_strokes_of_another_class_are_background_for_this_one(session, scan, engine, owner):
    session.prompting.arm("scribbles")
    stroke(session, scan, np.s_[12, 18, 10:16], 1)
    stroke(session, scan, np.s_[12, 20, 30:34], 2)
    owner.run_until(lambda: not session.jobs.active)
    for asked in engine.asked[-2:]:
        (value,) = asked.labels
        assert set(np.unique(asked.scribbles.array)) == {0, value, 255}
    assert set(np.unique(scan.preview.labels)) == {0, 1, 2}


def test_other_classes_are_overwritten_only_by_choice(session, scan, click, truth):
    labels = scan.hold_nothing()
    change(labels, np.s_[12:13, 0:40, 0:44], np.full((1, 40, 44), 2, np.uint8))
    scan.hold(labels)
    click(FIRST)
    session.accept()
    assert (scan.labels[12] == 2).all()
    session.undo()
    session.set(over=True)
    session.run()
    click(FIRST)
    session.accept()
    assert np.array_equal(scan.labels[12] == 1, truth[12] == 1)


def test_only_what_the_segmenter_takes_can_be_taken_in_the_hand(session, scan):
    assert session.prompting.tools() == ("point", "box", "scribbles", "lasso")
    seen = []
    session.set(tool="")
    for _ in range(5):
        session.prompting.next_tool()
        seen.append(session.tool)
    assert seen == ["point", "box", "scribbles", "lasso", "point"]
    session.set(background=True)
    session.prompting.next_tool()
    assert not session.background, "boxes are always round the object"
    session.set(engine="clicks")
    assert session.prompting.tools() == ("point",)
    assert session.tool == "point"
    with pytest.raises(InvalidInputError, match="takes no lassos"):
        session.prompting.arm("lasso")
    session.set(engine="unet")
    assert session.prompting.tools() == ()
    assert session.tool == ""


def test_the_network_stays_built_until_another_segmenter_is_chosen(session, scan, click, engine, owner):
    for x in (13, 14, 15):
        click((12, 18, x))
    assert (engine.built, engine.released) == (1, 0)
    session.set(engine="other")
    owner.run_until(lambda: not session.jobs.active)
    assert engine.released == 1
    preview = scan.preview
    click((12, 18, 12))
    assert engine.built == 2
    assert scan.preview is preview, "what was pointed at goes to the new one"
    assert len(engine.asked[-1].objects[0].points) == 4


def test_the_network_is_made_ready_before_the_first_click(session, scan, click, engine, owner):
    session.prompting.warm()
    owner.run_until(lambda: not session.jobs.active)
    assert engine.built == 1
    click(FIRST)
    session.prompting.warm()
    assert engine.built == 1
    session.set(tab="weak")
    session.prompting.warm()
    assert not session.jobs.active


def test_another_tools_preview_is_left_alone(session, scan, click, engine):
    scan.preview = other = Preview(np.ones(scan.display.geometry.shape, np.uint8), "level set", (session.label_class,), finished=True)
    click(FIRST)
    assert scan.preview is other
    assert engine.asked == []
    assert "accept or discard" in next_step(session).sentence.lower()
    session.discard()
    session.run()
    assert session.prompting.owns(scan.preview)


def test_the_guide_tells_what_to_click_and_what_next(session, scan, click):
    assert next_step(session).sentence == "Click inside Organ"
    session.flip()
    assert "outside Organ" in next_step(session).sentence
    session.flip()
    click(FIRST)
    step = next_step(session)
    assert (step.action, step.key) == ("accept", "K")
    session.set(segment=replace(session.segment, live=False))
    click((12, 18, 10))
    assert next_step(session).action == "run"
    session.prompting.clear()
    session.prompting.arm("box")
    assert "box" in next_step(session).sentence


def test_run_without_a_prompt_says_what_to_do(session, scan, problems):
    session.run()
    assert "nothing was pointed at" in str(problems[0])


def test_probabilities_are_kept_for_the_level_set_and_doubtful_places_are_gone_through(session, scan, click, owner):
    click(FIRST)
    assert scan.learned[1].title == "Pointed"
    assert scan.learned[1].chance[FIRST] == np.float16(0.9)
    places = []
    session.place.connect(lambda _, voxel: places.append(voxel))
    session.doubt.go(1)
    owner.run_until(lambda: not session.jobs.active)
    assert scan.doubt is not None
    assert places == [session.doubt.spots(scan)[0]]
    session.doubt.go(1)
    session.doubt.go(-1)
    assert places[-1] == places[0]
    click((12, 18, 8), -1)
    assert scan.doubt is None, "it told of an older answer"
    session.doubt.switch(True)
    owner.run_until(lambda: not session.jobs.active)
    assert scan.doubt is not None


def test_of_a_mean_it_is_shown_how_far_the_answers_lie_apart(session, scan, click, owner):
    session.set(segment=replace(session.segment, combined=("wary",)))
    click(FIRST)
    assert scan.learned[1].chance[FIRST] == pytest.approx(0.7, abs=1e-3)
    assert scan.learned[1].apart[FIRST] == pytest.approx(0.2, abs=1e-3), "0.9 and 0.5"
    session.doubt.switch(True)
    owner.run_until(lambda: not session.jobs.active)
    assert scan.doubt[FIRST] == pytest.approx(0.881, abs=1e-2), "the entropy of 0.7"
    assert session.doubt.comparable(scan)
    session.doubt.choose("apart")
    owner.run_until(lambda: not session.jobs.active)
    assert scan.doubt[FIRST] == pytest.approx(0.4, abs=1e-2), "twice the spread: 1 where one is sure of yes and one of no"
    assert scan.doubt[AWAY] == 0
    assert session.doubt.spots(scan), "there are places to go to"
    session.set(segment=replace(session.segment, combined=()))
    session.run()
    owner.run_until(lambda: not session.jobs.active)
    assert not session.doubt.comparable(scan)
    assert scan.doubt[FIRST] == pytest.approx(0.469, abs=1e-2), "one alone lies apart from nobody: the entropy of 0.9"


def test_doubt_without_an_answer_is_refused(session, scan):
    with pytest.raises(InvalidInputError):
        session.doubt.go(1)


def test_what_an_engine_asks_is_asked_before_it_runs(session, scan, problems):
    asks = [{"name": "model", "kind": "folder", "title": "Folder of the model"}]
    session.catalogue = replace(session.catalogue, entries={**session.catalogue.entries, "pointed": entry(asks=asks)})
    session.prompting.point(place(scan, FIRST))
    assert "needs an answer: Folder of the model" in str(problems[0])
    assert scan.preview is None
    needy = entry(requires={"no_such_module_at_all": "no-such"})
    session.catalogue = replace(session.catalogue, entries={**session.catalogue.entries, "pointed": needy})
    with pytest.raises(UnavailableError):
        segmenting.wanted(session)


def test_an_accepted_answer_is_made_again_from_its_version(session, scan, click, owner, volume, tmp_path, engine, monkeypatch):
    session.prompting.arm("scribbles")
    click(FIRST)
    stroke(session, scan, np.s_[12, 20, 30:34], 2)
    owner.run_until(lambda: not session.jobs.active)
    session.prompting.lasso([place(scan, (12, 10, 6)), place(scan, (12, 26, 6)), place(scan, (12, 18, 24))])
    owner.run_until(lambda: not session.jobs.active)
    made = []
    session.accepted.connect(lambda _, how: made.append(how))
    session.accept()
    (how,) = made
    assert how.tool == "segment:pointed"
    from napari_medseg import catalogue

    monkeypatch.setattr(catalogue, "load", lambda: session.catalogue)
    write(volume, tmp_path / "balls.nii.gz")
    with Project.create(tmp_path / "study", classes=default_classes(["Organ", "Second"])) as project:
        project.add(tmp_path / "balls.nii.gz")
        case = project.case("case-0001")
        arrays = {name: scan.axes.undo(array) for name, array in how.arrays.items()}
        labels = LabelMap(scan.axes.undo(scan.labels), case.geometry)
        project.save(case.id, labels, kind=how.kind, tool=how.tool, parameters=how.parameters, prompts=how.prompts, arrays=arrays)
        done = replay(project, "case-0001", 1)
    assert (done.ran, done.same) == (True, True)
    assert set(np.unique(done.labels.array)) == {0, 1, 2}
