"""What a recipe has to be able to do so that the rounds, the gate, the window and the command line can work with it.

A method learns from examples and gives a model; it never chooses whether its model is used, which is the gate's part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from napari_medseg.volume import Array, FloatArray, LabelArray, Volume

if TYPE_CHECKING:
    from napari_medseg.refine.checkpoint import Checkpoints

Freeze = Literal["none", "encoder", "all but last"]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One scan to learn from.

    Attributes
    ----------
    id : str
    patient : str
        Splits are by patient; scans of one patient are never on two sides.
    image : Volume
        (z, y, x) or (channel, z, y, x).
    labels : uint8 (z, y, x)
        0 background, 1-254 classes, 255 unknown.
    trust : uint8 (z, y, x)
        `Trust` levels; unknown wherever a label is 255.
    """

    id: str
    patient: str
    image: Volume
    labels: LabelArray
    trust: Array


class Model(Protocol):
    """A network, or several, with all that is needed to label a scan."""

    @property
    def plan(self) -> Mapping[str, Any]:
        """What it is and how it sees a scan; goes into JSON."""
        ...

    def predict(self, image: Volume) -> FloatArray:
        """Probabilities (classes, z, y, x) on the scan's own grid, float32, 0-1."""
        ...

    def label(self, image: Volume) -> LabelArray:
        """Label map (z, y, x) on the scan's own grid, by the model's own thresholds."""
        ...

    def save(self, folder: Path, facts: Mapping[str, Any]) -> Path:
        """Write `model.safetensors` with its plan into a folder; `facts` join the plan. Returns the file."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What a round came to.

    Attributes
    ----------
    model : Model
        For scans that it has not seen.
    proposals : label map (z, y, x) by example id
        Better labels of the examples themselves; a method may make them with networks that did not see that example.
    doubt : float32 (z, y, x), 0-1, by example id
        Where the proposal is uncertain; empty where the method cannot say.
    updates : int
        Steps of the optimiser, over every network.
    loss : float or None
        Mean of the last epoch.
    notes : str
        What the method found out on the way, for the record: "rims shifted by 0.4 mm".
    """

    model: Model
    proposals: Mapping[str, LabelArray]
    doubt: Mapping[str, FloatArray] = field(default_factory=dict)
    updates: int = 0
    loss: float | None = None
    notes: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """A tick while a round learns; the last one carries `learned`.

    Attributes
    ----------
    fraction : float
        Of the round, 0-1.
    message : str
    loss : float or None
        Mean of the current epoch so far.
    updates : int
        So far, over every network.
    learned : Learned or None
    now : callable or None
        Labels a small scan with the network as it stands, for a look while it learns; good until the next tick is asked for, and leaves no trace.
    rate : float or None
        Learning rate of the last update.
    """

    fraction: float
    message: str
    loss: float | None = None
    updates: int = 0
    learned: Learned | None = None
    now: Callable[[Volume], LabelArray] | None = None
    rate: float | None = None


class Method(Protocol):
    """How a round learns."""

    def base_model(self, base: Path | None, values: Sequence[int], device: str, channels: int | None = None) -> Model | None:
        """What the base makes of a scan before it has learnt anything here; None where learning begins from nothing.

        Raises
        ------
        InvalidInputError, SegmenterError, MissingFileError
            When the recipe cannot go on from it, or it takes scans of another number of channels.
        """
        ...

    def learn(
        self, examples: Sequence[Example], values: Sequence[int], *, number: int, base: Path | None, seed: int, device: str, freeze: Freeze = "none",
        checkpoints: Checkpoints | None = None,
    ) -> Iterator[Learning]:
        """Learn from examples.

        Parameters
        ----------
        examples : sequence of Example
            Of one kind (channels), each with something known.
        values : label values of the classes, in the order of the model's maps
        number : int
            The round, from 1.
        base : Path or None
            Model to start from; None is the method's own beginning.
        seed : int
            Of the run; together with the number of the round it settles every draw.
        device : str
            "cpu", "cuda", "cuda:1" or "mps".
        freeze : "none", "encoder" or "all but last"
            What stays as the base has it, its normalisation too.
        checkpoints : Checkpoints or None
            Where to save every so often, and what to go on from.

        Yields
        ------
        Learning
            At each update; stop iterating to cancel.

        Raises
        ------
        NoLabelsError, InvalidInputError, TrainingError
        """
        ...


class AnyRecipe(Protocol):
    """Everything about a refinement that is not data."""

    @property
    def name(self) -> str:
        """Its id in the catalogue."""
        ...

    @property
    def rounds(self) -> int:
        """How often to learn and propose."""
        ...

    @property
    def drift(self) -> float:
        """How many times larger or smaller than the labels given the volume may become before a round is doubted."""
        ...

    def method(self) -> Method:
        """What does the work; imports torch."""
        ...
