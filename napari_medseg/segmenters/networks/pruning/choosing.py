"""Which units go: those of the whole network that matter least for the work they take, until the work that is left is what was asked for.

Sapkota et al. (MIUA 2023) rank by importance alone. By importance for the work that a unit takes, and with a quarter of each layer kept in any case (both
ours), the same share of the work costs less; what was measured is in docs/howto/faster-model.md.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.pruning.anatomy import Anatomy
from napari_medseg.volume import Array

LEAST = 0.25
"""Of the units that a layer makes, those that always stay."""


def chosen(parts: Anatomy, importance: Sequence[Array], share: float, *, rest: int = 0) -> list[Array]:
    """What each network keeps (bool, units), so that no more than a share of its work is left.

    The units of all networks are ranked together; each network then keeps as many of a family as they keep of it on average, so that all stay of one shape.
    Where that does not make them alike, since layers share some of their units, all keep the units that are most important on average.

    Parameters
    ----------
    parts : Anatomy
        The same of each.
    importance : float (units,) for each network
    share : float
        Of the work, 0-1.
    rest : int
        Work that no channel changes.

    Raises
    ------
    InvalidInputError
        When that is more than can be taken away.
    """
    whole = parts.work()
    importance = [values / _prices(parts) for values in importance]
    sure = [_sure(parts, values) for values in importance]
    flat = np.concatenate(importance)
    order = np.argsort(flat, kind="stable")
    order = order[~np.concatenate(sure)[order]] if len(order) else order

    def after(removed: int) -> list[Array]:
        keep = np.ones(len(flat), bool)
        keep[order[:removed]] = False
        return _alike(parts, importance, [one | always for one, always in zip(np.split(keep, len(importance)), sure, strict=True)])

    def left(removed: int) -> float:
        return (parts.work(after(removed)[0]) + rest) / (whole + rest)

    if not len(flat) or left(len(order)) > share:
        least = left(len(order)) if len(flat) else 1.0
        what = f"cannot be brought to {share:.0%} of its work: "
        why = f"{least:.0%} is the least" if least < 1 else "nothing in it can be left out on its own, as in a transformer"
        raise InvalidInputError(what + why, where="network", todo="Ask for a larger share, or use a convolutional network such as medseg's own")
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if left(middle) <= share:
            high = middle
        else:
            low = middle + 1
    return after(low)


def _sure(parts: Anatomy, importance: Array) -> Array:
    """Units that stay in any case: some of each layer, so that none is left without a channel."""
    keep = np.zeros(parts.count, bool)
    for units in parts.layers:
        keep[units[_strongest(importance[units], int(np.ceil(LEAST * len(units))))]] = True
    return keep


def _strongest(importance: Array, count: int) -> Array:
    return np.argsort(-importance, kind="stable")[:count]


def _alike(parts: Anatomy, importance: Sequence[Array], keep: Sequence[Array]) -> list[Array]:
    """The same number of each family for every network."""
    if len(keep) == 1:
        return list(keep)
    members = [np.flatnonzero(parts.families == family) for family in range(int(parts.families.max()) + 1)]
    out = [np.zeros(parts.count, bool) for _ in keep]
    for units in members:
        count = round(float(np.mean([one[units].sum() for one in keep])))
        for one, values in zip(out, importance, strict=True):
            one[units[_strongest(values[units], count)]] = True
    sizes = [[int(one[units].sum()) for units in parts.layers] for one in out]
    if all(one == sizes[0] and min(one) > 0 for one in sizes):
        return out
    common = np.mean(importance, axis=0)
    count = round(float(np.mean([one.sum() for one in keep])))
    shared = _sure(parts, common)
    shared[[unit for unit in _strongest(common, parts.count) if not shared[unit]][: max(0, count - int(shared.sum()))]] = True
    return [shared] * len(keep)


def _prices(parts: Anatomy) -> Array:
    """Work that goes with a unit; the same for all of a family."""
    whole, price = parts.work(), np.zeros(parts.count)
    for family in range(int(parts.families.max(initial=-1)) + 1):
        members = np.flatnonzero(parts.families == family)
        keep = np.ones(parts.count, bool)
        keep[members[0]] = False
        price[members] = max(1, whole - parts.work(keep))
    return price
