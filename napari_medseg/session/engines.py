"""What a refinement of the session is given, and what its proposals become."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.session import by_hand
from napari_medseg.session.making import Making
from napari_medseg.session.state import Preview, Scan, source_labels
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:
    from napari_medseg.refine import Case, RefineRequest
    from napari_medseg.session.session import Session
    from napari_medseg.volume import Volume

PROPOSAL = "proposal round"


def refinable(session: Session) -> list[Scan]:
    """Open scans that have an accepted label."""
    return [scan for scan in session.scans if scan.has_labels]


def request(session: Session, cases: tuple[Case, ...] = (), corrected: Mapping[str, Volume] | None = None) -> RefineRequest:
    """What a refinement would be given now: these cases, else the folders that are named, else the open scans.

    Raises
    ------
    NoLabelsError, InvalidInputError
        When there is nothing to learn from, or only one of the two folders is named.
    """
    from napari_medseg.refine import Folders, RefineRequest

    choices = session.refine
    recipe = session.catalogue.find(choices.recipe, "recipe").build(rounds=choices.rounds)
    given: tuple[Case, ...] | Folders = cases
    if cases:
        pass
    elif choices.images or choices.labels:
        if not (choices.images and choices.labels):
            todo = "Name the folder of scans and the folder of their label maps, or neither"
            raise InvalidInputError("only one of the two folders is given", where="Refine", todo=todo)
        given = Folders(choices.images, choices.labels)
    else:
        given = tuple(case_of(scan, name) for scan, name in named(session))
        if not given:
            raise NoLabelsError("no open scan has an accepted label", where="Refine", todo="Make a weak label and accept it first")
    out = choices.out or platformdirs.user_data_path("napari-medseg", appauthor=False) / "refinements" / datetime.now().strftime("%Y-%m-%d %H-%M-%S")
    names = {c.value: c.name for c in session.classes}
    return RefineRequest(given, recipe, base=choices.base, out=out, corrected=corrected or None, class_names=names, device=session.device)


def case_of(scan: Scan, name: str) -> Case:
    """A scan and its accepted labels on the grid of its file."""
    from napari_medseg.refine import Case

    return Case(name, scan.source, source_labels(scan))


def propose(session: Session, scan: Scan, labels: LabelArray, title: str, made: Making) -> None:
    """Show labels, in the file's voxel order, as a preview that waits for a yes; what a person settled is shown, and stays, as they left it."""
    display = np.asarray(scan.axes.apply(labels), np.uint8)
    kept = by_hand.settled(scan)
    if kept is not None and scan.labels is not None:
        display = np.where(kept, scan.labels, display).astype(np.uint8)
    present = {int(v) for v in np.unique(display)}
    classes = tuple(c for c in session.classes if c.value in present) or (session.label_class,)
    if len(classes) == 1 and scan is session.current:
        session.choose_class(classes[0].value)
    ml = np.count_nonzero(display) * scan.display.geometry.voxel_ml
    scan.preview = Preview(display, title, classes, f"{ml:.3g} ml", finished=True, made=made, keeps_settled=True)
    session.preview_changed.emit(scan, None)


def named(session: Session) -> list[tuple[Scan, str]]:
    """Scans that take part and the names of their cases, each its own."""
    named: list[tuple[Scan, str]] = []
    for scan in refinable(session):
        if id(scan) in session.refine.left_out:
            continue
        taken = {name for _, name in named}
        name = next(n for n in (scan.name, *(f"{scan.name} {i}" for i in range(2, 1000))) if n not in taken)
        named.append((scan, name))
    return named
