"""Scans that were uploaded: in memory only, each its owner's alone, within a budget; those not leased and not looked at longest go first."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_medseg.cluster.wire.arrays import OVERHEAD, unsqueezed
from napari_medseg.cluster.wire.scans import Told, bytes_of, slab_hash
from napari_medseg.errors import InvalidInputError, MedsegError, MissingFileError, NoRoomError
from napari_medseg.volume import Array, Volume

LEASE_S = 120.0
IDLE_S = 1800.0
MOST_LEASES = 2048


class BusyError(MedsegError):
    """Somebody else sends the same just now."""


@dataclass(eq=False, slots=True)
class Kept:
    """A scan, whole or on its way.

    Attributes
    ----------
    owner : str
    digest : str
    told : Told
    hashes : list of str
        What each slab must be.
    array : as told
    missing : set of int
        Slabs that are not there.
    used : float
        When it was last asked for, s.
    """

    owner: str
    digest: str
    told: Told
    hashes: list[str]
    array: Array
    missing: set[int]
    used: float
    arriving: set[int] = field(default_factory=set)
    volume: Volume | None = None

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return int(self.array.nbytes)


@dataclass(eq=False, slots=True)
class Lease:
    """Somebody's right to a scan for as long as they are heard of."""

    id: str
    owner: str
    kept: Kept
    until: float = field(default=0.0)


