"""docs/cli.md shows real answers: each command in it, run on a small study, gives every key that is shown."""

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import blinded_cases
import numpy as np
import pytest

from napari_medseg.annotation import LabelMap, default_classes, read_seed_points, seed_voxels
from napari_medseg.io import read
from napari_medseg.project import Project
from napari_medseg.review.blinded import FolderSource, PlanOptions, make_plan, write_plan
from napari_medseg.volume import axis_map, orient
from napari_medseg.weaklabel.levelset import LevelSetSettings, evolve

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
TAUGHT = {"scans": "image", "weak_labels": "hand", "verified": "truth", "ct/images": "image", "ct/labels": "hand", "mr/images": "image", "mr/labels": "truth"}
SHOWN = re.findall(r"```\nmedseg (.+?) --json\n(\{.+?\})\n```", PAGE)


def keys(value, path=""):
    if isinstance(value, dict):
        return {f"{path}.{key}" for key in value} | set().union(*(keys(item, f"{path}.{key}") for key, item in value.items()), set())
    return set().union(*(keys(item, path) for item in value), set()) if isinstance(value, list) else set()


def made(study, with_cases):
    """The study that the page is about: a level set, a correction of it, and a stroke that was never saved."""
    with Project.create(study.folder / "tumours", title="Tumours", classes=default_classes(["Tumour"]), user="Ann") as project:
        if not with_cases:
            return
        case, scan, points = project.add(study.image), read(study.image), read_seed_points(study.seeds)
        shown, turn, settings = orient(scan), axis_map(scan.geometry), LevelSetSettings()
        *_, final = evolve(shown.channel(), seed_voxels(points, shown.geometry), shown.geometry.spacing, settings)
        labels = turn.undo(final.mask).astype(np.uint8)
        prompts = {"seeds": {"1": points.tolist()}}
        project.save(case.id, LabelMap(labels, scan.geometry), kind="weak", tool="levelset", parameters=asdict(settings), prompts=prompts, seconds=74)
        for stroke in (slice(0, 5), slice(9, 12)):
            labels[0, stroke, :5] = 1
            if stroke.start == 0:
                project.save(case.id, LabelMap(labels.copy(), scan.geometry), kind="corrected", tool="brush", parent=1, seconds=132)
        project.draft(case.id, 2).write(labels)


def reviewed(study):
    """A plan that Ann has answered, and the masks of two people."""
    *_, last = make_plan(FolderSource(study.image, study.folder / "weak.nii.gz", study.truth, beside=study.folder / "answered"), PlanOptions(slices=5))
    write_plan(last.plan, study.folder / "answered")
    blinded_cases.answer_all(last.plan, study.folder / "answered", "Ann", dict(enumerate(["b", "b", "tie", "b", "a"], 1)))
    for person, path in (("ann", study.truth), ("bob", study.hand)):
        (study.folder / "people" / person).mkdir(parents=True)
        shutil.copy(path, study.folder / "people" / person / "scan.nii.gz")


def test_the_page_shows_every_command_that_needs_no_network():
    assert len(SHOWN) == 33


@pytest.mark.parametrize(("command", "answer"), SHOWN, ids=[command.partition(".")[0] for command, _ in SHOWN])
def test_an_answer_holds_every_key_the_page_shows(medseg, study, command, answer):
    for name in ("weak", "slices"):
        shutil.copy(study.truth, study.folder / f"{name}.nii.gz")
    short = ("--set", "updates=2", "--device", "cpu") if command.startswith("refine") else ()
    short = ("--updates", "1", "--device", "cpu", "--set", 'parameters={"width": 8}') if command.startswith("pretrain") else short
    for folder, path in TAUGHT.items() if short else ():
        (study.folder / folder).mkdir(parents=True)
        for name in ("a.nii.gz", "b.nii.gz") if "/" in folder else ("a.nii.gz",):
            shutil.copy(getattr(study, path), study.folder / folder / name)
    if command.startswith("project ") and "init" not in command:
        made(study, with_cases=" add " not in command)
    for folder in ("tired", "rested", "truth") if command.startswith("compare ") else ():
        (study.folder / folder).mkdir()
        shutil.copy(study.hand if folder == "tired" else study.truth, study.folder / folder / "case01.nii.gz")
    for folder, path in {"scans": "image", "masks": "hand", "truths": "truth"}.items() if command.startswith("cohort ") else ():
        if folder in command:
            (study.folder / folder).mkdir()
            shutil.copy(getattr(study, path), study.folder / folder / "scan.nii.gz")
    if command.startswith("report "):
        made(study, with_cases=True)
    if command.startswith("review "):
        reviewed(study)
    given = medseg(*command.split(), *short, "--json").answer
    assert keys(json.loads(answer)) <= keys(given)
