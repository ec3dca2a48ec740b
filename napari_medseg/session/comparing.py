"""Which of several rounds, models or people is better over many cases: folders of label maps against the truth, and what another threshold would give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io.formats import stem_of
from napari_medseg.metrics.measure import measure
from napari_medseg.volume import require_same_grid
from napari_medseg.volume.volume import Volume

if TYPE_CHECKING:
    from napari_medseg.project import Project
    from napari_medseg.review.calibration import Calibration
    from napari_medseg.review.comparing import Comparison
    from napari_medseg.review.folders import Groups
    from napari_medseg.review.volumes import BlandAltman, VolumeFit
    from napari_medseg.session.session import Session

LANE = "review compare"
DEVICE = "review"
Read = Callable[[], Volume]
FIGURES = ("dice", "surface_dice_2mm", "hd95_mm", "assd_mm", "volume_error_ml", "precision", "recall")


@dataclass(frozen=True, slots=True)
class Choices:
    """What is compared.

    Attributes
    ----------
    models : tuple of Path
        Folders of label maps, the earlier one first.
    truth : Path or None
        The folder of true ones; None for the verified labels of the open study.
    groups : Path or None
        CSV with a column `case` and one a grouping.
    probabilities : Path or None
        Folder of probability maps of the same names, one channel a class.
    """

    models: tuple[Path, ...] = ()
    truth: Path | None = None
    groups: Path | None = None
    probabilities: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Figures of every case.

    Attributes
    ----------
    cases : by model, case and class
        What `measure` found.
    groups : by grouping and case
    calibration : Calibration or None
    left_out : tuple of str
        Sentences: what could not be compared.
    """

    cases: Mapping[str, Mapping[str, Mapping[str, Any]]]
    groups: Groups
    calibration: Calibration | None
    left_out: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """Every class that occurs."""
        return tuple(sorted({value for cases in self.cases.values() for classes in cases.values() for value in classes}, key=int))


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """A step of the work; the last one holds the result."""

    fraction: float
    message: str
    found: Measured | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """One figure of one class, compared; as a tick it is the whole work."""

    comparison: Comparison
    volumes: tuple[BlandAltman, VolumeFit]
    fraction: float = 1.0
    message: str = ""


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
        self.figure = "dice"
        self.value: str | None = None
        self.threshold = 50

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
        if len(self.choices.models) < 2:
            return "Add two folders of label maps or more, the earlier one first"
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
        verified = {case.id: case.name for case in session.study.cases if case.status == "verified"}

        def apply(tick: Tick) -> None:
            if tick.found is not None:
                self.found, self._of = tick.found, choices
                self._made.clear()
                self.value = self.value if self.value in tick.found.values else None
                self._weigh()

        def begin(project: Project | None) -> None:
            session.jobs.start(
                LANE, "Comparing case by case", lambda: _measured(choices, project, verified), apply=apply, done=lambda: None, failed=session.report,
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

    def open_case(self, case: str) -> None:
        """Open a case of the study by the name its label maps have."""
        session = self._session
        named = next((each for each in session.study.cases if case in (each.id, each.name, stem_of(each.name))), None)
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
            f"{LANE} figures", "Weighing the figures", lambda: _weighed(found, *key), apply=apply, done=lambda: None, failed=self._session.report,
            quiet=True, device=DEVICE,
        )


def _weighed(found: Measured, figure: str, value: str | None) -> Iterator[Weighed]:
    from napari_medseg.review.comparing import compare, size_groups
    from napari_medseg.review.volumes import bland_altman, volume_fit

    true, last = _true_ml(found, value), _ml(found.cases[list(found.cases)[-1]], value, "volume_ml_pred")
    size = size_groups(true)
    comparison = compare(found.cases, figure, value, groups={**found.groups, **({"size": size} if size else {})})
    yield Weighed(comparison, (bland_altman(true, last), volume_fit(true, last)))


def _measured(choices: Choices, project: Project | None, verified: Mapping[str, str]) -> Iterator[Tick]:
    from napari_medseg.io import read, read_labels
    from napari_medseg.io.folders import files_in, masks_in
    from napari_medseg.review.calibration import CalibrationCounter
    from napari_medseg.review.folders import groups_of, told_apart

    truths = _truths(choices.truth, project, verified)
    models = told_apart(choices.models)
    groups = groups_of(choices.groups) if choices.groups is not None else {}
    folders = {name: masks_in(folder) for name, folder in models.items()}
    maps = files_in(choices.probabilities) if choices.probabilities is not None else {}
    left_out = [f"{name} lacks {', '.join(sorted(truths.keys() - held.keys()))}" for name, held in folders.items() if truths.keys() - held.keys()]
    strange = sorted({case for held in folders.values() for case in held} - truths.keys())
    if strange:
        left_out.append(f"without a truth: {', '.join(strange)}")
    cases = [case for case in sorted(truths) if any(case in held for held in folders.values())]
    if not cases:
        raise UnreadableFileError("no label map has the name of a true one", where="Compare", todo="Give the files of one case one name in every folder")
    if choices.probabilities is not None and not maps.keys() & set(cases):
        left_out.append("no probability map has the name of a case")
    found: dict[str, dict[str, Any]] = {name: {} for name in models}
    counter: CalibrationCounter | None = None
    for done, case in enumerate(cases):
        yield Tick(done / len(cases), f"{case} ({done + 1} of {len(cases)})")
        truth = truths[case]()
        for name, held in folders.items():
            if case in held:
                pred = read_labels(held[case])
                require_same_grid(truth.geometry, pred.geometry, held[case].name)
                found[name][case] = measure(pred.channel(), truth.channel(), truth.geometry.spacing)
        if case in maps:
            chances = read(maps[case])
            require_same_grid(truth.geometry, chances.geometry, maps[case].name)
            counter = counter or CalibrationCounter(range(1, chances.channels + 1))
            for _ in counter.adding(case, chances.array, truth.channel(), truth.geometry.spacing):
                yield Tick((done + 0.5) / len(cases), f"{case}: probabilities")
    yield Tick(1.0, "Done", Measured(found, groups, counter.result() if counter is not None else None, tuple(left_out)))


def _truths(folder: Path | None, project: Project | None, verified: Mapping[str, str]) -> dict[str, Read]:
    from napari_medseg.io import read_labels
    from napari_medseg.io.folders import masks_in

    if folder is not None:
        return {name: (lambda path=path: read_labels(path)) for name, path in masks_in(folder).items()}  # type: ignore[misc]
    if project is None:
        raise InvalidInputError("there are no true labels", where="Compare", todo="Choose the folder of true label maps")
    return {stem_of(name): (lambda case=case: project.labels(case)) for case, name in verified.items()}  # type: ignore[misc]


def _ml(cases: Mapping[str, Mapping[str, Any]], value: str | None, name: str) -> dict[str, float | None]:
    return {case: sum(row[name] or 0.0 for key, row in classes.items() if value in (None, key)) for case, classes in cases.items()}


def _true_ml(found: Measured, value: str | None) -> dict[str, float | None]:
    return {case: ml for cases in found.cases.values() for case, ml in _ml(cases, value, "volume_ml_truth").items()}
