"""A process that trains along: it is told what to learn, learns in step with the others, and keeps nothing. Started by `spread` or by torchrun."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

import numpy as np

from napari_medseg import catalogue
from napari_medseg.refine.method import Example
from napari_medseg.refine.ranks import Arrays, Together, joined, own_device
from napari_medseg.volume import Geometry, Volume

log = logging.getLogger(__name__)
VOLUME = ("name", "modality", "units", "series")


def main() -> None:
    """Follow the leader until it says that it is done. Standard input stays open for as long as there is one; its end is the sign to leave."""
    rank, size, threads = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ.get("MEDSEG_RANK_THREADS", "0"))
    logging.basicConfig(stream=sys.stderr)
    meet = os.environ.get("MEDSEG_RANKS_MEET")
    if meet is not None:
        threading.Thread(target=_leave_with_the_leader, args=(sys.stdin.buffer,), daemon=True).start()
    try:
        follow(rank, size, os.environ["MEDSEG_RANK_DEVICE"] if meet else _device(), meet, threads)
    except Exception:  # the border of the process: the leader sees that it is gone, and its words are in the log
        log.exception("process %d ended", rank + 1)
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)  # torch's threads need no farewell


def follow(rank: int, size: int, device: str, meet: str | None, threads: int = 0) -> None:
    """Learn what the leader says, until it says no more."""
    import torch

    torch.set_flush_denormal(True)
    if threads:
        torch.set_num_threads(threads)
    with joined(rank, size, device, meet) as ranks:
        while True:
            arrays, facts = ranks.told({}, {})
            if "recipe" not in facts:
                return
            _learn(ranks, arrays, facts, device)


def _learn(ranks: Together, arrays: Arrays, facts: Mapping[str, Any], device: str) -> None:
    from pathlib import Path

    from napari_medseg.refine.medseg.method import MedsegMethod
    from napari_medseg.refine.medseg.recipe import Medseg

    recipe = catalogue.load().find(facts["recipe"]["name"], "recipe").build(**facts["recipe"]["settings"])
    if not isinstance(recipe, Medseg):
        raise TypeError(type(recipe).__name__)
    steps = MedsegMethod(recipe, ranks).learn(
        examples_of(arrays, facts), facts["values"], number=facts["number"], base=None if facts["base"] is None else Path(facts["base"]), seed=facts["seed"],
        device=device, freeze=facts["freeze"],
    )
    for _ in steps:
        pass


def told_of(examples: list[Example]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Examples as arrays and facts; the way back is `examples_of`."""
    arrays: dict[str, Any] = {}
    facts = []
    for index, one in enumerate(examples):
        arrays |= {f"{index}.image": one.image.array, f"{index}.labels": one.labels, f"{index}.trust": one.trust}
        grid = one.image.geometry
        image = {name: getattr(one.image, name) for name in VOLUME} | {"channel_names": list(one.image.channel_names)}
        facts.append({"id": one.id, "patient": one.patient, "image": image, "grid": [grid.shape, grid.spacing, grid.origin, grid.direction]})
    return arrays, {"examples": facts}


def examples_of(arrays: Arrays, facts: Mapping[str, Any]) -> list[Example]:
    """What `told_of` told."""
    found = []
    for index, one in enumerate(facts["examples"]):
        image = Volume(arrays[f"{index}.image"], Geometry(*map(tuple, one["grid"])), **{**one["image"], "channel_names": tuple(one["image"]["channel_names"])})
        found.append(Example(one["id"], one["patient"], image, np.asarray(arrays[f"{index}.labels"], np.uint8), arrays[f"{index}.trust"]))
    return found


def _device() -> str:
    """Of a process that torchrun started."""
    import torch

    return own_device("cuda" if torch.cuda.is_available() else "cpu", int(os.environ.get("LOCAL_RANK", "0")))


def _leave_with_the_leader(inlet: IO[bytes]) -> None:
    with suppress(OSError, ValueError):
        inlet.read()
    os._exit(3)


if __name__ == "__main__":
    main()
