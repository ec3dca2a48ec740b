"""exchange: sites train one base on cases of their own and share weights, never scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_medseg.cli.answer import Answer, answering
from napari_medseg.cli.learning import base_of

Base = Annotated[str, typer.Option("--base", help="What every site began from: a model, the folder of a run, or a segmenter's id.", show_default=False)]


@answering
def export(
    model: Annotated[Path, typer.Argument(help="The trained model, or the folder that `medseg refine` wrote.", show_default=False)],
    base: Base,
    out: Annotated[Path, typer.Option("-o", "--output", help="The change to write (.safetensors).", show_default=False)],
    samples: Annotated[int | None, typer.Option(min=1, help="Cases it learnt from; else as its record of the training says.", show_default=False)] = None,
) -> Answer:
    """Write what a training changed of its base: weights, the number of cases and the plan; no scan, no label, no name.

    Example: medseg exchange export study --base shared_base -o our_change.safetensors
    """
    from napari_medseg.refine.exchange import export_change

    done = export_change(model, base_of(base), out, samples=samples)
    facts = {"file": str(done.file), "base": done.base, "samples": done.samples, "changed": done.changed, "arrays": done.arrays}
    return Answer(
        {**facts, "megabytes": round(done.megabytes, 2)},
        f"{done.file}: {done.changed} of {done.arrays} weight arrays changed, learnt from {done.samples} cases; {done.megabytes:.1f} MB",
    )


@answering
def merge(
    changes: Annotated[list[Path], typer.Argument(help="One change for each site.", show_default=False)],
    base: Base,
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder or .safetensors file for the merged model.", show_default=False)],
) -> Answer:
    """The mean of several sites' models, each as often as it has cases: the next base for all of them.

    Example: medseg exchange merge site_a.safetensors site_b.safetensors --base shared_base -o next_base
    """
    from napari_medseg.refine.exchange import merge_changes

    done = merge_changes(changes, base_of(base), out)
    total = sum(done.samples)
    sites = [{"file": change.name, "samples": count, "share": count / total} for change, count in zip(changes, done.samples, strict=True)]
    lines = [f"{site['file']}: {site['samples']} cases, {100 * count / total:.3g} %" for site, count in zip(sites, done.samples, strict=True)]
    text = "\n".join([*lines, f"{done.file}: the mean of {len(sites)}"])
    return Answer({"model": str(done.file), "sha256": done.sha256, "samples": total, "sites": sites}, text)


@answering
def apply(
    change: Annotated[Path, typer.Argument(help="What `medseg exchange export` wrote.", show_default=False)],
    base: Base,
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder or .safetensors file for the model.", show_default=False)],
) -> Answer:
    """One site's model again, bit by bit, from its change and the base.

    Example: medseg exchange apply site_a.safetensors --base shared_base -o site_a_model
    """
    from napari_medseg.refine.exchange import apply_change

    file = apply_change(change, base_of(base), out)
    return Answer({"model": str(file)}, f"{file}")
