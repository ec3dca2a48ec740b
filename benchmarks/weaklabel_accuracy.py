"""How well: five seeds and hand masks of the simulated annotator, default settings, no parameter per case; the image-free erosions in the same run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi
from weaklabel_scenes import CASES, dice, load

from napari_medseg.testing import annotator
from napari_medseg.weaklabel.levelset import LevelSetSettings, evolve

PEOPLE = range(10)
PIXELS = range(7)
SETTINGS = {"default": LevelSetSettings(), "from the seeds": LevelSetSettings(start="seeds"), "edges": LevelSetSettings(method="edge")}
PLUS = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)


def report(folder: Path, cases: Collection[str] = tuple(CASES)) -> None:
    """Print it."""
    print("\n== Accuracy (Dice): five seeds and a hand mask; sloppy: the mean of ten hand masks (range)")
    for name, files in ((name, files) for name, files in CASES.items() if name in cases):
        image, truth, spacing = load(folder, *files)
        seeds = annotator.seeds(truth, spacing)
        hand, sloppy = annotator.hand_mask(truth, spacing), [annotator.sloppy_mask(truth, spacing, person) for person in PEOPLE]
        print(f"\n{name}: hand mask alone {dice(hand, truth):.3f}; sloppy ones alone {_spread([dice(mask, truth) for mask in sloppy])}")
        regular = [dice(_eroded(hand, n), truth) for n in PIXELS]
        blind = [np.mean([dice(_eroded(mask, n), truth) for mask in sloppy]) for n in PIXELS]
        print("  hand mask eroded slice by slice by 0-6 pixels: " + " ".join(f"{value:.3f}" for value in regular))
        print("  sloppy masks eroded likewise, mean of ten:     " + " ".join(f"{value:.3f}" for value in blind))
        for words, settings in SETTINGS.items():
            figures = [dice(_last(image, seeds, spacing, settings, mask).mask, truth) for mask in sloppy]
            last = _last(image, seeds, spacing, settings, hand)
            print(
                f"  {words}: sloppy {_spread(figures)}, {np.mean(figures) - max(blind):+.3f} on the best erosion; regular {dice(last.mask, truth):.3f}; "
                f"{last.method}, {last.stopped_because}", flush=True
            )
        last = _last(image, seeds, spacing, LevelSetSettings(), None)
        print(f"  seeds alone, nothing painted: {dice(last.mask, truth):.3f}; {last.stopped_because}: {last.message}")


def _spread(values) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def _eroded(mask, pixels: int):
    return ndi.binary_erosion(mask, PLUS, iterations=pixels) if pixels else mask


def _last(image, seeds, spacing, settings, limit):
    *_, last = evolve(image, seeds, spacing, settings, limit=limit)
    return last
