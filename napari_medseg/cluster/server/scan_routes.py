"""Scans: opened, sent slab by slab packed or many slabs at once as they are, kept alive, closed."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from napari_medseg.cluster.server.guard import BrokenError
from napari_medseg.cluster.server.lines import POUR, Filling
from napari_medseg.cluster.server.room import BINARY, Name, Number, Room, body_of, user_of
from napari_medseg.cluster.server.store import LEASE_S
from napari_medseg.cluster.wire.scans import Told
from napari_medseg.errors import InvalidInputError


class Opening(Told):
    """A scan that somebody wants to work with."""

    hashes: list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(max_length=1_000_000)


def scan_routes(room: Room) -> APIRouter:
    """All about scans."""
    store, routes = room.store, APIRouter(prefix="/v1/scans")

    @routes.post("")
    def open_scan(request: Request, opening: Opening) -> dict[str, Any]:
        told = Told(**opening.model_dump(exclude={"hashes"}))
        lease = store.open(user_of(request), told, opening.hashes)
        return {"scan": lease.id, "missing": sorted(lease.kept.missing), "lease_s": LEASE_S}

    @routes.put("/{scan}/slabs/{number}", status_code=204, openapi_extra=BINARY)
    async def put_slab(request: Request, scan: Name, number: Number) -> Response:
        lease = store.lease(user_of(request), scan)
        body = await body_of(request, store.most(lease, number))
        await run_in_threadpool(store.put, lease, number, memoryview(body))
        return Response(status_code=204)

    @routes.put("/{scan}/slabs/{first}/{last}", status_code=204, openapi_extra=BINARY)
    async def pour_slabs(request: Request, scan: Name, first: Number, last: Number) -> Response:
        """Bytes of consecutive slabs as they are; each is looked at while the next one comes."""
        lease, loop = store.lease(user_of(request), scan), asyncio.get_running_loop()
        numbers, looking = range(first, last + 1), list[asyncio.Future[None]]()

        def full(number: int) -> None:
            looking.append(loop.run_in_executor(None, store.settle, lease, first + number))

        with store.arriving(lease, numbers) as into:
            size = sum(map(len, into))
            if request.headers.get("content-length") != str(size):
                raise InvalidInputError(f"are {size} bytes", where="these slabs", todo="Announce and send as many")
            try:
                await _poured(request, Filling(into, full))
            finally:  # threads read that memory still
                faults = await asyncio.gather(*looking, return_exceptions=True)
            for fault in filter(None, faults):
                raise fault
        return Response(status_code=204)

    @routes.post("/{scan}/beat", status_code=204)
    def beat(request: Request, scan: Name) -> Response:
        store.lease(user_of(request), scan)
        return Response(status_code=204)

    @routes.delete("/{scan}", status_code=204)
    def close_scan(request: Request, scan: Name) -> Response:
        store.close(user_of(request), scan)
        return Response(status_code=204)

    return routes


async def _poured(request: Request, filling: Filling) -> None:
    """A body of announced length in its place: what HTTP has read of it by now, then the rest past HTTP."""
    message = await request.receive()
    if message["type"] != "http.request":
        raise BrokenError
    filling.add(message.get("body", b""))
    if not filling.whole:
        await request.scope["extensions"][POUR](filling)
