"""The Guide: what to do next, in one sentence, read from the state and never from a script."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_medseg.session import guide_pointing, guide_refine, guide_review, guide_study, guide_tools, starting
from napari_medseg.session.guide_step import NO_MOUSE, TAKEN, Action, Step
from napari_medseg.session.jobs import Job
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan

if TYPE_CHECKING:
    from napari_medseg.session.levelset_live import LiveLevelSet

ENOUGH_SEEDS = 3


DONE = re.compile(r"(Saved|Opened|Added) |.* stays out of the study$")
"""What was done last, after which a scan of no study whose labels are saved needs nothing more."""
NO_STUDY = "In a study all you draw is saved by itself."


def next_step(session: Session) -> Step:
    """The next step for a person in front of this session."""
    scan, job = session.current, session.job
    if session.declined:
        return Step(session.declined, "open", "Ctrl+O", "Labels are made on one three-dimensional grey-value scan at a time.")
    exported = guide_study.exported(session)
    if exported is not None and not session.trouble and not session.study.found and (job is None or not job.is_active or job.quiet):
        return exported  # whatever tab is open
    if session.tab == "review" and not session.study.found:
        reviewed = guide_review.reviewing(session)
        if reviewed is not None:
            return reviewed
    if session.study.is_open and (scan is None or session.study.found):
        return _in_study(session)
    if scan is None and session.study.locked is not None:
        return Step("Somebody else works on this study: open it to look, or open it once they have closed it", "open", "", session.study.locked.why)
    if scan is None:
        return _beginning(session)
    if session.trouble:
        return replace(_unless_trouble(session, scan, job), sentence=session.trouble.rstrip("."), why="", trouble=True)
    return _unless_trouble(session, scan, job)


def _beginning(session: Session) -> Step:
    """With nothing open at all."""
    if session.trouble:
        return Step(session.trouble.rstrip("."), "open", "Ctrl+O", trouble=True)
    job = session.job
    if job is not None and job.is_active and not job.quiet:
        return Step(f"{job.title}: {progress(job)}", "stop", "", job.message, waiting=job.title)
    if session.study.busy:
        return Step(session.study.busy, waiting=session.study.busy)
    recent = starting.recent(session)
    if recent:
        return Step(f"Go on with the study {recent[0].title}, or open a scan", "reopen", "", "All that was drawn in it is there.")
    why = "Many scans: begin a study (New…). All you draw in it is saved by itself."
    return Step("Open a scan, or drop it on the window; or try a sample", "open", "Ctrl+O", why)


def _in_study(session: Session) -> Step:
    """While no case of the study is open, or unsaved work of an earlier time waits."""
    study = session.study
    if session.trouble:
        return Step(session.trouble.rstrip("."), trouble=True)
    if study.busy:
        return Step(study.busy, waiting=study.busy)
    if study.found:
        found = study.found[0]
        return Step(f"Unsaved work on {found.name} was found: restore it or discard it", "recover", "", found.facts)
    if not study.cases:
        sentence = "Add scans to the study: drop a DICOM folder or NIfTI files, or press + Add in the Cases dock"
        return Step(sentence, "add", "", f"{study.title} holds no scan yet.")
    refined = guide_refine.without_scan(session)
    if refined is not None:
        return refined
    left = guide_study.left(session)
    if not left:
        return guide_study.finished(session)
    why = f"{left} of {len(study.cases)} cases are not verified yet."
    return Step("Open a case: double-click it in the table, or go to the next one", "next", "N", why)


def _unless_trouble(session: Session, scan: Scan, job: Job | None) -> Step:
    front = session.front
    if front is not None and session.tab == "weak" and session.mode in ("levelset", "limit") and session.tool != "limit":
        return _steered(session, scan, front)
    if guide_study.is_told(session, scan) and scan.preview is None and (job is None or not job.is_active or job.quiet) and not session.study.busy:
        return guide_study.case(session, scan)
    if not scan.case and scan.preview is None and (job is None or not job.is_active or job.quiet) and _is_done_with(session, scan):
        return _beside_study(session) if session.study.is_open else _after_save(session)
    drawn = guide_tools.drawn(session, scan, job) or guide_pointing.pointing(session, scan, job)
    if drawn is not None:
        return drawn
    if job is not None and job.is_active and not job.quiet:
        return _while_waiting(session, scan, job)
    if scan.preview is not None:
        return _preview(session, scan)
    if session.study.busy:
        return Step(session.study.busy, waiting=session.study.busy)
    steps = {"segment": _segment, "refine": guide_refine.refining, "weak": _weak, "review": _after_accept}
    return steps[session.tab](session, scan)


def clock(seconds: float) -> str:
    """A stretch of time as people say it."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def progress(job: Job) -> str:
    """How far a job is: percent and time left."""
    if job.fraction is None:
        return f"{clock(job.seconds)} so far"
    left = job.seconds_left
    return f"{100 * job.fraction:.0f} %" + (f", about {clock(left)} left" if left is not None else "")


