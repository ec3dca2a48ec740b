"""review: blinded choices of two sets of masks - the plan, the window to answer in, the result - and how annotators agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from napari_medseg.cli import agreeing
from napari_medseg.cli.answer import Answer, answering, last
from napari_medseg.cli.window import run_window
from napari_medseg.errors import InvalidInputError, MissingFileError
from napari_medseg.io import replacing
from napari_medseg.project import Project
from napari_medseg.project.layout import SUFFIX
from napari_medseg.review.blinded import FolderSource, Plan, PlanOptions, StudySource, find_plans, make_plan, read_plan, summary_of, write_plan
from napari_medseg.review.blinded.folder import require_free
from napari_medseg.review.blinded.sources import Source
from napari_medseg.review.blinded.words import table, told

NOTHING = "Make a plan with --new IMAGES A B, or give a folder with a sub-folder of masks for each annotator"


@answering
def review(
    folder: Annotated[Path, typer.Argument(
        metavar="DIR", help="A folder with a plan and raters' answers, or with a sub-folder of masks for each annotator; or a study.", show_default=False,
    )],
    new: Annotated[tuple[Path, Path, Path] | None, typer.Option(
        metavar="IMAGES A B", help="Plan a blinded review here: the scans, and the two sets of masks under the same file names.", show_default=False,
    )] = None,
    versions: Annotated[tuple[str, str] | None, typer.Option(
        metavar="A B", help="The same for a study: two of latest, first, weak, proposal, corrected, verified, imported, 'round 2'.", show_default=False,
    )] = None,
    rate: Annotated[str | None, typer.Option(metavar="NAME", help="Open the window and answer under this name; goes on where it was left.")] = None,
    titles: Annotated[tuple[str, str] | None, typer.Option(metavar="A B", help="What the result calls the two sets; else their folders.")] = None,
    slices: Annotated[int, typer.Option(help="How many slices are asked, shared evenly among the cases.")] = 40,
    volumes: Annotated[bool, typer.Option("--volumes", help="Ask for whole volumes, one a case.")] = False,
    choice: Annotated[Literal["spread", "random"], typer.Option(help="Slices at equal distances through the labels, or by chance.")] = "spread",
    view: Annotated[Literal["auto", "axial", "coronal", "sagittal"], typer.Option(help="How the slices lie; auto: as the scan was taken.")] = "auto",
    label: Annotated[int | None, typer.Option(help="Show this class only.")] = None,
    repeats: Annotated[float, typer.Option(help="Share of the questions that is asked again, to measure raters against themselves.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Slices, order and sides follow from it; it is kept in the plan.")] = 0,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write every answer to this table.")] = None,
    consensus: Annotated[Literal["majority", "staple"] | None, typer.Option(help="Of annotators' masks: also write what they amount to, with -o.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--output", help="The folder for the consensus.")] = None,
) -> Answer:
    """Blinded choice between two sets of masks, and agreement between annotators.

    A plan says which slices are shown, in which order, and what lies on which side; raters answer in the window; the result has shares with exact
    intervals, the balance of sides and the agreement of raters. A folder of annotators' masks gives their agreement.

    Example: medseg review study --new scans model expert --slices 40 --seed 0

    Example: medseg review study --rate Ann

    Example: medseg review study --json
    """
    if (consensus is None) != (out is None):
        raise typer.BadParameter("--consensus and -o come together")
    if new is not None and versions is not None:
        raise typer.BadParameter("give --new for folders or --versions for a study, not both")
    if new is not None or versions is not None:
        if rate is not None or csv is not None:
            raise typer.BadParameter("plan first; --rate and --csv come with a plan that is there")
        options = PlanOptions("volumes" if volumes else "slices", slices, choice, view, label, repeats, seed)
        return _planned(*(_of_folders(folder, new, titles, options) if new is not None else _of_study(folder, versions or ("", ""), options)))
    if not folder.is_dir():
        raise MissingFileError("there is no such folder", where=folder, todo=f"Check the path. {NOTHING}" if not folder.exists() else NOTHING)
    home = folder / "reviews" if _is_study(folder) else folder
    plans = find_plans(home) if home.is_dir() else []
    if rate is not None:
        return _rate(folder, plans, rate)
    if plans:
        return _result(plans, csv)
    if _is_study(folder):
        todo = f"Plan one: medseg review {folder.name} --versions proposal verified"
        raise MissingFileError("holds no blinded review yet", where=folder, todo=todo)
    return agreeing.agreement_of(folder, NOTHING, consensus, out)


def _of_folders(folder: Path, new: tuple[Path, Path, Path], titles: tuple[str, str] | None, options: PlanOptions) -> tuple[Plan, Path]:
    images, a, b = new
    require_free(folder)
    if _is_study(folder):
        raise InvalidInputError("is a study", where=folder, todo="Compare two of its versions: --versions proposal verified")
    plan = _made(FolderSource(images, a, b, titles or ("", ""), folder), options)
    return plan, write_plan(plan, folder)


def _of_study(folder: Path, versions: tuple[str, str], options: PlanOptions) -> tuple[Plan, Path]:
    with Project.open(folder) as project:
        plan = _made(StudySource(project, *versions), options)
        return plan, write_plan(plan, project.new_review_folder())


def _made(source: Source, options: PlanOptions) -> Plan:
    plan = last(make_plan(source, options)).plan
    if plan is None:
        raise InvalidInputError("ended without questions", where="plan", todo="Check the masks")
    for note in plan.notes:
        typer.echo(f"Note: {note}", err=True)
    return plan


def _planned(plan: Plan, path: Path) -> Answer:
    on_left = sum(question.left == "a" for question in plan.questions)
    facts = {
        "plan": str(path), "sha256": plan.sha256, "a": plan.a.title, "b": plan.b.title, "kind": plan.kind, "seed": plan.seed, "cases": len(plan.cases),
        "questions": len(plan.questions), "repeated": sum(question.repeats is not None for question in plan.questions), "a_on_left": on_left,
        "notes": list(plan.notes),
    }
    text = f"{plan.scope}, seed {plan.seed}; {plan.a.title} lies on the left in {on_left}"
    return Answer(facts, f"{text}\nAnswer them: medseg review {path.parent} --rate NAME")


def _result(plans: list[Path], csv: Path | None) -> Answer:
    found = [summary_of(path) for path in plans]
    if csv is not None:
        if len(found) > 1:
            raise InvalidInputError(f"there are {len(found)} reviews, and a table holds one", where=csv, todo="Name the folder of one review")
        with replacing(csv) as temporary:
            temporary.write_text(table(found[0]), encoding="utf-8")
    return Answer({"plans": [one.as_dict() for one in found]}, "\n\n".join(told(one) for one in found))


def _rate(folder: Path, plans: list[Path], name: str) -> Answer:
    if not plans:
        raise MissingFileError("holds no plan of a blinded review", where=folder, todo="Plan one with --new IMAGES A B, or --versions A B for a study")
    if len(plans) > 1:
        todo = f"Name the folder of one of them, such as {plans[-1].parent}"
        raise InvalidInputError(f"holds {len(plans)} reviews", where=folder, todo=todo)
    plan = read_plan(plans[0])
    study = next((parent for parent in plans[0].resolve().parents if _is_study(parent)), None) if plan.source == "study" else None
    if plan.source == "study" and study is None:
        raise InvalidInputError("was made from a study, and does not lie in it any more", where=plans[0], todo="Put the review back into the study")
    run_window(["--review", str(plans[0].parent.resolve()), "--rater", name, "--", *([str(study)] if study is not None else [])])
    return Answer({"review": str(plans[0].parent), "rater": name}, "")


def _is_study(folder: Path) -> bool:
    return folder.name.lower().endswith(SUFFIX) and folder.is_dir()
