"""The recipes `gil2023` and `top-n`: everything about them that is not data. What the papers left open is in docs/networks.md."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_medseg import catalogue
from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.building import built
from napari_medseg.refine.medseg.recipe import Medseg
from napari_medseg.segmenters.volumetric.plan import Cleanup

if TYPE_CHECKING:
    from napari_medseg.refine.panel.method import PanelMethod

AUTO3DSEG = ("segresnet", "swin-unetr", "dints", "dynunet")
"""What `top-n` chooses among: the networks of Auto3DSeg in MONAI, and nnU-Net's."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One network and what it makes small.

    Attributes
    ----------
    network : str
        Id of a network of the catalogue.
    loss : str
        As `Medseg.loss`; "" for cross-entropy and Dice.
    """

    network: str
    loss: str = ""

    @property
    def title(self) -> str:
        """Its name in a table."""
        return f"{self.network} ({self.loss})" if self.loss else self.network


@dataclass(frozen=True, slots=True)
class Panel:
    """How several networks are trained, chosen and made to answer together: by the mean of their probabilities.

    Attributes
    ----------
    name : str
    rounds : int
        How often to learn and propose.
    drift : float
        Without verified labels, a round whose volume is more than `drift` times larger or smaller than the labels given is not adopted.
    networks : str
        Ids of networks of the catalogue with commas; "" for those of Auto3DSeg and nnU-Net that are here.
    losses : str
        Each network is trained once with each of these, with semicolons between them; "" for cross-entropy and Dice.
    dims : 2 or 3
        Whether they see single slices or volumes.
    parameters : dict
        By network, where its parameters differ from its entry's: {"segresnet": {"filters": 8}}.
    folds : int
        Networks of each kind; each learns from all patients but its share, and judges those it did not see. 1 learns from all.
    best : int
        How many kinds are kept: those with the highest held-out Dice; 0 keeps all.
    updates : int or None
        Steps of the optimiser for each network; None for `per_case` a scan, between `least` and `most`.
    per_case, least, most : int
    batch : int
        Windows an update looks at; of slices eights of them.
    learning_rate : float
    fall : float
        The learning rate falls to this share of itself after each quarter of the updates; 0 for a cosine.
    tile : int
        Longest side of a window of slices, pixels; 0 for as much as fits.
    calibrate : bool
        Whether the cut is moved so that the volume is that of the labels.
    cleanup : bool
        Whether small pieces go, gaps are closed and holes filled wherever the model labels.
    smallest_mm2, close_mm, largest
        As `segmenters.volumetric.plan.Cleanup`.
    """

    name: str = "top-n"
    rounds: int = 1
    drift: float = 1.5
    networks: str = ""
    losses: str = ""
    dims: int = 3
    parameters: dict[str, Any] = field(default_factory=dict)
    folds: int = 3
    best: int = 2
    updates: int | None = None
    per_case: int = 10
    least: int = 200
    most: int = 2000
    batch: int = 2
    learning_rate: float = 1e-3
    fall: float = 0.0
    tile: int = 0
    calibrate: bool = True
    cleanup: bool = False
    smallest_mm2: float = 50.0
    close_mm: float = 2.0
    largest: bool = True

    def __post_init__(self) -> None:
        if min(self.rounds, self.folds, self.batch, self.per_case, self.least) < 1 or (self.updates is not None and self.updates < 1):
            raise InvalidInputError("rounds, updates, folds and batch must be 1 or more", where="recipe")
        if not (0 <= self.fall < 1 and self.drift > 1 and self.best >= 0 and (self.tile == 0 or 32 <= self.tile <= 1024)):
            what = "fall must lie between 0 and 1, drift above 1, best at 0 or more, and tile be 0 or between 32 and 1024"
            raise InvalidInputError(what, where="recipe")
        if not (0 <= self.smallest_mm2 <= 1e6 and 0 <= self.close_mm <= 100):
            raise InvalidInputError("smallest_mm2 and close_mm are zero or more", where="recipe", todo="Give square millimetres and millimetres")
        if self.folds == 1 and self.best and self.best < len(self.candidates):
            todo = "Give folds=2 or more, or best=0 to keep all"
            raise InvalidInputError("the best cannot be told where no patient is held out", where="recipe", todo=todo)
        names = {candidate.network for candidate in self.candidates} if self.parameters else set()
        odd = sorted(name for name, given in self.parameters.items() if name not in names or not isinstance(given, dict))
        if odd:
            todo = 'Give them by network: {"segresnet": {"filters": 8}}'
            raise InvalidInputError(f"'{odd[0]}' is no network of this recipe, or its parameters are none", where="parameters", todo=todo)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What is trained, in this order: each network with each loss.

        Raises
        ------
        InvalidInputError
            When no network is named, and none of those it would choose among is here.
        """
        names = [name.strip() for name in self.networks.split(",") if name.strip()]
        losses = [loss.strip() for loss in self.losses.split(";") if loss.strip()] or [""]
        found = tuple(dict.fromkeys(Candidate(name, loss) for name in names or _here() for loss in losses))
        if not found:
            todo = "Install what `medseg catalogue` says they need, or give networks, ids with commas"
            raise InvalidInputError("none of the networks it chooses among is here", where="recipe", todo=todo)
        return found

    @property
    def cleaning(self) -> Cleanup | None:
        """What is done to what its models label."""
        return Cleanup(smallest_mm2=self.smallest_mm2, close_mm=self.close_mm, largest=self.largest) if self.cleanup else None

    def training(self, candidate: Candidate) -> Medseg:
        """How one of them learns.

        Raises
        ------
        CatalogueError, UnavailableError, InvalidInputError
            When there is no such network or loss, a package is missing, or they do not come so.
        """
        return built(Medseg, {
            "name": self.name, "network": candidate.network, "loss": candidate.loss, "dims": self.dims, "folds": 1, "phases": (), "batch": self.batch,
            "parameters": self.parameters.get(candidate.network, {}), "learning_rate": self.learning_rate,
        })

    def updates_for(self, cases: int) -> int:
        """Steps of the optimiser of each network on this many scans."""
        return self.updates or min(max(self.per_case * cases, self.least), self.most)

    def method(self) -> PanelMethod:
        """What does the work; imports torch."""
        from napari_medseg.refine.panel.method import PanelMethod

        return PanelMethod(self)


