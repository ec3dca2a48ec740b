"""What the Guide says in the Refine tab."""

from __future__ import annotations

from napari_medseg.session.guide_step import Step
from napari_medseg.session.jobs import Job
from napari_medseg.session.refining_rounds import Row
from napari_medseg.session.resting import TITLE
from napari_medseg.session.round_words import left_over, verdict
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan
from napari_medseg.session.study_refinement import learners

ENOUGH = 3
"""Verified slices, of which some check, before rounds can be judged by more than their volume."""
RIGHT = "A case that is right: verify it (Ctrl+Shift+K)."
FEW = 5
"""Cases below which the Guide suggests to label more."""


def refining(session: Session, scan: Scan) -> Step:
    """While nothing runs and no preview waits."""
    choices = session.refine
    if session.notice.startswith(f"Accepted {TITLE}"):
        return Step(f"{session.notice}. Look through its slices and mark those that are right", "right", "Alt+K", _useful(session, scan), plain=True)
    if session.notice.startswith("Accepted proposal"):
        return Step(f"{session.notice}. Save it, or train again from here", "save", "", "Each accepted correction makes the next round better.", plain=True)
    if session.refining.left:
        return _left_over(session)
    if choices.images or choices.labels:
        if not (choices.images and choices.labels):
            return Step("Name both folders: the scans, and their label maps under the same file names", "none")
        return Step(f"Train on the scans in {choices.images.name}", "run", "G")
    if not learners(session):
        return Step("First make a weak label and accept it; the network learns from it", "weak", "", "A refinement starts from labels, however rough.")
    if any(row.figures.round for row in session.refining.rows):
        return _after_rounds(session)
    alone = _alone(session, scan)
    if alone is not None:
        return alone
    slices = _judged_by(session)
    why, labelled, cases = "It trains in a process of its own; go on working meanwhile.", len(learners(session)), len(session.study.cases)
    if slices < ENOUGH:
        more = f"{ENOUGH - slices} slice{'s' if ENOUGH - slices != 1 else ''}"
        why = f"Better first mark {more} right (Alt+K), in two patients or more: rounds are judged by them."
    if labelled < min(FEW, cases):
        why = f"Only {labelled} of {cases} cases {'is' if labelled == 1 else 'are'} labelled; a network learns more from more of them."
    return Step("Start the refinement; it proposes better labels", "run", "G", why)


def _judged_by(session: Session) -> int:
    """Slices that rounds can be judged by: those that are marked, and all of cases that are verified as a whole."""
    whole = sum(case.geometry.shape[0] for case in session.study.cases if case.status == "verified") if session.study.is_open else 0
    return max(whole, session.verified.count()[0])


def without_scan(session: Session) -> Step | None:
    """While a study is open and none of its cases: what is left of an earlier time; None for nothing."""
    if session.tab != "refine" or session.refining.is_training:
        return None
    if session.refining.left:
        return _left_over(session)
    best = any(row.figures.adopted and row.figures.round for row in session.refining.rows)
    return _after_rounds(session) if best and not session.refining.in_use else None


def _alone(session: Session, scan: Scan) -> Step | None:
    """One scan has little to teach a network, but a few corrected slices teach its other ones; None where there are more."""
    report, slices = session.rest.report(scan), session.rest.slices(scan)
    cases = len(session.study.cases) if session.study.is_open else len(session.scans)
    if cases != 1 or not scan.has_labels:
        return None
    if report is not None and len(slices) <= len(report.corrected):
        return Step("Look through the slices, correct where it is wrong, and propose again", "right", "Alt+K", report.useful, plain=True)
    if len(slices) < ENOUGH:
        more = f"{ENOUGH - len(slices)} {'more ' if slices else ''}slice{'s' if len(slices) != ENOUGH - 1 else ''}"
        sentence = f"Correct {more} with the brush, or mark right ones; then propose the rest from them"
        return Step(sentence, "right", "Alt+K", "A network learns little from a single scan; its own corrected slices teach the others.", plain=True)
    return Step("Propose the other slices of this scan from those you corrected", "rest", "", "Takes seconds; your slices stay as they are.")


def training(session: Session, job: Job, how_far: str) -> Step:
    """While a training runs."""
    if session.refining.paused:
        return Step("The training sleeps: go on when you like; it keeps all it has learnt", "none", "", job.message, waiting=job.title)
    slices = _judged_by(session)
    if slices < ENOUGH and session.current is not None and session.current.has_labels:
        sentence = f"Training: {how_far}. Mark slices that are right meanwhile (Alt+K): the next training is judged by them"
        return Step(sentence, "stop", "", job.message, waiting=job.title)
    if session.study.is_open and len(session.study.cases) > 1:
        sentence = f"Training: {how_far}. Go on with other cases meanwhile (N); proposals come by themselves"
        return Step(sentence, "stop", "", job.message, waiting=job.title)
    return Step(f"Training: {how_far}. Go on working; the proposal will appear beside your label", "stop", "", job.message, waiting=job.title)


def _after_rounds(session: Session) -> Step:
    refining, rounds = session.refining, session.refining.rows
    best = next((row for row in reversed(rounds) if row.figures.adopted and row.figures.round), None)
    if session.notice.startswith("Place "):
        why = "Alt+K: it is right as it is. J: the next place."
        return Step(f"{session.notice}. Correct it with the brush, or mark it right", "right", "Alt+K", why, plain=True)
    if refining.in_use:
        where = "correct a few of the places below, then train again"
        return Step(f"Round {refining.in_use} is in use: {where}", "look", "J", f"{RIGHT} Roll back gives all cases their labels of before again.", plain=True)
    if best is not None:
        number = best.figures.round
        return Step(f"Look at what round {number} changed, then adopt it for all cases, or open them one by one", "adopt", "", verdict(best, over=True))
    return _refused(session, rounds)


def _left_over(session: Session) -> Step:
    """A training was not brought to its end."""
    left = session.refining.left
    what = left_over(left.runs, len(left.waiting))
    if left.runs:
        return Step("A training is not finished: go on with it, or forget it", "resume", "", what)
    return Step("Trainings still wait: start them, or forget them", "resume", "", what)


def _refused(session: Session, rounds: list[Row]) -> Step:
    """No round was better than the labels given."""
    last, slices = rounds[-1], _judged_by(session)
    why = verdict(last, over=True)
    if slices < ENOUGH:
        sentence = f"No round was adopted. Mark {ENOUGH} slices right, in two patients or more, so that rounds can be judged"
        return Step(sentence, "right", "Alt+K", why, plain=True)
    sentence = "No round was adopted, and your labels stay. Correct a few of the places below, then train again"
    return Step(sentence, "look", "J", f"{RIGHT} {why}", plain=True)


def _useful(session: Session, scan: Scan) -> str:
    report = session.rest.report(scan)
    return report.useful if report is not None else ""
