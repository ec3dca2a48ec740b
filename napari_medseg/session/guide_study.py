"""What the Guide says of a case of a study whose labels are there: look, verify, go on, and what to do with a study that is done."""

from __future__ import annotations

import re

from napari_medseg.session.guide_step import Step
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan
from napari_medseg.session.study import ENDS

VERIFY = "Ctrl+Shift+K"
EXPORTED = re.compile(r"Exported \d+ verified")
SEVERAL = 8
"""Cases from which on the list is filtered: fewer are seen at a glance."""
ENOUGH_CASES = 3
"""Labelled cases from which on the Guide names the network that can learn from them."""
TOLD = ("Opened", "Took", "Verified", "Exported", "Saved your corrections", *ENDS)
"""How notices begin after which a case is looked at as a whole."""


def left(session: Session) -> int:
    """Cases that are not verified yet."""
    return sum(case.status != "verified" for case in session.study.cases)


def is_told(session: Session, scan: Scan) -> bool:
    """Whether the case itself is what matters now, whatever the open tab is for."""
    if not (session.study.is_open and scan.case and scan.has_labels):
        return False
    if session.tab not in ("segment", "weak"):
        return session.notice.startswith("Verified")
    busy_with = session.tab == "weak" and session.tool and session.notice.startswith("Opened")
    return session.notice.startswith(TOLD) and not busy_with


def case(session: Session, scan: Scan) -> Step:
    """The next step for a case that has labels."""
    study, notice = session.study, session.notice
    found = study.case(scan.case)
    if study.readonly:
        return Step(f"{notice}. The study is open only to look; go on with the next case", "next", "N", plain=True)
    if study.taken and scan.case == study.current and found is not None and not found.claimed:
        return Step(f"{found.name} is free now. Open it again to work on it", "again", "", "What was drawn while looking is not kept.", plain=True)
    if study.taken and scan.case == study.current:
        return Step(f"{notice}. Go on with the next case", "next", "N", "Open again makes it yours once it is free.", plain=True)
    if found is not None and found.status == "verified" and scan.is_saved:
        return _verified(session, notice)
    if not notice:
        notice = "There are labels"
    elif notice in ENDS:
        notice = f"{notice}, and it is not verified yet"
    elif notice.startswith("Verified"):
        notice = "Changed since it was verified"
    why = f"{_teaches(session)} Paint over what is wrong first.".lstrip()
    later = ", or go on (N)" if left(session) > 1 else ""
    return Step(f"{notice}. Look through it; if all is right, verify it{later}", "verify", VERIFY, why, plain=True)


def finished(session: Session) -> Step:
    """All cases are verified."""
    count = len(session.study.cases)
    every = f"All {count} cases are verified" if count > 1 else "The case is verified"
    why = f"{_teaches(session)} Labels leave as DICOM SEG, NIfTI and others; no patient's name goes along.".lstrip()
    return Step(f"{every}. Export the labels, or make a report, from the Study menu", "export", "", why, plain=True)


def exported(session: Session) -> Step | None:
    """What is left after verified labels were exported; None where that was not the last thing done."""
    if not (session.study.is_open and EXPORTED.match(session.notice)):
        return None
    remain, why = left(session), "The Study menu exports NIfTI, DICOM SEG and other formats alike."
    if remain:
        return Step(f"{session.notice}. Go on: {remain} {'is' if remain == 1 else 'are'} not verified yet", "next", "N", why, plain=True)
    return Step(f"{session.notice}. Done; add more scans, or close the study in its menu", "none", "", why, plain=True)


def _teaches(session: Session) -> str:
    """Whether there are labels enough for a network, while none was trained yet."""
    study, scan = session.study, session.study.scan
    count = sum(case.latest is not None or (case.id == study.current and scan is not None and scan.has_labels) for case in study.cases)
    trained = any(row.figures.round for row in session.refining.rows)
    return f"Or train a network on the {count} labelled cases: Refine tab." if count >= ENOUGH_CASES and not trained else ""


def _verified(session: Session, notice: str) -> Step:
    remain = left(session)
    if not remain:
        return finished(session)
    if notice in ENDS:
        key = "Shift+N" if notice == ENDS[0] else "N"
        count = len(session.study.cases)
        alone = "; the list can show those alone (To do)" if count >= SEVERAL else ""
        return Step(f"{notice}, but {remain} of {count} are not verified yet{alone}", "none", key, plain=True)
    can = "Make a report or export: Study menu." if len(session.study.cases) - remain > 1 else "What is verified can still be changed."
    why = f"{remain} of {len(session.study.cases)} {'is' if remain == 1 else 'are'} left. {_teaches(session)} {can}".replace("  ", " ")
    if notice.startswith("Opened"):
        return Step(f"{notice}; it is verified. Change it, or go on with the next case", "next", "N", why, plain=True)
    return Step(f"{notice}. Go on with the next case", "next", "N", why, plain=True)
