"""The weak-label tools are compiled and loaded beside the window when they will soon be wanted, so that the first run is as fast as any."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

log = logging.getLogger(__name__)
QUIET_S = 2.0
"""Seconds after which the window says what goes on: it takes longer only once on a computer."""

_begun = threading.Lock()  # held from the first beginning on: what is compiled serves every window of this program


def begin(session: Session, first: Callable[[], None] = lambda: None) -> None:
    """Make the tools ready, once a program; `first` is what a view wants ready before them, run beside the window too."""
    if _begun.acquire(blocking=False):
        threading.Thread(target=_work, args=(session, first), name="medseg warm-up", daemon=True).start()


def _work(session: Session, first: Callable[[], None]) -> None:
    def say(words: str) -> None:
        def tell() -> None:
            session.preparing = words
            session.changed.emit()

        session.jobs.dispatch(tell)

    late = threading.Timer(QUIET_S, say, ["Preparing the tools; you can go on meanwhile. It takes long only once on a computer"])
    late.daemon = True
    late.start()
    began = time.perf_counter()
    try:
        first()
        from napari_medseg.weaklabel.warm import warm

        warm()
    except Exception:
        if not session.jobs.over:  # who goes takes the threads along that compile
            log.exception("the weak-label tools could not be made ready; they will be at their first run")
    finally:
        late.cancel()
        log.info("weak-label tools ready after %.1f s", time.perf_counter() - began)
        say("")
