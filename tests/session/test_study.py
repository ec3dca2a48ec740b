"""A study from the person's side: what is drawn is on the disk in time, and everything comes back."""

from dataclasses import replace
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.errors import MedsegError
from napari_medseg.project import Project
from napari_medseg.session import Preview, Session, next_step
from napari_medseg.session.cases import Amount, Order, arranged, natural, neighbour
from napari_medseg.session.history import change
from napari_medseg.session.making import Making
from napari_medseg.session.study_refinement import checks, chosen, gathered, learners
from napari_medseg.session.work_clock import WorkClock


@pytest.fixture(autouse=True)
def person(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))


@pytest.fixture
def files(ball, tmp_path):
    made = []
    for i in range(3):
        path = tmp_path / "scans" / f"patient {i + 9}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        io.write(ball.like(ball.array + i), path)
        made.append(path)
    return made


class Desk:
    """A session and what a person does with it."""

    def __init__(self, owner):
        self.owner = owner
        self.problems = []
        self.session = Session(owner)
        self.session.problem.connect(self.problems.append)
        self.study = self.session.study

    def settle(self):
        """Until everything asked for is done and told."""
        study, quiet = self.study, []
        for _ in range(4):  # an answer may ask for more
            self.owner.run_until(lambda: study._store.wait(0) and study._reader.wait(0) and self.owner.calls.empty())
            quiet.append(True)

    def until(self, met):
        self.owner.run_until(met)

    def begin(self, folder, files=()):
        self.study.create(folder)
        self.settle()
        if files:
            self.study.add(files)
            self.settle()

    def go(self, index):
        self.study.go(self.study.rows()[index].id)
        self.settle()
        return self.study.scan

    def paint(self, where, value=1):
        scan = self.study.scan
        labels = scan.labels if scan.labels is not None else scan.hold_nothing()
        box = tuple(slice(w.start, w.stop) for w in where)
        step = change(labels, box, np.full([b.stop - b.start for b in box], value, np.uint8))
        self.session.painted(scan, step)
        return scan

    def accept(self, where, made):
        scan = self.study.scan
        scan.preview = Preview(np.zeros(scan.display.geometry.shape, np.uint8), "test", (self.session.label_class,), finished=True, made=made)
        scan.preview.labels[where] = 1
        self.session.accept()
        self.settle()

    def vanish(self):
        """The process is killed: nothing is put away, the system frees the lock."""
        project = self.study._project
        self.study._store._timed.clear()
        self.settle()
        project._lock.release()
        self.session.jobs.close()


@pytest.fixture
def desks(owner):
    made = []

    def another():
        desk = Desk(owner)
        made.append(desk)
        return desk

    yield another
    for desk in made:
        desk.session.shut()


@pytest.fixture
def desk(desks):
    return desks()


@pytest.fixture
def study(desk, files, tmp_path):
    desk.begin(tmp_path / "Livers", files)
    return desk.study


WHERE = np.s_[4:8, 10:20, 12:30]
THERE = np.s_[9:12, 30:40, 30:40]


def test_a_new_study_takes_scans_in_without_opening_them(desk, study, files):
    assert study.folder.name == "Livers.medseg"
    assert [case.name for case in study.cases] == ["patient 9", "patient 10", "patient 11"]
    assert {case.status for case in study.cases} == {"new"}
    assert not desk.session.scans
    study.add(files)
    desk.settle()
    assert len(study.cases) == 3
    assert not desk.problems


def test_an_accepted_result_is_a_version_that_says_how_it_came_to_be(desk, study, ball_seeds):
    study.set_user("Ada")
    scan = desk.go(0)
    desk.session.set_seeds(scan, {1: ball_seeds})
    desk.session.run()
    desk.until(lambda: not desk.session.job.is_active)
    desk.session.accept()
    assert study.saved == "saving"
    desk.settle()
    version = study.versions[-1]
    assert (version.kind, version.tool, version.author, version.parent) == ("weak", "levelset", "Ada", None)
    assert version.parameters["method"] == "auto"
    assert np.allclose(version.prompts["seeds"]["1"], ball_seeds, atol=1e-3)
    assert study.saved == "saved"
    assert study.case(study.current).status == "weak"
    assert study.amounts[study.current].ml == pytest.approx(scan.ml(1))
    back = study._project.labels(study.current, 1)
    assert np.array_equal(scan.axes.apply(back.array), scan.labels)


