"""The recipe `medseg`: everything about it that is not data. What each choice brought is in docs/refinement.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_medseg import catalogue
from napari_medseg.errors import InvalidInputError, UnavailableError
from napari_medseg.refine.building import built
from napari_medseg.segmenters.networks.plan import check_parameters

if TYPE_CHECKING:
    from napari_medseg.refine.medseg.method import MedsegMethod


@dataclass(frozen=True, slots=True)
class Medseg:
    """How a round of `medseg` learns.

    Attributes
    ----------
    name : str
    rounds : int
        How often to learn and propose; one round holds `phases` of learning and aligning already.
    drift : float
        Without verified labels, a round whose volume is more than `drift` times larger or smaller than the labels given is not adopted.
    updates : int or None
        Steps of the optimiser in a round, over every network; None for `per_case` each, between `least` and `most`.
    per_case, least, most : int
    folds : int
        Networks; each learns from all patients but its share, and judges those it did not see.
    phases : tuple of float
        Shares of the updates after which the weak masks are moved to where the networks that did not see them find the object.
    batch : int
        Patches an update looks at.
    learning_rate : float
        Of AdamW; falls along a cosine.
    decay : float
        Of the running mean of the weights, which is the network that is used.
    bend : float
        Deviation of the elastic augmentation, in units (a fifteenth of the object's size).
    turn, stretch, shear : float
        Largest rotation (radians), scaling (log) and shear of the augmentation.
    patience : int
        Steps of each alignment.
    network : str
        Id of a network of the catalogue; "" for the recipe's own, which suits itself to the scans.
    dims : 2 or 3
        Whether that network sees single slices or volumes; with slices, `batch` counts eights of them.
    parameters : dict
        Of that network, where they differ from its entry's.
    loss : str
        What is made small, such as "ce + 0.5*dice"; "" for cross-entropy and Dice.
    start : str
        A file with the encoder of a pre-training, for networks that begin from nothing.
    proximal : float
        How strongly the weights are held near those of the base; 0 for not at all.
    mixup : float
        Of the Beta distribution that scans are mixed by; 0 for no mixing.
    aligned : float
        Share of the mixed pairs that are laid over each other by their labels first.
    degrade : float
        Chance of each way in which a scanner spoils a picture (blur, thick slices, noise, uneven field, low dose).
    """

    name: str = "medseg"
    rounds: int = 1
    drift: float = 1.5
    updates: int | None = None
    per_case: int = 20
    least: int = 300
    most: int = 4000
    folds: int = 2
    phases: tuple[float, ...] = (0.35, 0.7)
    batch: int = 2
    learning_rate: float = 3e-3
    decay: float = 0.99
    bend: float = 2.0
    turn: float = 0.26
    stretch: float = 0.15
    shear: float = 0.07
    patience: int = 40
    network: str = ""
    dims: int = 3
    parameters: dict[str, Any] = field(default_factory=dict)
    loss: str = ""
    start: str = ""
    proximal: float = 0.0
    mixup: float = 0.0
    aligned: float = 0.0
    degrade: float = 0.0

    def __post_init__(self) -> None:
        if min(self.rounds, self.folds, self.batch, self.per_case, self.least, self.patience) < 1 or (self.updates is not None and self.updates < 1):
            raise InvalidInputError("rounds, updates, folds and batch must be 1 or more", where="recipe")
        if not (0 < self.learning_rate < 1 and 0 <= self.decay < 1 and self.drift > 1 and min(self.bend, self.turn, self.stretch, self.shear) >= 0):
            raise InvalidInputError("learning rate and decay must lie between 0 and 1, drift above 1, and no augmentation below 0", where="recipe")
        if any(not 0 < share < 1 for share in self.phases) or list(self.phases) != sorted(set(self.phases)):
            raise InvalidInputError("phases are rising shares between 0 and 1", where="recipe")
        if not (0 <= self.proximal <= 1000 and 0 <= self.mixup <= 10 and 0 <= self.degrade <= 1 and 0 <= self.aligned <= 1):
            what = "proximal must lie between 0 and 1000, mixup between 0 and 10, degrade and aligned between 0 and 1"
            raise InvalidInputError(what, where="recipe")
        if self.dims not in (2, 3):
            raise InvalidInputError(f"no network has {self.dims} dimensions", where="dims", todo="Give 2 (single slices) or 3")
        if self.network:
            require_network(self.network, self.dims, self.parameters)
            if self.loss and finds_objects(self.network):
                todo = "Leave the loss out, or choose another network"
                raise InvalidInputError("finds objects and learns from a loss of its own", where=self.network, todo=todo)
        elif self.dims != 3 or self.parameters or self.start:
            what = "dims, parameters and start are those of a network of the catalogue, and none is named"
            raise InvalidInputError(what, where="recipe", todo="Give network too, an id from `medseg catalogue`")
        if self.loss:
            require_loss(self.loss, self.dims)

    def updates_for(self, cases: int) -> int:
        """Steps of the optimiser in a round on this many scans."""
        return self.updates or min(max(self.per_case * cases, self.least), self.most)

    def method(self) -> MedsegMethod:
        """What does the work; imports torch."""
        from napari_medseg.refine.medseg.method import MedsegMethod

        return MedsegMethod(self)


def require_network(name: str, dims: int, parameters: Mapping[str, Any]) -> None:
    """Refuse a network that the catalogue does not have, whose packages are missing, or that cannot have these dimensions; loads no torch.

    Raises
    ------
    CatalogueError, UnavailableError, InvalidInputError
    """
    entry = catalogue.load().find(name, "network")
    missing = entry.needs()
    if missing:
        raise UnavailableError(f"needs {', '.join(missing)}", where=entry.title, todo=catalogue.install_hint(missing))
    offered = entry.capabilities.get("dims", [2, 3])
    if dims not in offered:
        told = " or ".join(f"dims={n}" for n in offered)
        raise InvalidInputError(f"does not come with {dims} dimensions", where=entry.title, todo=f"Use {told}, or another network")
    try:
        check_parameters(dict(parameters))
    except ValueError as error:
        raise InvalidInputError(str(error), where="parameters", todo=f"Give what {name} takes, as JSON") from error


def finds_objects(network: str) -> bool:
    """Whether a network of the catalogue answers with objects, from a loss of its own."""
    return catalogue.load().find(network, "network").capabilities.get("answers") == "objects"


def require_loss(spec: str, dims: int | None = None) -> None:
    """Refuse what names no loss, settings that make none, and losses that teach nothing without another beside them; loads no torch.

    Parameters
    ----------
    spec : str
    dims : 2 or 3, optional
        Axes of what the network sees, for losses that are told a spacing.

    Raises
    ------
    InvalidInputError, CatalogueError, UnavailableError
    """
    from napari_medseg.refine.losses.limits import require_settings
    from napari_medseg.refine.losses.spec import terms

    known, wanted = catalogue.load(), terms(spec)
    entries = [known.find(term.name, "loss") for term in wanted]
    for term, entry in zip(wanted, entries, strict=True):
        odd = sorted(set(term.settings) - set(entry.parameters))
        if odd:
            todo = f"Use {', '.join(entry.parameters)}" if entry.parameters else "Leave it out"
            raise InvalidInputError(f"has no setting '{odd[0]}'", where=term.name, todo=todo)
        missing = entry.needs()
        if missing:
            raise UnavailableError(f"needs {', '.join(missing)}", where=entry.title, todo=catalogue.install_hint(missing))
        require_settings(entry.id, {**entry.parameters, **term.settings})
        sides = term.settings.get("spacing")
        if dims and isinstance(sides, list) and len(sides) != dims:
            what = f"spacing holds {len(sides)} numbers, and the network sees {dims} axes"
            raise InvalidInputError(what, where=term.name, todo=f"Give {dims}, or leave it out for that of the scans")
    if not any(entry.capabilities.get("alone", True) for entry in entries):
        names = " and ".join(dict.fromkeys(entry.id for entry in entries))
        todo = f"Add one that does, such as ce + dice + 0.1*{entries[0].id}"
        raise InvalidInputError(f"{names} cannot teach a network without another loss beside", where="loss", todo=todo)


def network(**overrides: Any) -> Medseg:
    """One network of the catalogue, plainly trained: one network that learns from all cases, and no mask is moved.

    Parameters
    ----------
    **overrides
        Any attribute of `Medseg`; `network` must be among them, or it is the recipe's own network that is trained so.

    Raises
    ------
    InvalidInputError
        As `medseg` does.
    CatalogueError, UnavailableError
        When the catalogue has no such network, or a package it needs is missing.
    """
    return built(Medseg, {"name": "network", "folds": 1, "phases": (), "learning_rate": 1e-3, **overrides})


def medseg(**overrides: Any) -> Medseg:
    """Our recipe: cross-fitted networks, strong augmentation, weak masks aligned with what unseeing networks find, calibrated volume.

    Parameters
    ----------
    **overrides
        Any attribute of `Medseg`.

    Raises
    ------
    InvalidInputError
        When there is no such attribute, or its value makes no sense.
    """
    return built(Medseg, overrides)
