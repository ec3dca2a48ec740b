"""Scribbles beside their peers: `python benchmarks/weaklabel_scribbles.py [--data FOLDER] [--hippocampus FOLDER] [--only speed large accuracy memory]`.

The strokes are those of the simulated annotator, corrected on our automatic answer; every solver gets the same ones. Peers get the region that ours cuts out,
with what lies beyond the strokes' reach marked as background. Times are wall clock, the best of a few runs, after everything was compiled. Nothing of what is
reported here was used to choose a parameter. Peers that are not installed are left out, and that is said.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
import warnings
from collections.abc import Collection
from pathlib import Path

import numpy as np
from skimage.segmentation import random_walker
from weaklabel_scenes import CASES, dice, load

from napari_medseg.catalogue import shipped
from napari_medseg.testing import annotator
from napari_medseg.weaklabel import scene
from napari_medseg.weaklabel.scribble import Scribbler, ScribbleSettings

SECTIONS = ("speed", "large", "accuracy", "memory")
SETS = (*CASES, "hippocampi")
REACH_MM = ScribbleSettings().reach_mm
STROKES = (2, 6, 12)
BETAS = (130, 3000)  # scikit-image's own, and one that keeps classes from running through thick slices
OURS = {
    "auto": ScribbleSettings(),
    "geodesic": ScribbleSettings(method="geodesic", classifier=False),
    "growcut": ScribbleSettings(method="growcut"),
    "walker": ScribbleSettings(method="walker", classifier=False),
    "walker with classifier": ScribbleSettings(method="walker", classifier=True),
}
LARGE = (600, 512, 512)


def ours(settings):
    """One of our solvers: labels from scratch."""

    def run(image, strokes, spacing):
        scribbler = Scribbler(image, spacing, settings)
        follow(scribbler, strokes)
        return scribbler.labels > 0

    return run


def follow(scribbler, strokes, changed=None):
    """Bring a scribbler up to date."""
    for _ in scribbler.update(strokes, changed):
        pass


def walkers(mode, beta=BETAS[0]):
    """scikit-image's random walker in one of its modes."""

    def run(image, marks, spacing):
        if mode == "cg_mg":
            import pyamg  # noqa: F401
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return random_walker(image.astype(np.float32), marks.astype(np.int32), beta=beta, mode=mode, spacing=spacing, tol=1e-3) == 1

    return run


def itk_growcut(image, marks, spacing):
    """The FastGrowCut filter of itk-growcut."""
    import itk

    if not hasattr(itk, "image_from_array"):
        raise ImportError("itk is there in parts only")
    grey, seeds = itk.image_from_array(image.astype(np.float32)), itk.image_from_array(np.where(marks == 255, 2, marks).astype(np.uint8))
    for each in (grey, seeds):
        each.SetSpacing([float(s) for s in spacing[::-1]])
    filtering = itk.FastGrowCut[type(grey), type(seeds)].New()
    filtering.SetInput(grey)
    filtering.SetSeedImage(seeds)
    filtering.Update()
    return itk.array_from_image(filtering.GetOutput()) == 1


PEERS = {
    "scikit-image random walker, cg_j": walkers("cg_j"),
    "scikit-image random walker, cg_mg (pyamg)": walkers("cg_mg"),
    f"scikit-image random walker, cg_j, beta {BETAS[1]}": walkers("cg_j", BETAS[1]),
    "itk-growcut": itk_growcut,
}


def drawn(image, truth, spacing, counts):
    """The annotator's strokes after so many each, corrected on our automatic answer."""
    strokes, scribbler, kept = annotator.first_strokes(truth, spacing), Scribbler(image, spacing), []
    for count in range(STROKES[0], max(counts) + 1):
        if count in counts:
            kept.append(strokes.copy())
        follow(scribbler, strokes)
        annotator.stroke(strokes, truth, scribbler.labels > 0)
    return kept


def region(strokes, spacing):
    """What strokes reach, and the strokes there with everything beyond their reach marked as background."""
    classes = (strokes > 0) & (strokes != 255)
    box = scene.box_around(classes, REACH_MM, spacing)
    marks = strokes[box].copy()
    marks[(scene.distance_to(classes[box], spacing) > REACH_MM) & (marks == 0)] = 255
    return box, marks


def best(times, run, *given):
    """Of a few runs the least wall-clock and the least processor seconds (of all threads), and the last answer."""
    walls, processors = [], []
    for _ in range(times):
        began, busy = time.perf_counter(), time.process_time()
        answer = run(*given)
        walls.append(time.perf_counter() - began)
        processors.append(time.process_time() - busy)
    return np.array([min(walls), min(processors)]), answer


