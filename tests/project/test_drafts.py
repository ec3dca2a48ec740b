"""Autosaved work survives whatever happens to the program, costs little, and is thrown away only when a person says so."""

import itertools
import shutil
import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_medseg.annotation import LabelMap
from napari_medseg.errors import InvalidInputError, ProjectError, UnwritableFileError
from napari_medseg.io import write
from napari_medseg.project import Project, arrays, journal
from napari_medseg.project.journal import Draft, Journal, difference, read_journal, replay
from napari_medseg.volume import Geometry, Volume

SHAPE = (70, 130, 65)


def empty(box):
    return np.zeros(tuple(s.stop - s.start for s in box), np.uint8)


def draft_at(path, base=empty, shape=SHAPE):
    return Draft(path, "case-0001", None, shape, base, lambda *_: None)


def state(path):
    return replay(path, read_journal(path), np.zeros(SHAPE, np.uint8))


BOX = st.tuples(*(st.integers(0, n - 1).flatmap(lambda a, n=n: st.integers(a + 1, min(n, a + 40)).map(lambda b, a=a: slice(a, b))) for n in SHAPE))
STROKE = st.tuples(BOX, st.sampled_from([0, 1, 2, 254, 300, 65535]), st.booleans())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strokes=st.lists(STROKE, min_size=1, max_size=12))
def test_what_was_written_is_what_is_recovered_wherever_it_was_looked_for(tmp_path_factory, strokes):
    path = tmp_path_factory.mktemp("draft") / "case-0001.journal"
    labels, draft = np.zeros(SHAPE, np.uint16), draft_at(path)
    for box, value, everywhere in strokes:
        labels[box] = value
        draft.write(labels, None if everywhere else [box])
        if path.exists():
            assert np.array_equal(state(path), labels)
        else:
            assert not labels.any()
    draft.close()
    assert path.exists() == bool(labels.any())


def test_only_what_changed_is_written(tmp_path):
    labels, draft = np.zeros(SHAPE, np.uint8), draft_at(tmp_path / "j")
    assert draft.write(labels) == 0
    assert draft.written is None
    assert not (tmp_path / "j").exists()
    labels[3, 3, 3] = 1
    first = draft.write(labels)
    assert 0 < first < 2000
    assert draft.write(labels) == 0
    labels[3, 3, 3] = 2
    assert draft.write(labels, [(slice(40, 60), slice(100, 130), slice(0, 9))]) == 0, "it changed elsewhere than was said"
    assert 0 < draft.write(labels) < first
    assert time.time() - draft.written.timestamp() < 60


def test_a_file_that_was_cut_anywhere_gives_the_last_whole_commit(tmp_path):
    path, labels = tmp_path / "j", np.zeros(SHAPE, np.uint8)
    draft, states, ends = draft_at(path), [labels.copy()], [0]
    for i in range(4):
        labels[10 * i, 30 * i:30 * i + 9, 5:60] = i + 1
        draft.write(labels)
        states.append(labels.copy())
        ends.append(path.stat().st_size)
    whole = path.read_bytes()
    with path.open("rb") as file:
        header = journal._header(file, path) and file.tell()
    for cut in [*range(header, len(whole), 37), *itertools.chain(*((e - 1, e, e + 1) for e in ends[1:]))]:
        path.write_bytes(whole[:cut])
        expected = states[sum(cut >= end for end in ends[1:])]
        assert np.array_equal(state(path), expected), cut
        again = draft_at(path)
        assert again.write(labels) > 0 or cut >= ends[-1]
        assert np.array_equal(state(path), labels)
        again.close()


def test_a_bit_that_flipped_never_gives_labels_that_nobody_drew(tmp_path):
    path, rng = tmp_path / "j", np.random.default_rng(0)
    labels, draft = np.zeros(SHAPE, np.uint8), draft_at(path)
    states = [labels.copy()]
    for i in range(3):
        labels[20 * i:20 * i + 5, 3:90, 3:50] = i + 1
        draft.write(labels)
        states.append(labels.copy())
    draft.close()
    whole = path.read_bytes()
    for _ in range(300):
        spoilt = bytearray(whole)
        spoilt[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(spoilt)
        try:
            found = state(path)
        except ProjectError:
            continue
        assert any(np.array_equal(found, one) for one in states)


def test_a_long_day_does_not_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "SPARE", 20_000)
    path, rng = tmp_path / "j", np.random.default_rng(0)
    labels, draft = np.zeros(SHAPE, np.uint8), draft_at(path)
    labels[:64, :64, :64] = rng.integers(0, 9, (64, 64, 64))
    draft.write(labels)
    size = path.stat().st_size
    for i in range(60):
        labels[i, i, i] += 1
        draft.write(labels)
    assert path.stat().st_size < 6 * size
    assert np.array_equal(state(path), labels)
    labels[5, 5, 5] += 1
    draft.write(labels)
    assert np.array_equal(state(path), labels)
    draft.close()
    again = draft_at(path)
    labels[6, 6, 6] += 1
    again.write(labels)
    assert np.array_equal(state(path), labels)


