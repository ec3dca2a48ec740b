"""What the table of rounds says, in the words of the window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_medseg.refine.kept import Unfinished
    from napari_medseg.session.refining_rounds import Row

COLUMNS = ("Round", "Dice", "Change", "Volume", "Time")
TIPS = (
    "0 is the labels you gave; ★ the best so far, ● in use now, ! a warning that stands below the table",
    "Agreement with the verified slices that no round learns from, 0 to 1; – when none are verified",
    "Dice against the labels that were the best before",
    "Times the volume of the labels you gave; far from × 1 means trouble",
    "Training and prediction",
)


def cells(row: Row, in_use: int) -> tuple[str, ...]:
    """A row of the table."""
    figures = row.figures
    signs = ("★" if figures.adopted else "") + ("●" if figures.round == in_use else "") + ("!" if figures.pieces else "")
    dice = "–" if figures.dice_verified is None else f"{figures.dice_verified:.3f}"
    change = "–" if figures.dice_change is None or not figures.round else f"{figures.dice_change:+.3f}"
    return f"{signs} {figures.round}".strip(), dice, change, f"× {figures.volume_ratio:.2f}", took(figures.seconds) if figures.round else "–"


def took(seconds: float) -> str:
    """A time as the table has room for it."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def scored_on(rows: Sequence[Row]) -> str:
    """What the Dice was measured on."""
    last = rows[-1].figures
    if last.dice_verified is None:
        return "No slice is verified for checking, so rounds are judged by their volume alone."
    slices, patients = last.verified_slices, last.verified_patients
    if not slices:
        return "Dice on verified labels that no round learns from."
    return f"Dice on {slices} verified slice{'s' if slices != 1 else ''} of {patients} patient{'s' if patients != 1 else ''} that no round learns from."


def left_over(runs: Sequence[Unfinished], waiting: int) -> str:
    """What is known of trainings that were not brought to their end."""
    behind = f"{waiting} training{'s' if waiting != 1 else ''}"
    if not runs:
        return f"{behind} had not begun when the window was closed or stopped." if waiting else ""
    run = runs[0]
    when = f"{run.written:%H:%M}" if run.written.date() == datetime.now().date() else f"{run.written:%Y-%m-%d %H:%M}"
    of = f"{len(run.cases)} scan{'s' if len(run.cases) != 1 else ''}" if run.cases else "a folder of scans"
    done = f"with {run.round} of {run.rounds} round{'s' if run.rounds != 1 else ''} done"
    more = [f"{len(runs) - 1} older too"] if len(runs) > 1 else []
    more += [f"{behind} waited behind it"] if waiting else []
    return f"A training on {of} is not finished: it ended at {when}, {done}" + (f" ({'; '.join(more)})." if more else ".")


def verdict(row: Row, *, over: bool, used: bool = False) -> str:
    """Why a round should be taken or not, and what to watch; `over` when no round follows, `used` when its labels were taken."""
    figures = row.figures
    if figures.round == 0:
        said = "Round 0: the labels you gave"
        return f"{said}, {figures.reason}." if figures.adopted and over and figures.reason not in ("", "the labels given") else f"{said}."
    word = "is in use" if used else "is the best so far" if figures.adopted and not over else "can be adopted" if figures.adopted else "should not be adopted"
    said = f"Round {figures.round} {word}" if figures.reason or over else f"Round {figures.round}: judged when the last round is done"
    reason = figures.reason.rstrip(".")
    found = f". {reason[0].upper()}{reason[1:]}" if reason else ""
    return f"{said}{found}." + (f" Watch: {figures.pieces.rstrip('.')}." if figures.pieces else "")


def noted(row: Row) -> str:
    """What the recipe found out on the way, such as how networks compared; "" for nothing."""
    notes = row.figures.notes.rstrip(".")
    return f"{notes[0].upper()}{notes[1:]}." if notes else ""
