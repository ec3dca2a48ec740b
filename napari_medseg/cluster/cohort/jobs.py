"""What is done with one case. A job travels to the workers, so it holds words and numbers only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_medseg import __version__, catalogue
from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.cluster.cohort.cases import CohortCase
from napari_medseg.cluster.cohort.places import Place, digest, free_of_dots
from napari_medseg.errors import InvalidInputError, NoLabelsError, UnwritableFileError
from napari_medseg.io import read, read_labels, require_writable, write
from napari_medseg.io.formats import written_as
from napari_medseg.metrics import measure
from napari_medseg.metrics.confusion import confusion
from napari_medseg.metrics.surface import TOLERANCE_MM
from napari_medseg.segmenters.named import Named
from napari_medseg.volume import require_same_grid

if TYPE_CHECKING:
    from napari_medseg.segmenters.protocol import Segmenter

OTHERWISE = ".nii.gz"


@dataclass(frozen=True, slots=True)
class Done:
    """What a job made of a case.

    Attributes
    ----------
    facts : dict
        For JSON.
    output : str
        Name under the job's place; "" for none.
    sha256 : str
        Of the output.
    """

    facts: dict[str, Any]
    output: str = ""
    sha256: str = ""


class Job(Protocol):
    """The protocol; picklable, and the same for every case."""

    @property
    def key(self) -> str:
        """Of all that decides what comes out, beside the case."""

    @property
    def out(self) -> Place:
        """Where results lie."""

    def do(self, case: CohortCase, files: Sequence[Path]) -> Done:
        """The work; whatever it raises that is a MedsegError is the case's fault and ends nothing else."""


@dataclass(frozen=True, slots=True)
class SegmentJob:
    """A segmenter's labels of a scan, written beside the others.

    Parameters
    ----------
    segmenter : Named
    out : Place
    suffix : str
        Of the masks, ".nii.gz"; "" for that of the scan, or .nii.gz where scans of that kind hold no masks.
    device : str
    """

    segmenter: Named
    out: Place
    suffix: str = ""
    device: str = "auto"
    models: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        if self.suffix:
            require_suffix(self.suffix)
        object.__setattr__(self, "models", tuple(digest(path) for path in self.segmenter.models if path.exists()))

    @property
    def key(self) -> str:
        """Segmenter, its entry, the models' contents, the form of the masks and the version; not the device."""
        entry = catalogue.load().entries.get(self.segmenter.name)
        chosen = {} if entry is None else entry.parameters
        names = self.models or (self.segmenter.name, *self.segmenter.also)
        return key_of("segment", names, self.segmenter.answers, self.segmenter.mirror, chosen, self.suffix)

    def check(self) -> None:
        """Refuse a segmenter that no cohort can be given to.

        Raises
        ------
        InvalidInputError
            When it must be pointed at something.
        MedsegError
            When there is none such.
        """
        built = self.segmenter.build()
        if built.capabilities.interactive:
            what = "must be pointed at what it shall outline, so it segments no cohort by itself"
            raise InvalidInputError(what, where=built.title, todo="Choose a segmenter with classes of its own, or a model that `medseg refine` wrote")

    def do(self, case: CohortCase, files: Sequence[Path]) -> Done:
        """Segment one scan."""
        from napari_medseg.segmenters.devices import choose
        from napari_medseg.segmenters.protocol import collect, to_labels

        segmenter = _built(self.segmenter)
        volume = read(files[0], series=case.series or None)
        can = segmenter.capabilities
        maps = collect(segmenter.predict(volume, device=choose(self.device)), volume.geometry.shape)
        classes = default_classes(can.classes)
        labels = np.array([0, *(each.value for each in classes)], np.uint8)[to_labels(maps, can.threshold)]
        drawn = LabelMap(labels, volume.geometry, volume.name, source=volume.source, series=volume.series, classes=tuple(classes))
        name = free_of_dots(case.id) + (self.suffix or _same(case.suffix))
        with self.out.under(name).replaced() as target:
            write(drawn, target)
            found = digest(target)
        values, counts = np.unique(labels, return_counts=True)
        voxels = {str(v): {"voxels": int(n), "volume_ml": float(n * volume.geometry.voxel_ml)} for v, n in zip(values, counts, strict=True) if v}
        return Done({"classes": voxels}, name, found)


@dataclass(frozen=True, slots=True)
class MeasureJob:
    """Figures of a mask against its truth; nothing is written but the ledger's row.

    Parameters
    ----------
    out : Place
    tolerance_mm : float
        Of surface Dice.
    """

    out: Place
    tolerance_mm: float = TOLERANCE_MM

    @property
    def key(self) -> str:
        """The tolerance and the version."""
        return key_of("measure", self.tolerance_mm)

    def do(self, case: CohortCase, files: Sequence[Path]) -> Done:
        """Compare one mask with its truth.

        Raises
        ------
        GridMismatchError
            When they lie on different grids.
        """
        found, real = read_labels(files[0]), read_labels(files[1])
        require_same_grid(real.geometry, found.geometry, case.id)
        classes = measure(found.channel(), real.channel(), real.geometry.spacing, self.tolerance_mm)
        return Done({"classes": classes, "confusion": confusion(found.channel(), real.channel())})


def key_of(*facts: object) -> str:
    """A checksum of settings and of the version that they are used by."""
    return hashlib.sha256(json.dumps([__version__, *facts], sort_keys=True, default=str).encode()).hexdigest()


def require_suffix(suffix: str) -> None:
    """Refuse an ending that no writer of masks takes.

    Raises
    ------
    UnwritableFileError
    """
    found = written_as(f"mask{suffix}")
    if found is None or not suffix.startswith("."):
        raise UnwritableFileError("is no ending of a mask", where=suffix, todo="Use .nii.gz, .nrrd, .seg.nrrd, .mha, .ome.zarr or .seg.dcm")
    if found.parts:
        raise NoLabelsError("holds surfaces, not masks", where=suffix, todo="Use .nii.gz, .nrrd, .seg.nrrd, .mha, .ome.zarr or .seg.dcm")
    require_writable(Path.cwd() / f"mask{suffix}")


def _same(suffix: str) -> str:
    found = written_as(f"mask{suffix}") if suffix else None
    return suffix if found is not None and found.writes == "volumes" and found.names else OTHERWISE


@lru_cache(maxsize=1)
def _built(named: Named) -> Segmenter:
    """The segmenter with its network, kept for the next case."""
    return named.build()