def test_painting_goes_on_while_a_worker_writes(tmp_path):
    path, labels = tmp_path / "j", np.zeros(SHAPE, np.uint8)
    draft, stop = draft_at(path), threading.Event()

    def work():
        while not stop.is_set():
            draft.write(labels)

    worker = threading.Thread(target=work)
    worker.start()
    for i in range(4000):
        labels[i % 70, i % 130, i % 65] = i % 250
    stop.set()
    worker.join()
    draft.write(labels)
    assert np.array_equal(state(path), labels)


def test_work_that_is_in_no_version_is_offered_with_its_place(project, made):
    draft = project.draft("case-0001", 1)
    labels = made.labels.array.copy()
    assert draft.write(labels) == 0
    assert project.unsaved() == []
    labels[2, 50:55, 60:64] = 2
    draft.write(labels, [(slice(2, 3), slice(50, 55), slice(60, 64))])
    (found,) = project.unsaved()
    assert (found.case, found.parent, found.voxels_changed, found.box) == ("case-0001", 1, 20, (slice(2, 3), slice(50, 55), slice(60, 64)))
    assert project.case("case-0001").has_unsaved
    recovered = project.recover("case-0001")
    assert np.array_equal(recovered.array, labels)
    assert recovered.classes == project.classes
    assert np.array_equal(project.labels("case-0001").array, made.labels.array)


def test_unsaved_work_is_there_after_closing_and_gone_on_with(made):
    labels = made.labels.array.copy()
    labels[0] = 1
    with made.open() as project:
        project.draft("case-0001", 1).write(labels)
    with made.open() as project:
        assert len(project.unsaved()) == 1
        draft = project.draft("case-0001", 1)
        assert draft is project.draft("case-0001", 1)
        assert draft.write(labels) == 0
        labels[1] = 2
        draft.write(labels)
        assert np.array_equal(project.recover("case-0001").array, labels)
        draft.discard()
        assert project.unsaved() == []
        assert project.events()[-1].action == "discarded"
        with pytest.raises(ProjectError, match="no unsaved work"):
            project.recover("case-0001")
        with pytest.raises(ProjectError, match="closed"):
            draft.write(labels)


def test_what_was_undone_is_no_unsaved_work(made):
    labels = made.labels.array.copy()
    with made.open() as project:
        draft = project.draft("case-0001", 1)
        labels[0] = 1
        draft.write(labels)
        draft.write(made.labels.array)
        assert project.unsaved() == []
    assert list(made.drafts.iterdir()) == []


def test_a_crash_between_saving_and_tidying_up_offers_nothing(made, tmp_path):
    labels = made.painted(4)
    with made.open() as project:
        project.draft("case-0001", 1).write(labels.array)
        project.save("case-0001", labels, kind="corrected", tool="brush", parent=1)
        assert project.unsaved() == []
        shutil.copytree(made.folder, tmp_path / "crashed.medseg")
    with Project.open(tmp_path / "crashed.medseg") as project:
        assert project.unsaved() == []
        assert not project.case("case-0001").has_unsaved
        project.draft("case-0001", 2).close()


def test_a_draft_goes_on_from_the_version_that_was_saved_of_it(project, made):
    draft, labels = project.draft("case-0001", 1), made.labels.array.copy()
    labels[0, 0, :9] = 1
    draft.write(labels)
    version = project.save("case-0001", LabelMap(labels.copy(), made.labels.geometry), kind="corrected", tool="brush", parent=1)
    labels[8, 8, 8] = 2
    draft.write(labels)
    project.rebase(draft, version)
    (found,) = project.unsaved()
    assert (found.parent, found.voxels_changed) == (2, 1)
    assert np.array_equal(project.recover("case-0001").array, labels)
    version = project.save("case-0001", LabelMap(labels.copy(), made.labels.geometry), kind="corrected", tool="brush", parent=2)
    project.rebase(draft, version)
    assert project.unsaved() == []
    labels[4] = 0
    assert draft.write(labels) > 0
    assert np.array_equal(project.recover("case-0001").array, labels)


