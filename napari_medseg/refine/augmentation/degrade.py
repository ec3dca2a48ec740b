"""A scan as a worse scanner would have made it: blurred, in thick slices, noisy, with uneven brightness, at a low dose.

Only images go in and out: nothing here moves a voxel, so targets stay where they are. Images are as networks see them, at mean 0 and deviation 1; where a
signal above 0 is needed (Rician noise, a coil's bias, counts) it is taken from the darkest voxel up.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor
from torch.nn import functional as nnf

BLUR = (0.4, 1.2)  # voxels of the finest axis: deviation of the Gaussian
THICK = (1.5, 4.0)  # times thicker slices
NOISE = (0.03, 0.25)  # deviations of the scan
BIAS = 0.25  # deviation of the bias, natural log
ALIKE = 0.99  # of the coarsest axis, and an axis is as coarse
KNOTS = 3  # of the bias, along each axis
MR = ("blur", "thick", "rician", "bias")
COUNTS = ("blur", "thick", "low dose")
PLAIN = ("blur", "thick", "noise")


def kinds_for(modalities: Collection[str]) -> tuple[str, ...]:
    """Degradations that scanners of these modalities make; plain noise where they are unknown or several."""
    if modalities and all(one == "MR" for one in modalities):
        return MR
    return COUNTS if modalities and all(one in ("CT", "PT", "NM", "CR", "DX", "MG", "RF", "XA") for one in modalities) else PLAIN


def degraded(images: Tensor, generator: torch.Generator, *, chance: float, kinds: Sequence[str] = PLAIN, spacing: Sequence[float] | None = None) -> Tensor:
    """Each image of a batch with each kind of degradation by chance, all its channels alike but for the noise.

    Parameters
    ----------
    images : (n, c, [z,] y, x)
    generator : of the processor
    chance : float
        Of each kind, 0-1.
    kinds : of "blur", "thick", "noise", "rician", "low dose", "bias"
        Taken in the order in which a scanner does it, whatever their order here.
    spacing : mm a voxel along each axis, optional
    """
    mm = [1.0] * (images.ndim - 2) if spacing is None else list(spacing)
    made = []
    for image in images:
        for kind, work in WORKS.items():
            if kind in kinds and torch.rand((), generator=generator) < chance:
                image = work(image, mm, generator)
        made.append(image)
    return torch.stack(made)


def blurred(image: Tensor, mm: Sequence[float], generator: torch.Generator) -> Tensor:
    """A wider point-spread on an image (c, [z,] y, x), alike in mm along all axes; edges are continued."""
    width = _between(BLUR, generator) * min(mm)
    for axis, side in enumerate(mm, start=1):
        deviation = width / side
        reach = min(int(3 * deviation + 0.5), image.shape[axis] - 1)
        if reach < 1:
            continue
        at = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
        kernel = torch.exp(-0.5 * (at / deviation) ** 2)
        lines = image.movedim(axis, -1)
        wide = nnf.pad(lines.reshape(-1, 1, lines.shape[-1]), (reach, reach), mode="replicate")
        image = nnf.conv1d(wide, (kernel / kernel.sum())[None, None]).reshape(lines.shape).movedim(-1, axis)
    return image


def thick(image: Tensor, mm: Sequence[float], generator: torch.Generator) -> Tensor:
    """Thicker slices along the coarsest axis (any, where all are alike), each the mean of what it covers, read between their middles.

    The image is (c, [z,] y, x).
    """
    long = {axis: side for axis, side in enumerate(mm, start=1) if image.shape[axis] > 1}
    coarsest = [axis for axis, side in long.items() if side >= ALIKE * max(long.values())]
    if not coarsest:
        return image
    axis = coarsest[int(torch.randint(len(coarsest), (), generator=generator))]
    few = max(1, round(image.shape[axis] / _between(THICK, generator)))
    lines = image.movedim(axis, -1)
    slices = nnf.interpolate(lines.reshape(1, -1, lines.shape[-1]), size=few, mode="area")
    return nnf.interpolate(slices, size=lines.shape[-1], mode="linear", align_corners=False).reshape(lines.shape).movedim(-1, axis)


def noisy(image: Tensor, mm: Sequence[float], generator: torch.Generator) -> Tensor:
    """Gaussian noise on an image (c, [z,] y, x)."""
    return image + _between(NOISE, generator) * _normal(image, generator)


def rician(image: Tensor, mm: Sequence[float], generator: torch.Generator) -> Tensor:
    """The length of a signal with Gaussian noise in both its parts, as MR makes it (Gudbjartsson and Patz, 1995).

    The image is (c, [z,] y, x).
    """
    floor, level = image.amin(), _between(NOISE, generator)
    real = image - floor + level * _normal(image, generator)
    return (real**2 + (level * _normal(image, generator)) ** 2).sqrt() + floor


def low_dose(image: Tensor, mm: Sequence[float], generator: torch.Generator) -> Tensor:
    """Noise that grows with the root of the signal, as counts have it (its Gaussian limit, so that it is the same on every device).

    The image is (c, [z,] y, x).
    """
    floor = image.amin()
    signal = image - floor
    return image + _between(NOISE, generator) * (signal / signal.mean().clamp(min=1e-6)).sqrt() * _normal(image, generator)


def biased(image: Tensor, mm: Sequence[float], generator: torch.Generator) -> Tensor:
    """A coil that receives some places better: the signal times a smooth field, on an image (c, [z,] y, x)."""
    axes = image.ndim - 1
    knots = torch.randn((1, 1, *[KNOTS] * axes), generator=generator) * BIAS
    field = nnf.interpolate(knots, size=image.shape[1:], mode="trilinear" if axes == 3 else "bilinear", align_corners=True)[0]
    floor = image.amin()
    return (image - floor) * field.to(image).exp() + floor


WORKS = {"bias": biased, "blur": blurred, "thick": thick, "rician": rician, "low dose": low_dose, "noise": noisy}
"""What a scanner does, in its order."""


def _between(ends: tuple[float, float], generator: torch.Generator) -> float:
    return ends[0] + (ends[1] - ends[0]) * float(torch.rand((), generator=generator))


def _normal(image: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(image.shape, generator=generator).to(image)
