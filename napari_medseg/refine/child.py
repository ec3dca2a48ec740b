"""The other end of `process.RefineRun`: reads a request, runs it, answers with ticks.

Standard input stays open for as long as the parent wants the run; its end, whether by cancelling or because the parent is gone, is the sign to stop.
Until then it brings what `controls` knows: pause, go on, look.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any

from napari_medseg.errors import MedsegError, TrainingError
from napari_medseg.refine.controls import Controls, controlled

GRACE_S = 20.0
"""A step that outlasts this after the sign to stop is cut off."""

log = logging.getLogger(__name__)


def main() -> None:
    """Serve one request."""
    inlet, outlet = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the ticks
    logging.basicConfig(stream=sys.stderr)
    try:
        request = pickle.load(inlet)  # from our own parent process
    except (EOFError, pickle.UnpicklingError):
        return  # cancelled before it began
    controls = Controls()
    threading.Thread(target=_listen, args=(inlet, controls), daemon=True).start()
    with suppress(BrokenPipeError):  # the parent is gone; nobody is left to tell
        try:
            if _run(request, outlet, controls):
                _send(outlet, "done")
        except MedsegError as error:
            _send(outlet, error)
        except MemoryError:
            _send(outlet, TrainingError("the memory is full", todo="Close other programs, or refine fewer scans at once"))
        except Exception as error:  # the border of the process: whatever went wrong has to reach the person as a sentence
            log.exception("training failed")
            _send(outlet, _sentence(error))
    sys.stderr.flush()
    os._exit(0)  # the watcher still reads; torch's threads need no farewell


def _run(request: Any, outlet: IO[bytes], controls: Controls) -> bool:
    """Whether it came to its end. A path in place of a request is the folder of a run that was cut off; what is no refinement brings its own ticks."""
    from napari_medseg.refine.kept import kept
    from napari_medseg.refine.rounds import refine

    _be_modest()
    if hasattr(request, "ticks"):
        for tick in request.ticks():
            _send(outlet, tick)
            if controls.stopped():
                break
        return not controls.stopped()
    with closing(refine(kept(request) if isinstance(request, Path) else request)) as ticks:  # type: ignore[type-var]
        for tick in controlled(ticks, controls):
            _send(outlet, tick)
    return not controls.stopped()


def _be_modest() -> None:
    """Leave the window a core where there are more than two, and the right of way."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if "OMP_NUM_THREADS" not in os.environ:  # who set it knows this machine
        torch.set_num_threads(cores if cores <= 2 else cores - 1)
    torch.set_flush_denormal(True)  # vanishing weights otherwise slow the processor down
    if hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(5)


def _send(outlet: IO[bytes], message: object) -> None:
    pickle.dump(message, outlet, protocol=pickle.HIGHEST_PROTOCOL)
    outlet.flush()


def _listen(inlet: IO[bytes], controls: Controls) -> None:
    controls.listen(inlet)
    time.sleep(GRACE_S)
    os._exit(3)


def _sentence(error: Exception) -> TrainingError:
    if "out of memory" in str(error).lower():
        return TrainingError("the device's memory is full", todo="Choose the processor as device, or close other programs")
    return TrainingError(f"the training failed ({type(error).__name__}: {' '.join(str(error).split())[:200]})", todo="Try again; the log has the details")
