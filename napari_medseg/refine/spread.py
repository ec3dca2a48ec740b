"""The leader's side of a training in several processes: starts the others, tells them what to learn, and ends them with the run.

Under torchrun the others are there already, perhaps on other machines: every process runs `medseg refine` with the same words, the first leads, the rest
follow.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from napari_medseg.errors import InvalidInputError, MedsegError, TrainingError
from napari_medseg.refine.medseg.recipe import Medseg
from napari_medseg.refine.method import AnyRecipe, Freeze

if TYPE_CHECKING:
    from napari_medseg.refine.checkpoint import Checkpoints
    from napari_medseg.refine.medseg.method import MedsegMethod
    from napari_medseg.refine.method import Example, Learning, Method, Model
    from napari_medseg.refine.ranks import Together

log = logging.getLogger(__name__)
PATIENCE_S = 5.0
"""How long the others may take to leave by themselves."""


def under_torchrun() -> bool:
    """Whether this process is one of those that torchrun started."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def require_shareable(recipe: AnyRecipe, processes: int) -> None:
    """Refuse recipes that learn in one process; loads no torch.

    Raises
    ------
    InvalidInputError
    """
    if processes > 1 and not isinstance(recipe, Medseg):
        todo = "Choose the recipe medseg or network, or leave --processes out"
        raise InvalidInputError(f"the recipe {recipe.name} learns in one process", where="--processes", todo=todo)


@contextmanager
def spread(recipe: AnyRecipe, processes: int, device: str) -> Iterator[Method]:
    """The recipe's method, learning in this many processes.

    Parameters
    ----------
    processes : int
        1 is the method as it is.
    device : "cpu", "cuda" or "cuda:n"
        With several cards each process takes its own.

    Raises
    ------
    InvalidInputError
        When the recipe or the device cannot be shared.
    TrainingError
        When a process cannot start.
    """
    require_shareable(recipe, processes)
    if processes < 2 or not isinstance(recipe, Medseg):
        yield recipe.method()
        return
    with ExitStack() as held:
        yield _Leading(recipe, processes, device, held)


class _Leading:
    """See `refine.method.Method`; the others start with the first round, so that they hold no memory before."""

    def __init__(self, recipe: Medseg, processes: int, device: str, held: ExitStack) -> None:
        self.recipe, self.processes, self.device, self._held = recipe, processes, device, held
        self._method: MedsegMethod = recipe.method()
        self._ranks: Together | None = None
        self._others: list[subprocess.Popen[bytes]] = []
        self._complaints: IO[bytes] | None = None

    def base_model(self, base: Path | None, values: Sequence[int], device: str, channels: int | None = None) -> Model | None:
        """As the recipe's own."""
        return self._method.base_model(base, values, device, channels)

    def learn(
        self, examples: Sequence[Example], values: Sequence[int], *, number: int, base: Path | None, seed: int, device: str, freeze: Freeze = "none",
        checkpoints: Checkpoints | None = None,
    ) -> Iterator[Learning]:
        """One round in all processes; see `refine.method.Method.learn`."""
        from napari_medseg.refine.follow import told_of
        from napari_medseg.refine.medseg.method import MedsegMethod

        try:
            if self._ranks is None:
                self._ranks = self._start()
            settings: dict[str, Any] = asdict(self.recipe)
            name = settings.pop("name")
            arrays, facts = told_of(list(examples))
            facts |= {"recipe": {"name": name, "settings": settings}, "values": list(values), "number": number, "seed": seed, "freeze": freeze}
            self._ranks.told(arrays, {**facts, "base": None if base is None else str(Path(base).absolute())})
            yield from MedsegMethod(self.recipe, self._ranks).learn(
                examples, values, number=number, base=base, seed=seed, device=self._ranks.device, freeze=freeze, checkpoints=checkpoints,
            )
        except (RuntimeError, ConnectionError) as error:
            if isinstance(error, MedsegError):
                raise
            raise self._lost(error) from error

    def _start(self) -> Together:
        import torch

        from napari_medseg.refine.ranks import joined, own_device

        if under_torchrun():
            size = int(os.environ["WORLD_SIZE"])
            if size != self.processes:
                what = f"torchrun started {size} processes, and {self.processes} are asked for"
                raise InvalidInputError(what, where="--processes", todo="Give both the same number")
            return self._held.enter_context(_said_goodbye(self._held.enter_context(
                joined(0, size, own_device(self.device, int(os.environ.get("LOCAL_RANK", "0"))), None),
            )))
        own = own_device(self.device, 0)
        folder = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="medseg-ranks-", ignore_cleanup_errors=True)))
        meet = str(folder / "meet")
        before = torch.get_num_threads()
        each = max(1, before // self.processes)
        self._complaints = self._held.enter_context(tempfile.TemporaryFile())
        self._held.callback(self._end)
        for rank in range(1, self.processes):
            self._others.append(self._started(rank, meet, each))
        torch.set_num_threads(each)
        self._held.callback(torch.set_num_threads, before)
        return self._held.enter_context(_said_goodbye(self._held.enter_context(joined(0, self.processes, own, meet, self._all_alive))))

    def _started(self, rank: int, meet: str, threads: int) -> subprocess.Popen[bytes]:
        from napari_medseg.refine.ranks import own_device

        package = str(Path(__file__).parents[2])
        facts = {
            "RANK": str(rank), "WORLD_SIZE": str(self.processes), "MEDSEG_RANKS_MEET": meet, "MEDSEG_RANK_DEVICE": own_device(self.device, rank),
            "MEDSEG_RANK_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")])),
        }
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
        command = [sys.executable, "-P", "-c", "from napari_medseg.refine.follow import main; main()"]
        try:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=self._complaints, stderr=self._complaints, env={**os.environ, **facts}, creationflags=flags,
            )
        except OSError as error:
            what = f"process {rank + 1} could not start ({error.strerror or error})"
            raise TrainingError(what, todo="Close other programs, or give fewer processes") from error

    def _all_alive(self) -> None:
        if any(one.poll() is not None for one in self._others):
            raise self._lost(TrainingError("a process ended"))

    def _lost(self, error: Exception) -> Exception:
        """What to say of a broken training: a process that is gone, or the fault itself."""
        gone: list[int] = []
        for rank, one in enumerate(self._others, 2):
            with suppress(subprocess.TimeoutExpired):
                one.wait(PATIENCE_S if not gone else 0)
                gone.append(rank)
        if not gone and not under_torchrun():
            return error
        if self._complaints is not None:
            self._complaints.seek(0)
            log.error("a training process ended: %s", self._complaints.read()[-4000:].decode(errors="replace"))
        which = f"process {gone[0]} of {self.processes}" if gone else "another process"
        return TrainingError(
            f"{which} ended by itself, perhaps because the memory was full or another program ended it",
            todo="Close other programs, or give fewer processes, and let it go on; finished rounds are whole",
        )

    def _end(self) -> None:
        """End the others; those that were said goodbye to are gone already."""
        for one in self._others:
            if one.stdin:
                with suppress(OSError):
                    one.stdin.close()
        for one in self._others:
            try:
                one.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


@contextmanager
def _said_goodbye(ranks: Together) -> Iterator[Together]:
    """Tell the others that there is nothing more to learn, when all went well."""
    yield ranks
    with suppress(RuntimeError):  # they are gone
        ranks.told({}, {})
