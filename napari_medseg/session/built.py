"""The segmenter in use, kept built, so that its network is loaded once; another one takes its place."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Any

from napari_medseg.segmenters.protocol import Segmenter

log = logging.getLogger(__name__)


class Built:
    """At most one built segmenter. Used from the thread engines run on; released from any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: Hashable = None
        self._segmenter: Segmenter | None = None

    def get(self, key: Hashable, make: Callable[[], Segmenter]) -> Segmenter:
        """The segmenter that was made for this key, else a fresh one; the one before is let go of first, so that two never fill the memory."""
        with self._lock:
            if self._segmenter is not None and key == self._key:
                return self._segmenter
        self.release()
        made = make()
        with self._lock:
            self._key, self._segmenter = key, made
        return made

    def holds(self, key: Hashable) -> bool:
        """Whether the segmenter for this key is at hand."""
        with self._lock:
            return self._segmenter is not None and key == self._key

    def peek(self) -> Segmenter | None:
        """The one that is at hand."""
        with self._lock:
            return self._segmenter

    def release(self) -> None:
        """Let go of it; one that has a `release` is told."""
        with self._lock:
            gone, self._segmenter, self._key = self._segmenter, None, None
        release: Any = getattr(gone, "release", None)
        if release is None:
            return
        try:
            release()
        except Exception:
            log.exception("%s was not let go of cleanly", gone.title if gone is not None else "")