def cases(folder: Path, hippocampus: Path | None, asked: Collection[str]):
    """The reported sets: names and (image, truth, spacing)."""
    sets = {name: {name: load(folder, *files)} for name, files in CASES.items() if name in asked}
    if "hippocampi" not in asked:
        return sets
    if hippocampus is None or not (hippocampus / "images").is_dir():
        print("  hippocampi left out: give their folder (images/, labels/) as --hippocampus or MEDSEG_HIPPOCAMPUS")
        return sets
    names = sorted(path.name for path in (hippocampus / "images").iterdir())[::6]
    sets["hippocampi"] = {name: load(hippocampus, f"images/{name}", f"labels/{name}") for name in names}
    return sets


def speed(folder: Path, asked: Collection[str]) -> None:
    """From scratch on one region, and a further stroke."""
    for name, files in ((name, files) for name, files in CASES.items() if name in asked):
        image, truth, spacing = load(folder, *files)
        (strokes,) = drawn(image, truth, spacing, [6])
        box, marks = region(strokes, spacing)
        cut, inner, target = np.ascontiguousarray(image[box]), strokes[box], truth[box]
        print(f"\n  {name}, six strokes, {marks.size / 1e6:.2f} million voxels: seconds from scratch (of the processor, all threads), Dice")
        times = {}
        for peer, run in PEERS.items():
            try:
                times[peer], found = best(2, run, cut, marks, spacing)
            except ImportError as missing:
                print(f"    {peer}: left out, {missing}")
                continue
            print(f"    {peer}: {times[peer][0]:.2f} s ({times[peer][1]:.2f}), {dice(found, target):.3f}", flush=True)
        quickest = np.min([seconds for peer, seconds in times.items() if "walker" in peer], axis=0)
        for label, solver in OURS.items():
            run = ours(solver)
            run(cut, inner, spacing)
            seconds, found = best(5, run, cut, inner, spacing)
            ratios = quickest / seconds
            print(
                f"    ours, {label}: {seconds[0]:.3f} s ({seconds[1]:.3f}), {dice(found, target):.3f}; "
                f"{ratios[0]:.0f} times ({ratios[1]:.0f}) faster than the quickest random walker of scikit-image", flush=True
            )
            further(image, truth, spacing, strokes, solver)


def further(image, truth, spacing, strokes, solver) -> None:
    """A seventh stroke on an answer that stands, its place told as a window tells it, against all seven from scratch."""
    after, whole = [], []
    for _ in range(3):
        scribbler, more = Scribbler(image, spacing, solver), strokes.copy()
        follow(scribbler, more)
        annotator.stroke(more, truth, scribbler.labels > 0)
        changed = scene.box_around(more != strokes, 0.0, spacing)  # a window tells where it was painted
        after.append(best(1, follow, scribbler, more, changed)[0])
        whole.append(best(1, ours(solver), image, more, spacing)[0])
    least, scratch = np.min(after, 0), np.min(whole, 0)
    ratios = scratch / least
    least = 1000 * least
    print(f"      a further stroke: {least[0]:.0f} ms ({least[1]:.0f}), {ratios[0]:.1f} times ({ratios[1]:.1f}) faster than from scratch", flush=True)


def large() -> None:
    """Local strokes in a scan of 512x512x600 against the same in a crop of it."""
    rng, spacing = np.random.default_rng(0), (1.0, 0.7, 0.7)
    image = np.broadcast_to(rng.normal(0, 30, (1, *LARGE[1:])).astype(np.int16), LARGE).copy()
    z, y, x = np.ogrid[:90, :160, :160]
    ball = (z - 45) ** 2 + (0.7 * (y - 80)) ** 2 + (0.7 * (x - 80)) ** 2 < 15**2
    image[255:345, 176:336, 176:336] += (120 * ball).astype(np.int16)
    strokes = np.zeros(LARGE, np.uint8)
    strokes[300, 250:262, 245:266], strokes[300, 215, 240:270] = 1, 255
    crop = (slice(250, 350), slice(166, 346), slice(166, 346))
    more = (slice(310, 311), slice(250, 256), slice(250, 260))
    print("\n  512x512x600, two strokes: seconds (of the processor) from scratch, then for a further stroke; the same in a crop of it")
    for label, solver in OURS.items():
        figures = []
        for where in (None, crop):
            scan, marks = (image, strokes.copy()) if where is None else (np.ascontiguousarray(image[where]), strokes[where].copy())
            local = more if where is None else tuple(slice(m.start - c.start, m.stop - c.start) for m, c in zip(more, crop, strict=True))
            scribbler = Scribbler(scan, spacing, solver)
            first, _ = best(1, follow, scribbler, marks)
            marks[local] = 1
            second, _ = best(1, follow, scribbler, marks, local)
            figures.append(f"{first[0]:.2f} s ({first[1]:.2f}), then {second[0]:.3f} s ({second[1]:.3f})")
        print(f"    ours, {label}: whole {figures[0]}; crop {figures[1]}", flush=True)


