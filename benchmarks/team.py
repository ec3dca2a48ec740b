"""Several write to one study at once, and what they were told is compared with what is there.

    python benchmarks/team.py [--writers 8] [--minutes 5] [--kills 5] [--url postgresql://HOST/DATABASE]

Starts a PostgreSQL server of its own (Debian's programs, with fsync) unless an address is given. Every writer is a process with the study open: it claims a
case at random, draws, saves, writes down what `save` answered and leaves the case. Some are killed and started again. At the end their notes are compared with
the database, the folders and the checksums: no version may be lost, and no number given twice.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.errors import CaseClaimedError
from napari_medseg.io import write
from napari_medseg.project import Project
from napari_medseg.volume import Geometry, Volume

GRID = Geometry((32, 128, 128), (3.0, 0.8, 0.8))
CASES = 4


def work(folder: Path, name: str, until: float) -> None:
    """One writer: a line for every version that `save` said is on the disk, and one for every case that somebody else had."""
    rng = np.random.default_rng()
    with Project.open(folder, user=name) as project:
        while time.time() < until:
            case = f"case-{rng.integers(1, CASES + 1):04d}"
            try:
                project.claim(case)
                latest = project.case(case).latest
                array = np.zeros(GRID.shape, np.uint8)
                array[rng.integers(32), rng.integers(100):, rng.integers(100):] = 1
                begun = time.monotonic()
                version = project.save(case, LabelMap(array, GRID), kind="weak", tool="brush", parent=latest)
                print(json.dumps([case, version.number, version.checksum, name, time.monotonic() - begun, latest]), flush=True)
                project.leave(case)
            except CaseClaimedError:
                print(json.dumps(None), flush=True)
                time.sleep(0.02)


def measure(url: str, writers: int, minutes: float, kills: int) -> dict[str, object]:
    """The figures of one run."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        with Project.create(root / "team", classes=default_classes(["Liver"]), user="Ann", database=url) as project:
            for number in range(CASES):
                write(Volume(np.full(GRID.shape, number, np.int16), GRID), root / f"{number}.nii.gz")
                project.add(root / f"{number}.nii.gz")
        until, rng, said, count = time.time() + minutes * 60, random.Random(1), [], 0

        def started(number: int) -> subprocess.Popen[str]:
            path = root / f"said-{len(said)}"
            said.append(path)
            command = [sys.executable, __file__, "--folder", str(root / "team.medseg"), "--name", f"writer {number}", "--until", str(until)]
            with path.open("w") as out:
                return subprocess.Popen(command, stdout=out, text=True)

        running = [started(number) for number in range(writers)]
        moments = sorted(time.time() + rng.uniform(0.1, 0.9) * minutes * 60 for _ in range(kills))
        for moment in moments:
            time.sleep(max(0.0, moment - time.time()))
            number = rng.randrange(writers)
            if running[number].poll() is None:
                running[number].kill()
                running[number].wait()
                running[number], count = started(number), count + 1
        codes = [one.wait() for one in running]
        told = [json.loads(line) for path in said for line in path.read_text().splitlines() if line.endswith(("]", "null"))]
        saved = [one for one in told if one is not None]
        with Project.open(root / "team.medseg", user="Ann") as project:
            problems = [str(problem) for problem in project.check()]
            there = {(case.id, version.number): version for case in project.cases() for version in project.versions(case.id)}
        twice = [key for key, times in Counter((case, number) for case, number, *_ in saved).items() if times > 1]
        lost = [one for one in saved if (one[0], one[1]) not in there or there[one[0], one[1]].checksum != one[2] or there[one[0], one[1]].author != one[3]]
        overwritten = [one for one in saved if any(version.parent == one[5] and key[0] == one[0] and key[1] != one[1] for key, version in there.items())]
        seconds = sorted(one[4] for one in saved)
        return {
            "writers": writers, "minutes": minutes, "killed": count, "ended_well": sum(code == 0 for code in codes), "said_saved": len(saved),
            "in_the_study": len(there), "found_claimed_by_another": len(told) - len(saved), "lost": len(lost), "given_twice": len(twice),
            "on_top_of_one_parent": len(overwritten),
            "problems": problems[:5], "save_s_median": round(seconds[len(seconds) // 2], 3), "save_s_95": round(seconds[int(len(seconds) * 0.95)], 3),
        }


def main() -> None:
    """Run it and print the figures."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--writers", type=int, default=8)
    words.add_argument("--minutes", type=float, default=5.0)
    words.add_argument("--kills", type=int, default=5)
    words.add_argument("--url", default="")
    for hidden in ("--folder", "--name", "--until"):
        words.add_argument(hidden, help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.folder:
        work(Path(given.folder), given.name, float(given.until))
        return
    if given.url:
        figures = measure(given.url, given.writers, given.minutes, given.kills)
    else:
        sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
        from postgres import postgres

        with postgres("fsync=on", "synchronous_commit=on", "full_page_writes=on") as url:
            figures = measure(url, given.writers, given.minutes, given.kills)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
