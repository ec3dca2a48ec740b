"""What the file of a pre-trained encoder says about itself. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_medseg.errors import SegmenterError
from napari_medseg.segmenters.networks.plan import ArchitecturePlan
from napari_medseg.segmenters.plan import read_plan
from napari_medseg.segmenters.volumetric.fingerprint import ChannelFacts

FILE = "encoder.safetensors"
TODO = "Choose a file that `medseg pretrain` or Learn from my unlabelled scans wrote, or copy it again from the source"


class EncoderPlan(BaseModel):
    """A pre-trained encoder; nothing here tells whose scans it saw.

    Attributes
    ----------
    network : ArchitecturePlan
        The network it belongs to; as many maps as channels.
    task : "denoise" or "masked"
    normalise : "z-score" or "set"
        How grey values came to the network, as in `volumetric.fingerprint.Fingerprint`.
    channels : facts of each channel
        Of the set; they count where `normalise` is "set".
    spacing : (z, y, x) mm
        Of the grid it saw, display order.
    patch : (z, y, x) voxels
    noise : float
        Mean deviation of the noise found in the scans, in deviations of their grey values.
    scans : int
        Learnt from.
    updates, batch, seed : int
    learning_rate : float
    error : float
        Mean squared error at the end, over the last tenth of the updates.
    given : float
        What leaving the windows as they were given would have cost.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    kind: Literal["encoder"] = "encoder"
    network: ArchitecturePlan
    task: Literal["denoise", "masked"]
    normalise: Literal["z-score", "set"]
    channels: list[ChannelFacts] = Field(min_length=1)
    spacing: tuple[float, float, float]
    patch: tuple[int, int, int]
    noise: float = Field(ge=0)
    scans: int = Field(ge=1)
    updates: int = Field(ge=1)
    batch: int = Field(ge=1)
    seed: int
    learning_rate: float = Field(gt=0)
    error: float = Field(ge=0)
    given: float = Field(ge=0)
    modalities: list[str] = Field(default_factory=list)
    sha256: str = ""

    @property
    def learnt(self) -> float:
        """Share of the given error that is gone: 1 for all, 0 for no better than leaving the windows as they are, below 0 for worse."""
        return 1 - self.error / self.given if self.given > 0 else 0.0

    @property
    def words(self) -> str:
        """In one line: "segresnet in 3D, denoise, 30 scans, 200 updates"."""
        return f"{self.network.name} in {self.network.dims}D, {self.task}, {self.scans} scan{'s' if self.scans != 1 else ''}, {self.updates} updates"


def encoder_file(path: str | Path) -> Path:
    """Where an encoder lies: a folder holds `encoder.safetensors`."""
    found = Path(path)
    return found if found.is_file() or found.suffix == ".safetensors" else found / FILE


def read_encoder(path: str | Path) -> EncoderPlan:
    """What an encoder says about itself.

    Parameters
    ----------
    path : path
        A file, or a folder that holds `encoder.safetensors`.

    Raises
    ------
    MissingFileError
        When nothing is there.
    SegmenterError
        When it is something else, or cut short.
    """
    file = encoder_file(path)
    try:
        return read_plan(file, EncoderPlan)
    except SegmenterError as error:
        raise SegmenterError("holds no pre-trained encoder, or is damaged", where=file, todo=TODO) from error


def encoder_for(path: str | Path, name: str, *, dims: int, channels: int) -> EncoderPlan:
    """What an encoder says about itself, if it is that of this network.

    Raises
    ------
    MissingFileError, SegmenterError
        As `read_encoder`; also when it was learnt in another network, in other dimensions, or on scans of another number of channels.
    """
    plan, file = read_encoder(path), encoder_file(path)
    found = plan.network
    if found.name != name:
        raise SegmenterError(f"is the encoder of '{found.name}', and '{name}' is to be trained", where=file, todo=f"Train {found.name}, or pre-train {name}")
    require_kind(plan, file, dims=dims, channels=channels)
    return plan


def require_kind(plan: EncoderPlan, file: Path, *, dims: int, channels: int) -> None:
    """Refuse an encoder of other dimensions or channels; see `encoder_for`.

    Raises
    ------
    SegmenterError
        When it is one.
    """
    found = plan.network
    if found.dims != dims:
        what = f"learnt in {found.dims} dimensions, and the network has {dims}"
        raise SegmenterError(what, where=file, todo=f"Train with dims={found.dims}, or pre-train with dims={dims}")
    if found.in_channels != channels:
        what = f"learnt on scans of {found.in_channels} channel{'s' if found.in_channels > 1 else ''}, and these have {channels}"
        raise SegmenterError(what, where=file, todo="Choose an encoder that learnt on scans of the same kind")
