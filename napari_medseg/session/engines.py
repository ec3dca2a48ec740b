"""What a refinement of the session is given, and what its proposals become."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.session import by_hand
from napari_medseg.session.history import count_values
from napari_medseg.session.making import Making
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

    recipe = session.catalogue.find(choices.recipe, "recipe").build(rounds=choices.rounds)
    given: tuple[Case, ...] | Folders = cases
    taught = dict(corrected or {})
    if cases:
        pass
    elif choices.images or choices.labels:
        if not (choices.images and choices.labels):
            todo = "Name the folder of scans and the folder of their label maps, or neither"
            raise InvalidInputError("only one of the two folders is given", where="Refine", todo=todo)
        given = Folders(choices.images, choices.labels)
    else:
        scans = named(session, choices)
        given = tuple(Case(name, scan.source, session.verified.untouched(scan)) for scan, name in scans)
        taught = {case.id: hand for (scan, _), case in zip(scans, given, strict=True) if (hand := painted_of(scan, case.labels)) is not None}
        checks = session.verified.checks(scans)
        if not given:
            raise NoLabelsError("no open scan has an accepted label", where="Refine", todo="Make a weak label and accept it first")
    out = choices.out or runs_folder(session) / datetime.now().strftime("%Y-%m-%d %H-%M-%S")
    names = {c.value: c.name for c in session.classes}
    checked = checks or Checks({}, {}, {})
    return RefineRequest(
        given, recipe, base=choices.base, out=out, corrected=taught or None, verified=checked.verified or None, patients=checked.patients or None,
        sides=checked.sides or None, class_names=names, device=session.device, every_round=False,
    )


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


def propose(session: Session, scan: Scan, labels: LabelArray, title: str, made: Making) -> None:
    """Show labels, in the file's voxel order, as a preview that waits for a yes; what a person settled is shown, and stays, as they left it."""
    display = np.asarray(scan.axes.apply(labels), np.uint8)
    kept = session.verified.locked(scan)
    if kept is not None and scan.labels is not None:
        display = np.where(kept, scan.labels, display).astype(np.uint8)
    counts = count_values(display)
    present = {value for value, count in counts.items() if value and count}
    classes = tuple(c for c in session.classes if c.value in present) or (session.label_class,)
    if len(classes) == 1 and scan is session.current:
        session.choose_class(classes[0].value)
    ml = sum(counts[value] for value in present) * scan.display.geometry.voxel_ml
    scan.preview = Preview(display, title, classes, f"{ml:.3g} ml", finished=True, made=made, keeps_settled=True)
    session.preview_changed.emit(scan, None)


def named(session: Session, choices: RefineChoices) -> list[tuple[Scan, str]]:
    """Scans that take part and the names of their cases, each its own."""
    named: list[tuple[Scan, str]] = []
    for scan in refinable(session):
        if id(scan) in choices.left_out:
            continue
        taken = {name for _, name in named}
        name = next(n for n in (scan.name, *(f"{scan.name} {i}" for i in range(2, 1000))) if n not in taken)
        named.append((scan, name))
    return named
