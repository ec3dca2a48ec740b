"""propose: a few corrected slices of one scan, and the rest of it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer

from napari_medseg.cli.answer import Answer, answering, last
from napari_medseg.cli.arguments import Device, Image, Output, device_of, drawn_on, mask, numbers, output, scan, told_by_class, uint8, voxels_by_class
from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.io import read_labels, require_writable, write
from napari_medseg.segmenters.named import model_in


@answering
def propose(
    image: Image,
    labels: Annotated[Path, typer.Argument(help="Its weak label map; 255 is unknown.", show_default=False)],
    out: Output,
    corrected: Annotated[Path | None, typer.Option(help="A label map that holds what was put right; 255 everywhere else.")] = None,
    slices: Annotated[str | None, typer.Option(help="Slices of LABELS that are right as they are, counted from 0 in the file, for example 3,9,14.")] = None,
    axis: Annotated[Literal["z", "y", "x"], typer.Option(help="The file's axis that --slices are counted along.")] = "z",
    base: Annotated[Path | None, typer.Option(help="A model that `medseg refine` wrote, to be asked too.")] = None,
    doubt: Annotated[Path | None, typer.Option(help="Also write how doubtful each voxel is, 0 to 1.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same labels.")] = 0,
    device: Device = "auto",
) -> Answer:
    """Propose the rest of a scan from its weak label and a few corrected slices, which stay as they are.

    Example: medseg propose scan.nii.gz weak.nii.gz --corrected three_slices.nii.gz -o proposal.nii.gz
    """
    from napari_medseg.refine.single import propose_rest
    from napari_medseg.refine.trust import UNKNOWN_LABEL, Trust

    if corrected is None and slices is None:
        todo = "Give a map of what was put right, or the slices that are right"
        raise InvalidInputError("nothing says what is right", where="--corrected, --slices", todo=todo)
    chosen = [] if slices is None else numbers(slices, "--slices", int)
    output(out, image, labels, corrected)
    if doubt is not None:
        require_writable(doubt)
    started = time.monotonic()
    volume = scan(image)
    given = read_labels(labels, volume.geometry)
    weak = uint8(given, labels)
    fixed = mask(corrected, volume.geometry)
    current, trust = weak.copy(), np.where(weak == UNKNOWN_LABEL, Trust.UNKNOWN, Trust.WEAK).astype(np.uint8)
    along = "zyx".index(axis)
    for index in chosen:
        if not 0 <= index < weak.shape[along]:
            raise InvalidInputError(f"slice {index} is not one of 0 to {weak.shape[along] - 1}", where="--slices", todo="Correct the list")
        np.moveaxis(trust, along, 0)[index] = Trust.VERIFIED
    if fixed is not None:
        right = fixed != UNKNOWN_LABEL
        current[right], trust[right] = fixed[right], Trust.CORRECTED
    before = weak if fixed is not None and not chosen else None
    final = last(propose_rest(volume, current, trust, weak=before, base=base and model_in(base), seed=seed, device=device_of(device) if base else device))
    if final.labels is None or final.doubt is None or final.report is None:
        raise NoLabelsError("was stopped before it had a result", where="propose")
    write(drawn_on(volume, final.labels, given.classes), out)
    if doubt is not None:
        write(volume.like(final.doubt), doubt)
    classes, report = voxels_by_class(final.labels, volume.geometry), final.report
    facts = {
        "classes": classes, "learnt": {str(each.value): asdict(each) for each in report.classes}, "corrected_slices": list(report.corrected),
        "axis": "zyx"[report.axis], "next_slice": report.next_slice, "seconds": round(time.monotonic() - started, 2),
    }
    return Answer(facts, f"{out}: {told_by_class(classes)}\n{report.words}")
