"""pretrain: a network learns from scans without labels, and whether that pays is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_medseg.cli.answer import Answer, answering, last
from napari_medseg.cli.arguments import Device, device_of
from napari_medseg.cli.learning import settings_of
from napari_medseg.errors import InvalidInputError, MissingFileError

if TYPE_CHECKING:
    from napari_medseg.refine.pretraining.encoder_plan import EncoderPlan
    from napari_medseg.refine.pretraining.request import PretrainRequest

TASK_HELP = "denoise: take away noise that was put on; masked: fill in blocks that were hidden."
COMPARE_HELP = (
    "Folder of labels under the file names of some of the scans: train with and without the pre-training, the same updates in all, and judge both "
    "on patients that neither has seen."
)
OUT_HELP = "The encoder to write (.safetensors), or a folder for it; not needed with --compare."

SETTINGS: dict[str, Any] = {"batch": int, "learning_rate": int | float, "noise": int | float, "hidden": float, "parameters": dict}
EXAMPLES = {"batch": "batch=2", "learning_rate": "learning_rate=0.001", "noise": "noise=2", "hidden": "hidden=0.5", "parameters": 'parameters={"width": 8}'}


@answering
def pretrain(
    images: Annotated[list[Path], typer.Argument(help="Scans, or folders of scans; they need no labels.", show_default=False)],
    network: Annotated[str, typer.Option(metavar="ID", help="A network's id from `medseg catalogue` that answers with maps.", show_default=False)],
    out: Annotated[Path | None, typer.Option("-o", "--output", help=OUT_HELP, show_default=False)] = None,
    dims: Annotated[int, typer.Option(min=2, max=3, help="Whether it sees single slices (2) or volumes (3).")] = 3,
    task: Annotated[Literal["denoise", "masked"], typer.Option(help=TASK_HELP)] = "denoise",
    updates: Annotated[int, typer.Option(min=1, help="Steps of the optimiser without labels.")] = 400,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="batch, learning_rate, noise, hidden or parameters.")] = None,
    compare: Annotated[Path | None, typer.Option(metavar="LABELS", help=COMPARE_HELP, show_default=False)] = None,
    train_updates: Annotated[int, typer.Option(min=1, help="With --compare: steps with labels after the pre-training.")] = 200,
    seeds: Annotated[int, typer.Option(min=1, help="With --compare: how often everything is done anew.")] = 1,
    patients: Annotated[Path | None, typer.Option(help="JSON or CSV of file names and patients; else each scan is a patient of its own.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed on the same machine gives the same encoder.")] = 0,
    device: Device = "auto",
) -> Answer:
    """Learn from scans without labels: what comes of it is where `medseg refine --set start=FILE` begins.

    Example: medseg pretrain scans --network segresnet --updates 400 -o encoder.safetensors

    Example: medseg refine scans weak_labels -o study --recipe network --network segresnet --set start=encoder.safetensors

    Example: medseg pretrain scans --network segresnet --compare labels --seeds 3
    """
    from napari_medseg.refine.pretraining.request import PretrainRequest

    if (out is None) == (compare is None):
        raise typer.BadParameter("either -o for the encoder, or --compare for a measurement, is needed", param_hint="-o")
    files = _scans(images)
    if out is not None and out.exists() and any(out.samefile(path) for path in (*images, *files)):
        raise InvalidInputError("would be written over what it is made from", where=out, todo="Give another name with -o")
    labelled = {} if compare is None else _labelled(compare, files)
    given: list[Path] = [path for path in files if path.name not in labelled]
    options = _options(settings or [])
    asked: PretrainRequest = PretrainRequest(
        given or files, network, task=task, updates=updates, out=out or Path(), dims=dims, seed=seed, device=device_of(device), **options,
    )
    if compare is not None:
        return _compared(asked, given, labelled, compare, train_updates, seeds, patients)
    from napari_medseg.refine.pretraining.training import pretrain as learn

    ended = last(learn(asked))
    if ended.plan is None:
        raise InvalidInputError("nothing came of it", where=network, todo="Try another network")
    facts = {"encoder": str(ended.file), **_facts(ended.plan), "left_out": ended.warning}
    told = f"{ended.plan.words}: {_came(ended.plan.learnt)}; wrote {ended.file}"
    return Answer(facts, "\n".join(filter(None, [ended.warning, told])))


def _came(learnt: float) -> str:
    """What a pre-training brought; below 0 it left more error than it found."""
    return f"{learnt:.0%} of the error is gone" if learnt > 0 else "no better than doing nothing: give it more --updates"


def _facts(plan: EncoderPlan) -> dict[str, Any]:
    return {
        "network": plan.network.name, "dims": plan.network.dims, "parameters": plan.network.parameters, "channels": plan.network.in_channels, "task": plan.task,
        "scans": plan.scans, "updates": plan.updates, "seed": plan.seed, "noise": plan.noise, "error": plan.error, "given": plan.given, "learnt": plan.learnt,
    }


def _compared(
    asked: PretrainRequest, unlabelled: Sequence[Path], labelled: Mapping[str, tuple[Path, Path]], labels: Path, updates: int, seeds: int,
    patients: Path | None,
) -> Answer:
    """With and without, on patients that neither has seen."""
    from napari_medseg.io import read
    from napari_medseg.refine.cases import Case, checked, read_label_map
    from napari_medseg.refine.patients import read_patients
    from napari_medseg.refine.pretraining.comparing import CompareRequest
    from napari_medseg.refine.pretraining.comparing import compare as compared

    who = read_patients(patients) if patients else {}
    cases = []
    for name, (scan, label) in labelled.items():
        image = read(scan)
        cases.append(Case(name, image, read_label_map(label, image)))
    known = {who.get(name, name) for name in labelled}
    alone = [path for path in unlabelled if who.get(path.name, path.name) not in known]  # another scan of one who judges would be seen
    result = last(compared(CompareRequest(replace(asked, images=alone or asked.images), checked(cases), updates, seeds, who, only_cases=not alone))).result
    if result is None:
        raise InvalidInputError("nothing came of it", where=labels, todo="Try more cases")
    facts = {
        "verdict": result.verdict, "gain": result.gain, "standard_error": result.error, "updates_without_labels": result.pretrained,
        "updates_with_labels": result.trained, "judged": [asdict(one) for one in result.judged],
    }
    return Answer(facts, result.verdict)


def _scans(given: Sequence[Path]) -> list[Path]:
    """Every scan once, those of a folder by name; a folder that holds no image file is taken for a scan itself (DICOM, OME-Zarr)."""
    from napari_medseg.refine.cases import image_files

    found: list[Path] = []
    for path in given:
        if not path.exists():
            raise MissingFileError("there is no such scan or folder", where=path, todo="Check the path")
        inside = list(image_files(path).values()) if path.is_dir() else []
        found += inside or [path]
    return list(dict.fromkeys(found))


def _labelled(folder: Path, files: Sequence[Path]) -> dict[str, tuple[Path, Path]]:
    """Scans that have labels of the same name, and those."""
    from napari_medseg.refine.cases import image_files

    masks, named = image_files(folder), {path.name: path for path in files}
    odd = sorted(masks.keys() - named.keys())
    if odd or not masks:
        what = f"has no scan of the same name as {odd[0]}" if odd else "holds no label map"
        raise MissingFileError(what, where=folder, todo="Give the labels the names of their scans")
    return {name: (named[name], mask) for name, mask in masks.items()}


def _options(given: Sequence[str]) -> dict[str, Any]:
    """Settings of `PretrainRequest` beside those that have options of their own."""
    found = settings_of(list(given))
    odd = sorted(set(found) - set(SETTINGS))
    if odd:
        raise InvalidInputError(f"there is no setting '{odd[0]}'", where="--set", todo=f"Use {', '.join(SETTINGS)}")
    for name, kind in SETTINGS.items():
        if name in found and (not isinstance(found[name], kind) or isinstance(found[name], bool)):
            raise InvalidInputError(f"{name} cannot be {found[name]!r}", where="--set", todo=f"Write for example --set {EXAMPLES[name]}")
    return found