def gil2023(**overrides: Any) -> Panel:
    """The ensemble and clean-up of Gil et al., MIUA 2023: DeepLabV3+ on ResNet50 and on MobileNetV2 and U-Net, each with balanced cross-entropy and with Dice.

    Parameters
    ----------
    **overrides
        Any attribute of `Panel`.

    Raises
    ------
    InvalidInputError
        When there is no such attribute, or its value makes no sense.
    CatalogueError, UnavailableError
        When the catalogue has no such network, or a package it needs is missing.
    """
    own = {
        "name": "gil2023", "networks": "deeplab-resnet50, deeplab-mobilenetv2, unet-sourget", "losses": "balanced-ce; dice", "dims": 2, "folds": 1, "best": 0,
        "batch": 1, "fall": 0.2, "tile": 224, "calibrate": False, "cleanup": True,
    }
    return _checked(built(Panel, {**own, **overrides}), overrides)


def top_n(**overrides: Any) -> Panel:
    """The best of several networks by cross-validation, as Phitidis et al., MIUA 2023, chose among those of Auto3DSeg.

    Parameters
    ----------
    **overrides
        Any attribute of `Panel`.

    Raises
    ------
    InvalidInputError, CatalogueError, UnavailableError
        As `gil2023` does.
    """
    return _checked(built(Panel, overrides), overrides)


def _checked(recipe: Panel, overrides: Mapping[str, Any]) -> Panel:
    """The recipe; with networks or losses of a person's choice, only if there are such. Reading the catalogue takes too long for a window otherwise."""
    if overrides.keys() & {"networks", "losses", "dims", "parameters"}:
        for candidate in recipe.candidates:
            recipe.training(candidate)
    return recipe


@functools.cache
def _here() -> tuple[str, ...]:
    """Those of `AUTO3DSEG` whose packages are here."""
    known = catalogue.load()
    return tuple(name for name in AUTO3DSEG if not known.find(name, "network").needs())