def test_strokes_and_the_limit_go_with_the_version(desk, study):
    scan = desk.go(0)
    strokes = np.zeros(scan.display.geometry.shape, np.uint8)
    strokes[3, 4, 5] = 1
    desk.accept(WHERE, Making("scribble", arrays={"strokes": strokes}))
    kept = study._project.arrays(study.current, 1)["strokes"]
    assert np.array_equal(scan.axes.apply(np.asarray(kept)), strokes)


def test_a_network_s_result_is_a_proposal_with_the_model_s_hash(desk, study):
    desk.go(0)
    desk.accept(WHERE, Making("segment:unet", "proposal", model="abc"))
    assert (study.versions[-1].kind, study.versions[-1].model, study.cases[0].status) == ("proposal", "abc", "refined")


def test_brush_work_is_autosaved_by_itself_and_only_where_it_was(desk, study):
    desk.go(0)
    desk.paint(WHERE)
    assert study.saved == "changed"
    desk.until(lambda: study.saved == "autosaved")
    assert study.versions == []
    unsaved = study._project.unsaved()
    assert [u.case for u in unsaved] == [study.current]
    assert unsaved[0].voxels_changed == study.scan.voxels[1]


def test_labels_of_somebody_s_own_layer_are_saved_whatever_their_type(desk, study):
    scan = desk.go(0)
    labels = np.zeros(scan.display.geometry.shape, np.int64)
    labels[WHERE] = 1
    desk.session.adopt_labels(scan, labels)
    desk.until(lambda: study.saved == "autosaved")
    study.save_version()
    desk.settle()
    assert not desk.problems
    back = study.project.labels(study.current)
    assert np.array_equal(scan.axes.apply(back.array), labels)


def test_a_label_map_that_came_from_a_file_is_imported_until_somebody_draws_on_it(desk, study):
    for index, drawn in ((0, False), (1, True)):
        scan = desk.go(index)
        labels = np.zeros(scan.display.geometry.shape, np.uint8)
        labels[WHERE] = 1
        desk.session.adopt_labels(scan, labels)
        if drawn:
            desk.paint(THERE)
    study.settle()
    desk.settle()
    assert [study.project.versions(case)[-1].kind for case in ("case-0001", "case-0002")] == ["imported", "corrected"]


def test_a_stroke_that_goes_on_is_autosaved_before_it_ends(desk, study, monkeypatch):
    from napari_medseg.session import autosave

    monkeypatch.setattr(autosave, "HELD", 0.3)
    scan = desk.go(0)
    scan.hold_nothing()[WHERE] = 1  # the brush writes the array, and tells only at release
    desk.session.drawing(scan)
    desk.until(lambda: study._project.unsaved())
    assert study._project.recover(study.current).array.sum() == (scan.labels == 1).sum()


def test_leaving_a_case_makes_its_brush_work_a_corrected_version(desk, study):
    scan = desk.go(0)
    desk.paint(WHERE)
    labels = scan.labels.copy()
    desk.go(1)
    first = study.cases[0]
    assert (first.status, first.versions, first.has_unsaved) == ("corrected", 1, False)
    assert desk.session.scans == [study.scan]
    again = desk.go(0)
    assert again is not scan
    assert np.array_equal(again.labels, labels)
    desk.go(1)
    assert study.cases[0].versions == 1


