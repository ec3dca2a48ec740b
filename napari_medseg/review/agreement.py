"""How far several annotators' label maps of one scan agree, pair by pair and class by class.

Label maps are whole numbers, (z, y, x), of one shape; 0 is background. The conventions are those of `metrics`: a class that neither of two annotators drew
has no figure for that pair (both are right to draw nothing), one that only one of them drew has Dice and surface Dice 0 and no distance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.metrics.overlap import Overlap
from napari_medseg.metrics.regions import Box, around, boxes_of, flat_axes, require_label_map
from napari_medseg.metrics.runs import Runs, runs_of
from napari_medseg.metrics.summary import mean
from napari_medseg.metrics.surface import TOLERANCE_MM, Surface, between, surface
from napari_medseg.volume import Array, Spacing, format_shape

Matrix = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class ClassAgreement:
    """Every annotator against every other, for one class.

    Attributes
    ----------
    value : int
        The class.
    drawn_by : tuple of str
        Who drew it at all.
    dice, surface_dice, assd_mm, hd95_mm : matrix
        Symmetric, in the order of `Agreement.annotators`; None where it is undefined. The diagonal is 1 or 0 mm for who drew the class, else None.
    volume_ml : tuple of float
        Of each annotator.
    mean_dice, mean_surface_dice, mean_assd_mm, mean_hd95_mm : float or None
        Over the pairs where it is defined.
    """

    value: int
    drawn_by: tuple[str, ...]
    dice: Matrix
    surface_dice: Matrix
    assd_mm: Matrix
    hd95_mm: Matrix
    volume_ml: tuple[float, ...]
    mean_dice: float | None
    mean_surface_dice: float | None
    mean_assd_mm: float | None
    mean_hd95_mm: float | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "drawn_by": list(self.drawn_by), "dice": self.dice, "surface_dice": self.surface_dice, "assd_mm": self.assd_mm, "hd95_mm": self.hd95_mm,
            "volume_ml": list(self.volume_ml), "mean_dice": self.mean_dice, "mean_surface_dice": self.mean_surface_dice, "mean_assd_mm": self.mean_assd_mm,
            "mean_hd95_mm": self.mean_hd95_mm,
        }


@dataclass(frozen=True, slots=True)
class Agreement:
    """How annotators of one scan agree.

    Attributes
    ----------
    annotators : tuple of str
        In the order given.
    tolerance_mm : float
        Of the surface Dice.
    classes : tuple of ClassAgreement
        Every class that anyone drew, by value.
    mean_dice : float or None
        Mean over the classes' means.
    notes : tuple of str
        What a person should know: who drew nothing, which classes not all drew.
    """

    annotators: tuple[str, ...]
    tolerance_mm: float
    classes: tuple[ClassAgreement, ...]
    mean_dice: float | None
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON; classes under their value."""
        return {
            "annotators": list(self.annotators), "tolerance_mm": self.tolerance_mm, "mean_dice": self.mean_dice, "notes": list(self.notes),
            "classes": {str(one.value): one.as_dict() for one in self.classes},
        }


@dataclass(frozen=True, slots=True)
class AgreementTick:
    """How far the comparison is; the last one holds the result."""

    fraction: float
    message: str
    result: Agreement | None = None


def agreeing(maps: Mapping[str, Array], spacing: Spacing, tolerance_mm: float = TOLERANCE_MM) -> Iterator[AgreementTick]:
    """Compare annotators, telling how far it is; close it to cancel.

    Parameters
    ----------
    maps : by annotator
        Whole numbers, (z, y, x), of one shape.
    spacing : (z, y, x) mm
    tolerance_mm : float
        Of the surface Dice.

    Raises
    ------
    InvalidInputError
        With fewer than two annotators, maps of several shapes, or what is no label map.
    NoLabelsError
        When nobody drew anything.
    """
    require_comparable(maps)
    yield AgreementTick(0.0, "Looking for what was drawn")
    found = {name: boxes_of(labels) for name, labels in maps.items()}
    values = sorted({value for boxes in found.values() for value in boxes})
    if not values:
        raise NoLabelsError("none of the annotators drew anything", where="label maps", todo="Choose maps with labels")
    flat, voxel_ml = flat_axes(next(iter(maps.values())).shape), float(np.prod(spacing)) / 1000
    classes = []
    for done, value in enumerate(values):
        yield AgreementTick(done / len(values), f"Comparing class {value}")
        box = around([boxes[value] for boxes in found.values() if value in boxes])
        classes.append(_one_class(value, maps, box, spacing, flat, tolerance_mm, voxel_ml))
    notes = [f"{name} drew nothing" for name, boxes in found.items() if not boxes]
    notes += [f"class {one.value} was drawn by {', '.join(one.drawn_by)} only" for one in classes if len(one.drawn_by) < sum(map(bool, found.values()))]
    result = Agreement(tuple(maps), tolerance_mm, tuple(classes), mean(one.mean_dice for one in classes), tuple(notes))
    yield AgreementTick(1.0, "Done", result)


