"""Weak labels against their baselines on the sample scans: `python benchmarks/weaklabel.py [--data FOLDER]`.

Five seeds and a hand mask from the simulated annotator, default settings, no parameter per case. The baselines are measured in the same run.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage as ndi

from napari_medseg.catalogue import shipped
from napari_medseg.testing import annotator
from napari_medseg.weaklabel.levelset import LevelSetSettings, evolve
from napari_medseg.weaklabel.scribble import grow, whole

CASES = {"brain1": ("brain1_t1gd.nii.gz", "brain1_tumour.nii.gz"), "lung2": ("lung2_crop_ct.nii.gz", "lung2_crop_tumour.nii.gz")}
CLOSE = sitk.BinaryMorphologicalClosing


def dice(a, b):
    """Overlap of two masks."""
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


def load(folder: Path, image: str, truth: str):
    """Scan and truth as arrays, and the spacing (z, y, x)."""
    scan, mask = sitk.ReadImage(str(folder / image)), sitk.ReadImage(str(folder / truth))
    return sitk.GetArrayFromImage(scan), sitk.GetArrayFromImage(mask) > 0, scan.GetSpacing()[::-1]


def threshold_level_set(image, seeds, spacing, deviations):
    """The baseline: ITK's threshold level set from balls at the seeds, between robust SDs of their surroundings."""
    near = np.zeros(image.shape, bool)
    near[tuple(seeds.T)] = True
    distance = ndi.distance_transform_edt(~near, sampling=spacing)
    values = image[distance <= 3]
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))
    start, feature = (sitk.GetImageFromArray(a.astype(np.float32)) for a in (distance - 3, image))
    for each in (start, feature):
        each.SetSpacing(spacing[::-1])
    flow = sitk.ThresholdSegmentationLevelSetImageFilter()
    flow.SetLowerThreshold(float(middle - deviations * spread))
    flow.SetUpperThreshold(float(middle + deviations * spread))
    flow.SetNumberOfIterations(500)
    flow.SetMaximumRMSError(0.002)
    return sitk.GetArrayFromImage(flow.Execute(start, feature)) < 0


def ours(image, seeds, spacing, limit, settings):
    """The project's weak label: mask, last step, seconds to the first update and in all, number of updates."""
    began = time.perf_counter()
    running = evolve(image, seeds, spacing, settings, limit=limit)
    steps = [next(running)]
    first = time.perf_counter() - began
    steps += running
    return steps[-1].mask, steps[-1], first, time.perf_counter() - began, len(steps)


def report(name: str, image, truth, spacing) -> None:
    """Print every figure of one case."""
    seeds, hand = annotator.seeds(truth, spacing), annotator.hand_mask(truth, spacing)
    print(f"\n{name}: hand mask alone {dice(hand, truth):.3f}")
    for deviations in (2, 3, 4):
        alone = threshold_level_set(image, seeds, spacing, deviations)
        closed = sitk.GetArrayFromImage(CLOSE(sitk.GetImageFromArray((alone & hand).astype(np.uint8)), (1, 1, 0))) > 0
        print(f"  threshold level set, {deviations} SD: alone {dice(alone, truth):.3f}, times hand mask, closed {dice(closed & hand, truth):.3f}")
    plane = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)
    eroded = [dice(ndi.binary_erosion(hand, plane, iterations=n) if n else hand, truth) for n in range(7)]
    print("  hand mask eroded by 0-6 pixels: " + " ".join(f"{v:.3f}" for v in eroded))
    for label, settings in {
        "default": LevelSetSettings(), "from the seeds": LevelSetSettings(start="seeds"), "edge": LevelSetSettings(method="edge"),
        "no trust in the hand": LevelSetSettings(hand_trust=0.0),
    }.items():
        mask, last, first, seconds, updates = ours(image, seeds, spacing, hand, settings)
        people = range(1 if settings.method == "edge" else 10)  # the edge front is slow
        sloppy = [dice(ours(image, seeds, spacing, annotator.sloppy_mask(truth, spacing, s), settings)[0], truth) for s in people]
        print(
            f"  {label}: {dice(mask, truth):.3f}; {len(people)} sloppy masks {np.mean(sloppy):.3f} ({min(sloppy):.3f}-{max(sloppy):.3f}); "
            f"{last.method}, {last.stopped_because}, {updates} updates, first after {first:.2f} s, all in {seconds:.1f} s"
        )
    raw = [dice(annotator.sloppy_mask(truth, spacing, s), truth) for s in range(10)]
    print(f"  sloppy masks alone: {np.mean(raw):.3f} ({min(raw):.3f}-{max(raw):.3f})")
    mask, last, *_ = ours(image, seeds, spacing, None, LevelSetSettings())
    print(f"  seeds alone: {dice(mask, truth):.3f}; {last.message}")
    strokes, figures = annotator.first_strokes(truth, spacing), []
    began = time.perf_counter()
    for _ in range(6):
        *_, growth = grow(image, strokes, spacing)
        labels = whole(growth, truth.shape) > 0
        figures.append(dice(labels, truth))
        annotator.stroke(strokes, truth, labels)
    print(f"  scribbles after 1-6 strokes: {' '.join(f'{v:.3f}' for v in figures)}; {(time.perf_counter() - began) / 6:.1f} s each")


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=shipped("sample_data"))
    folder = options.parse_args().data
    for name, files in CASES.items():
        report(name, *load(folder, *files))


if __name__ == "__main__":
    main()