def test_unsaved_work_on_another_version_is_not_thrown_away_unasked(made):
    labels = made.painted(3).array
    with made.open() as project:
        project.draft("case-0001", 1).write(labels)
        project.save("case-0001", made.labels, kind="proposal", tool="refine")
    with made.open() as project:
        with pytest.raises(ProjectError, match="on top of version 1"):
            project.draft("case-0001", 2)
        assert np.array_equal(project.recover("case-0001").array, labels)
        project.discard_unsaved("case-0001")
        assert project.draft("case-0001", 2).write(made.labels.array) == 0
        assert project.events()[-1].action == "discarded"


def test_a_case_without_labels_has_drafts_too(project, tmp_path):
    write(Volume(np.zeros((5, 6, 7), np.int16), Geometry((5, 6, 7))), tmp_path / "new.mha")
    case = project.add(tmp_path / "new.mha")
    labels = np.zeros((5, 6, 7), np.int32)
    labels[2, 2, 2] = 300
    project.draft(case.id, None).write(labels)
    assert project.unsaved()[0].parent is None
    assert np.array_equal(project.recover(case.id).array, labels)


@pytest.mark.parametrize("wrong", [np.zeros((3, 3, 3), np.uint8), np.full((9, 70, 66), -1), np.full((9, 70, 66), 0.5), np.full((9, 70, 66), 70000)])
def test_what_is_no_label_map_of_this_case_is_refused(project, wrong):
    with pytest.raises(InvalidInputError):
        project.draft("case-0001", 1).write(wrong)
    assert project.unsaved() == []


def test_nobody_else_s_draft_is_taken_for_this_one(project, made, tmp_path):
    write(Volume(np.zeros((5, 6, 7), np.int16), Geometry((5, 6, 7))), tmp_path / "new.mha")
    other = project.add(tmp_path / "new.mha")
    project.draft("case-0001", 1).write(made.painted(2).array)
    shutil.copy(made.drafts / "case-0001.journal", made.drafts / f"{other.id}.journal")
    assert [u.case for u in project.unsaved()] == ["case-0001"]
    with pytest.raises(ProjectError, match="another case"):
        project.recover(other.id)
    assert [(p.case, p.mended) for p in project.check()] == [(other.id, False)]
    assert [p.mended for p in project.check(repair=True)] == [True]
    assert project.check() == []


def test_a_study_open_for_looking_has_no_autosave(project, made):
    project.draft("case-0001", 1).write(made.painted(2).array)
    with made.open(readonly=True) as looking:
        assert len(looking.unsaved()) == 1
        with pytest.raises(UnwritableFileError, match="read-only"):
            looking.draft("case-0001", 1)


def test_a_stroke_costs_a_fiftieth_of_rewriting_the_file(tmp_path):
    shape = (150, 256, 256)
    z, y, x = np.ogrid[:150, :256, :256]
    labels = (((z - 75) / 60) ** 2 + ((y - 128) / 90) ** 2 + ((x - 128) / 90) ** 2 < 1).astype(np.uint8)
    arrays.write_group(tmp_path / "whole.ome.zarr", labels, Geometry(shape), (), {}, {})
    write(LabelMap(labels, Geometry(shape)), tmp_path / "whole.nii.gz")
    draft = draft_at(tmp_path / "j", arrays.Parts(tmp_path / "whole.ome.zarr", shape, "uint8"), shape)
    costs = []
    for i in range(9):
        box = (slice(10 + 12 * i, 11 + 12 * i), slice(20, 36), slice(20, 60))
        labels[box] = 2
        before = time.process_time()
        size = draft.write(labels, [box])
        costs.append(time.process_time() - before)
        assert 0 < size < (tmp_path / "whole.nii.gz").stat().st_size / 50
    before = time.process_time()
    arrays.write_group(tmp_path / "again.ome.zarr", labels, Geometry(shape), (), {}, {})
    assert sorted(costs)[4] < (time.process_time() - before) / 5, "this volume is a sixteenth of the one the promise is about"


def test_the_box_of_a_difference_is_tight_over_several_chunks(tmp_path):
    labels, path = np.zeros(SHAPE, np.uint8), tmp_path / "j"
    labels[1, 2, 3] = labels[69, 129, 64] = 1
    draft_at(path).write(labels)
    assert difference(path, read_journal(path), empty) == (2, (slice(1, 70), slice(2, 130), slice(3, 65)))
    assert isinstance(read_journal(path), Journal)
