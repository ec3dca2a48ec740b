"""Which network a refinement trains and what it makes small, as a person chooses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from napari_medseg.catalogue import Catalogue, Entry
from napari_medseg.errors import MedsegError

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

LOSSES = "ce + dice"
"""What the product's own loss comes to, in the words of the catalogue."""


@dataclass(frozen=True, slots=True)
class NetworkChoices:
    """What differs from the recipe's own network and loss; the settings of `refine.medseg.recipe.Medseg` of the same names.

    Attributes
    ----------
    network : str
        Id of a catalogue entry; "" for the recipe's own.
    dims : 2 or 3
        Whether that network sees slices or volumes.
    loss : str
        As typed; "" for the recipe's own.
    proximal : float
        How strongly the weights are held near those of the base; 0 for not at all.
    start : str
        A file with a pre-trained encoder; "" for none.
    """

    network: str = ""
    dims: int = 3
    loss: str = ""
    proximal: float = 0.0
    start: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """What a recipe is given; nothing where nothing was chosen."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name) != field.default}
        return given if self.network else {name: value for name, value in given.items() if name in ("loss", "proximal")}

    @classmethod
    def read(cls, kept: object) -> NetworkChoices:
        """From what `asdict` gave, perhaps by another version; what is no such thing counts as nothing."""
        if not isinstance(kept, Mapping):
            return cls()
        usual = asdict(cls())
        return replace(cls(), **{name: value for name, value in kept.items() if name in usual and type(value) is type(usual[name])})

    @property
    def kept(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @property
    def words(self) -> str:
        """In one line; "" where nothing was chosen."""
        net = f"{self.network} in {self.dims}D" if self.network else ""
        return ", ".join(filter(None, [net, self.loss, "near its base" if self.proximal else "", "pre-trained" if self.start and self.network else ""]))


@dataclass(frozen=True, slots=True)
class Offer:
    """A network or a loss that may be chosen.

    Attributes
    ----------
    id, title, tip : str
    dims : tuple of int
        That it comes in.
    missing : str
        The command that brings what it needs; "" where nothing is missing.
    settings : mapping of str to its default
        Of a loss.
    alone : bool
        Whether a loss does without another beside it.
    """

    id: str
    title: str
    tip: str
    dims: tuple[int, ...]
    missing: str
    settings: Mapping[str, Any]
    alone: bool = True


@dataclass(frozen=True, slots=True)
class LossRow:
    """One loss of a sum: factor x name (settings)."""

    factor: float
    name: str
    settings: str = ""


def offers(catalogue: Catalogue, kind: str) -> list[Offer]:
    """The networks ("network") or losses ("loss") of the catalogue."""
    return [_offer(entry) for entry in catalogue.of_kind(kind)]  # type: ignore[arg-type]


def _offer(entry: Entry) -> Offer:
    from napari_medseg.catalogue import install_hint

    facts, missing = entry.capabilities, entry.needs()
    hint = install_hint(missing) if missing else ""
    tip = "\n".join(filter(None, [entry.summary, f"Source: {facts['source']}" if facts.get("source") else "", hint]))
    return Offer(
        entry.id, entry.title, tip, tuple(facts.get("dims", (2, 3))), hint, {name: value for name, value in entry.parameters.items() if name != "spacing"},
        bool(facts.get("alone", True)),
    )


def takes_networks(session: Session, recipe: str) -> bool:
    """Whether a recipe trains networks of the catalogue."""
    entry = session.catalogue.entries.get(recipe)
    return entry is not None and bool(entry.capabilities.get("networks"))


def loss_rows(text: str) -> list[LossRow]:
    """A loss as rows of a form.

    Raises
    ------
    InvalidInputError
        When it cannot be read.
    """
    from napari_medseg.refine.losses.spec import terms

    return [LossRow(term.factor, term.name, ", ".join(f"{name}={_number(value)}" for name, value in term.settings.items())) for term in terms(text or LOSSES)]


def loss_text(rows: Sequence[LossRow]) -> str:
    """Rows of a form as they are written."""
    return " + ".join(f"{'' if row.factor == 1 else f'{row.factor:g}*'}{row.name}{f'({row.settings})' if row.settings.strip() else ''}" for row in rows)


def loss_fault(text: str) -> str:
    """What is wrong with a loss, in a sentence; "" for nothing."""
    from napari_medseg.refine.medseg.recipe import require_loss

    try:
        require_loss(text) if text else None
    except MedsegError as error:
        return str(error)
    return ""


def _number(value: float | list[float]) -> str:
    return f"[{', '.join(f'{one:g}' for one in value)}]" if isinstance(value, list) else f"{value:g}"
