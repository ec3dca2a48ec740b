"""export-model: a model to keep or to pass on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_medseg.cli.answer import Answer, answering


@answering
def export_model(
    model: Annotated[Path, typer.Argument(help="A model, or the folder that `medseg refine` wrote.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--output", help="A new or empty folder.", show_default=False)],
    formats: Annotated[list[str] | None, typer.Option("--format", help="Besides safetensors: torchscript, onnx; several are allowed.")] = None,
    title: Annotated[str, typer.Option(help="What the model shall be called.")] = "",
    licence: Annotated[str, typer.Option(help="SPDX name of the licence you give it under.")] = "",
) -> Answer:
    """Write a model into a folder that any catalogue can load: weights, plan, model card, catalogue entry, and other formats.

    Names of cases, patients and files of the training stay behind.

    Example: medseg export-model study -o liver_model --title "Liver, our site" --format torchscript
    """
    from napari_medseg.refine.export import export_model as export

    done = export(model, out, formats=formats or ["safetensors"], title=title, licence=licence)
    names = [file.name for file in done.files]
    return Answer(
        {"folder": str(done.folder), "files": names, "title": done.title, "licence": done.licence},
        f"{done.folder}: {done.title} ({done.licence}); {', '.join(names)}",
    )
