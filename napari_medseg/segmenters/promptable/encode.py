"""What the promptable network sees: an image window and its prompts, as channels. Training and use share this one function.

Beside the plain maps of the prompts there are channels that say what follows from them: how likely each voxel's intensity is beneath the positive prompts
and beneath the negative ones (histograms, as in Boykov and Jolly, ICCV 2001), and how near it is to either along paths that avoid edges (exponential
geodesic distance: Luo et al., "MIDeepSeg", Medical Image Analysis 72, 2021; Criminisi et al., 2010). Likelihoods and geodesics do not change when the
image is scaled, shifted or inverted.

All is on the working grid: a window of `WINDOW` voxels a side (any multiple of 8 goes), padded with its edge voxels where the scan ends, its prompts
anywhere in it.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from napari_medseg.segmenters.promptable.geodesic import geodesic

WINDOW = 48
CHANNELS = (
    "image",
    "image against positives",
    "likelihood beneath positives",
    "likelihood beneath negatives",
    "log ratio of likelihoods",
    "positive points",
    "negative points",
    "positive strokes",
    "negative strokes",
    "positive areas",
    "negative areas",
    "previous",
    "near positives",
    "near negatives",
    "nearer to positives",
)
FADE = 0.98
"""Each prompt weighs this much of the next newer one."""

RADIUS = 1.5  # standard deviation of a point's ball, voxels
SEEDED = 0.5  # a point or stroke at least this strong seeds the distances
BINS, REACH, BAND = 64, 4.0, 0.2  # histograms: bins over -REACH .. REACH window deviations, smoothed by BAND deviations
RARE = 0.02  # likelihood, of a flat histogram's, below which two rare intensities count as alike
NEAR = 1.0  # geodesic distance at which nearness has fallen to 1/e; across a flat window it is 2.4


@dataclass
class Marks:
    """Prompts on the working grid: maps of 0..1, float32, (z, y, x) or with leading batch axis, like the image; newest prompts 1, older ones `FADE` each."""

    positive_points: Tensor
    negative_points: Tensor
    positive_strokes: Tensor
    negative_strokes: Tensor
    positive_areas: Tensor
    negative_areas: Tensor
    previous: Tensor

    @classmethod
    def none(cls, shape: Sequence[int], device: torch.device | str = "cpu") -> Marks:
        """No prompt at all."""
        return cls(*(torch.zeros(tuple(shape), device=device) for _ in fields(cls)))

    def stacked(self) -> Tensor:
        """Channels (..., 7, z, y, x), in the order of the fields."""
        return torch.stack([getattr(self, field.name) for field in fields(self)], dim=-4)

    @classmethod
    def batch(cls, marks: Sequence[Marks]) -> Marks:
        """Several windows' prompts as one."""
        return cls(*(torch.stack([getattr(one, field.name) for one in marks]) for field in fields(cls)))


def add_point(points: Tensor, at: Sequence[float]) -> None:
    """Put a new point into a map (z, y, x), in place, as a ball at voxel coordinates `at`; what was there fades."""
    points *= FADE
    ball = torch.ones((), device=points.device)
    for axis, (length, centre) in enumerate(zip(points.shape, at, strict=True)):
        offset = torch.arange(length, device=points.device) - float(centre)
        shape = [1, 1, 1]
        shape[axis] = length
        ball = ball * torch.exp(-0.5 * (offset / RADIUS) ** 2).reshape(shape)
    torch.maximum(points, torch.where(ball > 0.01, ball, 0.0), out=points)


