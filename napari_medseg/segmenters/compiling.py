"""A network compiled behind a person's back: it answers uncompiled until the compiled one is ready, which may be never.

Compiling costs tens of seconds, so it begins only when windows of one shape keep coming, as they do over a whole volume.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

PAYS = 32  # calls with windows of one shape


class Compiling:
    """A network that becomes quicker.

    Parameters
    ----------
    network : Module
    context : callable
        The context in which the network runs (inference mode, autocast); each thread enters its own.
    after : int
        Calls with one shape before it is compiled for that shape.
    backend : str
        As `torch.compile`.
    """

    def __init__(self, network: nn.Module, context: Callable[[], AbstractContextManager[object]], *, after: int = PAYS, backend: str = "inductor") -> None:
        self._network, self._context, self._after, self._backend = network, context, after, backend
        self._calls: Counter[tuple[int, ...]] = Counter()
        self._shape: tuple[int, ...] | None = None
        self._quick: Callable[[Tensor], Tensor] | None = None
        self._thread: threading.Thread | None = None

    @property
    def note(self) -> str:
        """What a person should know: that it is being compiled, or is."""
        if self._quick is not None:
            return "compiled"
        return "compiling in the background" if self._thread is not None and self._thread.is_alive() else ""

    def __call__(self, windows: Tensor) -> Tensor:
        """The network's answer; call within the context."""
        shape = tuple(windows.shape)
        if self._quick is not None and shape == self._shape:
            return self._quick(windows)
        if self._thread is None:
            self._calls[shape] += 1
            if self._calls[shape] >= self._after:
                self._shape = shape
                self._thread = threading.Thread(target=self._compile, args=(torch.zeros_like(windows),), name="medseg compile", daemon=True)
                self._thread.start()
        answer: Tensor = self._network(windows)
        return answer

    def wait(self, timeout: float) -> bool:
        """Block until compiling has ended, well or not; False when `timeout` (s) passed first or it has not begun."""
        if self._thread is None:
            return False
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _compile(self, windows: Tensor) -> None:
        try:
            quick = torch.compile(self._network, dynamic=False, backend=self._backend)
            with self._context():
                quick(windows)
        except Exception as error:  # noqa: BLE001 - no compiler, an operation it does not know, a full card: the network answers uncompiled
            log.info("the network stays uncompiled (%s: %s)", type(error).__name__, error)
            return
        self._quick = quick
