"""Scans on the wire: what is told of one, and its slabs, whose hashes together are its name. No patient: name, file and series stay where they are."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from napari_medseg.cluster.wire.arrays import HINT, size_of
from napari_medseg.errors import InvalidInputError, UnavailableError
from napari_medseg.volume import Array, Geometry, Volume

SLAB = 4 << 20
"""Bytes of a slab, unless one slice is larger."""
LARGEST_SLICE = 1 << 29


class Told(BaseModel):
    """All that a server learns of a scan besides its voxels.

    Attributes
    ----------
    dtype : str
    shape : (z, y, x) or (c, z, y, x)
    spacing : (z, y, x) mm
    origin : (x, y, z) LPS mm
    direction : nine floats, row-major 3x3
    modality, units : str
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: str = Field(max_length=16)
    shape: tuple[int, ...] = Field(min_length=3, max_length=4)
    spacing: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    origin: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    direction: tuple[FiniteFloat, ...] = Field(min_length=9, max_length=9)
    modality: str = Field(default="", max_length=16)
    units: str = Field(default="", max_length=16)

    @classmethod
    def of(cls, volume: Volume) -> Told:
        """What is told of a scan."""
        grid = volume.geometry
        dtype = volume.array.dtype.newbyteorder("=").name
        return cls(
            dtype=dtype, shape=volume.array.shape, spacing=grid.spacing, origin=grid.origin, direction=tuple(float(n) for n in grid.direction),
            modality=volume.modality[:16], units=volume.units[:16],
        )

    def volume(self, array: Array) -> Volume:
        """The scan again, without a name.

        Raises
        ------
        InvalidInputError
            When the grid is none.
        """
        return Volume(array, self.geometry, modality=self.modality, units=self.units)

    @property
    def geometry(self) -> Geometry:
        """Its grid; raises InvalidInputError when it is none."""
        z, y, x = self.shape[-3:]
        return Geometry((z, y, x), self.spacing, self.origin, self.direction)

    @property
    def nbytes(self) -> int:
        """Of the voxels; raises InvalidInputError for an unknown type."""
        return size_of(self.dtype, self.shape)

    @property
    def rows(self) -> int:
        """Slices, over all channels."""
        return int(np.prod(self.shape[:-2], dtype=object))

    @property
    def rows_a_slab(self) -> int:
        """Slices in a slab; raises InvalidInputError when one alone is too large."""
        slice_bytes = self.nbytes // max(1, self.rows)
        if not 0 < slice_bytes <= LARGEST_SLICE:
            raise InvalidInputError("has slices too large to be sent, or none", where="the scan", todo="Crop it")
        return max(1, SLAB // slice_bytes)

    @property
    def slabs(self) -> int:
        """How many there are."""
        return -(-self.rows // self.rows_a_slab)

    def bytes_of(self, first: int, last: int) -> int:
        """Of slabs that follow one another, both ends included."""
        slices = min((last + 1) * self.rows_a_slab, self.rows) - first * self.rows_a_slab
        return slices * (self.nbytes // self.rows)

    def digest(self, hashes: list[str]) -> str:
        """The scan's name: a hash of what is told of it and of its slabs' hashes."""
        return hashlib.sha256("\n".join([self.model_dump_json(), *hashes]).encode()).hexdigest()

    def slab(self, array: Array, number: int) -> Array:
        """A slab of its voxels, (slices, y, x), contiguous and native; a view where the array is so."""
        first = number * self.rows_a_slab
        last = min(first + self.rows_a_slab, self.rows)
        if array.ndim == 3:
            part = array[first:last]
        elif array.flags.c_contiguous:
            part = array.reshape(-1, *array.shape[2:])[first:last]
        else:
            depth = array.shape[1]
            part = np.stack([array[row // depth, row % depth] for row in range(first, last)])
        return np.ascontiguousarray(part, self.dtype)


def bytes_of(slab: Array) -> memoryview:
    """A contiguous slab as it lies in memory."""
    return slab.reshape(-1).view(np.uint8).data


def slab_hash(slab: Array) -> str:
    """BLAKE3 of a contiguous slab's bytes: as safe as SHA-256 and two to three times as fast, which counts where scans are hashed whenever they are opened."""
    try:
        import blake3
    except ImportError as error:
        raise UnavailableError("needs blake3", where="Working with a server", todo=HINT) from error
    found: str = blake3.blake3(bytes_of(slab)).hexdigest()
    return found


def slab_hashes(told: Told, array: Array) -> list[str]:
    """Of all slabs, on two threads."""
    with ThreadPoolExecutor(2) as two:
        return list(two.map(lambda number: slab_hash(told.slab(array, number)), range(told.slabs)))
