"""What a cohort costs: 1 and 2 workers in turn, workers killed in mid-run, and the scheduler's share of a cohort of 100,000 cases.

A case is a generated scan that is read, smoothed five times, cut at a threshold and written as a mask: about a tenth of a second of one core, no torch; or,
with --segmenter, one that a segmenter of the catalogue outlines. The plan's cases do nothing, so that all its time and memory is that of handing out.

Example: python benchmarks/cohort.py speed -o speed.json --cases 200 --turns 2
         python benchmarks/cohort.py speed -o real.json --cases 24 --segmenter unet --shape 96 128 128
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from scipy import ndimage

from napari_medseg.cluster.cohort.cases import CohortCase, cohort_in
from napari_medseg.cluster.cohort.engines import each
from napari_medseg.cluster.cohort.jobs import Done, Job, SegmentJob, key_of
from napari_medseg.cluster.cohort.ledger import NAME, opened
from napari_medseg.cluster.cohort.places import Place, digest
from napari_medseg.cluster.cohort.run import Work
from napari_medseg.cluster.cohort.workers import Workers, connected
from napari_medseg.io import read, write
from napari_medseg.segmenters.named import Named
from napari_medseg.volume import Geometry, Volume

SHAPE = (24, 128, 128)


@dataclass(frozen=True)
class Smooth:
    """Read, smooth, cut, write."""

    out: Place
    key: str = key_of("smooth")

    def do(self, case: CohortCase, files: Sequence[Path]) -> Done:
        """One mask."""
        volume = read(files[0])
        array = volume.channel().astype(np.float32)
        for sigma in (1, 2, 3, 4, 5):
            array = ndimage.gaussian_filter(array, sigma)
        name = f"{case.id}.nii.gz"
        with self.out.under(name).replaced() as target:
            write(volume.like((array > 30).astype(np.uint8)), target)
            return Done({}, name, digest(target))


@dataclass(frozen=True)
class Nothing:
    """No work."""

    out: Place
    key: str = key_of("nothing")

    def do(self, case: CohortCase, files: Sequence[Path]) -> Done:
        """Nothing."""
        return Done({})


def generated(folder: Path, count: int, shape: tuple[int, int, int] = SHAPE) -> Place:
    """Scans of noise with a bright box each."""
    folder.mkdir()
    grid = Geometry(shape, (3.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    for index in range(count):
        rng = np.random.default_rng(index)
        array = rng.normal(0, 40, shape)
        z, y, x = (int(rng.integers(2, n // 2)) for n in shape)
        array[z : z + 8, y : y + 40, x : x + 40] += 100
        write(Volume(array.astype(np.int16), grid), folder / f"case{index:04d}.nii.gz")
    return Place.of(folder)


def through(source: Place, out: Path, workers: int, kills: int = 0, segmenter: str = "") -> dict[str, Any]:
    """One run: its seconds from the second outcome of each worker on, and in all; what its outputs are."""
    job: Job = SegmentJob(Named(segmenter), Place.of(out), device="cpu") if segmenter else Smooth(Place.of(out))
    cohort, started, killed, ended, outcomes = cohort_in(source), time.perf_counter(), 0, 0.0, []
    first = 0.0
    for tick in each(cohort.cases(), len(cohort), job, Workers(workers=workers, dashboard=False), lambda _: None):
        if tick.outcome is None:
            continue
        outcomes.append(tick.outcome)
        ended = time.perf_counter()
        if len(outcomes) == 2 * workers:
            first = ended
        if killed < kills and len(outcomes) >= (killed + 1) * len(cohort) // (kills + 2):
            killed += _kill_one()
    rows = [json.loads(line)["case"] for line in (out / NAME).read_text(encoding="utf-8").splitlines()]
    return {
        "workers": workers, "cases": len(cohort), "seconds": round(time.perf_counter() - started, 2), "seconds_at_work": round(ended - first, 2),
        "a_case": round((ended - first) / (len(cohort) - 2 * workers), 4), "killed": killed, "states": sorted({one.state for one in outcomes}),
        "once": len(outcomes) == len({one.case for one in outcomes}) == len(rows) == len(set(rows)) == len(cohort),
        "outputs": {path.name: digest(path) for path in sorted(out.glob("*.nii.gz"))},
    }


def _kill_one() -> int:
    """Kill a worker as the system would; 1 when there was one."""
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(one.cmdline()) and one.cpu_times().user > 0.5:
                one.kill()
                return 1
    return 0


def plan(count: int, folder: Path) -> dict[str, Any]:
    """The scheduler's tasks and this process's memory while very many cases are handed out."""
    process, seen, started = psutil.Process(), [], time.perf_counter()
    with opened(Place.of(folder)) as ledger, connected(Workers(workers=2, dashboard=False, processes=False, memory="0")) as client:
        scheduler: Any = client.cluster.scheduler
        work = Work(client, Nothing(Place.of(folder)), ledger)
        most = 0
        for number, _ in enumerate(work.handed_out(CohortCase(f"case{index:06d}", ()) for index in range(count)), 1):
            most = max(most, len(scheduler.tasks))
            if number % max(1, count // 20) == 0:
                seen.append({"cases": number, "tasks": len(scheduler.tasks), "memory_mb": round(process.memory_info().rss / 1e6, 1)})
                print(seen[-1], round(time.perf_counter() - started), "s", flush=True)
    rows = sum(1 for _ in (folder / NAME).open(encoding="utf-8"))
    return {"cases": count, "rows": rows, "most_tasks": most, "seconds": round(time.perf_counter() - started, 1), "course": seen}


def main() -> None:
    """One of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "kills", "plan"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=0, help="200, for the plan 100,000")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--segmenter", default="", help="of the catalogue, in place of smoothing")
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE, help="of a scan: z y x")
    parser.add_argument("--kills", type=int, default=10)
    asked = parser.parse_args()
    found: dict[str, Any] = {"load": os.getloadavg() if hasattr(os, "getloadavg") else None, "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.what == "plan":
            found |= plan(asked.cases or 100_000, folder / "plan")
        else:
            source = generated(folder / "scans", asked.cases or 200, tuple(asked.shape))
            counts = [1, 2] * asked.turns if asked.what == "speed" else [2, 2]
            runs = []
            for turn, workers in enumerate(counts):
                runs.append(through(source, folder / f"out{turn}", workers, asked.kills if asked.what == "kills" and turn else 0, asked.segmenter))
                runs[-1]["load_after"] = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
                print({key: value for key, value in runs[-1].items() if key != "outputs"}, flush=True)
            same = all(run["outputs"] == runs[0]["outputs"] for run in runs)
            found |= {"identical": same, "runs": [{key: value for key, value in run.items() if key != "outputs"} for run in runs]}
            if asked.what == "speed":
                pace = {n: min(run["a_case"] for run in runs if run["workers"] == n) for n in (1, 2)}
                found["faster"] = round(pace[1] / pace[2], 3)
    asked.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print({key: value for key, value in found.items() if key not in ("runs", "course")})


if __name__ == "__main__":
    main()