def _while_waiting(session: Session, scan: Scan, job: Job) -> Step:
    if job.key == "training":
        return guide_refine.training(session, job, progress(job))
    if scan.preview is not None and not scan.preview.is_empty:
        network = "The slice in view comes first; look around while the rest is done"
        sentence = "Watch it grow; accept as soon as you like it" if session.tab == "weak" else network
        return Step(sentence, "stop", "K", "Accepting stops it where it is; Stop keeps the preview.", waiting=job.title)
    how_far = progress(job) if job.fraction else "getting ready"
    return Step(f"{job.title}: {how_far}", "stop", "", job.message or "The first run loads the engine.", waiting=job.title)


def _steered(session: Session, scan: Scan, front: LiveLevelSet) -> Step:
    """While a level set can be steered."""
    name, preview, title = session.label_class.name, front.preview, f"Growing {session.label_class.name}"
    running = title if front.state == "running" else ""
    act: Action = "stop" if running else "run" if front.state == "paused" else "accept"
    key = "K" if act == "accept" else "G"
    if session.tool == "barrier":
        return Step("Paint across the leak: the front never enters nor crosses a barrier", act, key, "What lies behind it is given up at once.", running)
    if session.tool == "bubble":
        what = "cut a ball out" if session.background else "add a ball"
        why = "Q changes between adding and cutting; Shift does it for one click."
        return Step(f"Click where to {what}; the ring shows how big", act, key, why, running)
    if running and preview.is_empty:
        return Step(f"{title}: getting ready", "stop", "", session.preparing or preview.detail or "The first run loads the engine.", running)
    if running and preview.rested_ml is not None:
        sentence = f"It rested at {preview.rested_ml:.3g} ml and tries to go farther: wait, it comes back to that if it runs over"
        return Step(sentence, "stop", "G", "Accept takes it as it is now, be it right or too large.", running)
    if running:
        why = "Sliders, seeds, bubbles and barriers act while it grows."
        return Step("Watch it grow; pause it to correct it, or accept as soon as you like it", "stop", "G", why, running)
    if front.state == "paused":
        return Step(f"Paused: go on, or correct it first with a seed, a bubble or a barrier; accept it into {name} at any time", "run", "G", preview.detail)
    if preview.neck is not None:
        sentence = f"It went through a narrow neck near slice {preview.neck[0]}: look there and draw a barrier across"
        return Step(sentence, "neck", "J", "A barrier takes away what lies behind the neck; if the neck belongs to it, accept.")
    if preview.is_empty:
        return _preview(session, scan)
    if preview.held_mm is not None and not preview.leaked:
        nothing = "It was still moving: nothing" if front.reason == "iterations" else "Nothing"
        held = f"{nothing} held it but the reach of its seeds, {preview.held_mm:.0f} mm"
        if front.overran:
            sentence = f"{held}; farther it ran over. If it is right, accept it into {name}; if it is too small, add seeds farther out"
            return Step(sentence, "accept", "K", "Go farther lets it run on all the same; a painted limit holds it.", plain=True)
        sentence = f"{held}. Too small: press Go farther. Too large: paint a limit"
        return Step(sentence, "farther", "", f"If it is right, accept it into {name}. Seeds farther out tell it too.", plain=True)
    if preview.leaked:
        sentence = f"It grew as far from its seeds as it may. If that is right, accept it into {name}; if it ends early, press Go farther"
        return Step(sentence, "accept", "K", "If it ran over: paint a barrier across the leak, or a limit round it.", plain=True)
    why = preview.detail or "Nothing enters a label without your yes; Ctrl+Z takes it back."
    if front.reason == "iterations":
        sentence = f"It was still moving after all the updates it may make: accept it into {name}, or move a slider and it goes on"
        return Step(sentence, "accept", "K", why, plain=True)
    return Step(f"It came to rest: accept it into {name}, or move a slider and it goes on", "accept", "K", why)


