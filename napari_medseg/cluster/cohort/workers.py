"""Who works: processes of this machine, started for the run, or a Dask cluster that is there already.

Own workers talk over loopback, encrypted with a certificate that lives as long as they do, since whoever can talk to a scheduler can run code on it.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg import __version__
from napari_medseg.catalogue import install_hint
from napari_medseg.errors import InvalidInputError, MissingFileError, UnavailableError

if TYPE_CHECKING:
    from distributed import Client

GPU = "GPU"
"""The resource that a worker with a graphics card offers: `dask worker ADDRESS --resources GPU=1`."""
LOOPBACK = "127.0.0.1"
LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class Workers:
    """Where the work is done.

    Attributes
    ----------
    scheduler : str
        Address of a Dask scheduler, "tcp://..." or "tls://..."; "" starts workers here.
    workers : int
        To start here; 0 for one a core, four at most.
    memory : str
        What each of them may take, "4GB" or "auto" (its share of the machine's); one that takes more is started anew.
    gpu : bool
        Whether only workers with a graphics card are asked, each for one case at a time.
    ca, cert, key : Path or None
        TLS files (PEM) of a scheduler.
    dashboard : bool
        Whether workers started here show what they do on a page.
    processes : bool
        False runs the workers as threads of this process, for stores that live in its memory.
    patience_s : float
        How long a scheduler may have no worker at the start, or none with a graphics card where one is asked for.
    """

    scheduler: str = ""
    workers: int = 0
    memory: str = "auto"
    gpu: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    dashboard: bool = True
    processes: bool = True
    patience_s: float = 60.0

    @property
    def resources(self) -> dict[str, float]:
        """What a task asks for."""
        return {GPU: 1} if self.gpu else {}


@contextmanager
def connected(wanted: Workers) -> Iterator[Client]:
    """A client whose cluster has a worker; workers started here end with it.

    Raises
    ------
    UnavailableError
        When Dask is not installed, nobody answers at the address, or no worker is there that could do the work.
    InvalidInputError, MissingFileError
        When the address or the TLS files make no sense.
    """
    try:
        import cryptography  # noqa: F401 - certificates of workers started here
        import dask
        from distributed import Client
    except ImportError as error:
        raise UnavailableError("needs Dask's scheduler", where="cohort", todo=install_hint(["napari-medseg[cohort]"])) from error
    logging.getLogger("distributed").setLevel(logging.ERROR)
    quiet = {
        "distributed.worker.use-file-locking": False, "distributed.admin.tick.limit": "60s", "distributed.scheduler.allowed-failures": 2,
        "distributed.deploy.lost-worker-timeout": "3s",
    }
    with dask.config.set(quiet):
        if not wanted.scheduler:
            with tempfile.TemporaryDirectory(prefix="medseg-", ignore_cleanup_errors=True) as scratch, _here(wanted, scratch) as here:
                with Client(here) as client, _replaced(here):
                    yield client
            return
        security = _security(wanted)
        try:
            client = Client(wanted.scheduler, security=security, timeout=20, set_as_default=False)
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            what = f"no scheduler answers there ({type(error).__name__})"
            raise UnavailableError(what, where=wanted.scheduler, todo="Check the address and the TLS files, or leave --scheduler out") from error
        with client:
            _require_workers(client, wanted)
            yield client


@contextmanager
def _replaced(cluster: Any) -> Iterator[None]:
    """Start workers anew that died while they were starting, which the guard of each process takes for a failure for good."""
    wanted, over = len(cluster.worker_spec), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            if len(cluster.scheduler.workers) < wanted:
                cluster.scale(wanted)

    thread = threading.Thread(target=look, name="medseg-workers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _here(wanted: Workers, scratch: str) -> Any:
    from distributed import LocalCluster, Security

    count = wanted.workers or min(4, os.cpu_count() or 1)
    more: dict[str, Any] = {"resources": wanted.resources} if wanted.gpu else {}
    secure: dict[str, Any] = {"security": Security.temporary(), "protocol": "tls"} if wanted.processes else {"protocol": "inproc"}
    try:
        return _cluster(LocalCluster, count, wanted, scratch, {**secure, **more})
    except (RuntimeError, OSError, TimeoutError) as error:
        what = f"the workers could not be started ({type(error).__name__})"
        raise UnavailableError(what, where="cohort", todo="Close other programs, or start fewer with --workers") from error


def _cluster(kind: Any, count: int, wanted: Workers, scratch: str, more: dict[str, Any]) -> Any:
    return kind(
        n_workers=count, threads_per_worker=1, processes=wanted.processes, host=LOOPBACK if wanted.processes else None,
        dashboard_address=f"{LOOPBACK}:0", worker_dashboard_address=f"{LOOPBACK}:0", memory_limit=wanted.memory,
        scheduler_kwargs={"dashboard": wanted.dashboard}, silence_logs=logging.CRITICAL, local_directory=scratch, **more,
    )


def _security(wanted: Workers) -> Any:
    given = {"--tls-ca": wanted.ca, "--tls-cert": wanted.cert, "--tls-key": wanted.key}
    for name, path in given.items():
        if path is not None and not path.is_file():
            raise MissingFileError("there is no such file", where=path, todo=f"Check {name}")
    if not wanted.scheduler.startswith("tls://"):
        if any(given.values()):
            raise InvalidInputError("is not reached by TLS", where=wanted.scheduler, todo="Give an address that begins with tls://, or leave the TLS files out")
        return None
    missing = [name for name, path in given.items() if path is None]
    if missing:
        raise InvalidInputError(f"is reached by TLS, and {', '.join(missing)} is missing", where=wanted.scheduler, todo="Give all three files")
    from distributed import Security

    told = {f"tls_client_{name}": str(path) for name, path in (("cert", wanted.cert), ("key", wanted.key))}
    return Security(require_encryption=True, tls_ca_file=str(wanted.ca), **told)


def _require_workers(client: Client, wanted: Workers) -> None:
    from distributed import TimeoutError as LateError

    until = time.monotonic() + wanted.patience_s
    try:
        client.wait_for_workers(1, timeout=wanted.patience_s)
    except (LateError, TimeoutError) as error:
        todo = f"Start one: dask worker {wanted.scheduler}" + (f" --resources {GPU}=1" if wanted.gpu else "")
        raise UnavailableError("has no worker", where=wanted.scheduler, todo=todo) from error
    while wanted.gpu and not any(each.get("resources", {}).get(GPU) for each in client.scheduler_info(n_workers=-1)["workers"].values()):
        if time.monotonic() > until:
            todo = f"Start workers with: dask worker {wanted.scheduler} --resources {GPU}=1"
            raise UnavailableError("has no worker with a graphics card", where=wanted.scheduler, todo=todo)
        time.sleep(LOOK_S)  # workers of one farm come one after the other
    hint = f'Install it there: python -m pip install "napari-medseg[cohort]=={__version__}"'
    try:
        versions = set(client.run(_version, on_error="return").values())
    except Exception as error:  # what a scheduler without our package answers with is its own
        raise UnavailableError("does not know this program", where=wanted.scheduler, todo=hint) from error
    if versions != {__version__}:
        raise UnavailableError("has workers without this version of napari-medseg", where=wanted.scheduler, todo=hint)


def _version() -> str:
    return __version__
