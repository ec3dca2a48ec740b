"""Which of several rounds, models or people is better over many cases, against the truth; what another threshold would give; what of it the study keeps."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import InvalidInputError
from napari_medseg.io.formats import stem_of
from napari_medseg.session.compare_measuring import Choices, Measured, Tick, Weighed, measured, weighed
from napari_medseg.session.compare_rounds import RoundModel, rounds_of
from napari_medseg.session.refining_runs import runs_folder

if TYPE_CHECKING:
    from napari_medseg.project import Case, Project
    from napari_medseg.review.calibration import ClassCalibration
    from napari_medseg.review.comparing import Comparison
    from napari_medseg.review.volumes import BlandAltman, VolumeFit
    from napari_medseg.session.session import Session

LANE = "review compare"
DEVICE = "review"
FIGURES = ("dice", "surface_dice_2mm", "hd95_mm", "assd_mm", "volume_error_ml", "precision", "recall")


class Comparing:
    """The comparison of a session.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    choices : Choices
    found : Measured or None
    figure : str
    value : str or None
        The class; None for the mean over classes.
    threshold : int
        Percent; of the slider beside the reliability curve.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.choices = Choices()
        self.found: Measured | None = None
        self._of = Choices()
        self._made: dict[tuple[str, str | None], Weighed] = {}
        self._study: Path | None = None
        self._kept: set[tuple[str, str | None, int]] = set()
        self.figure = "dice"
        self.value: str | None = None
        self.threshold = 50

    def add_rounds(self) -> None:
        """Add the labels given and the rounds of the study's latest refinement, in the place of any that were added before."""
        session, runs = self._session, runs_folder(self._session)

        def done(rounds: tuple[RoundModel, ...]) -> None:
            self.choose(models=(*rounds, *(model for model in self.choices.models if not isinstance(model, RoundModel))))

        session.study.beside(lambda project: rounds_of(project, runs), done)

    def choose(self, **values: Any) -> None:
        """Change what is compared."""
        self.choices = replace(self.choices, **values)
        self._session.changed.emit()

    def look_at(self, **values: Any) -> None:
        """Look at another figure or class."""
        for name, value in values.items():
            setattr(self, name, value)
        self._weigh()
        self._session.changed.emit()

    @property
    def is_old(self) -> bool:
        """Whether something else is chosen than was compared."""
        return self.found is not None and self._of != self.choices

    @property
    def missing(self) -> str:
        """What is still to be chosen, in words; "" when it can begin."""
        study, models = self._session.study, self.choices.models
        if any(isinstance(model, RoundModel) and model.study != study.folder for model in models):
            return "Add the rounds again: they are of another study than the one that is open"
        if len(models) < 2:
            return f"Add {'the rounds of this study, or ' if study.is_open else ''}two folders of label maps or more, the earlier one first"
        if self.choices.truth is None and not any(case.status == "verified" for case in self._session.study.cases):
            return "Choose the folder of true label maps, or open a study with verified cases"
        return ""

    def start(self) -> None:
        """Measure every case of every folder against the truth.

        Raises
        ------
        InvalidInputError
            When something is still to be chosen.
        """
        session, choices = self._session, self.choices
        if self.missing:
            raise InvalidInputError("cannot be compared yet", where="Compare", todo=self.missing)
        study = session.study.folder
        verified = {case.id: case.name for case in session.study.cases if case.status == "verified"}

        def apply(tick: Tick) -> None:
            if tick.found is not None:
                self.found, self._of, self._study = tick.found, choices, study
                self._made.clear()
                self._kept.clear()
                self.value = self.value if self.value in tick.found.values else None
                self._weigh()

        def begin(project: Project | None) -> None:
            session.jobs.start(
                LANE, "Comparing case by case", lambda: measured(choices, project, verified), apply=apply, done=lambda: None, failed=session.report,
                device=DEVICE,
            )

        if choices.truth is None:
            session.study.beside(lambda project: project, begin)
        else:
            begin(None)

    @property
    def comparison(self) -> Comparison | None:
        """The chosen figure, paired by case; None until it is there."""
        made = self._made.get((self.figure, self.value))
        return made.comparison if made is not None else None

    @property
    def volumes(self) -> tuple[BlandAltman, VolumeFit] | None:
        """The last model's volumes against the truth; None until they are there."""
        made = self._made.get((self.figure, self.value))
        return made.volumes if made is not None else None

    @property
    def reliability(self) -> ClassCalibration | None:
        """Of the chosen class, or the first; None without probability maps."""
        classes = self.found.calibration.classes if self.found is not None and self.found.calibration is not None else ()
        return next((each for each in classes if str(each.value) == self.value), classes[0] if classes else None)

    @property
    def is_kept(self) -> bool:
        """Whether the open study keeps what is shown."""
        return self._session.study.folder == self._study and self._shown in self._kept

    @property
    def can_keep(self) -> bool:
        """Whether there is something that the open study could keep, and does not yet."""
        study = self._session.study
        return study.project is not None and study.folder == self._study and self.comparison is not None and not self.is_kept

    @property
    def _shown(self) -> tuple[str, str | None, int]:
        return self.figure, self.value, self.threshold if self.reliability is not None else 0

    def keep(self) -> None:
        """Keep the comparison that is shown in the study, and what the probabilities came to; its report tells both.

        Raises
        ------
        InvalidInputError
            When there is nothing to keep, or none of its cases is in the open study.
        """
        comparison, study, found, shown, of = self.comparison, self._session.study, self.found, self._shown, self.reliability
        if comparison is None or found is None or not self.can_keep:
            raise InvalidInputError("there is nothing to keep", where="Compare", todo="Compare within an open study that can be written to")
        cases = [case.id for name in comparison.common if (case := self._case(name)) is not None]
        if not cases:
            raise InvalidInputError("none of these cases is in the study", where="Compare", todo="Open the study that they are of, and compare again")
        from napari_medseg.review.kept import CALIBRATION, COMPARISON, calibration_record, comparison_record

        told = comparison_record(comparison, _titles(self._of), verified=self._of.truth is None)
        chances = None if of is None or found.calibration is None else calibration_record(found.calibration, {of.value: shown[2] / 100})

        def work(project: Project) -> None:
            project.record_run(COMPARISON, parameters={}, figures=told, cases=cases)
            if chances is not None:
                project.record_run(CALIBRATION, parameters={}, figures=chances, cases=cases)

        def done(_: None) -> None:
            if self.found is found:
                self._kept.add(shown)
            self._session.notice = "Kept in the study; its report tells it"
            self._session.changed.emit()

        study.beside(work, done)

    def _case(self, name: str) -> Case | None:
        """The study's case of a label map's name."""
        return next((each for each in self._session.study.cases if name in (each.id, each.name, stem_of(each.name))), None)

    def open_case(self, case: str) -> None:
        """Open a case of the study by the name its label maps have."""
        session, named = self._session, self._case(case)
        if named is not None:
            session.study.go(named.id)
        else:
            session.notice = f"{case} is in no open study; open its scan to look at it"
            session.changed.emit()

    def _weigh(self) -> None:
        """Have the chosen figure and class compared beside the window, unless they were."""
        found, key = self.found, (self.figure, self.value)
        if found is None or key in self._made:
            return

        def apply(tick: Weighed) -> None:
            if self.found is found:
                self._made[key] = tick

        self._session.jobs.start(
            f"{LANE} figures", "Weighing the figures", lambda: weighed(found, *key), apply=apply, done=lambda: None, failed=self._session.report,
            quiet=True, device=DEVICE,
        )


def _titles(choices: Choices) -> list[str]:
    """What the models are called where nobody may be named: rounds by their own titles, folders by number."""
    numbers = count(1)
    return [model.title if isinstance(model, RoundModel) else f"folder {next(numbers)}" for model in choices.models]
