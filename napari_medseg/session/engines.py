"""What a refinement of the session is given, and what its proposals become."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.io.names import free_name
from napari_medseg.session import by_hand
from napari_medseg.session.history import count_values
from napari_medseg.session.jobs import Looked
from napari_medseg.session.making import Making
from napari_medseg.session.network_choices import takes_networks
from napari_medseg.session.settings import RefineChoices
from napari_medseg.session.state import Preview, Scan, source_labels
from napari_medseg.session.study_refinement import Checks
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:
    from napari_medseg.refine import Case, RefineRequest
    from napari_medseg.session.session import Session
    from napari_medseg.volume import Volume

PROPOSAL = "proposal round"


def refinable(session: Session) -> list[Scan]:
    """Open scans that have an accepted label."""
    return [scan for scan in session.scans if scan.has_labels]


def require(session: Session, choices: RefineChoices) -> None:
    """Refuse a refinement of what is open, or of folders, that has nothing to learn from.

    Raises
    ------
    NoLabelsError, InvalidInputError
        As `request`.
    """
    if choices.images or choices.labels:
        if not (choices.images and choices.labels):
            todo = "Name the folder of scans and the folder of their label maps, or neither"
            raise InvalidInputError("only one of the two folders is given", where="Refine", todo=todo)
    elif not named(session, choices):
        raise NoLabelsError("no open scan has an accepted label", where="Refine", todo="Make a weak label and accept it first")


def request(
    session: Session, choices: RefineChoices, cases: tuple[Case, ...] = (), corrected: Mapping[str, Volume] | None = None, checks: Checks | None = None,
) -> RefineRequest:
    """What a refinement is given: these cases, else the folders that are named, else the open scans.

    Raises
    ------
    NoLabelsError, InvalidInputError
        When there is nothing to learn from, or only one of the two folders is named.
    """
    from napari_medseg.refine import Case, Folders, RefineRequest
    from napari_medseg.session.refining_runs import runs_folder

    recipe = session.catalogue.find(choices.recipe, "recipe").build(rounds=choices.rounds, **settings_of(session, choices))
    given: tuple[Case, ...] | Folders = cases
    taught = dict(corrected or {})
    if not cases:
        require(session, choices)
    if cases:
        pass
    elif choices.images and choices.labels:
        given = Folders(choices.images, choices.labels)
    else:
        scans = named(session, choices)
        given = tuple(Case(name, scan.source, session.verified.untouched(scan)) for scan, name in scans)
        taught = {case.id: hand for (scan, _), case in zip(scans, given, strict=True) if (hand := painted_of(scan, case.labels)) is not None}
        checks = session.verified.checks(scans)
    out = choices.out or runs_folder(session) / datetime.now().strftime("%Y-%m-%d %H-%M-%S")
    names = {c.value: c.name for c in session.classes}
    checked = checks or Checks({}, {}, {})
    return RefineRequest(
        given, recipe, base=choices.base, out=out, corrected=taught or None, verified=checked.verified or None, patients=checked.patients or None,
        sides=checked.sides or None, class_names=names, device=session.device, every_round=False,
    )


def settings_of(session: Session, choices: RefineChoices) -> dict[str, Any]:
    """What the recipe is given beside the rounds; nothing where it trains its own network only."""
    return choices.network.settings if takes_networks(session, choices.recipe) else {}


def painted_of(scan: Scan, labels: Volume) -> Volume | None:
    """What a person painted of a scan's labels, 255 elsewhere, on the grid of its file; None for nothing."""
    painted = by_hand.settled(scan)
    if painted is None or not painted.any():
        return None
    return labels.like(np.where(scan.axes.undo(painted), labels.channel(), np.uint8(255)))


def settled_slices(*maps: Mapping[str, Volume]) -> dict[str, set[int]]:
    """Slices in which a person settled something, by case, along the axis on which slices lie; 255 in a map is what nobody settled."""
    from napari_medseg.segmenters.slices import thick_axis

    found: dict[str, set[int]] = {}
    for labels in maps:
        for name, volume in labels.items():
            axis = thick_axis(volume.geometry.spacing)
            known = (volume.channel() != 255).any(axis=tuple(each for each in range(3) if each != axis))
            found.setdefault(name, set()).update(int(index) for index in np.flatnonzero(known))
    return found


def case_of(scan: Scan, name: str) -> Case:
    """A scan and its accepted labels on the grid of its file."""
    from napari_medseg.refine import Case

    return Case(name, scan.source, source_labels(scan))


def propose(
    session: Session, scan: Scan, labels: Callable[[], LabelArray], title: str, made: Making, doubt: Callable[[], tuple[str, str]] = lambda: ("", ""),
) -> None:
    """Show labels as a preview that waits for a yes; what a person settled is shown, and stays, as they left it. Made ready beside the window.

    Parameters
    ----------
    labels : callable
        Gives them in the file's voxel order; called beside the window.
    doubt : callable
        Why it should rather not be accepted, and what stands below it then; asked when it is shown.
    """
    ready: list[Preview] = []

    def make() -> Iterator[Looked]:
        ready.append(_preview(session, scan, labels(), title, made))
        yield Looked()

    def done() -> None:
        busy = scan.preview is not None and not is_proposal(scan.preview)
        if not ready or busy or scan not in session.scans or ready[0].labels.shape != scan.display.geometry.shape:
            return
        preview = scan.preview = ready[0]
        preview.doubt, preview.detail = doubt()[0], doubt()[1] or preview.detail
        if len(preview.classes) == 1 and scan is session.current:
            session.choose_class(preview.classes[0].value)
        session.preview_changed.emit(scan, None)

    what = f"Making the {title} ready"
    session.jobs.start(_lane(scan), what, make, apply=_ignore, done=done, failed=session.report, own_thread=True, quiet=True)


def withdraw(session: Session, scan: Scan) -> None:
    """A round's labels are not shown beside a scan's own any more."""
    session.jobs.stop(_lane(scan))
    if scan.preview is not None and is_proposal(scan.preview):
        scan.preview = None
        session.preview_changed.emit(scan, None)


def is_proposal(preview: Preview) -> bool:
    """Whether a round made it."""
    return preview.title.startswith(PROPOSAL)


def _lane(scan: Scan) -> str:
    return f"proposal {id(scan)}"


def _preview(session: Session, scan: Scan, labels: LabelArray, title: str, made: Making) -> Preview:
    display = np.asarray(scan.axes.apply(labels), np.uint8)
    kept = session.verified.locked(scan)
    if kept is not None and scan.labels is not None:
        display = np.where(kept, scan.labels, display).astype(np.uint8)
    counts = count_values(display)
    present = {value for value, count in counts.items() if value and count}
    classes = tuple(c for c in session.classes if c.value in present) or (session.label_class,)
    ml = sum(counts[value] for value in present) * scan.display.geometry.voxel_ml
    made_ready = Preview(display, title, classes, f"{ml:.3g} ml", finished=True, made=made, keeps_settled=True)
    made_ready.look()
    return made_ready


def _ignore(_: object) -> None:
    """Nothing is to be told."""


def named(session: Session, choices: RefineChoices) -> list[tuple[Scan, str]]:
    """Scans that take part and the names of their cases, each its own."""
    named: list[tuple[Scan, str]] = []
    for scan in refinable(session):
        if id(scan) in choices.left_out:
            continue
        named.append((scan, free_name(scan.name, [name for _, name in named])))
    return named