def test_what_is_drawn_while_the_next_case_is_read_is_kept(desk, study, monkeypatch):
    scan = desk.go(0)
    desk.paint(WHERE)
    reading, drawn = Event(), Event()
    read = io.read

    def slow(*args, **keywords):
        reading.set()
        assert drawn.wait(30)
        return read(*args, **keywords)

    monkeypatch.setattr(io, "read", slow)
    study.go(study.rows()[1].id)
    desk.until(reading.is_set)
    assert study.scan is scan  # the case before stays in work until the next is there
    desk.paint(THERE)
    labels = scan.labels.copy()
    drawn.set()
    desk.settle()
    assert study.current == "case-0002"
    monkeypatch.undo()
    assert np.array_equal(desk.go(0).labels, labels)
    assert study.scan.by_hand[THERE].all()


def test_labels_of_a_case_come_counted_and_in_memory_of_their_own(desk, study):
    scan = desk.go(0)
    desk.paint(WHERE)
    count = scan.voxels[1]
    desk.go(1)
    again = desk.go(0)
    assert again.voxels == {0: again.labels.size - count, 1: count}
    assert again.by_hand.sum() == count
    assert again.labels.flags.c_contiguous
    assert again.labels.flags.writeable


def test_a_case_whose_labels_lie_elsewhere_than_its_scan_is_declined_in_a_sentence(desk, study, files, ball):
    desk.go(0)
    desk.paint(WHERE)
    desk.go(1)
    shape = (ball.array.shape[0] + 2, *ball.array.shape[1:])
    io.write(replace(ball, array=np.zeros(shape, ball.array.dtype), geometry=replace(ball.geometry, shape=shape)), files[0])
    scan = study.scan
    desk.go(0)
    assert desk.problems
    assert study.scan is scan
    assert study.busy == ""


def test_two_versions_saved_at_once_hold_each_what_was_there_then(desk, study):
    scan = desk.go(0)
    desk.paint(WHERE)
    first = scan.labels.copy()
    study.save_version("one")
    desk.paint(THERE)
    second = scan.labels.copy()
    study.save_version("two")
    scan.labels[0] = 1  # the next stroke, not told yet
    desk.settle()
    assert [v.name for v in study.versions] == ["one", "two"]
    for number, labels in ((1, first), (2, second)):
        assert np.array_equal(scan.axes.apply(study.project.labels(study.current, number).array), labels)


def test_a_named_version_and_verified_go_into_the_history(desk, study):
    desk.go(0)
    desk.paint(WHERE)
    study.save_version("before the meeting")
    desk.settle()
    study.verify()
    desk.settle()
    assert [(v.kind, v.name) for v in study.versions] == [("corrected", "before the meeting"), ("verified", "")]
    assert study.case(study.current).status == "verified"
    assert "next case" in next_step(desk.session).sentence


def test_restoring_an_earlier_version_keeps_what_was_there_and_can_be_undone(desk, study):
    scan = desk.go(0)
    desk.accept(WHERE, Making("levelset"))
    first = scan.labels.copy()
    desk.paint(THERE)
    second = scan.labels.copy()
    study.restore(1)
    desk.settle()
    assert np.array_equal(scan.labels, first)
    assert [v.tool for v in study.versions] == ["levelset", "brush", "restore"]
    desk.session.undo(scan)
    assert np.array_equal(scan.labels, second)
    assert np.array_equal(scan.axes.apply(study._project.labels(study.current, 3).array), first)


def test_an_earlier_version_can_be_looked_at_before_it_is_taken(desk, study):
    scan = desk.go(0)
    desk.accept(WHERE, Making("levelset"))
    desk.paint(THERE)
    study.view(1)
    desk.settle()
    assert scan.preview.title == "version 1"
    assert (scan.preview.labels[WHERE] == 1).all()
    assert not scan.preview.labels[THERE].any()
    assert (scan.labels[THERE] == 1).all()


