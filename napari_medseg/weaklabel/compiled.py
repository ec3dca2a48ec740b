"""How our inner loops are compiled and spread over the cores: one place for numba's options.

Kernels release the interpreter lock and know nothing of threads; `in_parts` runs one over parts of its range on a pool of our own. (numba's own
parallel loops may run from one thread at a time only on some platforms; a window has several.)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(kernel: Kernel) -> Kernel:
    """A numba kernel, compiled at its first call and kept on disk where that is possible."""
    try:
        return numba.njit(kernel, cache=True, nogil=True)  # type: ignore[no-any-return]
    except RuntimeError:  # neither the package's folder nor the user's own can hold the compiled code
        return numba.njit(kernel, nogil=True)  # type: ignore[no-any-return]


@cache
def threads() -> int:
    """How many cores a kernel may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads(), thread_name_prefix="medseg kernel")


def in_parts(kernel: Callable[..., Any], count: int, *given: Any, least: int = 1) -> list[Any]:
    """Run `kernel(start, stop, *given)` over 0 to `count`, one part a core, and wait.

    Parameters
    ----------
    kernel : callable
        Compiled; parts write to places of their own, so that the answer does not depend on the number of cores.
    least : int
        A part smaller than this is not worth a thread.

    Returns
    -------
    list
        What each part returned, in order.
    """
    parts = max(1, min(threads(), count // max(least, 1)))
    edges = [count * part // parts for part in range(parts + 1)]
    if parts == 1:
        return [kernel(0, count, *given)]
    first, *others = pairwise(edges)
    waiting = [_pool().submit(kernel, *part, *given) for part in others]
    mine = kernel(*first, *given)  # who calls works too: there are fewer threads that wait for the interpreter's lock
    return [mine, *(each.result() for each in waiting)]
