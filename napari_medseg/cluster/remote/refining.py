"""A refinement on a server, followed like one that runs in a process here: scans and labels go there, ticks come back, in the end the models."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_medseg.cluster.remote.address import Server
from napari_medseg.cluster.remote.connection import Connection, LostError, UnknownError, as_error
from napari_medseg.cluster.remote.scans import Scans
from napari_medseg.cluster.remote.segmenter import WAITS, outcome
from napari_medseg.cluster.wire.frames import Frames
from napari_medseg.cluster.wire.models import as_volume
from napari_medseg.cluster.wire.training import LARGEST_LABELS, CaseTold, Ordered, case_name, recipe_settings, tick_of
from napari_medseg.errors import InvalidInputError, MedsegError
from napari_medseg.io.atomic import replacing
from napari_medseg.refine.cases import Case, load_cases, load_labels
from napari_medseg.refine.folder import FINAL, RunFolder
from napari_medseg.refine.pausing import Pausable
from napari_medseg.refine.request import Folders, LabelMaps, RefineRequest
from napari_medseg.refine.result import RefineResult, Tick
from napari_medseg.volume import Volume

GIVE_UP_S = 600.0
AGAIN = 3
"""How often a refinement that a server forgot is begun anew."""
TODO = "Leave it out, or refine on this machine"


class RemoteRun(Pausable):
    """One refinement elsewhere; to be used like `refine.RefineRun`.

    Iterate over it for ticks; close the iterator, or call `cancel` from any thread, to stop.

    Parameters
    ----------
    server : Server
    request : RefineRequest
        A base model is sent there; earlier sets stay on this machine. With `out`, each round's labels and models are written there.

    Raises
    ------
    InvalidInputError
        When it asks for what is not sent.
    MissingFileError, SegmenterError
        When the base is no model.
    """

    looks = False

    def __init__(self, server: Server, request: RefineRequest) -> None:
        given = {"truth to compare with": request.truth, "earlier set": request.replay, "watched sets": request.watch}
        for what, value in given.items():
            if value:
                raise InvalidInputError(f"a refinement on a server takes no {what}", where=server.address, todo=TODO)
        self.server, self.request = server, request
        self._connection = Connection(server)
        self._base = None if request.base is None else as_volume(Path(request.base))
        self._cancelled = threading.Event()
        self._name = ""
        self._again = 0
        self._telling: list[threading.Thread] = []

    def cancel(self) -> None:
        """Stop it there; safe from any thread, and more than once. Waits for nothing: who iterates sees it end."""
        self._cancelled.set()
        self._tell(self._end)

    def look(self, image: Volume) -> None:
        """A look at the network as it stands is not to be had from a server; nothing comes."""

    def __iter__(self) -> Iterator[Tick]:
        """Start it and follow it.

        Yields
        ------
        Tick

        Raises
        ------
        RemoteError
            When the server refuses, or is gone for good.
        MedsegError
            Whatever the refinement raises there.
        """
        yield Tick(0.0, "Sending the scans")
        try:
            cases, heldout, corrected, verified = self._read()
            names = {case_name(number): case.id for number, case in enumerate((*cases, *heldout))}

            def order() -> Iterator[Tick]:
                return self._order(cases, heldout, corrected, verified)

            yield from order()
            folder = RunFolder(self.request.out) if self.request.out is not None and self._name else None
            for tick, rounds in self._ticks(names, order):
                if folder is not None and tick.labels is not None and tick.round:
                    folder.write_labels(f"round{tick.round}", cases, tick.labels)
                yield tick if tick.result is None else replace(tick, result=self._brought(tick.result, rounds, folder, cases))
        finally:
            self._end()
            for thread in self._telling:
                thread.join()
            self._connection.close()

    def _read(self) -> tuple[tuple[Case, ...], tuple[Case, ...], dict[str, Volume], dict[str, Volume]]:
        request = self.request

        def cases(given: tuple[Case, ...] | Folders | None, *, foreground: bool = True) -> tuple[Case, ...]:
            return load_cases(given.images, given.labels, with_foreground=foreground) if isinstance(given, Folders) else given or ()

        own = cases(request.cases, foreground=request.corrected is None)

        def maps(given: LabelMaps | None) -> dict[str, Volume]:
            return load_labels(given, own) if isinstance(given, Path) else dict(given or {})

        return own, cases(request.heldout), maps(request.corrected), maps(request.verified)

    def _order(self, cases: tuple[Case, ...], heldout: tuple[Case, ...], corrected: dict[str, Volume], verified: dict[str, Volume]) -> Iterator[Tick]:
        """Send all there is to send and have it started."""
        request, scans = self.request, Scans(self._connection, most=4 * (len(cases) + len(heldout)) + 1)
        of = {case.id: (request.patients or {}).get(case.id, f" {case.id}") for case in (*cases, *heldout)}
        patients = {name: number for number, name in enumerate(dict.fromkeys(of.values()))}
        told: list[CaseTold] = []
        try:
            for number, case in enumerate((*cases, *heldout)):
                sent: dict[str, Any] = {}
                maps = {"image": case.image, "labels": case.labels, "corrected": corrected.get(case.id), "verified": verified.get(case.id)}
                for what, volume in maps.items():
                    if volume is not None:
                        sending = scans.opened(volume)
                        while True:
                            try:
                                next(sending)
                            except StopIteration as stop:
                                sent[what] = stop.value
                                break
                            if self._cancelled.is_set():
                                return
                told.append(CaseTold(**sent, patient=patients[of[case.id]], side=(request.sides or {}).get(case.id, "check")))
                yield Tick(0.0, f"Sending the scans ({number + 1} of {len(cases) + len(heldout)})")
            base = None if self._base is None else outcome(scans.opened(self._base))
            ordered = Ordered(
                recipe=request.recipe.name, settings=recipe_settings(request.recipe), cases=tuple(told[: len(cases)]), heldout=tuple(told[len(cases) :]),
                class_names=dict(request.class_names), seed=request.seed, start=request.start, freeze=request.freeze, every_round=request.every_round,
                base=base,
            )
            self._name = str(self._connection.send("POST", "/v1/runs", json=ordered.model_dump(mode="json"))["run"])
        finally:
            scans.close()

    def _ticks(self, names: dict[str, str], order: Callable[[], Iterator[Tick]]) -> Iterator[tuple[Tick, tuple[int, ...]]]:
        """What the server tells, over lines that may break. A server that was started again goes on with it; one that forgot it is told anew."""
        after, lost, fraction = 0, None, 0.0
        while self._name and not self._cancelled.is_set():
            try:
                if lost is not None and self._paused:
                    self._connection.send("PUT", f"/v1/runs/{self._name}/paused/1")
                frames = Frames(LARGEST_LABELS)
                with self._connection.stream(f"/v1/runs/{self._name}/ticks?after={after}", b"") as pieces:
                    for data in pieces:
                        lost = None
                        if self._cancelled.is_set():
                            return
                        for head, payload in frames.feed(data):
                            if "wait" in head:
                                if head["wait"]:
                                    yield Tick(0.0, f"Waiting for the server: {int(head['wait'])} before yours"), ()
                                continue
                            after += 1
                            if "error" in head:
                                raise as_error(*(str(head["error"][name]) for name in ("type", "what", "where", "todo")))
                            if "end" in head:
                                return
                            found = tick_of(head, payload, names)
                            fraction = found[0].fraction or fraction
                            yield found
            except LostError as error:
                if lost is not None and time.monotonic() - lost > GIVE_UP_S:
                    raise
                yield Tick(fraction, f"The server {error.what}; trying again"), ()
            except UnknownError:
                if self._again >= AGAIN:
                    raise
                self._again, self._name, after = self._again + 1, "", 0
                yield Tick(0.0, "The server does not know the refinement any more; it begins anew"), ()
                for tick in order():
                    yield tick, ()
            lost = lost or time.monotonic()
            self._cancelled.wait(WAITS[-1])

    def _brought(self, result: RefineResult, rounds: tuple[int, ...], folder: RunFolder | None, cases: tuple[Case, ...]) -> RefineResult:
        """The result with its models on this machine, and its labels in the folder where there is one."""
        if folder is None:
            return result
        models = {number: self._fetched(number, folder.model_of(number)) for number in rounds}
        model = self._fetched(0, folder.path / "model" / "model.safetensors") if models else None
        folder.write_labels(FINAL, cases, result.labels)
        whole = replace(result, model=model, models=models)
        folder.write_record({**whole.as_dict(), "model": "model/model.safetensors" if model else None, "server": self.server.address})
        return replace(whole, labels={}) if isinstance(self.request.cases, Folders) else whole

    def _fetched(self, number: int, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(self._connection.fetch(f"/v1/runs/{self._name}/models/{number}"))
        return path

    def _tell_paused(self) -> None:
        if self._name:
            path = f"/v1/runs/{self._name}/paused/{int(self._paused)}"
            self._tell(lambda: self._connection.send("PUT", path))

    def _tell(self, what: Callable[[], object]) -> None:
        """Do it beside whoever asks, who may be a window that must not wait."""
        def tell() -> None:
            with suppress(MedsegError):
                what()

        self._telling.append(threading.Thread(target=tell, name="medseg-run", daemon=True))
        self._telling[-1].start()

    def _end(self) -> None:
        name, self._name = self._name, ""
        if name:
            with suppress(MedsegError):
                self._connection.send("DELETE", f"/v1/runs/{name}")
