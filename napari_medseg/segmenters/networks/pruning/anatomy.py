"""What of a network can go: its units, where each of them lies in the tensors, and the work that is left when some are gone.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from napari_medseg.segmenters.networks.pruning.record import Kept
from napari_medseg.segmenters.networks.pruning.tracing import Trace, watch
from napari_medseg.segmenters.networks.pruning.units import Units
from napari_medseg.volume import Array

STAYS = -1

@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A layer's work: `each` operations for a pair of channels, of which so many come in and go out, in groups."""

    weight: str
    axis: int
    before: Array | None
    after: Array | None
    full: tuple[int, int]
    groups: int
    each: int


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """The units of a network that can go, numbered from 0.

    Attributes
    ----------
    layers : tuple of int arrays
        The units that each layer makes, where one makes any.
    families : int (units,)
        Units that some layer makes together, through others too, are of one family.
    tensors : by name, for each axis the unit of every place
        `STAYS` where nothing can go; None for an axis that stays whole.
    bare : channels of norms without weights, by the module's name
    products : tuple of Product
    """

    layers: tuple[Array, ...]
    families: Array
    tensors: Mapping[str, tuple[Array | None, ...]]
    bare: Mapping[str, Array]
    products: tuple[Product, ...]

    @property
    def count(self) -> int:
        """Units that can go."""
        return len(self.families)

    def work(self, keep: Array | None = None) -> int:
        """Floating-point operations of convolutions and matrix products for the window that was watched, with these units, bool (units,), alone.

        Two for each multiplication with its addition, as is customary; norms and activations are left out.
        """
        total = 0
        for product in self.products:
            came, goes = _left(product.before, product.full[0], keep), _left(product.after, product.full[1], keep)
            groups = max(1, product.groups * goes // product.full[1])
            total += product.each * came * goes // groups
        return total

    def places(self, keep: Array) -> Iterator[tuple[str, list[Array | None]]]:
        """Of each tensor that is cut the places that stay along each axis, int (n,); None for all of them. `keep` is bool (units,)."""
        for name, axes in self.tensors.items():
            left = [None if axis is None else np.flatnonzero(_stay(axis, keep)) for axis in axes]
            cut = [None if axis is None or some is None or len(some) == len(axis) else some for some, axis in zip(left, axes, strict=True)]
            if any(some is not None for some in cut):
                yield name, cut

    def shapes(self, keep: Array) -> Kept:
        """The record of a cut to some units, bool (units,)."""
        kept: Kept = {name: [0 if some is None else len(some) for some in axes] for name, axes in self.places(keep)}
        for name, channels in self.bare.items():
            left = int(_stay(channels, keep).sum())
            if left < len(channels):
                kept[name] = [left]
        return kept


def _stay(units: Array, keep: Array) -> Array:
    return np.where(units == STAYS, True, keep[units]) if len(keep) else np.ones(len(units), bool)


def _left(units: Array | None, full: int, keep: Array | None) -> int:
    return full if units is None or keep is None else int(_stay(units, keep).sum())


def anatomy(network: nn.Module, windows: Tensor) -> Anatomy:
    """Watch a network answer one window (1, channels, ...), and say what of it can go.

    A unit can go when a layer makes it and only products with weights take it: whatever reads it loses the weights that read it, and nothing else changes.
    What leaves the network, is reshaped into something else, normalised across channels or spread over others stays.
    """
    trace = watch(network, windows)
    made, taken = _both(trace)
    free = sorted(unit for unit in made & taken if not trace.units.is_pinned(unit))
    number = {unit: index for index, unit in enumerate(free)}

    def numbered(channels: Array | None) -> Array | None:
        if channels is None:
            return None
        units = np.array([number.get(int(unit), STAYS) for unit in trace.units.roots(channels)], np.int64)
        return units if (units != STAYS).any() else None

    found = {name: tuple(numbered(axis) for axis in axes) for name, axes in trace.tensors.items()}
    bare = {name: units for name, channels in trace.bare.items() if (units := numbered(channels)) is not None}
    products = tuple(Product(u.weight, u.axis, numbered(u.before), numbered(u.after), u.full, u.groups, u.each) for u in trace.uses)
    layers = tuple(np.unique(p.after[p.after != STAYS]) for p in products if p.after is not None)
    cut = {name: axes for name, axes in found.items() if any(axis is not None for axis in axes)}
    return Anatomy(layers, _families(len(free), layers), cut, bare, products)


def _families(count: int, layers: Sequence[Array]) -> Array:
    together = Units()
    together.fresh(count)
    for units in layers:
        together.join(units[:-1], units[1:])
    return np.unique(together.roots(np.arange(count)), return_inverse=True)[1]


def _both(trace: Trace) -> tuple[set[int], set[int]]:
    """Units that a layer makes, and units that weights take in."""
    made: set[int] = set()
    taken: set[int] = set()
    for use in trace.uses:
        if use.after is not None:
            made.update(trace.units.roots(use.after).tolist())
        if use.before is not None and use.groups == 1:
            taken.update(trace.units.roots(use.before).tolist())
    return made, taken