def test_after_a_crash_the_unsaved_work_is_offered_with_a_picture_and_comes_back(desk, desks, study, tmp_path):
    scan = desk.go(0)
    desk.accept(WHERE, Making("levelset"))
    desk.paint(THERE)
    desk.until(lambda: study.saved == "autosaved")
    labels = scan.labels.copy()
    folder = study.folder
    desk.vanish()

    again = desks()
    again.study.open(folder)
    again.settle()
    found = again.study.found
    assert [f.name for f in found] == ["patient 9"]
    assert found[0].voxels == 3 * 10 * 10
    assert found[0].picture.shape[2] == 3
    orange = (found[0].picture == (230, 159, 0)).all(-1)
    assert orange.any()
    assert "300 voxels" in found[0].facts
    again.study.go(found[0].case)
    again.settle()
    assert np.array_equal(again.study.scan.labels, labels)
    assert not again.study.found
    again.go(1)
    assert again.study.cases[0].versions == 2
    assert not again.study.cases[0].has_unsaved


def test_a_scan_dropped_while_its_unsaved_work_waits_takes_it_along(desk, desks, study, files):
    scan = desk.go(0)
    desk.paint(THERE)
    desk.until(lambda: study.saved == "autosaved")
    labels, folder = scan.labels.copy(), study.folder
    desk.vanish()
    again = desks()
    again.study.open(folder)
    again.settle()
    dropped = again.session.open(io.read(files[0]))
    again.settle()
    assert np.array_equal(dropped.labels, labels)
    assert not again.study.found


def test_going_to_and_fro_while_the_disk_is_busy_finds_the_case_as_it_was_left(desk, study):
    desk.go(0)
    desk.paint(WHERE)
    desk.until(lambda: study.saved == "autosaved")
    study.cases = study.project.cases()
    labels = study.scan.labels.copy()
    study.go("case-0002")
    study.go("case-0001")
    desk.settle()
    assert not desk.problems
    assert np.array_equal(study.scan.labels, labels)
    assert len(study.versions) == 1


def test_unsaved_work_can_be_discarded_and_the_saved_version_stays(desk, desks, study):
    desk.go(0)
    desk.accept(WHERE, Making("levelset"))
    saved = study.scan.labels.copy()
    desk.paint(THERE)
    desk.until(lambda: study.saved == "autosaved")
    folder = study.folder
    desk.vanish()
    again = desks()
    again.study.open(folder)
    again.settle()
    again.study.discard_unsaved(again.study.found[0].case)
    again.settle()
    assert not again.study.found
    assert not again.study.cases[0].has_unsaved
    scan = again.go(0)
    assert np.array_equal(scan.labels, saved)


def test_a_study_somebody_writes_to_says_who_and_can_be_looked_at(desk, desks, study):
    study.set_user("Ada")
    desk.go(0)
    desk.accept(WHERE, Making("levelset"))
    other = desks()
    other.study.open(study.folder)
    other.settle()
    assert not other.study.is_open
    assert "worked on by" in other.study.locked.why
    assert "open it to look" in next_step(other.session).sentence
    other.study.open_to_look()
    other.settle()
    assert other.study.readonly
    scan = other.go(0)
    assert (scan.labels[WHERE] == 1).all()
    other.paint(THERE)
    other.study.save_version()
    assert "opened only to look" in str(other.problems[-1])
    assert study._project.unsaved() == []


def test_a_scan_dropped_on_an_open_study_becomes_a_case_and_gets_its_labels_back(desk, study, files, ball, tmp_path):
    desk.go(0)
    desk.accept(WHERE, Making("levelset"))
    labels = study.scan.labels.copy()
    fresh = tmp_path / "fresh.nii.gz"
    io.write(ball.like(ball.array + 7), fresh)
    dropped = desk.session.open(io.read(fresh))
    desk.settle()
    assert dropped.case == "case-0004"
    assert study.current == "case-0004"
    known = desk.session.open(io.read(files[0]))
    desk.settle()
    assert known.case == "case-0001"
    assert np.array_equal(known.labels, labels)


def test_work_begun_before_the_study_goes_into_it(desk, files, tmp_path):
    scan = desk.session.open(io.read(files[0]))
    desk.session.adopt_labels(scan, np.zeros(scan.display.geometry.shape, np.uint8))
    desk.session.painted(scan, change(scan.labels, WHERE, np.ones((4, 10, 18), np.uint8)))
    desk.begin(tmp_path / "late")
    assert (scan.case, desk.study.current) == ("case-0001", "case-0001")
    assert (desk.study.versions[-1].kind, desk.study.versions[-1].tool) == ("corrected", "brush")


