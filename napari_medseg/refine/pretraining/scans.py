"""Unlabelled scans on the network's grid, and windows of them; memory and disk stay bounded however many there are.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor

from napari_medseg.errors import InvalidInputError
from napari_medseg.io import read
from napari_medseg.refine.pretraining.request import Scan
from napari_medseg.segmenters.volumetric.fingerprint import SAMPLES, SHARES, ChannelFacts, Fingerprint
from napari_medseg.segmenters.volumetric.grid import Way
from napari_medseg.segmenters.volumetric.plan import VolumetricPlan
from napari_medseg.volume import Array, FloatArray, Shape, Volume, axis_map

ROOM = 0.3  # of the free memory that the scans may take before they are kept in files
VOXELS = 2**30  # values of all scans together that are kept, about
LEAST, MOST = 0.25, 1.0  # deviations of the grey values: less noise than that is taken away without looking at what lies around, more hides the scan
MAD = 0.6745  # of a deviation, that half of all normal values stay within


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What a set of scans looks like.

    Attributes
    ----------
    facts : Fingerprint
        Of the set; nothing is labelled, so the size of the object is that of the scan.
    modalities : tuple of str
    images : tuple of Volume, Path or Source
        That can be learnt from.
    left_out : tuple of str
        Names of those that hold a single value, or none.
    """

    facts: Fingerprint
    modalities: tuple[str, ...]
    images: tuple[Scan, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Unlabelled:
    """A scan on the network's grid.

    Attributes
    ----------
    image : float16 (c, z, y, x)
        At mean 0 and deviation 1; 0 where there is no number.
    known : bool (z, y, x) or None
        Where there is a number; None for everywhere.
    noise : float32 (c,)
        Deviation of its noise.
    """

    image: Tensor
    known: Tensor | None
    noise: Tensor


def survey(images: Sequence[Scan]) -> Generator[int, None, Survey]:
    """Look at each scan once; yields how many it has seen.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When one cannot be read.
    InvalidInputError
        When they differ in channels, or none holds two values.
    """
    shapes, spacings, some, modalities, kept, odd = [], [], [], set(), [], []
    ct, channels = True, 0
    for index, source in enumerate(images, 1):
        image = volume_of(source)
        if channels and image.channels != channels:
            what = f"has {image.channels} channel{'s' if image.channels > 1 else ''}, but the scans before it have {channels}"
            raise InvalidInputError(what, where=image.name or f"scan {index}", todo="Pre-train on scans of one kind together")
        channels = image.channels
        values = _some(image)
        if values is None:
            odd.append(image.name or f"scan {index}")
        else:
            turned = axis_map(image.geometry).geometry(image.geometry)
            shapes.append(turned.shape)
            spacings.append(turned.spacing)
            some.append(values)
            modalities |= {image.modality} - {""}
            ct &= image.modality == "CT" or image.units == "HU"
            kept.append(source)
        yield index
    if not kept:
        raise InvalidInputError("no scan holds more than a single value", where="pre-training", todo="Choose scans that show something")
    spacing = tuple(float(v) for v in np.median(spacings, axis=0))
    shape = tuple(int(n) for n in np.median(shapes, axis=0))
    facts = Fingerprint(
        cases=len(kept), shape=shape, spacing=spacing, channels=[_facts([each[c] for each in some]) for c in range(channels)],  # type: ignore[arg-type]
        normalise="set" if ct else "z-score", object_mm3=float(np.prod(shape) * np.prod(spacing)), share=[0.5],
    )
    return Survey(facts, tuple(sorted(modalities)), tuple(kept), tuple(odd))


def prepared(images: Sequence[Scan], plan: VolumetricPlan, seed: int, folder: Path) -> Generator[int, None, list[Unlabelled]]:
    """Bring the scans, or a piece of each where they are many or large, to the network's grid; yields how many are.

    What does not fit well into the memory is kept in files of `folder`.
    """
    rng = np.random.default_rng(seed)
    most = max(VOXELS // (len(images) * plan.network.in_channels), int(np.prod(plan.patch)))
    held, found = 0, []
    for index, source in enumerate(images, 1):
        image = volume_of(source)
        way = Way.of(image.geometry, plan)
        whole = way.image(image, plan.fingerprint)
        finite = np.isfinite(image.array).reshape(image.channels, *image.geometry.shape)
        known = None if finite.all() else way.levels(np.asarray(finite.all(axis=0)))
        box = _piece(way.shape, plan.patch, most, rng)
        piece = whole[(slice(None), *box)]
        held += 2 * piece.size
        on_disk = held > ROOM * psutil.virtual_memory().available
        found.append(Unlabelled(
            _kept(piece, folder if on_disk else None), None if known is None else torch.from_numpy(known[box].astype(bool)),
            torch.tensor([noise_of(channel, plan.spacing) for channel in piece], dtype=torch.float32),
        ))
        yield index
    return found


def noise_of(channel: FloatArray, spacing: tuple[float, float, float]) -> float:
    """Deviation of the noise of a scan (z, y, x), in its own units.

    From what is left of neighbours in a plane when all that is straight is taken away, (a - b - c + d) / 2: half of all such differences lie within 0.6745
    deviations (Donoho and Johnstone, Biometrika 1994). Where nothing changes at all, as in a background that was set to 0, nothing is counted.
    """
    first, second = sorted(np.argsort(spacing, kind="stable")[:2])
    if min(channel.shape[first], channel.shape[second]) < 2:
        return 0.0
    planes = np.moveaxis(channel, (int(first), int(second)), (-2, -1))
    planes = planes[:: max(1, planes.size // 4_000_000)]
    detail = (planes[..., :-1, :-1] - planes[..., 1:, :-1] - planes[..., :-1, 1:] + planes[..., 1:, 1:]) / 2
    changing = np.abs(detail[detail != 0])
    return float(np.median(changing) / MAD) if changing.size else 0.0


def window(scan: Unlabelled, patch: Shape, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random window (c, *patch) of a scan, float32, and where it shows the scan (1, *patch); 0 outside."""
    shape = scan.image.shape[1:]
    image, counted = torch.zeros(len(scan.image), *patch), torch.zeros(1, *patch)
    source, target = [], []
    for n, side in zip(shape, patch, strict=True):
        low = int(torch.randint(max(1, n - side + 1), (), generator=generator))
        before = max(0, side - n) // 2
        source.append(slice(low, low + min(n, side)))
        target.append(slice(before, before + min(n, side)))
    image[(slice(None), *target)] = scan.image[(slice(None), *source)].float()
    counted[(slice(None), *target)] = 1.0 if scan.known is None else scan.known[tuple(source)].float()
    return image, counted


def volume_of(source: Scan) -> Volume:
    """The scan, read where it lies on the disk.

    Raises
    ------
    MissingFileError, UnreadableFileError
    """
    if isinstance(source, Volume):
        return source
    if isinstance(source, Path):
        return read(source)
    found = read(source.path, series=source.series or None)
    return found.like(found.channel(0)) if source.first and found.array.ndim > 3 else found


def _some(image: Volume) -> list[Array] | None:
    """Some usable values of each channel, evenly drawn; None where no channel has two that differ."""
    found = []
    for channel in image.array.reshape(image.channels, -1):
        values = channel[:: -(-channel.size // SAMPLES)].astype(np.float64)
        found.append(values[np.isfinite(values)])
    return found if any(len(values) and np.ptp(np.percentile(values, (SHARES[0] / 5, 100 - SHARES[0] / 5))) > 0 for values in found) else None


def _facts(values: Sequence[Array]) -> ChannelFacts:
    """Of the set: of the brighter half of the reach of its values, which in CT is the body without the air; no label says what is looked for."""
    every = np.concatenate(values)
    if not len(every):
        return ChannelFacts(low=0.0, high=0.0, mean=0.0, sd=1.0)
    body = every[every >= np.mean(np.percentile(every, SHARES))]
    low, high = np.percentile(body, SHARES)
    sd = float(np.clip(body, low, high).std())
    return ChannelFacts(low=float(low), high=float(high), mean=float(body.mean()), sd=sd if sd > 0 else 1.0)


def _piece(shape: Shape, patch: Shape, most: int, rng: np.random.Generator) -> tuple[slice, slice, slice]:
    """All of a scan, or a random piece of at most so many voxels, no smaller than a patch."""
    sides = np.array(shape)
    least = np.minimum(patch, shape)
    while np.prod(sides) > most and (sides > least).any():
        longest = int(np.where(sides > least, sides, 0).argmax())
        sides[longest] = max(least[longest], int(sides[longest] * 0.8))
    low = [int(rng.integers(n - side + 1)) for n, side in zip(shape, sides, strict=True)]
    z, y, x = (slice(start, start + int(side)) for start, side in zip(low, sides, strict=True))
    return z, y, x


def _kept(array: FloatArray, folder: Path | None) -> Tensor:
    if folder is None:
        return torch.from_numpy(array.astype(np.float16))
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".npy", delete=False) as file:
        name = Path(file.name)
    held = np.lib.format.open_memmap(name, "w+", np.float16, array.shape)
    held[...] = array
    return torch.from_numpy(held)
