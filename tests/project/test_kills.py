"""A program that is killed at any moment loses no saved version and leaves a study that opens and is whole."""

import hashlib
import random
import subprocess
import sys
import time

import numpy as np
import pytest

WORK = """
import hashlib, sys, random, numpy as np
from napari_medseg.annotation import LabelMap
from napari_medseg.project import Project
rng = random.Random(int(sys.argv[2]))
with Project.open(sys.argv[1], user="Ann") as project:
    case = project.case("case-0001")
    labels = project.labels(case.id).array.copy()
    draft = project.draft(case.id, case.latest)
    print("open", flush=True)
    while True:
        z = rng.randrange(9)
        labels[z, 5:30, rng.randrange(60)] = rng.randrange(3)
        print("drawing", hashlib.sha256(labels.tobytes()).hexdigest(), flush=True)
        draft.write(labels, [(slice(z, z + 1), slice(5, 30), slice(0, 66))])
        print("drawn", flush=True)
        if rng.random() < 0.3:
            version = project.save(case.id, LabelMap(labels.copy(), case.geometry), kind="corrected", tool="brush", parent=project.case(case.id).latest)
            print("saved", version.number, version.checksum, flush=True)
            project.rebase(draft, version)
        elif rng.random() < 0.1:
            version = project.restore(case.id, rng.randrange(1, project.case(case.id).latest + 1))
            print("saved", version.number, version.checksum, flush=True)
"""


@pytest.mark.slow  # starts a program of its own twelve times
def test_killed_at_random_moments_nothing_that_was_told_as_saved_is_lost(made):
    rng, known = random.Random(4), {}
    for attempt in range(12):
        worker = subprocess.Popen([sys.executable, "-c", WORK, str(made.folder), str(attempt)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert worker.stdout.readline() == "open\n", worker.stderr.read()
        told = "".join(worker.stdout.readline() for _ in range(rng.randrange(40)))  # lines, not seconds: a busy machine gets as far
        time.sleep(rng.uniform(0.0, 0.05))
        worker.kill()
        told += worker.stdout.read()  # not communicate, which forgets what readline has read ahead
        worker.communicate()
        drawn, drawing = None, None
        for what, *rest in map(str.split, told.splitlines()):
            if what == "saved" and len(rest) == 2 and len(rest[1]) == 64:
                known[int(rest[0])] = rest[1]
            elif what == "drawing":
                drawing = rest[0]
            elif what == "drawn":
                drawn = drawing
        with made.open() as project:
            assert project.check() == []
            versions = {v.number: v.checksum for v in project.versions("case-0001")}
            assert known.items() <= versions.items()
            known = versions
            states = {hashlib.sha256(project.labels("case-0001", n).array.tobytes()).hexdigest() for n in versions}
            if project.unsaved():
                states.add(hashlib.sha256(project.recover("case-0001").array.tobytes()).hexdigest())
            assert drawn is None or drawn in states or drawing in states, "a stroke that was told as autosaved is gone"
            project.discard_unsaved("case-0001")
    assert len(known) > 3


@pytest.mark.parametrize("after", ["_fill", "os.replace", "add_version"])
def test_killed_at_the_worst_moments_of_a_save_the_study_is_as_before_or_after_it(made, after):
    code = f"""
import os, sys
from napari_medseg.project import Project, arrays, rows, versions
from napari_medseg.annotation import LabelMap
def dying(function):
    def done(*args, **kwargs):
        function(*args, **kwargs)
        os._exit(9)
    return done
with Project.open(sys.argv[1], user="Ann") as project:
    labels = project.labels("case-0001")
    if "{after}" == "_fill":
        arrays._fill = dying(arrays._fill)
    elif "{after}" == "os.replace":
        os.replace = dying(os.replace)
    else:
        rows.add_version = dying(rows.add_version)
    project.save("case-0001", labels, kind="verified", tool="brush")
"""
    assert subprocess.run([sys.executable, "-c", code, str(made.folder)], check=False).returncode == 9
    with made.open(readonly=True) as project:
        assert [v.number for v in project.versions("case-0001")] == [1]
        assert np.array_equal(project.labels("case-0001").array, made.labels.array)
    with made.open() as project:
        assert project.check() == []
        assert sorted(p.name for p in (made.folder / "labels" / "case-0001").iterdir()) == ["0001.ome.zarr"]
        assert project.save("case-0001", made.labels, kind="verified", tool="brush").number == 2


def test_killed_right_after_the_commit_the_version_is_there(made):
    code = """
import os, sys
from napari_medseg.project import Project, folder
folder.settle = lambda *_: os._exit(9)
with Project.open(sys.argv[1], user="Ann") as project:
    project.save("case-0001", project.labels("case-0001"), kind="verified", tool="brush")
"""
    assert subprocess.run([sys.executable, "-c", code, str(made.folder)], check=False).returncode == 9
    with made.open() as project:
        assert [v.kind for v in project.versions("case-0001")] == ["weak", "verified"]
        assert project.check() == []
        assert sorted(p.name for p in (made.folder / "labels" / "case-0001").iterdir()) == ["0001.ome.zarr", "0002.ome.zarr"]


def test_killed_while_it_is_made_a_study_is_not_there(tmp_path):
    code = """
import os, sys
from napari_medseg.project import Project, folder
folder.flush_tree = lambda *_: os._exit(9)
Project.create(sys.argv[1])
"""
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "new")], check=False).returncode == 9
    assert not (tmp_path / "new.medseg").exists()
