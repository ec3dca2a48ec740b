"""measure: how two label maps, or two folders of them, differ."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_medseg.cli.answer import Answer, answering
from napari_medseg.errors import MissingFileError, UnreadableFileError
from napari_medseg.io import read_labels
from napari_medseg.io.formats import READABLE, is_omezarr, stem_of, suffix_of
from napari_medseg.metrics import measure as compare
from napari_medseg.metrics.measure import Figures
from napari_medseg.volume import require_same_grid

Classes = dict[str, Figures]


@answering
def measure(
    pred: Annotated[Path, typer.Argument(help="The mask to judge, or a folder of them.", show_default=False)],
    truth: Annotated[Path, typer.Argument(help="The true mask, or a folder with the same file names.", show_default=False)],
) -> Answer:
    """Compare masks with the truth: overlap, surface distances and volumes per class.

    Distances are null where either mask is empty, precision where nothing was predicted, recall where nothing is true. For folders, each class's
    figures are means over the cases where they are defined.

    Example: medseg measure proposal.nii.gz truth.nii.gz
    """
    for path in (pred, truth):
        if not path.exists():
            raise MissingFileError("there is no such file or folder", where=path, todo="Check the path")
    folders = [path.is_dir() and not is_omezarr(path) for path in (pred, truth)]
    if folders[0] != folders[1]:
        raise UnreadableFileError("one is a folder and the other a file", where=f"{pred.name}, {truth.name}", todo="Give two masks or two folders of masks")
    if not folders[0]:
        classes = _pair(pred, truth)
        return Answer({"classes": classes}, _told(classes))
    predicted, true = _masks(pred), _masks(truth)
    alone = sorted(predicted.keys() - true.keys())
    if alone:
        raise MissingFileError(f"has no mask of the same name in {truth.name}", where=predicted[alone[0]], todo="Give both masks the same name")
    cases = [{"id": name, "classes": _pair(path, true[name])} for name, path in predicted.items()]
    means = _means([case["classes"] for case in cases])  # type: ignore[misc]
    missing = sorted(true.keys() - predicted.keys())
    lines = [f"{case['id']}:\n{_told(case['classes'])}" for case in cases]  # type: ignore[arg-type]
    lines += [f"mean of {len(cases)} cases:\n{_told(means)}"] + [f"not predicted: {', '.join(missing)}"] * bool(missing)
    return Answer({"classes": means, "cases": cases, "not_predicted": missing}, "\n".join(lines))


def _pair(pred: Path, truth: Path) -> Classes:
    true = read_labels(truth)
    found = read_labels(pred)
    require_same_grid(true.geometry, found.geometry, pred)
    return compare(found.channel(), true.channel(), true.geometry.spacing)


def _masks(folder: Path) -> dict[str, Path]:
    masks = {stem_of(p): p for p in sorted(folder.iterdir()) if _is_mask(p) and not p.name.startswith(".")}
    if not masks:
        raise UnreadableFileError("holds no mask", where=folder, todo="Give a folder of .nii.gz, .nrrd or .mha masks")
    return masks


def _is_mask(path: Path) -> bool:
    return is_omezarr(path) or (path.is_file() and suffix_of(path) in READABLE)


def _means(cases: list[Classes]) -> Classes:
    means: Classes = {}
    for value in sorted({v for classes in cases for v in classes}, key=int):
        rows = [classes[value] for classes in cases if value in classes]
        means[value] = {name: _mean([row[name] for row in rows]) for name in rows[0]}
    return means


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _told(classes: Classes) -> str:
    lines = []
    for value, row in classes.items():
        figures = ", ".join(f"{name} {'-' if figure is None else format(figure, '.4g')}" for name, figure in row.items())
        lines.append(f"class {value}: {figures}")
    return "\n".join(lines) or "both masks are empty"
