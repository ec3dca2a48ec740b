"""Clicks to Dice: the promptable model beside geodesic scribbles and a threshold at the clicks.

    python benchmarks/clicks.py                    the reported cases; give the hippocampi's folder as --hippocampus or MEDSEG_HIPPOCAMPUS
    python benchmarks/clicks.py --tune FOLDER      cases that settings may be chosen on: brain2 and lung1 in FOLDER, other hippocampi, made volumes
    python benchmarks/clicks.py --speed            click to answer in a volume of 256^3, and of 600 x 512 x 512

The clicks are those of the simulated annotator (`napari_medseg.testing.annotator.next_click`): the deepest voxel of the largest error, in full resolution.
Each method is corrected by clicks on its own errors, as its user would; a second table gives every method the same clicks, those on the errors of the
geodesic scribbles, which are nobody's favour to ours. Nothing of what is reported was used to choose a setting.

The two baselines are in the best form that was found on the tuning cases. Geodesic scribbles: our own solver with the classifier that learns from both
sides' clicks, each drawn as a ball of 2 mm, the border of its reach being background throughout. Threshold: what is connected to the positive
clicks and lies within so many standard deviations of the values around them, less what lies nearer to a negative click than to any positive one.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi
from weaklabel_scenes import dice, load

from napari_medseg.annotation.prompts import ObjectPrompt, Prompts
from napari_medseg.catalogue import shipped
from napari_medseg.testing import annotator
from napari_medseg.testing.procedural import procedural_volume
from napari_medseg.volume import Geometry, Volume
from napari_medseg.weaklabel.scribble import Scribbler, ScribbleSettings

COUNTS = (1, 3, 5, 10)
REPORTED = {
    "brain1": ("brain1_t1gd.nii.gz", "brain1_tumour.nii.gz"), "lung2": ("lung2_crop_ct.nii.gz", "lung2_crop_tumour.nii.gz"),
    "breast1": ("breast1_image.nrrd", "breast1_label.nrrd"),
}
TUNED = {name: (f"{name}_image.nrrd", f"{name}_label.nrrd") for name in ("brain2", "lung1")}
EVERY = 6  # hippocampi that are reported: the first of every six by name
FALL = 0.005  # Dice; less than that is no fall
BALL_MM = 2.0
TOLERANCE = 2.0  # standard deviations of the values around the positive clicks
AROUND_MM = 1.5
SIZES = ((256, 256, 256), (600, 512, 512))
TURNS = 7

Click = tuple[tuple[int, int, int], int]
Case = tuple[np.ndarray, np.ndarray, tuple[float, float, float]]
Answer = Callable[[list[Click]], np.ndarray]


@dataclass
class Run:
    """What one method did on one case."""

    dice: list[float] = field(default_factory=list)
    obeyed: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)

    @property
    def falls(self) -> list[bool]:
        """Whether Dice fell at each further click."""
        return [after < before - FALL for before, after in zip(self.dice, self.dice[1:], strict=False)]


# -- methods: made for one scan, then asked with all clicks so far ------------------------------------------------------------------------------------------


def promptable(image, spacing) -> Answer:
    """The model that ships, asked with one more click each time."""
    from napari_medseg.pointing.segmenter import PointingSegmenter
    from napari_medseg.segmenters.protocol import collect

    segmenter, volume = PointingSegmenter(), Volume(image, Geometry(image.shape, spacing))

    def answer(clicks):
        points = tuple((*(float(v) for v in volume.geometry.world(at)), sign) for at, sign in clicks)
        pieces = segmenter.predict(volume, Prompts((ObjectPrompt(1, points),)), device="auto")
        return collect(pieces, volume.geometry.shape)[0] > segmenter.capabilities.threshold

    return answer


def geodesic(image, spacing, ball_mm: float = BALL_MM) -> Answer:
    """Geodesic scribbles of our own, with their classifier; each click a ball, the border of the reach background."""
    settings = ScribbleSettings(method="geodesic")
    scribbler = Scribbler(image, spacing, settings)

    def answer(clicks):
        strokes = np.zeros(image.shape, np.uint8)
        _border(strokes, [at for at, sign in clicks if sign > 0], spacing, settings.reach_mm)
        for at, sign in clicks:
            box, ball = _ball(at, image.shape, spacing, ball_mm)
            strokes[box][ball] = 1 if sign > 0 else 255
        for at, sign in clicks:  # no ball paints over another click
            strokes[at] = 1 if sign > 0 else 255
        for _ in scribbler.update(strokes):
            pass
        return scribbler.labels > 0

    return answer


def threshold(image, spacing, tolerance: float = TOLERANCE, around_mm: float = AROUND_MM) -> Answer:
    """Connected to the positive clicks, alike in value, and not nearer to a negative one."""
    smooth = ndi.gaussian_filter(image.astype(np.float32), 0.5 * min(spacing) / np.array(spacing))

    def answer(clicks):
        inside, outside = ([at for at, sign in clicks if sign == s] for s in (1, -1))
        found = np.zeros(image.shape, bool)
        for at in inside:
            box, ball = _ball(at, image.shape, spacing, around_mm)
            values = smooth[box][ball]
            middle, spread = float(np.median(values)), max(float(values.std()), 1e-3 * float(np.ptp(smooth)))
            alike = np.abs(smooth - middle) <= tolerance * spread
            alike[at] = True
            components, _ = ndi.label(alike)
            found |= components == components[at]
        if outside:
            where = np.argwhere(found)
            near, far = (np.min([(((where - at) * spacing) ** 2).sum(1) for at in which], axis=0) for which in (inside, outside))
            found[tuple(where[far < near].T)] = False
        return found

    return answer


METHODS = {"ours, promptable": promptable, "geodesic scribbles": geodesic, "threshold at the clicks": threshold}


def _border(strokes, inside, spacing, reach_mm: float) -> None:
    """Draw the faces of the box round the positive clicks as background."""
    margin = np.ceil(reach_mm / np.array(spacing)).astype(int)
    low, high = np.maximum(np.min(inside, 0) - margin, 0), np.minimum(np.max(inside, 0) + margin + 1, strokes.shape)
    part = strokes[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    for axis, length in enumerate(part.shape):
        if length >= 3:
            faces = np.moveaxis(part, axis, 0)
            faces[[0, -1]] = 255


def _ball(at, shape, spacing, radius_mm: float):
    """A ball round a voxel: its box, and which voxels of the box it holds."""
    box = tuple(slice(max(0, a - int(radius_mm / s)), min(n, a + int(radius_mm / s) + 1)) for a, s, n in zip(at, spacing, shape, strict=True))
    offsets = np.meshgrid(*((np.arange(b.start, b.stop) - a) * s for b, a, s in zip(box, at, spacing, strict=True)), indexing="ij")
    return box, sum(o**2 for o in offsets) <= radius_mm**2


# -- the annotator at work ----------------------------------------------------------------------------------------------------------------------------------


def work(method: Callable[..., Answer], case: Case, given: list[Click] | None = None, most: int = COUNTS[-1]) -> Run:
    """Click until nothing is wrong or so many clicks are made; with `given` clicks those in their order, whatever the errors are."""
    image, truth, spacing = case
    answer, run, current = method(image, spacing), Run(), np.zeros(truth.shape, bool)
    for step in range(most):
        if given is None:
            found = annotator.next_click(truth, current, spacing)
            click = None if found is None else (tuple(int(v) for v in found[0]), found[1])
        else:
            click = given[step] if step < len(given) else None
        if click is None:
            run.dice += [run.dice[-1]] * (most - step)
            break
        run.clicks.append(click)
        began = time.perf_counter()
        current = answer(run.clicks)
        run.seconds.append(time.perf_counter() - began)
        run.dice.append(dice(current, truth))
        run.obeyed += [bool(current[at]) == (sign > 0) for at, sign in run.clicks]
    return run


def row(title: str, runs: list[Run]) -> str:
    """One line of a table."""
    values = " ".join(f"{np.mean([run.dice[count - 1] for run in runs]):.3f}" for count in COUNTS)
    obeyed = 100 * np.mean([o for run in runs for o in run.obeyed])
    falls = 100 * np.mean([f for run in runs for f in run.falls])
    seconds = [s for run in runs for s in run.seconds]
    return f"    {title:<28} {values}   obeys {obeyed:5.1f} %   falls {falls:4.1f} %   {np.median(seconds):.2f} s a click (longest {np.max(seconds):.2f})"


def report(sets: dict[str, list[Case]], methods: dict[str, Callable[..., Answer]], common: bool = True) -> None:
    """Every method on every set, then the means over sets."""
    own: dict[str, dict[str, list[Run]]] = {name: {} for name in methods}
    print(f"\n  Dice after {', '.join(map(str, COUNTS))} clicks on each method's own errors")
    for which, cases in sets.items():
        print(f"  {which} ({len(cases)})")
        for name, method in methods.items():
            own[name][which] = [work(method, case) for case in cases]
            print(row(name, own[name][which]), flush=True)
    print(_means(own))
    if not common or "geodesic scribbles" not in methods:
        return
    same: dict[str, dict[str, list[Run]]] = {name: {} for name in methods}
    print(f"\n  Dice after {', '.join(map(str, COUNTS))} clicks, the same for all: those on the errors of the geodesic scribbles")
    for which, cases in sets.items():
        print(f"  {which} ({len(cases)})")
        for name, method in methods.items():
            made = own["geodesic scribbles"][which]
            same[name][which] = made if name == "geodesic scribbles" else [work(method, case, run.clicks) for case, run in zip(cases, made, strict=True)]
            print(row(name, same[name][which]), flush=True)
    print(_means(same))


def _means(runs: dict[str, dict[str, list[Run]]]) -> str:
    lines = ["  mean of the sets"]
    for name, sets in runs.items():
        values = [np.mean([np.mean([run.dice[count - 1] for run in each]) for each in sets.values()]) for count in COUNTS]
        lines.append(f"    {name:<28} {' '.join(f'{v:.3f}' for v in values)}")
    return "\n".join(lines)


# -- cases --------------------------------------------------------------------------------------------------------------------------------------------------


def reported(folder: Path, hippocampus: Path | None) -> dict[str, list[Case]]:
    """The cases that are only ever reported."""
    sets = {name: [load(folder, *files)] for name, files in REPORTED.items()}
    sets |= _hippocampi(hippocampus, lambda names: names[::EVERY])
    return sets


def tuning(folder: Path, hippocampus: Path | None, few: int) -> dict[str, list[Case]]:
    """Cases to choose settings on; none of them is reported."""
    sets = {name: [load(folder, *files)] for name, files in TUNED.items()}
    sets |= _hippocampi(hippocampus, lambda names: [name for i, name in enumerate(names) if i % EVERY][:: max(1, 50 // few)][:few])
    sets["made"] = [_made(9_000_000 + seed, 48) for seed in range(few)]
    sets["made, large"] = [_made(9_100_000 + seed, 112) for seed in range(few)]
    return sets


def _made(seed: int, side: int) -> Case:
    """A volume of the generator that the network learns from, of a seed it never trains on."""
    made = procedural_volume(seed, side)
    return made.image, made.truth, (1.0, 1.0, 1.0)


def _hippocampi(folder: Path | None, chosen) -> dict[str, list[Case]]:
    if folder is None or not (folder / "images").is_dir():
        print("  hippocampi left out: give their folder (images/, labels/) as --hippocampus or MEDSEG_HIPPOCAMPUS")
        return {}
    names = chosen(sorted(path.name for path in (folder / "images").iterdir()))
    return {"hippocampi": [load(folder, f"images/{name}", f"labels/{name}") for name in names]}


# -- speed --------------------------------------------------------------------------------------------------------------------------------------------------


def speed() -> None:
    """Click to answer with a segmenter that is loaded, as in a window: a ball within one window, the volume of ordinary and of large size."""
    from napari_medseg.pointing.segmenter import PointingSegmenter

    print("\n  click to answer, seconds: first pixels and whole answer of a first click, then of a further one; median and longest of several")
    for shape in SIZES:
        image = np.random.default_rng(0).normal(0, 30, (1, *shape[1:])).astype(np.int16).repeat(shape[0], axis=0)
        place = np.indices((32,) * 3) - 16
        segmenter, first, second = PointingSegmenter(), [], []
        for turn in range(TURNS + 1):
            corner = [n // 3 + 5 * turn for n in shape]
            image[tuple(slice(c, c + 32) for c in corner)] += (150 * ((place**2).sum(axis=0) < 12**2)).astype(np.int16)
            volume = Volume(image, Geometry(shape))
            middle = (corner[2] + 16.0, corner[1] + 16.0, corner[0] + 16.0)
            clicks = ((*middle, 1), (middle[0] + 14.0, *middle[1:], -1))
            timed = [_timed(segmenter, volume, Prompts((ObjectPrompt(1, points=clicks[:count]),))) for count in (1, 2)]
            if turn:  # the first turn loads and compiles
                first.append(timed[0])
                second.append(timed[1])
        words = [f"{np.median(times):.2f} ({np.max(times):.2f})" for each in (first, second) for times in np.transpose(each)]
        print(f"    {' x '.join(map(str, shape))}: first click {words[0]}, {words[1]}; further click {words[2]}, {words[3]}", flush=True)


def _timed(segmenter, volume, prompts) -> tuple[float, float]:
    began, first = time.perf_counter(), 0.0
    for piece in segmenter.predict(volume, prompts):
        if not first and piece.probabilities.size:
            first = time.perf_counter() - began
    return first, time.perf_counter() - began


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, default=shipped("sample_data"))
    options.add_argument("--hippocampus", type=Path, default=os.environ.get("MEDSEG_HIPPOCAMPUS"))
    options.add_argument("--tune", type=Path, metavar="FOLDER")
    options.add_argument("--few", type=int, default=6, help="hippocampi and made volumes to tune on")
    options.add_argument("--own", action="store_true", help="leave out the table of common clicks")
    options.add_argument("--speed", action="store_true")
    chosen = options.parse_args()
    if chosen.speed:
        speed()
        return
    sets = tuning(chosen.tune, chosen.hippocampus, chosen.few) if chosen.tune else reported(chosen.data, chosen.hippocampus)
    report(sets, METHODS, common=not chosen.own)


if __name__ == "__main__":
    main()
