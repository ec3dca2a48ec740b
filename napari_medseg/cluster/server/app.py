"""What a server answers: its HTTP interface, put together, and how faults are told. `guard.Guard` stands before it and knows who asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from napari_medseg import __version__
from napari_medseg.cluster.server.answers import told_error
from napari_medseg.cluster.server.guard import App, Guard
from napari_medseg.cluster.server.question_routes import question_routes
from napari_medseg.cluster.server.refinement_routes import refinement_routes
from napari_medseg.cluster.server.replies import GoneError
from napari_medseg.cluster.server.room import Room
from napari_medseg.cluster.server.scan_routes import scan_routes
from napari_medseg.cluster.server.store import BusyError
from napari_medseg.cluster.wire.asking import PROTOCOL
from napari_medseg.errors import MedsegError, MissingFileError, NoRoomError

SWEEP_S = 5.0
STATUS: tuple[tuple[type[MedsegError], int], ...] = (
    (GoneError, 410), (MissingFileError, 404), (NoRoomError, 507), (BusyError, 503), (MedsegError, 422),
)
FAULTS: dict[int | str, dict[str, Any]] = {
    code: {"description": words} for code, words in (
        (400, "no message"), (401, "no token, or none that is known"), (404, "not known"), (405, "not done here"), (408, "too slow"), (409, "seen before"),
        (410, "let go of"), (413, "too large"), (422, "cannot be taken"), (429, "too often"), (503, "not there, or busy"), (507, "full"),
    )
}


def make(room: Room, *, rate: float = 200.0) -> App:
    """The whole application, guarded."""
    return Guard(interface(room), room.tokens, room.audit, rate)


def interface(room: Room) -> FastAPI:
    """The interface alone; it trusts `scope["state"]["user"]`."""
    @asynccontextmanager
    async def kept_clean(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(_sweep(room))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await run_in_threadpool(room.runs.close)
        await run_in_threadpool(room.answers.close)
        await run_in_threadpool(room.own.close)

    app = FastAPI(title="napari-medseg", version=__version__, openapi_url=None, lifespan=kept_clean, responses=FAULTS)
    _tell_faults(app)
    for routes in (_health_routes(room), scan_routes(room), question_routes(room), refinement_routes(room)):
        app.include_router(routes)
    return app


async def _sweep(room: Room) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        room.store.sweep()
        room.answers.sweep()
        room.runs.sweep()


def _tell_faults(app: FastAPI) -> None:
    @app.exception_handler(MedsegError)
    async def failed(_: Request, error: MedsegError) -> Response:
        status = next(code for kind, code in STATUS if isinstance(error, kind))
        return JSONResponse({"error": told_error(error)}, status)

    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, error: StarletteHTTPException) -> Response:
        return JSONResponse({"error": {"type": "RemoteError", "what": str(error.detail), "where": "the message", "todo": "Try again"}}, error.status_code)

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        told = {"type": "InvalidInputError", "what": str(first.get("msg", "is wrong")), "where": ".".join(map(str, first.get("loc", ())))[:100]}
        return JSONResponse({"error": {**told, "todo": "Send it as it is asked for"}}, 422)


def _health_routes(room: Room) -> APIRouter:
    routes = APIRouter(prefix="/v1")

    @routes.get("/ping", status_code=204)
    async def ping() -> Response:
        return Response(status_code=204)

    @routes.get("/about")
    def about() -> dict[str, Any]:
        answers = room.answers
        rows = [
            {"id": e.id, "title": e.title, "licence": e.licence, "prompts": list(e.capabilities.get("prompts") or ()), "classes": e.capabilities.get("classes")}
            for e in answers.offer.entries.values()
        ]
        return {
            "version": __version__, "protocol": PROTOCOL, "device": answers.device, "waiting": answers.turns.waiting,
            "users": len(room.tokens.users()), "engines": rows, **room.store.facts,
        }

    return routes
