"""Objects that a network found: where on which slice, what, how surely, and their outlines. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from napari_medseg.volume import FloatArray, Geometry, Volume


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One object on one slice.

    Attributes
    ----------
    label : int
        Class, from 1: its place in `Capabilities.classes`.
    name : str
        Of the class.
    score : float
        How sure the network is, 0-1.
    axis : int
        Of the scan's array (z, y, x), along which the slices lie.
    index : int
        The slice.
    box : float32 (4, 3)
        Corners in turn, voxel positions (z, y, x): a voxel's centre is a whole number, its edges lie half a voxel away.
    contour : float32 (p, 3)
        Outline, closed from the last point to the first, voxel positions.
    box_mm, contour_mm : float64 (4, 3), (p, 3)
        The same as LPS millimetres (x, y, z).
    """

    label: int
    name: str
    score: float
    axis: int
    index: int
    box: FloatArray
    contour: FloatArray
    box_mm: Any
    contour_mm: Any

    @classmethod
    def of(cls, geometry: Geometry, *, label: int, name: str, score: float, axis: int, box: FloatArray, contour: FloatArray) -> Found:
        """From corners (4, 3) and outline (p, 3) on a scan's grid (voxel positions z, y, x), which say on which slice it lies."""
        index = min(max(round(float(box[0, axis])), 0), geometry.shape[axis] - 1)
        return cls(label, name, score, axis, index, box, contour, geometry.world(box), geometry.world(contour))

    def as_json(self) -> dict[str, Any]:
        """What a file tells of it: class, score, slice, corners and outline in LPS millimetres (x, y, z), to the micrometre."""
        return {
            "label": self.label, "name": self.name, "score": round(self.score, 4), "axis": "zyx"[self.axis], "slice": self.index,
            "box_mm": self.box_mm.round(3).tolist(), "contour_mm": self.contour_mm.round(3).tolist(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """A step of the search.

    Attributes
    ----------
    objects : tuple of Found
        Of the slices just seen.
    fraction : float
        Share of the slices seen.
    message : str
    """

    objects: tuple[Found, ...]
    fraction: float
    message: str = "Finding objects"


@runtime_checkable
class Finder(Protocol):
    """A segmenter that also finds objects; its `Capabilities.objects` says whether the model it has can."""

    def find(self, volume: Volume, *, device: str = "auto") -> Iterator[Findings]:
        """Find objects, slice after slice.

        Raises
        ------
        InvalidInputError
            When the model answers with label maps only, or the scan has other channels than it takes.
        """


def collected(findings: Iterable[Findings]) -> tuple[Found, ...]:
    """All objects of a search."""
    return tuple(each for step in findings for each in step.objects)