def agreement(maps: Mapping[str, Array], spacing: Spacing, tolerance_mm: float = TOLERANCE_MM) -> Agreement:
    """As `agreeing`, without waiting in between."""
    *_, last = agreeing(maps, spacing, tolerance_mm)
    if last.result is None:
        raise RuntimeError("the comparison ended without a result")
    return last.result


def require_comparable(maps: Mapping[str, Array]) -> None:
    """Refuse what cannot be label maps of one scan by several people.

    Raises
    ------
    InvalidInputError
        With fewer than two annotators, maps of several shapes, or what is no label map.
    """
    if len(maps) < 2:
        raise InvalidInputError(f"{len(maps)} annotator cannot agree or disagree", where="annotators", todo="Give the label maps of two or more")
    (one, first), *others = maps.items()
    for name, labels in maps.items():
        require_label_map(labels, name)
    for name, labels in others:
        if labels.shape != first.shape:
            what = f"{format_shape(labels.shape)} voxels cannot be compared with the {format_shape(first.shape)} of {one}"
            raise InvalidInputError(what, where=name, todo="Give label maps on one grid")


def _one_class(
    value: int, maps: Mapping[str, Array], box: Box, spacing: Spacing, flat: tuple[bool, ...], tolerance_mm: float, voxel_ml: float,
) -> ClassAgreement:
    masks = [runs_of(labels[box] == value) for labels in maps.values()]
    surfaces = [surface(mask, spacing, flat) for mask in masks]  # one tree for each, however many pairs it is in
    n = len(masks)
    tables: dict[str, list[list[float | None]]] = {name: [[None] * n for _ in range(n)] for name in ("dice", "surface_dice", "assd_mm", "hd95_mm")}
    for i, found in enumerate(surfaces):
        if found is not None:
            for name, same in (("dice", 1.0), ("surface_dice", 1.0), ("assd_mm", 0.0), ("hd95_mm", 0.0)):
                tables[name][i][i] = same
    for i, j in combinations(range(n), 2):
        for name, figure in _pair(masks[i], masks[j], surfaces[i], surfaces[j], tolerance_mm).items():
            tables[name][i][j] = tables[name][j][i] = figure
    dices, overlaps, means, worst = (tuple(tuple(row) for row in tables[name]) for name in ("dice", "surface_dice", "assd_mm", "hd95_mm"))
    return ClassAgreement(
        value, tuple(name for name, found in zip(maps, surfaces, strict=True) if found is not None), dices, overlaps, means, worst,
        tuple(mask.voxels * voxel_ml for mask in masks), _over_pairs(dices), _over_pairs(overlaps), _over_pairs(means), _over_pairs(worst),
    )


def _over_pairs(matrix: Matrix) -> float | None:
    return mean(matrix[i][j] for i, j in combinations(range(len(matrix)), 2))


def _pair(a: Runs, b: Runs, of_a: Surface | None, of_b: Surface | None, tolerance_mm: float) -> dict[str, float | None]:
    if of_a is None and of_b is None:
        return {}
    if of_a is None or of_b is None:
        return {"dice": 0.0, "surface_dice": 0.0}
    found = between(of_a, of_b)
    shared = Overlap(a.overlap(b), a.voxels, b.voxels)
    return {"dice": shared.dice, "surface_dice": found.dice_within(tolerance_mm), "assd_mm": found.assd_mm, "hd95_mm": found.hd95_mm}