def test_the_label_schema_holds_for_all_cases(desk, desks, study):
    desk.session.rename_class(1, "Liver")
    desk.session.add_class("Vessel")
    desk.settle()
    folder = study.folder
    study.leave()
    desk.settle()
    other = desks()
    other.study.open(folder)
    other.settle()
    assert [c.name for c in other.session.classes] == ["Liver", "Vessel"]


def test_closing_the_window_saves_what_was_drawn(desk, study):
    desk.go(0)
    desk.paint(WHERE)
    folder = study.folder
    desk.session.shut()
    with Project.open(folder) as project:
        assert project.versions("case-0001")[-1].kind == "corrected"
        assert project.unsaved() == []


def test_work_that_cannot_be_saved_is_said_and_kept_in_memory(desk, study, tmp_path, monkeypatch):
    from napari_medseg.errors import UnwritableFileError

    scan = desk.go(0)
    desk.paint(WHERE)
    project = study._project

    def full(*_args, **_keywords):
        raise UnwritableFileError("cannot be written (No space left on device)", where="Livers.medseg", todo="Free some space")

    monkeypatch.setattr(project, "save", full)
    study.save_version()
    desk.settle()
    assert study.saved == "failed"
    assert not scan.is_saved
    assert "No space" in str(desk.problems[-1])
    desk.session.save_labels(tmp_path / "elsewhere.nii.gz")
    assert (tmp_path / "elsewhere.nii.gz").is_file()
    monkeypatch.undo()
    study.save_version()
    desk.settle()
    assert study.saved == "saved"


def test_a_refinement_is_recorded_with_the_cases_it_learned_from(desk, study):
    desk.go(0)
    desk.session.refined.emit(("case-0001",), Making("refine", "proposal", {"rounds": 2}, model="abc"), {"rounds": [], "best_round": 1})
    desk.settle()
    assert any(event.action == "ran" for event in study._project.events())
    assert not desk.problems


def test_every_labelled_case_of_the_study_teaches_open_or_not(desk, study):
    for index in (0, 1):
        desk.go(index)
        desk.accept(WHERE, Making("levelset"))
    desk.paint(THERE)
    study.settle()
    desk.settle()
    assert [row.key for row in learners(desk.session)] == ["case-0001", "case-0002"]
    cases, corrected = gathered(study.project, chosen(desk.session, desk.session.refine), checks(study.project, ["case-0001", "case-0002"]))
    assert [case.id for case in cases] == ["case-0001", "case-0002"]
    assert cases[0].labels.array.sum() == 4 * 10 * 18
    assert list(corrected) == ["case-0002"]
    mended = study.scan.axes.apply(corrected["case-0002"].array)
    assert (mended[THERE] == 1).all()
    assert np.count_nonzero(mended != 255) == mended[THERE].size
    desk.session.refine.left_out = {"case-0001"}
    assert chosen(desk.session, desk.session.refine) == ["case-0002"]


def test_a_verified_case_that_checks_is_not_learnt_from(desk, study):
    desk.go(0)
    desk.accept(WHERE, Making("levelset"))
    desk.paint(THERE)
    study.verify()
    desk.settle()
    known = checks(study.project, ["case-0001"])
    cases, corrected = gathered(study.project, ["case-0001"], known)
    assert set(np.unique(known.verified["case-0001"].array)) == {0, 1}
    if known.sides["case-0001"] == "check":
        assert not corrected
        assert not study.scan.axes.apply(cases[0].labels.array)[THERE].any()


