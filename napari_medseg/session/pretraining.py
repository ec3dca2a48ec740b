"""Learning from scans that nobody has labelled, beside the window, and what came of it as the beginning of the next training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.errors import InvalidInputError, MedsegError
from napari_medseg.session.refining_runs import runs_folder

if TYPE_CHECKING:
    from napari_medseg.refine.pretraining.encoder_plan import EncoderPlan
    from napari_medseg.refine.pretraining.request import PretrainRequest, PretrainTick, Task
    from napari_medseg.refine.pretraining.request import Scan as Seen
    from napari_medseg.refine.process import ChildRun
    from napari_medseg.session.jobs import Job
    from napari_medseg.session.session import Session

LANE = "pretraining"
FOLDER = "pre-trained"
"""Beside the runs of the study."""
USUAL = "segresnet"
"""The network that learns where none was chosen."""
UPDATES = 400


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """What unlabelled scans taught a network.

    Attributes
    ----------
    file : Path
    plan : EncoderPlan
    """

    file: Path
    plan: EncoderPlan

    @property
    def words(self) -> str:
        """In a sentence: what learnt, and how far it came."""
        plan = self.plan
        what = "noise" if plan.task == "denoise" else "hidden blocks"
        came = f"{plan.learnt:.0%} of the error from {what} is gone" if plan.learnt > 0 else f"no better at {what} than doing nothing: give it more updates"
        scans = f"{plan.scans} scan{'s' if plan.scans != 1 else ''}"
        return f"{plan.network.name} in {plan.network.dims}D learnt from {scans} in {plan.updates} updates; {came}."


class Pretraining:
    """What is chosen, what runs, and what came of it last.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    task : "denoise" or "masked"
    updates : int
    taught : Taught or None
        Of the study that is open.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._run: ChildRun[PretrainTick] | None = None
        self._looked: Path | None = None
        self.task: Task = "denoise"
        self.updates = UPDATES
        self.taught: Taught | None = None

    @property
    def job(self) -> Job | None:
        """The learning, or the last one."""
        return self._session.jobs.of(LANE)

    @property
    def is_learning(self) -> bool:
        """Whether it waits or runs."""
        return self.job is not None and self.job.is_active

    @property
    def network(self) -> tuple[str, int]:
        """Which network learns, and in how many dimensions: the one chosen for the training, else the usual one."""
        chosen = self._session.refine.network
        return (chosen.network, chosen.dims) if chosen.network else (USUAL, 3)

    @property
    def refused(self) -> str:
        """Why that network cannot learn so; "" where it can."""
        entry = self._session.catalogue.entries.get(self.network[0])
        if entry is None or entry.needs():
            return f"{self.network[0]} is not installed here; choose another network."
        return f"{entry.title} finds objects and cannot learn without labels; choose another network." if entry.capabilities.get("answers") == "objects" else ""

    def scans(self) -> list[str]:
        """Names of what it can learn from: all cases of the open study, else the open scans."""
        session = self._session
        if session.study.is_open:
            return [case.name for case in session.study.cases if case.is_there]
        return [scan.name for scan in session.scans if not scan.arriving]

    def choose(self, *, task: Task | None = None, updates: int | None = None) -> None:
        """Take a task, or so many updates."""
        self.task, self.updates = task or self.task, updates or self.updates
        self._session.changed.emit()

    def start(self) -> None:
        """Learn from the scans, in a process of its own; a fault becomes `problem`."""
        session = self._session
        try:
            asked = self._asked()
        except MedsegError as error:
            session.report(error)
            return
        session.notice = session.trouble = ""
        ended: list[PretrainTick] = []

        def ticks() -> Iterator[PretrainTick]:
            from napari_medseg.refine.pretraining.request import PretrainTick
            from napari_medseg.refine.process import ChildRun

            self._run = ChildRun(asked(), PretrainTick(0.0, "Looking at the scans"), session.choices.threads)
            yield from self._run

        def apply(tick: PretrainTick) -> None:
            if tick.file is not None:
                ended.append(tick)

        def done() -> None:
            if ended and ended[0].file is not None and ended[0].plan is not None:
                self.taught = Taught(ended[0].file, ended[0].plan)
                left = f" ({ended[0].warning})" if ended[0].warning else ""
                count = f"{ended[0].plan.scans} scan{'s' if ended[0].plan.scans != 1 else ''}"
                session.notice = f"Learnt from {count} without labels{left}; the next training can start from it"
            session.changed.emit()

        def cancel() -> None:
            if self._run is not None:
                self._run.cancel()

        count = len(self.scans())
        title = f"Learning from {count} scan{'s' if count != 1 else ''}"
        session.jobs.start(LANE, title, ticks, apply=apply, done=done, failed=session.report, own_thread=True, cancel=cancel)

    def stop(self) -> None:
        """Stop it; nothing is kept."""
        self._session.jobs.stop(LANE)

    @property
    def is_start(self) -> bool:
        """Whether the next training starts from it."""
        return self.taught is not None and self._session.refine.network.start == str(self.taught.file)

    def use(self, wanted: bool) -> None:
        """Start the next training from it, in its own network; or from nothing again."""
        if wanted == self.is_start or self.taught is None:
            return
        network = self.taught.plan.network
        if wanted:
            self._session.refining.choose_network(network=network.name, dims=network.dims, start=str(self.taught.file))
        else:
            self._session.refining.choose_network(start="")

    def look(self) -> None:
        """Find what was learnt last for the study that is open now; looks on the disk once a study."""
        folder = runs_folder(self._session) / FOLDER
        if folder == self._looked:
            return
        self._looked, self.taught = folder, None
        from napari_medseg.refine.pretraining.encoder_plan import read_encoder

        with suppress(OSError):
            for file in sorted(folder.glob("*.safetensors"), reverse=True):  # names are dates
                with suppress(MedsegError):
                    self.taught = Taught(file, read_encoder(file))
                    return

    def _asked(self) -> Callable[[], PretrainRequest]:
        """What is learnt from; the rest of it is gathered beside the window.

        Raises
        ------
        InvalidInputError
            When there is no scan, or the network is none that can learn so.
        """
        session, project = self._session, self._session.study.project
        if not self.scans():
            raise InvalidInputError("there is no scan to learn from", where="Refine", todo="Open a scan, or a study with scans")
        if self.refused:
            raise InvalidInputError(self.refused.rstrip("."), where="Refine", todo="Choose one that answers with maps")
        (network, dims), task, updates = self.network, self.task, self.updates
        out = runs_folder(session) / FOLDER / f"{datetime.now().strftime('%Y-%m-%d %H-%M-%S')} {network} {task}.safetensors"
        ids = [case.id for case in session.study.cases if case.is_there] if project is not None else []
        volumes = [scan.source for scan in session.scans if not scan.arriving]
        device = session.device

        def request() -> PretrainRequest:
            from napari_medseg.refine.pretraining.request import PretrainRequest, Source

            images: list[Seen] = list(volumes)
            if project is not None:
                checking = {case for case, side in project.sides().items() if side == "check"}  # what judges a training is not learnt from, labels or none
                teaching = [case for case in ids if case not in checking] or ids
                images = [Source(path, series or "", first=True) for path, series in map(project.source, teaching)]
            return PretrainRequest(images, network, task=task, updates=updates, out=out, dims=dims, device=device)

        return request
