"""Every tool run once on next to nothing, so that its loops are compiled, or loaded from the disk, before a person waits for them."""

from __future__ import annotations

import numpy as np

SIDE = 24


def warm() -> None:
    """Press the limit brush, whose first stroke cannot wait; then run a tiny level set, tiny scribbles, a tiny clean-up and interpolation."""
    from napari_medseg.weaklabel.soft_brush import stamp

    stamp(np.zeros((SIDE, SIDE, SIDE), np.uint8), (2.0, 2.0, 2.0), 3.0, (1.0, 1.0, 1.0))
    from napari_medseg.weaklabel.cleanup import clean
    from napari_medseg.weaklabel.cleanup_steps import Fill, Grow, RemoveSmall, Smooth
    from napari_medseg.weaklabel.interpolate import interpolate
    from napari_medseg.weaklabel.levelset import LevelSet
    from napari_medseg.weaklabel.scribble import grow
    from napari_medseg.weaklabel.settings import LevelSetSettings

    scan, middle = _ball(), SIDE // 2
    front = LevelSet(scan, (1.0, 1.0, 1.0), LevelSetSettings(iterations=30, device="cpu"), seeds=[(middle, middle, middle)])
    for _ in front:
        pass
    strokes = np.zeros(scan.shape, np.uint8)
    strokes[middle, middle, middle - 2:middle + 3] = 1
    strokes[middle, 1, 1:-1] = 255
    for _ in grow(scan, strokes, (1.0, 1.0, 1.0)):
        pass
    ball = (scan > 50).astype(np.uint8)
    clean(ball, (1.0, 1.0, 1.0), [Fill(), RemoveSmall(0.001), Smooth(1.0), Grow(1.0)])
    interpolate(ball, [middle - 1, middle + 1], spacing=(1.0, 1.0, 1.0), image=scan)


def _ball() -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """A bright ball in noise."""
    axes = np.ogrid[:SIDE, :SIDE, :SIDE]
    away = sum((axis - SIDE / 2) ** 2 for axis in axes)
    noise = np.random.default_rng(0).normal(0, 5, (SIDE, SIDE, SIDE))
    return (np.where(away < (SIDE / 4) ** 2, 100, 0) + noise).astype(np.float32)
