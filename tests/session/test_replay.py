"""A version can be made again from what it recorded, and whether it came out the same is said."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import ndimage

from napari_medseg.annotation import LabelMap, default_classes, seed_voxels
from napari_medseg.errors import InvalidInputError, MissingFileError, NoSeedsError, NoStrokesError
from napari_medseg.io import read, write
from napari_medseg.project import Project
from napari_medseg.session.replay import replay
from napari_medseg.volume import axis_map, orient
from napari_medseg.weaklabel.cleanup import CleanupSettings, clean
from napari_medseg.weaklabel.interpolate import interpolate
from napari_medseg.weaklabel.levelset import LevelSet, LevelSetSettings, evolve
from napari_medseg.weaklabel.scribble import grow, whole


@pytest.fixture
def project(tmp_path, ball):
    """A study whose one scan is a ball, stored in another order than it is shown in."""
    write(ball, tmp_path / "ball.nii.gz")
    with Project.create(tmp_path / "study", classes=default_classes(["Ball", "Rest"])) as made:
        made.add(tmp_path / "ball.nii.gz")
        yield made


@pytest.fixture
def shown(project):
    """The scan as the window has it."""
    return orient(read(project.source("case-0001")[0]))


def save(project, array, tool, **how):
    case = project.case("case-0001")
    return project.save(case.id, LabelMap(array.astype(np.uint8), case.geometry), kind="weak", tool=tool, **how)


def in_file(project, display):
    return axis_map(project.case("case-0001").geometry).undo(display)


def grown(shown, seeds, settings, **hints):
    *_, final = evolve(shown.channel(), seed_voxels(seeds, shown.geometry), shown.geometry.spacing, settings, **hints)
    return final.mask


def test_a_level_set_grows_the_same_again_from_its_seeds_inside_its_limit(project, shown, ball_seeds):
    y = np.indices(shown.geometry.shape)[1]
    limit = abs(y - shown.geometry.shape[1] / 2) < 8
    settings = LevelSetSettings(close_mm=2.0)
    mask = grown(shown, ball_seeds, settings, limit=limit)
    prompts = {"seeds": {"2": [list(point) for point in ball_seeds]}}
    arrays = {"limit": in_file(project, limit).astype(np.uint8)}
    save(project, in_file(project, mask) * 2, "levelset", parameters=asdict(settings), prompts=prompts, arrays=arrays)
    done = replay(project, "case-0001", 1)
    assert (done.ran, done.same, done.voxels_different, done.tool, done.note) == (True, True, 0, "levelset", "the same again")
    assert np.array_equal(done.labels.array, project.labels("case-0001", 1).array)
    assert done.labels.array.any()
    del arrays["limit"]
    save(project, in_file(project, mask) * 2, "levelset", parameters=asdict(settings), prompts=prompts)
    assert not replay(project, "case-0001", 2).same, "the limit counts"


def test_what_was_there_before_is_kept_as_accept_kept_it(project, shown, ball_seeds):
    mask = in_file(project, grown(shown, ball_seeds, LevelSetSettings()))
    before = np.zeros(mask.shape, np.uint8)
    before[0, :5, :5], before[-1, :9, :9] = 2, 1
    first = save(project, before, "brush")
    prompts = {"seeds": {"1": [list(point) for point in ball_seeds]}}
    for beside in (False, True):
        after = before if beside else np.where(before == 1, 0, before)
        after = np.where(mask & (after == 0), 1, after)
        version = save(project, after, "levelset", parameters=asdict(LevelSetSettings()), prompts=prompts, parent=first.number)
        assert replay(project, "case-0001", version.number).same


def test_a_level_set_that_was_accepted_while_it_grew_stops_where_it_was(project, shown, ball_seeds):
    steps = list(evolve(shown.channel(), seed_voxels(ball_seeds, shown.geometry), shown.geometry.spacing, LevelSetSettings()))
    early = next(step for step in steps if step.iteration > 0 and not np.array_equal(step.mask, steps[-1].mask))
    prompts = {"seeds": {"1": [list(point) for point in ball_seeds]}, "iterations": early.iteration}
    save(project, in_file(project, early.mask), "levelset", parameters=asdict(LevelSetSettings()), prompts=prompts)
    assert early.mask.any()
    assert replay(project, "case-0001", 1).same


def test_a_level_set_that_was_accepted_within_an_update_stops_there_too(project, shown, ball_seeds):
    front = LevelSet(shown.channel(), shown.geometry.spacing, LevelSetSettings(), seeds=seed_voxels(ball_seeds, shown.geometry), finely=True)
    early = next(step for step in front if not step.whole)
    prompts = {"seeds": {"1": [list(point) for point in ball_seeds]}, "iterations": early.iteration}
    save(project, in_file(project, early.mask), "levelset", parameters=asdict(LevelSetSettings()), prompts=prompts)
    assert replay(project, "case-0001", 1).same


def test_a_level_set_that_was_steered_says_that_it_cannot_be_the_same(project, shown, ball_seeds):
    steering = [{"at": 2, "act": "bubble", "centre": [1.0, 2.0, 3.0], "radius_mm": 4.0, "adds": True}]
    prompts = {"seeds": {"1": [list(point) for point in ball_seeds]}, "steering": steering}
    save(project, in_file(project, grown(shown, ball_seeds, LevelSetSettings())), "levelset", parameters=asdict(LevelSetSettings()), prompts=prompts)
    done = replay(project, "case-0001", 1)
    assert done.ran
    assert "steered by hand" in done.note


def test_a_level_set_that_began_with_a_mask_needs_no_seed(project, shown):
    init = np.zeros(shown.geometry.shape, bool)
    init[10:13, 28:36, 22:30] = True
    *_, final = evolve(shown.channel(), (), shown.geometry.spacing, LevelSetSettings(), init=init)
    arrays = {"init": in_file(project, init).astype(np.uint8)}
    save(project, in_file(project, final.mask), "levelset", parameters=asdict(LevelSetSettings()), prompts={"seeds": {"1": []}}, arrays=arrays)
    assert replay(project, "case-0001", 1).same


def test_scribbles_grow_the_same_again(project, shown):
    strokes = np.zeros(shown.geometry.shape, np.uint8)
    centre = ndimage.center_of_mass(shown.array > 170)
    z, y, x = (round(c) for c in centre)
    strokes[z, y, x - 5:x + 6], strokes[z, 2:-2, 2] = 1, 255
    *_, final = grow(shown.channel(), strokes, shown.geometry.spacing)
    labels = whole(final, shown.geometry.shape)
    save(project, in_file(project, labels), "scribble", arrays={"strokes": in_file(project, strokes)})
    assert replay(project, "case-0001", 1).same
    save(project, in_file(project, labels), "scribble")
    with pytest.raises(NoStrokesError):
        replay(project, "case-0001", 2)


def test_clean_up_and_interpolation_run_on_the_version_before(project, ball):
    labels = np.zeros(ball.geometry.shape, np.uint8)
    labels[5, 20:40, 20:40], labels[9, 25:35, 25:35], labels[15, 3, 3] = 1, 1, 1
    save(project, labels, "brush")
    filled = interpolate(labels, [5, 9], plane_spacing=ball.geometry.spacing[1:])
    save(project, filled, "interpolate", parameters={"slices": [5, 9]}, parent=1)
    settings = CleanupSettings(min_ml=1.0, largest=True)
    tidy = clean(filled, ball.geometry.spacing, settings).labels
    save(project, tidy, "cleanup", parameters=asdict(settings), parent=2)
    assert not np.array_equal(tidy, filled)
    assert [replay(project, "case-0001", n).same for n in (2, 3)] == [True, True]
    save(project, filled, "cleanup", parameters=asdict(settings), parent=2)
    done = replay(project, "case-0001", 4)
    assert (done.same, done.voxels_different) == (False, int((tidy != filled).sum()))
    assert "differ from what is stored" in done.note


def test_what_the_pages_of_the_window_record_runs_again(project, session, owner):
    scan = session.open(read(project.source("case-0001")[0]))
    shape = scan.display.geometry.shape
    labels = np.zeros(shape, np.uint8)
    labels[4, 8:28, 8:28], labels[10, 10:24, 10:24], labels[7, 30, 30] = 1, 1, 2
    session.adopt_labels(scan, labels)
    save(project, scan.axes.undo(labels), "brush")
    made = []
    session.accepted.connect(lambda _, how: made.append(how))
    session.set(mode="interpolate", interpolation=replace(session.interpolation, axis=0))
    owner.run_until(lambda: session.between.found is not None)
    acts = (
        session.run, lambda: session.tidy.choose(smoothing=True, resizing=True, windowed=True, window=(-1e4, 1e4)),
        lambda: draw(session, scan),
    )
    for number, (mode, act) in enumerate(zip(("interpolate", "cleanup", "scribbles"), acts, strict=True), start=2):
        if session.mode != mode:
            session.set(mode=mode)
        act()
        owner.run_until(lambda: session.job is not None and not session.job.is_active)
        session.accept()
        how = made[-1]
        arrays = {name: scan.axes.undo(array) for name, array in how.arrays.items()}
        save(project, scan.axes.undo(scan.labels), how.tool, parameters=how.parameters, arrays=arrays, parent=number - 1)
        assert replay(project, "case-0001", number).same, mode
    assert [how.tool for how in made] == ["interpolate", "cleanup", "scribble"]


def draw(session, scan):
    session.begin_scribbles()
    z, y, x = (round(c) for c in ndimage.center_of_mass(scan.display.array > 170))
    scan.strokes[z, y, x - 4:x + 5], scan.strokes[z, 2:-2, 2] = 1, 255
    session.stroked(scan)


def test_work_by_hand_is_given_as_it_is_stored(project, ball):
    labels = np.zeros(ball.geometry.shape, np.uint8)
    labels[5] = 1
    for number, tool in enumerate(("brush", "import", "refine"), start=1):
        save(project, labels, tool)
        done = replay(project, "case-0001", number)
        assert (done.ran, done.same) == (False, True)
        assert np.array_equal(done.labels.array, labels)
    project.restore("case-0001", 1)
    assert replay(project, "case-0001", 4).same


@pytest.mark.slow  # a network runs three times
def test_a_network_runs_again(project, shown):
    from napari_medseg import catalogue
    from napari_medseg.segmenters.protocol import collect, to_labels
    from napari_medseg.session.segmenting import model_hash

    segmenter = catalogue.load().find("unet", "segmenter").build()
    found = to_labels(collect(segmenter.predict(shown, device="cpu"), shown.geometry.shape), segmenter.capabilities.threshold)
    save(project, in_file(project, found) * 2, "segment:unet", parameters={"device": "cpu"}, model=model_hash(segmenter.model))
    done = replay(project, "case-0001", 1)
    assert (done.same, done.note) == (True, "the same again")
    save(project, in_file(project, found), "segment:unet", parameters={"device": "cpu"}, model="another")
    assert "another model" in replay(project, "case-0001", 2).note


@pytest.mark.parametrize(("how", "error"), [
    ({"prompts": {}}, NoSeedsError), ({"prompts": {"seeds": {"1": "here"}}}, NoSeedsError), ({"prompts": {"seeds": []}}, NoSeedsError),
    ({"prompts": {"seeds": {"999": [[0, 0, 0]]}}}, NoSeedsError), ({"parameters": {"magic": 1}, "prompts": {"seeds": {"1": [[20, 24, 3]]}}}, InvalidInputError),
])
def test_what_was_recorded_and_makes_no_sense_is_said(project, ball, how, error):
    save(project, np.zeros(ball.geometry.shape), "levelset", **how)
    with pytest.raises(error):
        replay(project, "case-0001", 1)


def test_a_scan_that_is_gone_is_said(project, ball, ball_seeds):
    save(project, np.zeros(ball.geometry.shape), "levelset", prompts={"seeds": {"1": [list(p) for p in ball_seeds]}})
    project.source("case-0001")[0].unlink()
    with pytest.raises(MissingFileError):
        replay(project, "case-0001", 1)
