"""The study on disk: its cases, their label versions and their history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from napari_medseg.annotation import LabelClass, default_classes
from napari_medseg.cli.answer import Answer, answering
from napari_medseg.cli.arguments import output
from napari_medseg.errors import InvalidInputError, MedsegError, MissingFileError, ProjectDamagedError
from napari_medseg.volume import format_shape

if TYPE_CHECKING:
    from napari_medseg.project import Case, Event, Problem, Project, Version

StudyFolder = Annotated[Path, typer.Argument(help="The study's folder, NAME.medseg; the ending may be left out.", show_default=False)]
CaseId = Annotated[str, typer.Argument(help="A case, such as case-0001.", show_default=False)]
Number = Annotated[int, typer.Argument(help="A version's number.", show_default=False)]
User = Annotated[str, typer.Option(help="Who works; else the name kept in the preferences, else the login name.", show_default=False)]
KindName = Literal["imported", "weak", "proposal", "corrected", "verified"]
StatusName = Literal["new", "weak", "refined", "corrected", "verified"]


@answering
def init(
    study: StudyFolder,
    classes: Annotated[Path | None, typer.Option(help="What the values mean: ITK-SNAP label descriptions, or JSON as `project export` writes it.")] = None,
    class_: Annotated[list[str] | None, typer.Option("--class", help="A class by name, numbered from 1; may be given several times.")] = None,
    title: Annotated[str, typer.Option(help="What people call the study; name no patient.")] = "",
    keep_names: Annotated[bool, typer.Option("--keep-names", help="Let exports hold the scans' names.")] = False,
    database: Annotated[str, typer.Option(help="For a team: postgresql://HOST/DATABASE, where every member writes.", show_default=False)] = "",
    user: User = "",
) -> Answer:
    """Begin a study: an empty folder NAME.medseg with its label schema.

    Example: medseg project init liver --class Liver --class Tumour
    """
    from napari_medseg.project import Project

    schema = _schema(classes, class_ or [])
    with Project.create(study, title=title, classes=schema, user=_who(user), database=database) as project:
        if keep_names:
            project.keep_names = True
        return Answer(
            {"folder": project.folder, "title": project.title, "shared": project.shared, "classes": [_class(c) for c in project.classes]},
            f"{project.folder}: made, with {len(project.classes)} classes. Add scans with `medseg project add {project.folder} SCAN`.",
        )


@answering
def add(
    study: StudyFolder,
    scans: Annotated[list[Path], typer.Argument(help="Scans: files, DICOM folders, folders of files.", show_default=False)],
    labels: Annotated[Path | None, typer.Option(help="The scan's label map; for several scans a folder of them under the scans' file names.")] = None,
    kind: Annotated[KindName, typer.Option(help="What those labels are.")] = "imported",
    series: Annotated[str, typer.Option(help="Which series of a DICOM folder: UID or description.")] = "",
    user: User = "",
) -> Answer:
    """Add scans as cases; one that is known already stays the case it was.

    Example: medseg project add liver scans --labels masks
    """
    from napari_medseg.session.gathering import Gathered, scans_in

    faults: list[MedsegError] = []
    for path in (*scans, *([] if labels is None else [labels])):
        if not path.exists():
            raise MissingFileError("there is no such file or folder", where=path, todo="Check the path")
    found = [Gathered(path, series) for path in scans] if series else list(scans_in(scans, faults))
    if labels is not None and not labels.is_dir() and len(found) != 1:
        raise InvalidInputError(f"is one label map for {len(found)} scans", where=labels, todo="Give a folder of label maps under the scans' file names")
    cases, notes = [], []
    with opened(study, user) as project:
        for path, which, info in found:
            try:
                case = project.add(path, series=which, info=info)
                notes += [f"{case.id}: {project.notice}"] * bool(project.notice)
                if labels is not None:
                    notes += _import(project, case, path, labels, kind)
                cases.append(project.case(case.id))
            except MedsegError as error:
                faults.append(error)
    if faults and not cases:
        raise faults[0]
    failed = [{"what": error.what, "where": error.where, "todo": error.todo} for error in faults]
    lines = [*map(_line, cases), *(f"Note: {note}" for note in notes), *(f"Not added: {error}" for error in faults)]
    return Answer({"cases": [_facts(case) for case in cases], "notes": notes, "failed": failed}, "\n".join(lines), code=1 if faults else 0)


@answering
def list_(
    study: StudyFolder,
    status: Annotated[StatusName | None, typer.Option(help="Only cases that are so far.")] = None,
) -> Answer:
    """List the cases of a study. The text names the scans' files; the JSON does not.

    Example: medseg project list liver --status weak
    """
    with opened(study, readonly=True) as project:
        cases = [case for case in project.cases() if status in (None, case.status)]
        unsaved = {one.case for one in project.unsaved()}
        title, classes = project.title, project.classes
    facts = {"title": title, "classes": [_class(c) for c in classes], "cases": [{**_facts(case), "unsaved": case.id in unsaved} for case in cases]}
    lines = [_line(case) + ("  unsaved work" if case.id in unsaved else "") for case in cases]
    return Answer(facts, "\n".join(lines) or "no case")


@answering
def history(
    study: StudyFolder,
    case: CaseId,
    events: Annotated[bool, typer.Option("--events", help="Everything that was done to it, from the audit log.")] = False,
) -> Answer:
    """List the label versions of a case, oldest first.

    Example: medseg project history liver case-0001
    """
    with opened(study, readonly=True) as project:
        versions, ml = project.versions(case), project.case(case).geometry.voxel_ml
        log = project.events(case) if events else []
    facts: dict[str, Any] = {"case": case, "versions": [_version(version, ml) for version in versions]}
    lines = [_told(version, ml) for version in versions] or ["no labels yet"]
    if events:
        facts["events"] = [_event(event) for event in log]
        lines += [f"{event.created.astimezone():%Y-%m-%d %H:%M}  {event.action} {event.number or ''}  {event.author}" for event in log]
    return Answer(facts, "\n".join(lines))


@answering
def restore(study: StudyFolder, case: CaseId, version: Number, user: User = "") -> Answer:
    """Make an old version the latest again; those between stay.

    Example: medseg project restore liver case-0001 2
    """
    with opened(study, user) as project:
        made = project.restore(case, version)
        ml = project.case(case).geometry.voxel_ml
    return Answer({"case": case, "version": _version(made, ml)}, f"{case}: version {version} is the latest again, as version {made.number}")


@answering
def export(
    study: StudyFolder,
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files; made when missing.", show_default=False)],
    suffix: Annotated[str, typer.Option(help="The format, such as .nii.gz, .nrrd, .ome.zarr, .seg.dcm or .rtstruct.dcm.")] = ".nii.gz",
    kind: Annotated[list[str] | None, typer.Option(help="Each case's latest version of this kind only; may be given several times.")] = None,
    case: Annotated[list[str] | None, typer.Option(help="This case only; may be given several times.")] = None,
    images: Annotated[bool, typer.Option("--images", help="Write the scans too, under images/.")] = False,
) -> Answer:
    """Write the latest labels of each case as case-0001.nii.gz, ..., with cases.csv and classes.json; no patient's name goes along.

    Cases that cannot be written are left out and told; exit 1 when there are any.

    Example: medseg project export liver -o out --kind verified
    """
    from napari_medseg.project import LeftOut

    left: list[LeftOut] = []
    with opened(study, lazily=True) as project:
        files = project.export(out, suffix=suffix, kinds=_kinds(kind), cases=case or None, images=images, left_out=left)
    lines = [f"{each.case} was left out: {each.why}" + (f". {each.error.todo}" if each.error.todo else "") for each in left]
    facts = {"files": files, "left_out": [{"case": each.case, "why": each.why} for each in left]}
    return Answer(facts, "\n".join([*lines, f"{len(files)} files in {out}"]), code=1 if left else 0)


@answering
def check(
    study: StudyFolder,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is safe to mend; no version is ever changed.")] = False,
    user: User = "",
) -> Answer:
    """Compare the database with the folders and every checksum; exit 1 when something is wrong.

    Example: medseg project check liver --repair
    """
    def told(done: int, of: int) -> None:
        if of > 20 and done % 20 == 0:
            typer.echo(f"{done} of {of} versions read", err=True)

    problems: list[Problem] = []
    try:
        with opened(study, user, readonly=not repair) as project:
            problems += project.check(repair=repair, told=told)
    except ProjectDamagedError:
        if not repair:
            raise
        from napari_medseg.project import Project

        project, problems = Project.rescue(study, user=_who(user))
        with project:
            problems += project.check(repair=True, told=told)
    good = all(problem.mended for problem in problems)
    facts = {"ok": good, "problems": [asdict(problem) for problem in problems]}
    lines = [("mended: " if problem.mended else "") + str(problem) for problem in problems]
    return Answer(facts, "\n".join([*lines, "The study is whole." if good else "The study is not whole."]), code=0 if good else 1)


@answering
def recover(
    study: StudyFolder,
    case: Annotated[str | None, typer.Argument(help="The case whose unsaved work is meant; without one it is listed.", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("-o", "--output", help="Write it to this file and leave it unsaved in the study.", show_default=False)] = None,
    discard: Annotated[bool, typer.Option("--discard", help="Throw it away.")] = False,
    user: User = "",
) -> Answer:
    """List work that was autosaved and never saved, as after a crash; with a case, save it as a new version.

    Example: medseg project recover liver case-0001
    """
    from napari_medseg.io import write

    if case is None:
        if discard or out is not None:
            raise typer.BadParameter("name the case", param_hint="CASE")
        with opened(study, readonly=True) as project:
            found = project.unsaved()
        facts = [
            {"case": one.case, "parent": one.parent, "written": one.written.isoformat(timespec="seconds"), "voxels_changed": one.voxels_changed,
             "box_zyx": [[part.start, part.stop] for part in one.box]}
            for one in found
        ]
        lines = [f"{one.case}: {one.voxels_changed:,} voxels, last at {one.written.astimezone():%Y-%m-%d %H:%M}" for one in found]
        return Answer({"unsaved": facts}, "\n".join(lines) or "no unsaved work")
    if out is not None:
        output(out)
    with opened(study, user, readonly=out is not None) as project:
        labels = project.recover(case)
        if out is not None:
            write(labels, out)
            return Answer({"case": case, "file": out}, f"{out}: the unsaved work of {case}")
        if discard:
            project.discard_unsaved(case)
            return Answer({"case": case, "discarded": True}, f"{case}: the unsaved work was thrown away")
        parent = next((one.parent for one in project.unsaved() if one.case == case), None)
        made = project.save(case, labels, kind="corrected", tool="brush", parameters={"recovered": True}, parent=parent)
        project.discard_unsaved(case)
        return Answer({"case": case, "version": _version(made, labels.geometry.voxel_ml)}, f"{case}: the unsaved work is version {made.number}")


@answering
def replay(
    study: StudyFolder,
    case: CaseId,
    version: Number,
    out: Annotated[Path | None, typer.Option("-o", "--output", help="Write the result to this file.", show_default=False)] = None,
) -> Answer:
    """Do again what made a version, from what it recorded, and say whether the result is the same.

    Example: medseg project replay liver case-0001 2
    """
    from napari_medseg.io import write
    from napari_medseg.session.replay import replay as again

    if out is not None:
        output(out)
    with opened(study, readonly=True) as project:
        done = again(project, case, version)
    if out is not None:
        write(done.labels, out)
    facts = {"case": case, "number": version, "tool": done.tool, "ran": done.ran, "same": done.same, "voxels_different": done.voxels_different}
    return Answer({**facts, "note": done.note}, f"{case}, version {version} ({done.tool}): {done.note}")


@contextmanager
def opened(study: Path, user: str = "", *, readonly: bool = False, lazily: bool = False) -> Iterator[Project]:
    """The study, open; `lazily` for what can do without writing while somebody else does."""
    from napari_medseg.errors import ProjectLockedError
    from napari_medseg.project import Project

    try:
        project = Project.open(study, user=_who(user), readonly=readonly)
    except ProjectLockedError:
        if not lazily:
            raise
        project = Project.open(study, user=_who(user), readonly=True)
    with project:
        if project.notice and not readonly:
            typer.echo(f"Note: {project.notice}", err=True)
        yield project


def _import(project: Project, case: Case, scan: Path, labels: Path, kind: KindName) -> list[str]:
    from napari_medseg.io import read_labels

    path = labels / scan.name if labels.is_dir() else labels
    if not path.exists():
        raise MissingFileError("there is no label map of this name", where=path, todo="Give each label map the file name of its scan")
    given = read_labels(path, case.geometry)
    project.save(case.id, given, kind=kind, tool="import")
    return [f"{case.id}: {project.notice}"] * bool(project.notice)


def _schema(path: Path | None, names: list[str]) -> tuple[LabelClass, ...]:
    if path is not None and names:
        raise typer.BadParameter("give --classes or --class, not both", param_hint="--class")
    if path is None:
        return default_classes(names)
    from napari_medseg.io.descriptions import read_classes

    return read_classes(path)


def _kinds(names: list[str] | None) -> list[KindName] | None:
    known = get_args(KindName)
    wrong = next((name for name in names or () if name not in known), None)
    if wrong is not None:
        raise typer.BadParameter(f"'{wrong}' is none of {', '.join(known)}", param_hint="--kind")
    return [name for name in known if name in names] if names else None


def _who(user: str) -> str:
    from napari_medseg.session import preferences

    return user or preferences.load().user


def _class(one: LabelClass) -> dict[str, Any]:
    return {"value": one.value, "name": one.name, "colour": one.colour, "code": one.code}


def _facts(case: Case) -> dict[str, Any]:
    return {
        "id": case.id, "status": case.status, "modality": case.modality, "versions": case.versions, "latest": case.latest, "last_editor": case.last_editor,
        "seconds": case.seconds, "added": case.added.isoformat(timespec="seconds"), "is_there": case.is_there, "shape_zyx": case.geometry.shape,
        "spacing_mm_zyx": case.geometry.spacing, "claimed_by": case.claimed,
    }


def _version(version: Version, voxel_ml: float) -> dict[str, Any]:
    told = {name: getattr(version, name) for name in ("number", "kind", "name", "author", "tool", "parameters", "prompts", "parent", "model", "seconds")}
    return {
        **told, "created": version.created.isoformat(timespec="seconds"), "voxels": version.voxels, "checksum": version.checksum,
        "volume_ml": {value: count * voxel_ml for value, count in version.voxels.items()},
    }


def _event(event: Event) -> dict[str, Any]:
    return {**asdict(event), "created": event.created.isoformat(timespec="seconds")}


def _line(case: Case) -> str:
    made = "no labels" if case.latest is None else f"{case.versions} version{'s' if case.versions != 1 else ''}, the last by {case.last_editor or 'nobody'}"
    gone = "" if case.is_there else "  (the scan is not where it was)"
    taken = f"  claimed by {case.claimed}" if case.claimed else ""
    return f"{case.id}  {case.status:<9}  {made}, {case.seconds / 60:.0f} min  {format_shape(case.geometry.shape)}  {case.name}{gone}{taken}"


def _told(version: Version, voxel_ml: float) -> str:
    sizes = ", ".join(f"class {value}: {count * voxel_ml:.4g} ml" for value, count in version.voxels.items()) or "empty"
    of = "" if version.parent is None else f" from {version.parent}"
    name = f" '{version.name}'" if version.name else ""
    return f"{version.number:>3}{of}  {version.created.astimezone():%Y-%m-%d %H:%M}  {version.kind:<9}  {version.tool}  {version.author}{name}  {sizes}"