def accuracy(folder: Path, hippocampus: Path | None, asked: Collection[str]) -> None:
    """Dice after 2, 6 and 12 strokes: each of ours with an annotator of its own; peers on the strokes drawn for our automatic answer."""
    print(f"\n  Dice after {', '.join(map(str, STROKES))} strokes, mean of the set; [each solver's own annotator]; (peers: the strokes drawn for ours)")
    for name, set_of in cases(folder, hippocampus, asked).items():
        print(f"  {name} ({len(set_of)})")
        for label, solver in OURS.items():
            figures = np.array([_own(*case, solver) for case in set_of.values()])
            lowest = f", lowest at 12 {figures[:, -1].min():.3f}" if len(figures) > 1 else ""
            print(f"    ours, {label} [own]: {_words(figures.mean(0))}{lowest}", flush=True)
        rows = {peer: [] for peer in PEERS} | {f"ours, {label}": [] for label in list(OURS)[1:]}
        for image, truth, spacing in set_of.values():
            series = drawn(image, truth, spacing, STROKES)
            for solver in list(rows):
                try:
                    rows[solver].append([_on(solver, image, truth, spacing, strokes) for strokes in series])
                except ImportError as missing:
                    print(f"    {solver}: left out, {missing}")
                    rows.pop(solver)
        for solver, figures in rows.items():
            print(f"    {solver} (same strokes): {_words(np.mean(figures, 0))}", flush=True)


def _words(figures) -> str:
    return " ".join(f"{v:.3f}" for v in figures)


def _own(image, truth, spacing, solver) -> list[float]:
    strokes, figures = annotator.first_strokes(truth, spacing), []
    scribbler = Scribbler(image, spacing, solver)
    for count in range(STROKES[0], STROKES[-1] + 1):
        follow(scribbler, strokes)
        found = scribbler.labels > 0
        if count in STROKES:
            figures.append(dice(found, truth))
        annotator.stroke(strokes, truth, found)
    return figures


def _on(solver, image, truth, spacing, strokes) -> float:
    if solver.startswith("ours"):
        return dice(ours(OURS[solver.removeprefix("ours, ")])(image, strokes, spacing), truth)
    box, marks = region(strokes, spacing)
    found = np.zeros(truth.shape, bool)
    found[box] = PEERS[solver](np.ascontiguousarray(image[box]), marks, spacing)
    return dice(found, truth)


def memory(folder: Path) -> None:
    """The highest resident size of a process that runs one solver on brain1's region, less what it held before."""
    print("\n  memory on brain1's region, six strokes: peak above the loaded scan, MB")
    if not Path("/proc/self/clear_refs").exists():
        print("    left out: this system does not tell a process's peak anew")
        return
    image, truth, spacing = load(folder, *CASES["brain1"])
    (strokes,) = drawn(image, truth, spacing, [6])
    context = multiprocessing.get_context("spawn")
    for solver in (*PEERS, *(f"ours, {label}" for label in OURS)):
        answers = context.Queue()
        child = context.Process(target=_child, args=(answers, solver, image, truth, spacing, strokes))
        child.start()
        child.join()
        print(f"    {solver}: {answers.get() if child.exitcode == 0 else 'no answer'}")


def _child(answers, solver: str, image, truth, spacing, strokes) -> None:
    rng, tiny = np.random.default_rng(0), np.zeros((5, 24, 24), np.uint8)
    tiny[2, 8:16, 10], tiny[2, 8:16, 2] = 1, 255
    try:
        _on(solver, rng.normal(size=tiny.shape).astype(np.float32), tiny == 1, spacing, tiny)  # compiled and loaded
        held = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        _on(solver, image, truth, spacing, strokes)
    except ImportError as missing:
        answers.put(f"left out, {missing}")
        return
    answers.put(f"{(_status('VmHWM') - held) / 1024:.0f}")


def _status(field: str) -> int:
    """Kilobytes, as the kernel tells them."""
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if line.startswith(field + ":"))


def report(folder: Path, hippocampus: Path | None = None, only: tuple[str, ...] = SECTIONS, asked: Collection[str] = SETS) -> None:
    """Print every figure."""
    if hippocampus is None and "MEDSEG_HIPPOCAMPUS" in os.environ:
        hippocampus = Path(os.environ["MEDSEG_HIPPOCAMPUS"])
    print("\n== Scribbles")
    for name, section in {
        "speed": lambda: speed(folder, asked), "large": large, "accuracy": lambda: accuracy(folder, hippocampus, asked), "memory": lambda: memory(folder),
    }.items():
        if name in only:
            section()


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=shipped("sample_data"))
    options.add_argument("--hippocampus", type=Path)
    options.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    chosen = options.parse_args()
    report(chosen.data, chosen.hippocampus, tuple(chosen.only))


if __name__ == "__main__":
    main()