class Store:
    """Scans and leases.

    Parameters
    ----------
    budget : int
        Bytes that all scans together may take.
    largest : int
        Bytes that one may take.
    clock : callable
        Seconds; for tests.
    """

    def __init__(self, budget: int, largest: int | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget, self.largest = budget, min(budget, largest or budget)
        self._clock = clock
        self._lock = threading.RLock()
        self._kept: dict[tuple[str, str], Kept] = {}
        self._leases: dict[str, Lease] = {}

    def open(self, owner: str, told: Told, hashes: list[str]) -> Lease:
        """Lease a scan; `kept.missing` says what has to be sent.

        Raises
        ------
        InvalidInputError
            When what is told holds no scan, or one that is too large.
        NoRoomError
            When the server is full of scans that others work with.
        """
        size, slabs = told.nbytes, told.slabs
        told.geometry  # noqa: B018 - which refuses a grid that is none
        if size > self.largest:
            todo = f"Crop the scan to at most {self.largest >> 20} MB"
            raise InvalidInputError(f"has {size >> 20} MB, more than this server takes", where="the scan", todo=todo)
        if len(hashes) != slabs or any(len(each) != 64 for each in hashes):
            raise InvalidInputError(f"needs {slabs} hashes", where="the scan", todo="Use the same version of napari-medseg on both sides")
        digest = told.digest(hashes)
        with self._lock:
            self.sweep()
            if sum(lease.owner == owner for lease in self._leases.values()) >= MOST_LEASES:
                raise NoRoomError(f"has {MOST_LEASES} scans open already", where=owner, todo="Close some of them")
            kept = self._kept.get((owner, digest))
            if kept is None:
                self._make_room(size)
                kept = Kept(owner, digest, told, hashes, np.empty(told.shape, told.dtype), set(range(slabs)), self._clock())
                self._kept[owner, digest] = kept
            lease = Lease(secrets.token_hex(16), owner, kept)
            self._leases[lease.id] = lease
            self._touch(lease)
        return lease

    def lease(self, owner: str, name: str) -> Lease:
        """A lease by its name; being asked for keeps it alive.

        Raises
        ------
        MissingFileError
            When there is none, it ended, or it is another's.
        """
        with self._lock:
            self.sweep()
            lease = self._leases.get(name)
            if lease is None or lease.owner != owner:
                raise MissingFileError("is not known here any more", where="the session", todo="Open the scan again")
            self._touch(lease)
            return lease

    def put(self, lease: Lease, number: int, chunk: bytes | memoryview) -> None:
        """Take a slab in; one that is there already is not looked at.

        Raises
        ------
        InvalidInputError
            When there is no such slab, or it is not what was announced.
        BusyError
            When it arrives on another line.
        """
        if 0 <= number < lease.kept.told.slabs and number not in lease.kept.missing:
            return
        with self.arriving(lease, range(number, number + 1)):
            unsqueezed(chunk, self._slab(lease.kept, number).reshape(-1))
            self.settle(lease, number)

    @contextmanager
    def arriving(self, lease: Lease, numbers: range) -> Iterator[list[memoryview]]:
        """The memory of slabs that are missing, to be written by nobody else meanwhile; `settle` each when it is full.

        Raises
        ------
        InvalidInputError
            When there are no such slabs.
        BusyError
            When one of them arrives on another line, or is there.
        """
        kept, wanted = lease.kept, set(numbers)
        with self._lock:
            if not wanted or not 0 <= numbers[0] <= numbers[-1] < kept.told.slabs:
                raise InvalidInputError(f"has no slabs {numbers.start} to {numbers.stop - 1}", where="the scan")
            if not wanted <= kept.missing - kept.arriving:
                raise BusyError("are there, or on their way already", where="slabs of the scan", todo="Ask which are missing")
            kept.arriving |= wanted
        try:
            yield [bytes_of(self._slab(kept, number)) for number in numbers]
        finally:
            with self._lock:
                kept.arriving -= wanted

    def settle(self, lease: Lease, number: int) -> None:
        """A slab is there, if it is what was announced.

        Raises
        ------
        InvalidInputError
            When it is not; it stays missing.
        """
        kept = lease.kept
        if slab_hash(self._slab(kept, number)) != kept.hashes[number]:
            raise InvalidInputError("is not what was announced", where=f"slab {number}", todo="Send it again")
        with self._lock:
            kept.missing.discard(number)
            kept.array.flags.writeable = bool(kept.missing)

    def most(self, lease: Lease, number: int) -> int:
        """Bytes that the chunk of a slab may have."""
        return self._slab(lease.kept, number).nbytes + OVERHEAD if 0 <= number < lease.kept.told.slabs else OVERHEAD

    def volume(self, lease: Lease) -> Volume:
        """The scan; always the same object, since segmenters know scans by it.

        Raises
        ------
        InvalidInputError
            When it is not whole yet.
        """
        with self._lock:
            kept = lease.kept
            if kept.missing:
                raise InvalidInputError(f"lacks {len(kept.missing)} slabs", where="the scan", todo="Send them first")
            if kept.volume is None:
                kept.volume = kept.told.volume(kept.array)
            return kept.volume

    def close(self, owner: str, name: str) -> None:
        """End a lease; the scan stays while there is room. None is known: nothing happens."""
        with self._lock:
            lease = self._leases.get(name)
            if lease is not None and lease.owner == owner:
                del self._leases[name]

    def sweep(self) -> None:
        """Let go of leases nobody was heard of, and of scans that lay idle."""
        with self._lock:
            now = self._clock()
            for lease in [each for each in self._leases.values() if each.until < now]:
                del self._leases[lease.id]
            held = self._held()
            for kept in [each for each in self._kept.values() if id(each) not in held and each.used < now - IDLE_S]:
                del self._kept[kept.owner, kept.digest]

    @property
    def facts(self) -> dict[str, Any]:
        """Scans, leases and bytes, for whoever runs the server."""
        with self._lock:
            return {"scans": len(self._kept), "sessions": len(self._leases), "bytes": self._taken(self._kept.values()), "budget": self.budget}

    def _touch(self, lease: Lease) -> None:
        now = self._clock()
        lease.until, lease.kept.used = now + LEASE_S, now

    def _held(self) -> set[int]:
        return {id(lease.kept) for lease in self._leases.values()}

    def _taken(self, kept: Iterable[Kept]) -> int:
        return sum(each.nbytes for each in kept)

    def _make_room(self, size: int) -> None:
        held = self._held()
        idle = sorted((each for each in self._kept.values() if id(each) not in held), key=lambda each: each.used)
        while self._taken(self._kept.values()) + size > self.budget:
            if not idle:
                raise NoRoomError("the server is full of scans that are being worked with", where="the server", todo="Wait, or ask for a larger --memory")
            oldest = idle.pop(0)
            del self._kept[oldest.owner, oldest.digest]

    @staticmethod
    def _slab(kept: Kept, number: int) -> Array:
        rows = kept.array.reshape(-1, *kept.told.shape[-2:])
        first = number * kept.told.rows_a_slab
        return rows[first : first + kept.told.rows_a_slab]
