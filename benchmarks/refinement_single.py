"""One scan, three corrected slices: `python benchmarks/refinement_single.py [--quick] [--tuning] [--hippocampus FOLDER] [--scans FOLDER]`.

The weak label is a hand mask times SimpleITK's threshold level set (2, 3 and 4 robust deviations of five seeds), or one that is bad in another way. Three times
the slice with most wrong voxels is replaced by the truth. What is reported is the Dice on the *other* slices before and after, the share of what was missing
to 1 that was gained, and seconds: by the clock, and of processor time. Nothing that is reported was used to choose a parameter; `--tuning` shows what was.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage as ndi
from weaklabel_scenes import dice

from napari_medseg.catalogue import shipped
from napari_medseg.refine.single import propose_rest
from napari_medseg.refine.trust import Trust
from napari_medseg.testing import annotator
from napari_medseg.testing.procedural import procedural_volume
from napari_medseg.testing.synthetic import ct_scene, mr_scene, weaken
from napari_medseg.volume import Geometry, Volume

REPORTED = {
    "brain1": ("brain1_t1gd.nii.gz", "brain1_tumour.nii.gz"), "lung2": ("lung2_crop_ct.nii.gz", "lung2_crop_tumour.nii.gz"),
    "breast1": ("breast1_image.nrrd", "breast1_label.nrrd"),
}
CORRECTED = 3
ROOM = (2, 10, 10)
BALL_MM = 3.0
THIRD = 1 / 3


def load(image: Path, label: Path):
    """Scan, truth and spacing (z, y, x)."""
    scan, mask = sitk.ReadImage(str(image)), sitk.ReadImage(str(label))
    return sitk.GetArrayFromImage(scan).astype(np.float32), sitk.GetArrayFromImage(mask) > 0, scan.GetSpacing()[::-1]


def hand_times_level_set(image, truth, spacing, deviations: float):
    """The weak label of the paper: a hurried hand's mask times a level set between the seeds' median minus and plus so many robust deviations, closed."""
    hand, marks = annotator.hand_mask(truth, spacing), np.zeros(truth.shape, bool)
    marks[tuple(annotator.seeds(truth, spacing).T)] = True
    away = ndi.distance_transform_edt(~marks, sampling=spacing)
    ball = away <= max(BALL_MM, 1.01 * min(spacing))
    places = np.argwhere(hand)
    box = tuple(slice(max(0, a - room), b + room) for a, b, room in zip(places.min(0), places.max(0) + 1, ROOM, strict=True))
    middle = float(np.median(image[ball]))
    deviation = 1.4826 * float(np.median(np.abs(image[ball] - middle)))
    flow = sitk.ThresholdSegmentationLevelSetImageFilter()
    flow.SetLowerThreshold(middle - deviations * deviation)
    flow.SetUpperThreshold(middle + deviations * deviation)
    flow.SetPropagationScaling(1.0)
    flow.SetCurvatureScaling(1.0)
    flow.SetMaximumRMSError(0.002)
    flow.SetNumberOfIterations(400)
    inside = ndi.distance_transform_edt(ball[box], sampling=spacing)
    given = [sitk.GetImageFromArray(values.astype(np.float32)) for values in (ndi.distance_transform_edt(~ball[box], sampling=spacing) - inside, image[box])]
    for one in given:
        one.SetSpacing([float(step) for step in spacing[::-1]])
    grown = np.zeros(truth.shape, bool)
    grown[box] = sitk.GetArrayFromImage(flow.Execute(*given)) < 0
    return ndi.binary_closing(np.pad(grown & hand, 2), np.ones((1, 3, 3)))[2:-2, 2:-2, 2:-2]


def corrected(truth, weak, count: int = CORRECTED):
    """The label map with its worst slices put right one after another, and these slices."""
    current, slices = weak.copy(), []
    for _ in range(min(count, max(1, np.count_nonzero(truth.any((1, 2))) // 2))):
        current, z = annotator.corrected_slice(truth, current)
        slices.append(z)
    return current, slices


def run(name: str, image, truth, weak, spacing, *, told: bool) -> float:
    """Print one line, and give the share gained on the other slices. `told`: whether the engine is given the label map from before the corrections."""
    labels, slices = corrected(truth, weak)
    trust = np.full(truth.shape, Trust.WEAK, np.uint8)
    trust[slices] = Trust.VERIFIED
    volume = Volume(image, Geometry(truth.shape, tuple(float(step) for step in spacing)), name=name)
    clock, processor = time.perf_counter(), time.process_time()
    *_, last = propose_rest(volume, labels.astype(np.uint8), trust, weak=weak.astype(np.uint8) if told else None)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    others = np.setdiff1d(np.arange(len(truth)), slices)
    before, after = dice(labels[others], truth[others]), dice(last.labels[others] > 0, truth[others])
    share = (after - before) / max(1 - before, 1e-6)
    same = "kept" if np.array_equal(last.labels[slices], labels[slices]) else "CHANGED"
    print(
        f"{name:34} {'before known' if told else 'before lost '}  others {before:.3f} -> {after:.3f}  gained {share:+.2f}  corrected slices {same}  "
        f"{clock:.1f} s, {processor:.1f} s of processor", flush=True,
    )
    return share


def weak_labels(image, truth, spacing):
    """Kind and weak label, each bad in another way."""
    for deviations in (2.0, 3.0, 4.0):
        yield f"hand x level set {deviations:.0f}", hand_times_level_set(image, truth, spacing, deviations)
    yield "hand mask", annotator.hand_mask(truth, spacing)
    for person in (1, 2):
        yield f"sloppy hand {person}", annotator.sloppy_mask(truth, spacing, person)
    yield "deformed", annotator.deform(truth, np.random.default_rng(0), 9, 0.05, 1.2)


def tuning_cases(hippocampus: Path | None, scans: Path | None) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray, tuple[float, ...]]]:
    """Name, scan, truth, weak label, spacing of what the settings were chosen on: none of these is reported."""
    from tune_levelset import mottled, tumour
    from tune_scribbles import tumour as thick_tumour

    for path in sorted(scans.glob("*_image.nrrd")) if scans else ():
        image, truth, spacing = load(path, path.with_name(path.name.replace("_image", "_label")))
        for kind, weak in weak_labels(image, truth, spacing):
            yield f"{path.stem.removesuffix('_image')}, {kind}", image, truth, weak, spacing
    for number, name in enumerate(sorted(path.name for path in (hippocampus / "images").iterdir())[:30:6]) if hippocampus else ():
        image, truth, spacing = load(hippocampus / "images" / name, hippocampus / "labels" / name)
        yield f"{name}, deformed", image, truth, annotator.deform(truth, np.random.default_rng(number)), spacing
        yield f"{name}, hand mask", image, truth, annotator.hand_mask(truth, spacing), spacing
    for scene in (ct_scene, mr_scene):
        volume, mask = scene(3000)
        truth, spacing = mask.channel() > 0, mask.geometry.spacing
        yield f"{volume.name}, deformed", volume.channel(), truth, weaken(mask, 3000).channel() > 0, spacing
        yield f"{volume.name}, hand mask", volume.channel(), truth, annotator.hand_mask(truth, spacing), spacing
    for kind in ("uneven", "neighbour", "ring"):
        image, truth, spacing = tumour(kind, 0)
        yield f"made tumour {kind}, sloppy hand", image, truth, annotator.sloppy_mask(truth, spacing, 3), spacing
    for seed in range(4):
        for made, name in ((mottled, "mottled"), (thick_tumour, "thick slices")):
            image, truth, spacing = made(seed)
            yield f"{name} {seed}, hand x level set", image, truth, hand_times_level_set(image, truth, spacing, 3.0), spacing
    for seed in (4, 6, 7, 9, 11):
        made = procedural_volume(seed, 64)
        yield f"procedural {seed}, deformed", made.image, made.truth, annotator.deform(made.truth, np.random.default_rng(seed)), (1.0, 1.0, 1.0)


def main(quick: bool = False) -> None:
    """Report brain1, lung2 and breast1; quick: one weak label each."""
    folder = shipped("sample_data")
    print("\n== One scan: three corrected slices (one or two where the object crosses fewer than six), the rest proposed")
    for name, (image_name, label_name) in REPORTED.items():
        image, truth, spacing = load(folder / image_name, folder / label_name)
        shares = {True: [], False: []}
        for kind, weak in [("hand x level set 3", hand_times_level_set(image, truth, spacing, 3.0))] if quick else weak_labels(image, truth, spacing):
            for told, found in shares.items():
                found.append(run(f"{name}, {kind}", image, truth, weak, spacing, told=told))
        for told, found in shares.items():
            print(f"{name}, {'label before known' if told else 'label before lost'}: {summary(found)}")


def tune(hippocampus: Path | None, scans: Path | None) -> None:
    """The cases the settings were chosen on."""
    for told in (True, False):
        shares = [run(name, image, truth, weak, spacing, told=told) for name, image, truth, weak, spacing in tuning_cases(hippocampus, scans)]
        print(f"{'label before known' if told else 'label before lost'}: {summary(shares)}")


def summary(shares: list[float]) -> str:
    """For people; a loss of more than all that was missing counts as one."""
    many, worse = np.mean(np.array(shares) >= THIRD), sum(share < 0 for share in shares)
    mean, least = np.clip(shares, -1, 1).mean(), min(shares)
    return f"gained {mean:+.2f} on average, a third or more in {many:.0%}, worst {least:+.2f}, worse than before in {worse} of {len(shares)}"


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--tuning", action="store_true")
    options.add_argument("--hippocampus", type=Path, default=os.environ.get("MEDSEG_HIPPOCAMPUS"))
    options.add_argument("--scans", type=Path)
    chosen = options.parse_args()
    if chosen.tuning:
        tune(Path(chosen.hippocampus) if chosen.hippocampus else None, chosen.scans)
    else:
        main(chosen.quick)