def test_a_round_s_labels_wait_until_their_case_is_opened_and_enter_only_when_accepted(desk, study):
    scan = desk.go(1)
    proposed = np.zeros(scan.geometry.shape, np.uint8)
    proposed[3:6, 10:20, 10:20] = 1
    study.propose("case-0001", proposed, "proposal round 1", Making("refine", "proposal", model="abc"))
    desk.settle()
    first = desk.go(0)
    assert first.labels is None
    desk.until(lambda: first.preview is not None)
    assert np.array_equal(first.axes.undo(first.preview.labels), proposed)
    desk.go(1)
    again = desk.go(0)
    desk.until(lambda: again.preview is not None)
    assert np.array_equal(again.axes.undo(again.preview.labels), proposed)
    desk.session.accept()
    desk.settle()
    assert (study.versions[-1].kind, study.versions[-1].tool, study.versions[-1].model) == ("proposal", "refine", "abc")
    assert not study.proposals


def test_next_and_previous_follow_the_table(desk, study):
    study.arrange(by="name", descending=True)
    study.step(1)
    desk.settle()
    assert study.case(study.current).name == "patient 11"
    study.step(1)
    desk.settle()
    assert study.case(study.current).name == "patient 10"
    study.step(-1)
    desk.settle()
    assert study.case(study.current).name == "patient 11"
    study.step(-1)
    assert "first case" in desk.session.notice


def test_two_quick_steps_go_two_cases_on(desk, study):
    desk.go(0)
    study.step(1)
    study.step(1)
    desk.settle()
    assert study.current == "case-0003"


def test_a_scan_that_is_gone_is_a_sentence_and_the_study_goes_on(desk, study, files):
    files[0].unlink()
    study.go("case-0001")
    desk.settle()
    assert isinstance(desk.problems[-1], MedsegError)
    assert study.busy == ""
    assert desk.go(1) is not None


def test_going_on_before_a_case_is_open_opens_the_last_one_asked_for(desk, study):
    for case in study.rows():
        study.go(case.id)
    desk.settle()
    assert study.current == "case-0003"
    assert [scan.case for scan in desk.session.scans] == ["case-0003"]


def cases(*facts):
    return [SimpleNamespace(id=f"case-{i:04d}", name=name, status=status, last_editor=editor, seconds=s) for i, (name, status, editor, s) in enumerate(facts)]


ROWS = cases(("scan 10", "new", "", 5), ("scan 9", "verified", "Bo", 3), ("Scan 2", "weak", "Ada", 9))


@pytest.mark.parametrize(("order", "names"), [
    (Order(), ["scan 10", "scan 9", "Scan 2"]), (Order(by="name"), ["Scan 2", "scan 9", "scan 10"]), (Order(by="status"), ["scan 10", "Scan 2", "scan 9"]),
    (Order(by="seconds", descending=True), ["Scan 2", "scan 10", "scan 9"]), (Order(text="SCAN 1"), ["scan 10"]), (Order(text="ada"), ["Scan 2"]),
    (Order(status="open"), ["scan 10", "Scan 2"]), (Order(status="verified"), ["scan 9"]), (Order(by="ml"), ["scan 10", "Scan 2", "scan 9"]),
])
def test_the_table_is_filtered_and_sorted(order, names):
    assert [case.name for case in arranged(ROWS, order, {"case-0001": Amount(1, 4.0)})] == names


def test_numbers_in_names_count_as_numbers():
    assert sorted(["case 10", "case 9", "b2"], key=natural) == ["b2", "case 9", "case 10"]


def test_the_neighbour_at_the_end_is_nobody():
    assert neighbour(ROWS, "case-0002", 1) is None
    assert neighbour(ROWS, "", 1) is ROWS[0]
    assert neighbour([], "", 1) is None


def test_only_time_between_acts_counts_as_work():
    now = [0.0]
    clock = WorkClock(lambda: now[0])
    for seconds in (0, 10, 25, 25 + 31, 25 + 31 + 5):
        now[0] = seconds
        clock.act()
    assert clock.take() == 30
    clock.leave()
    now[0] += 3
    clock.act()
    assert clock.take() == 0


def test_a_study_without_a_title_is_called_by_its_folder(desks, tmp_path):
    Project.create(tmp_path / "livers").close()
    desk = desks()
    desk.study.open(tmp_path / "livers.medseg")
    desk.settle()
    assert (desk.study.title, desk.session.notice) == ("livers", "Opened livers")
