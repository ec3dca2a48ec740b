"""What a pre-training is asked for, and what it tells. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.medseg.recipe import finds_objects, require_network
from napari_medseg.refine.pretraining.encoder_plan import EncoderPlan
from napari_medseg.volume import Volume

Task = Literal["denoise", "masked"]
UPDATES = 400


@dataclass(frozen=True, slots=True)
class Source:
    """A scan that is read when its turn comes.

    Attributes
    ----------
    path : Path
    series : str
        Of a DICOM folder that holds several; "" for the only one.
    first : bool
        Whether its first channel alone is looked at.
    """

    path: Path
    series: str = ""
    first: bool = False


Scan = Volume | Path | Source


@dataclass(frozen=True, slots=True, eq=False)
class PretrainRequest:
    """What is asked for.

    Attributes
    ----------
    images : sequence of Volume, Path or Source
        Scans of one kind; those that lie on the disk are read one after the other, so that there may be more than the memory holds.
    network : str
        Id of a network of the catalogue that answers with maps.
    task : "denoise" or "masked"
        Take away noise that was put on (Hammouda et al., MIUA 2023), or fill in blocks that were hidden (Sobirov et al., MIUA 2023).
    updates : int
    out : Path
        A name ending in .safetensors, or a folder that gets `encoder.safetensors`.
    dims : 2 or 3
        Whether the network sees single slices or volumes.
    parameters : mapping
        Of the network, where they differ from its entry's.
    seed : int
        On the same machine the same seed gives the same encoder.
    batch : int
        Windows an update looks at; eights of slices in 2 dimensions.
    learning_rate : float
        Of Adam; falls along a cosine. (The paper's 3e-4 is for 65 epochs.)
    noise : float
        Deviation of the noise put on, against that which a scan has already.
    hidden : float
        Share of the blocks that are hidden, 0-1.
    device : str
        As `devices.choose`.
    """

    images: Sequence[Scan]
    network: str
    task: Task = "denoise"
    updates: int = UPDATES
    out: Path = Path()
    dims: int = 3
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    batch: int = 2
    learning_rate: float = 1e-3
    noise: float = 2.0
    hidden: float = 0.5
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise InvalidInputError(f"there is no task '{self.task}'", where="task", todo=f"Use {' or '.join(get_args(Task))}")
        if self.updates < 1 or self.batch < 1 or not (0 < self.learning_rate < 1 and 0 < self.noise <= 100 and 0 < self.hidden < 1):
            what = "updates and batch must be 1 or more, learning rate and hidden lie between 0 and 1, and noise above 0"
            raise InvalidInputError(what, where="pre-training")
        if not self.images:
            raise InvalidInputError("there is no scan to learn from", where="pre-training", todo="Give scans; they need no labels")
        require_network(self.network, self.dims, self.parameters)
        if finds_objects(self.network):
            raise InvalidInputError("finds objects, and only networks that answer with maps can be pre-trained", where=self.network, todo="Choose another one")

    def ticks(self) -> Iterator[PretrainTick]:
        """Do it; imports torch. Raises as `training.pretrain`."""
        from napari_medseg.refine.pretraining.training import pretrain

        return pretrain(self)


@dataclass(frozen=True, slots=True, eq=False)
class PretrainTick:
    """How far a pre-training is; the last one carries the file.

    Attributes
    ----------
    fraction : float
    message : str
    loss : float or None
        Mean squared error of the last update, in squared deviations of the grey values.
    updates : int
        So far.
    eta_s : float or None
        Seconds left.
    file : Path or None
    plan : EncoderPlan or None
        What the file says.
    warning : str
        Scans that could not be used; "" for none.
    """

    fraction: float
    message: str
    loss: float | None = None
    updates: int = 0
    eta_s: float | None = None
    file: Path | None = None
    plan: EncoderPlan | None = None
    warning: str = ""