def encode(image: Tensor, marks: Marks, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> Tensor:
    """A window and its prompts as the network's input.

    Parameters
    ----------
    image : Tensor, (z, y, x) or (n, z, y, x) float32
        Any unit.
    marks : Marks
        On the same grid.
    spacing : three of float
        Of the working grid, mm.

    Returns
    -------
    Tensor, (15, z, y, x) or (n, 15, z, y, x) float32
        The channels in `CHANNELS`.
    """
    if image.ndim == 3:
        return encode(image[None], Marks.batch([marks]), spacing)[0]
    with torch.autocast(image.device.type, enabled=False):  # the network may run in half precision, its input never
        plain = normalise(image)
        prompts = marks.stacked()
        positive = torch.maximum(prompts[:, 0], prompts[:, 2])
        negative = torch.maximum(prompts[:, 1], prompts[:, 3])
        return torch.cat([_intensities(plain, positive, negative), prompts, _distances(plain, positive, negative, spacing)], dim=1)


def normalise(image: Tensor) -> Tensor:
    """Windows (n, z, y, x) with mean 0 and deviation 1 after the outermost 0.5 % on either side are clipped."""
    sample = image[:, ::2, ::2, ::2].flatten(1)
    sample = torch.where(torch.isfinite(sample), sample, 0.0).sort(dim=1).values
    cut = sample.shape[1] // 200
    shape = (-1, 1, 1, 1)
    low, high = sample[:, cut].reshape(shape), sample[:, -1 - cut].reshape(shape)
    clipped = torch.where(torch.isfinite(image), image, low).clamp(low, high)
    centred = clipped - clipped.mean(dim=(1, 2, 3), keepdim=True)
    deviation = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return torch.where(deviation > 0, centred / deviation.clamp_min(torch.finfo(torch.float32).tiny), 0.0)


def _intensities(plain: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """The first five channels. A side without prompts: no likelihood; the window's own histogram stands for the background's in the ratio."""
    inside = _histogram(plain, positive)
    everywhere = _histogram(plain, torch.ones_like(plain))
    outside = _histogram(plain, negative)
    seen_inside, seen_outside = _seen(positive), _seen(negative)
    beneath = torch.where(seen_outside[:, 0, 0], outside, everywhere)
    ratio = torch.log((inside + RARE) / (beneath + RARE))
    level = (plain * positive).sum(dim=(1, 2, 3), keepdim=True) / positive.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)
    channels = [
        plain,
        (plain - level) * seen_inside,
        _look_up(inside / inside.amax(dim=1, keepdim=True).clamp_min(1e-6), plain) * seen_inside,
        _look_up(outside / outside.amax(dim=1, keepdim=True).clamp_min(1e-6), plain) * seen_outside,
        _look_up(ratio, plain) * seen_inside / 2,
    ]
    return torch.stack(channels, dim=1)


def _seen(prompts: Tensor) -> Tensor:
    return prompts.amax(dim=(1, 2, 3), keepdim=True) > 0


def _histogram(plain: Tensor, weights: Tensor) -> Tensor:
    """Weighted histograms (n, BINS) of windows, smoothed; 1 where it is as high as a flat one."""
    place = ((plain + REACH) * ((BINS - 1) / (2 * REACH))).clamp(0, BINS - 1).flatten(1)
    lower = place.floor().clamp(max=BINS - 2)
    share = place - lower
    index, mass = lower.long(), weights.flatten(1)
    counts = torch.zeros(len(plain), BINS, device=plain.device)
    counts.scatter_add_(1, index, mass * (1 - share)).scatter_add_(1, index + 1, mass * share)
    apart = torch.arange(BINS, device=plain.device) * (2 * REACH / (BINS - 1))
    kernel = torch.exp(-0.5 * ((apart[:, None] - apart) / BAND) ** 2)
    smoothed = counts @ (kernel / kernel.sum(dim=1, keepdim=True))
    return smoothed / smoothed.sum(dim=1, keepdim=True).clamp_min(1e-6) * BINS


def _look_up(table: Tensor, plain: Tensor) -> Tensor:
    """The value of each voxel's bin, between bins linearly."""
    place = ((plain + REACH) * ((BINS - 1) / (2 * REACH))).clamp(0, BINS - 1).flatten(1)
    lower = place.floor().clamp(max=BINS - 2)
    share = place - lower
    index = lower.long()
    return torch.lerp(table.gather(1, index), table.gather(1, index + 1), share).reshape(plain.shape)


def _distances(plain: Tensor, positive: Tensor, negative: Tensor, spacing: Sequence[float]) -> Tensor:
    """The last three channels, worked out on every second voxel: pooling takes the noise that would lengthen the paths."""
    coarse = functional.avg_pool3d(plain[:, None], 2)[:, 0]
    seeds = functional.max_pool3d(torch.stack([positive, negative], dim=1), 2) >= SEEDED
    distance = geodesic(coarse, seeds, spacing, length_cost=0.1)
    near = torch.exp(-distance / NEAR)
    bounded = distance.clamp(max=4 * NEAR) + 0.05
    nearer = bounded[:, 1:] / bounded.sum(dim=1, keepdim=True)
    nearer = torch.where(_seen(positive)[:, None], nearer, 0.0)
    return functional.interpolate(torch.cat([near, nearer], dim=1), scale_factor=2, mode="trilinear")
