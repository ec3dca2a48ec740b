"""The rounds of a refinement: which one is looked at, which one is in use, and the way of a round's labels into its cases and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from napari_medseg.errors import InvalidInputError
from napari_medseg.session import engines, scan_rounds
from napari_medseg.session.making import Making
from napari_medseg.session.refining_runs import Training
from napari_medseg.session.round_pictures import Change
from napari_medseg.session.run_notes import Spot
from napari_medseg.session.segmenting import model_hash
from napari_medseg.session.state import Scan
from napari_medseg.session.study_adopting import RUN, Taken
from napari_medseg.session.study_refinement import Proposal, Waiting
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:
    from napari_medseg.refine import RoundFigures
    from napari_medseg.session.session import Session


@dataclass(slots=True, eq=False)
class Row:
    """A round in the table.

    Attributes
    ----------
    figures : RoundFigures
    labels : dict of Waiting or Stored
        By case; empty for round 0, for folders, and where they lie on another machine.
    changes : tuple of Change
    spots : tuple of Spot
        What to correct next.
    """

    figures: RoundFigures
    labels: Mapping[str, Proposal] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    spots: tuple[Spot, ...] = ()


class Rounds:
    """The rounds of one run.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    rows : list of Row
        Of the run shown; the first one is the labels given.
    training : Training or None
        The run shown.
    in_use : int
        The round whose labels the cases have now; 0 for the labels given.
    missed : frozenset of str
        Cases that it was not taken into, since the program ended meanwhile.
    shown : int or None
        The round that is looked at; None is the best so far.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before: dict[str, Waiting] = {}
        self.rows: list[Row] = []
        self.training: Training | None = None
        self.in_use = 0
        self.missed: frozenset[str] = frozenset()
        self.shown: int | None = None

    def row(self, number: int | None) -> Row | None:
        """The row of a round."""
        return next((row for row in self.rows if row.figures.round == number), None)

    @property
    def chosen(self) -> Row | None:
        """The row that is looked at: the person's choice, else the adopted one, else the last."""
        if self.shown is not None:
            return self.row(self.shown)
        adopted = [row for row in self.rows if row.figures.adopted and row.figures.round]
        return adopted[-1] if adopted else self.rows[-1] if self.rows else None

    def look_at(self, number: int) -> None:
        """The person looks at a round."""
        if self.shown != number and self.row(number) is not None:
            self.shown = number
            self._session.changed.emit()

    def can_adopt(self, row: Row | None) -> bool:
        """Whether a round's labels can be taken into its cases now."""
        study = self._session.study
        taken = row is not None and row.figures.round == self.in_use and not self.missed
        return row is not None and bool(row.labels) and not taken and not study.busy and not study.readonly

    def adopt(self, number: int) -> None:
        """Take a round's labels into all of its cases as new versions; what a person painted or verified stays."""
        row, session, training = self.row(number), self._session, self.training
        if row is None or not row.labels or training is None:
            session.report(InvalidInputError("there are no labels of this round to take", where=f"Round {number}", todo="Train on open scans or on a study"))
            return
        made = self._making(number, model_hash(session.refine.model if number == session.refine.best_round else None), adopted=True)
        self._drop_previews()

        def done(count: int) -> None:
            told(Taken(count, {}))

        def told(taken: Taken) -> None:
            self.in_use, self.missed = number, frozenset(taken.others)
            count, left_out = taken.changed, taken.left_out(self.name_of, "Adopt")
            session.notice = f"Round {number} is in use: {count} case{'s' if count != 1 else ''} changed; what you painted or verified stayed{left_out}"
            session.changed.emit()

        if training.ids:
            session.study.adopt(row.labels, made, told)
        else:
            scan_rounds.adopt(session, [(scan, self._taken(name, scan, row.labels[name])) for name, scan in self._open() if name in row.labels], made, done)

    def roll_back(self) -> None:
        """Give all cases the labels they had before this run; what a person settled since stays."""
        session, training = self._session, self.training
        if training is None:
            return
        self._drop_previews()

        def done(count: int) -> None:
            told(Taken(count, {}))

        def told(taken: Taken) -> None:
            count, left_out = taken.changed, taken.left_out(self.name_of, "Roll back")
            self.in_use, self.missed = self.in_use if taken.others else 0, frozenset()
            session.notice = f"Rolled back: {count} case{'s have' if count != 1 else ' has'} the labels from before the refinement again{left_out}"
            session.changed.emit()

        if training.ids:
            session.study.roll_back(training.ids, training.began, told)
        else:
            made = Making("refine", "weak", {"rolled_back": training.began})
            scan_rounds.adopt(session, [(scan, partial(_unpacked, self._before[name])) for name, scan in self._open() if name in self._before], made, done)

    def name_of(self, case: str) -> str:
        """What the screen calls a case of the run."""
        found = self._session.study.case(case)
        return found.name if found is not None else case

    def _making(self, number: int, model: str = "", *, adopted: bool = False) -> Making:
        """How labels of a round came to be."""
        training = self.training
        choices = training.choices if training is not None else self._session.refine
        settings = {"recipe": choices.recipe, "rounds": choices.rounds, "round": number, RUN: training.began if training is not None else ""}
        settings |= {"network": choices.network.kept} if choices.network.settings else {}
        return Making("refine", "proposal", {**settings, "adopted": True} if adopted else settings, model=model)

    def _open_scan(self, case: str) -> Scan | None:
        scan = self.training.scans.get(case) if self.training is not None else None
        if scan is not None and scan in self._session.scans:
            return scan
        return next((each for each in self._session.scans if each.case and each.case == case), None)

    def _open(self) -> list[tuple[str, Scan]]:
        scans = self.training.scans if self.training is not None else {}
        return [(name, scan) for name, scan in scans.items() if scan in self._session.scans]

    def _taken(self, name: str, scan: Scan, proposal: Proposal) -> Callable[[], LabelArray]:
        """A round's labels of an open scan; what it held before is kept. To be called beside the window."""

        def labels() -> LabelArray:
            if name not in self._before:
                self._before[name] = Waiting.of(engines.case_of(scan, name).labels.channel(), "before", Making("refine"))
            return proposal.labels

        return labels

    def _drop_previews(self) -> None:
        ids = self.training.ids if self.training is not None else []
        for scan in {id(scan): scan for scan in (*(scan for _, scan in self._open()), *(s for s in self._session.scans if s.case in ids))}.values():
            engines.withdraw(self._session, scan)


def _unpacked(proposal: Proposal) -> LabelArray:
    return proposal.labels
