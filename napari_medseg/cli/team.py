"""Who works on which case of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_medseg.cli.answer import Answer, answering
from napari_medseg.cli.project import CaseId, StudyFolder, User, opened

if TYPE_CHECKING:
    from napari_medseg.project import Claim


@answering
def claim(
    study: StudyFolder,
    case: CaseId,
    hours: Annotated[float, typer.Option(help="How long it stays yours, unless you release it.", min=0.01, max=31 * 24)] = 8.0,
    user: User = "",
) -> Answer:
    """Claim a case: until you release it, or the time is over, nobody else saves labels of it.

    Example: medseg project claim liver case-0003 --hours 4
    """
    with opened(study, user) as project:
        made = project.claim(case, hours * 3600)
    return Answer({"claim": _facts(made)}, f"{case} is yours until {made.until.astimezone():%Y-%m-%d %H:%M}")


@answering
def release(
    study: StudyFolder,
    case: CaseId,
    force: Annotated[bool, typer.Option("--force", help="Also when somebody else has it; the log says that you did it.")] = False,
    user: User = "",
) -> Answer:
    """Let others work on a case that you claimed.

    Example: medseg project release liver case-0003
    """
    with opened(study, user) as project:
        was = project.release(case, force=force)
    return Answer({"case": case, "released": was}, f"{case} is free" + ("" if was else "; nobody had it"))


@answering
def who(study: StudyFolder, user: User = "") -> Answer:
    """List who works on which case.

    Example: medseg project who liver
    """
    with opened(study, user, readonly=True) as project:
        claims = project.claims()
    lines = [f"{one.case}  {one.who} since {one.since.astimezone():%Y-%m-%d %H:%M}, until {one.until.astimezone():%H:%M}" for one in claims]
    return Answer({"claims": [_facts(one) for one in claims]}, "\n".join(lines) or "no case is claimed")


def _facts(one: Claim) -> dict[str, Any]:
    return {
        "case": one.case, "author": one.author, "machine": one.machine, "since": one.since.isoformat(timespec="seconds"),
        "until": one.until.isoformat(timespec="seconds"), "mine": one.mine,
    }