def _preview(session: Session, scan: Scan) -> Step:
    preview = scan.preview
    if preview is None or preview.is_empty:
        return Step("Nothing was outlined: discard it, add seeds inside the organ and run again", "discard", "Shift+K", preview.detail if preview else "")
    where = session.label_class.name if len(preview.classes) == 1 else "the labels"
    if preview.leaked:
        return Step(f"It probably ran out of {where}: discard it, paint a limit round it and grow again", "discard", "Shift+K", preview.detail)
    if preview.doubt:
        return Step(f"{preview.doubt}: compare slice by slice, then accept or discard it", "discard", "Shift+K", preview.detail, plain=True)
    why = session.notice if session.notice.startswith("Place ") else "Nothing enters a label without your yes. The wheel or arrows change slices."
    return Step(f"Look through the slices; accept it into {where}, or discard it", "accept", "K", why)


def _weak(session: Session, scan: Scan) -> Step:
    name = session.label_class.name
    if session.mode in guide_tools.TOOLS:
        return _after_accept(session, scan) if session.notice.startswith(TAKEN) else guide_tools.TOOLS[session.mode](session, scan)
    if scan.has_labels and not session.seed_count and session.notice:
        return _after_accept(session, scan)
    if session.notice.startswith(TAKEN):
        return _after_accept(session, scan)
    count = session.seed_count
    if count == 0 and not session.tool and scan.voxels[session.chosen] > 0 and not session.levelset.begin:  # painted by hand
        return _after_accept(session, scan)
    if session.tool == "limit":
        sentence = f"Paint roughly over {name} with the big brush; nothing outside will be taken"
        return Step(sentence, "run" if count else "seeds", "G" if count else "", "A rough limit stops leaks.")
    if session.levelset.begin and session.mode == "levelset":
        what = {"label": "its accepted label", "preview": "the preview"}[session.levelset.begin]
        return Step(f"Grow {name} from {what}; Advanced says what it starts from", "run", "G")
    if session.tool == "bubble":
        return Step(f"Click inside {name}: the ball is what it grows from", "none", "", f"The ring round the cursor shows how big it is. {NO_MOUSE}")
    if session.tool == "barrier":
        sentence = f"Paint walls where {name} must not go"
        return Step(sentence, "run" if count else "seeds", "G" if count else "", "The front never enters nor crosses them.")
    if count == 0 and session.tool != "seeds":
        why = "Spread them over its slices. Or point at it in the Segment tab."
        return Step(f"Press Add seeds, then click 3 to 5 points inside {name}", "seeds", "Q", why)
    if count < ENOUGH_SEEDS:  # the sentence stays while they are clicked: it is read once
        why = f"{count} of {ENOUGH_SEEDS} are there." if count else f"They show what it looks like. {NO_MOUSE}"
        return Step(f"Click 3 to 5 points inside {name}, on different slices", "none" if session.tool == "seeds" else "seeds", "", why)
    return Step(f"Grow {name} from its {count} seeds", "run", "G", "It can be watched, stopped and run again; nothing is lost.")


def _after_accept(session: Session, scan: Scan) -> Step:
    if session.study.is_open and scan.case:
        return guide_study.case(session, scan)
    sentence = f"{session.notice or f'{session.label_class.name} is labelled'}. Look through it; then Save…, or New study… to keep and verify it"
    return Step(sentence, "save", "", "Paint over what is wrong first; Ctrl+Z takes it back.", plain=True)


def _is_done_with(session: Session, scan: Scan) -> bool:
    return session.tab in ("segment", "weak") and scan.has_labels and scan.is_saved and DONE.match(session.notice) is not None


def _beside_study(session: Session) -> Step:
    """A saved scan that is in no study is open, and so is a study."""
    step = _in_study(session)
    return replace(step, why=f"{session.notice}.") if session.notice.endswith("study") else step


def _after_save(session: Session) -> Step:
    sentence = f"{session.notice}. Open the next scan, or press New study… to verify labels and let a network refine them"
    return Step(sentence, "open", "Ctrl+O", NO_STUDY, plain=True)


def _segment(session: Session, scan: Scan) -> Step:
    if session.notice.startswith(TAKEN):
        return _after_accept(session, scan)
    return guide_pointing.choosing(session)
