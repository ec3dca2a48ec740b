"""What a server answers: its HTTP interface. `guard.Guard` stands before it and knows who asks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from napari_medseg import __version__
from napari_medseg.cluster.server.answers import Answer, Answers, told_error
from napari_medseg.cluster.server.guard import App, Guard, TooLargeError
from napari_medseg.cluster.server.replies import GoneError, Reply
from napari_medseg.cluster.server.runs import Runs
from napari_medseg.cluster.server.store import LEASE_S, Store
from napari_medseg.cluster.server.tokens import Tokens
from napari_medseg.cluster.wire.arrays import FASTEST, SMALL
from napari_medseg.cluster.wire.asking import PROTOCOL, Asked, Can, Spec, prompts_of, read
from napari_medseg.cluster.wire.frames import frame, only
from napari_medseg.cluster.wire.scans import Told
from napari_medseg.cluster.wire.training import Ordered
from napari_medseg.errors import InvalidInputError, MedsegError, MissingFileError, NoRoomError

LARGEST_QUESTION = 64 << 20
HERE = ("127.0.0.1", "::1")
STATUS: tuple[tuple[type[MedsegError], int], ...] = (
    (GoneError, 410), (MissingFileError, 404), (NoRoomError, 507), (MedsegError, 422),
)
BINARY: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}
FAULTS: dict[int | str, dict[str, Any]] = {
    code: {"description": words} for code, words in (
        (400, "no message"), (401, "no token, or none that is known"), (404, "not known"), (405, "not done here"), (408, "too slow"), (409, "seen before"),
        (410, "let go of"), (413, "too large"), (422, "cannot be taken"), (429, "too often"), (503, "not there"), (507, "full"),
    )
}
Name = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
Slab = Annotated[int, Path(ge=0, le=1_000_000)]


class Opening(Told):
    """A scan that somebody wants to work with."""

    hashes: list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(max_length=1_000_000)


@dataclass(eq=False)
class Room:
    """All that a server holds."""

    store: Store
    answers: Answers
    runs: Runs
    tokens: Tokens
    audit: logging.Logger


def make(room: Room, *, rate: float = 200.0) -> App:
    """The whole application, guarded."""
    return Guard(interface(room), room.tokens, room.audit, rate)


def interface(room: Room) -> FastAPI:
    """The interface alone; it trusts `scope["state"]["user"]`."""
    store, answers, runs = room.store, room.answers, room.runs

    @asynccontextmanager
    async def kept_clean(_: FastAPI) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.sleep(5)
                store.sweep()
                answers.sweep()
                runs.sweep()

        task = asyncio.create_task(sweep())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await run_in_threadpool(runs.close)
        await run_in_threadpool(answers.close)

    app = FastAPI(title="napari-medseg", version=__version__, openapi_url=None, lifespan=kept_clean, responses=FAULTS)

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

    @app.get("/v1/ping", status_code=204)
    async def ping() -> Response:
        return Response(status_code=204)

    @app.get("/v1/about")
    def about() -> dict[str, Any]:
        rows = [
            {"id": e.id, "title": e.title, "licence": e.licence, "prompts": list(e.capabilities.get("prompts") or ()), "classes": e.capabilities.get("classes")}
            for e in answers.offer.entries.values()
        ]
        return {
            "version": __version__, "protocol": PROTOCOL, "device": answers.device, "waiting": answers.turns.waiting,
            "users": len(room.tokens.users()), "engines": rows, **store.facts,
        }

    @app.post("/v1/scans")
    def open_scan(request: Request, opening: Opening) -> dict[str, Any]:
        told = Told(**opening.model_dump(exclude={"hashes"}))
        lease = store.open(_user(request), told, opening.hashes)
        return {"scan": lease.id, "missing": sorted(lease.kept.missing), "lease_s": LEASE_S}

    @app.put("/v1/scans/{scan}/slabs/{number}", status_code=204, openapi_extra=BINARY)
    async def put_slab(request: Request, scan: Name, number: Slab) -> Response:
        lease = store.lease(_user(request), scan)
        body = await _body(request, store.most(lease, number))
        await run_in_threadpool(store.put, lease, number, memoryview(body))
        return Response(status_code=204)

    @app.post("/v1/scans/{scan}/beat", status_code=204)
    def beat(request: Request, scan: Name) -> Response:
        store.lease(_user(request), scan)
        return Response(status_code=204)

    @app.delete("/v1/scans/{scan}", status_code=204)
    def close_scan(request: Request, scan: Name) -> Response:
        store.close(_user(request), scan)
        return Response(status_code=204)

    @app.post("/v1/engines")
    async def engine(request: Request, spec: Spec) -> Can:
        told = await run_in_threadpool(answers.can, _user(request), spec)
        for _ in range(1200):
            can = told()
            if can is not None:
                return can
            await asyncio.sleep(0.05)
        raise NoRoomError("is busy", where="the server", todo="Try again later")

    @app.post("/v1/scans/{scan}/answers", openapi_extra=BINARY)
    async def ask(request: Request, scan: Name) -> Response:
        user = _user(request)
        lease = store.lease(user, scan)
        level = FASTEST if request.client is not None and request.client.host in HERE else SMALL
        body = await _body(request, LARGEST_QUESTION)

        def taken() -> tuple[Asked, Answer]:
            head, payload = only(bytes(body), LARGEST_QUESTION)
            asked: Asked = read(Asked, head)
            volume = store.volume(lease)
            found = answers.find(user, asked.request)
            if found is None and asked.after:
                raise GoneError("was let go of", where="a part of the answer", todo="Ask again")
            prompts = None if found is not None else prompts_of(asked.prompts, payload, volume)
            return asked, found or answers.ask(user, asked, volume, lease.kept.digest, prompts, level)

        asked, answer = await run_in_threadpool(taken)
        answer.reply.require(asked.after)
        return StreamingResponse(_stream(answers, answer, asked.after), media_type="application/octet-stream")

    @app.put("/v1/answers/{name}/focus/{number}", status_code=204)
    def look(request: Request, name: Name, number: Slab) -> Response:
        answer = answers.find(_user(request), name)
        if answer is not None:
            answer.focus = number
        return Response(status_code=204)

    @app.delete("/v1/answers/{name}", status_code=204)
    def drop(request: Request, name: Name) -> Response:
        answers.drop(_user(request), name)
        return Response(status_code=204)

    @app.post("/v1/runs")
    def start_run(request: Request, ordered: Ordered) -> dict[str, str]:
        user = _user(request)
        return {"run": runs.start(user, ordered, lambda name: store.volume(store.lease(user, name))).name}

    @app.post("/v1/runs/{name}/ticks")
    def ticks(request: Request, name: Name, after: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0) -> Response:
        run = runs.find(_user(request), name)
        run.reply.require(after)
        return StreamingResponse(_frames(run.reply, after, lambda: runs.before(run)), media_type="application/octet-stream")

    @app.put("/v1/runs/{name}/paused/{yes}", status_code=204)
    def pause(request: Request, name: Name, yes: Annotated[int, Path(ge=0, le=1)]) -> Response:
        child = runs.find(_user(request), name).child
        if child is not None:
            child.pause() if yes else child.go_on()
        return Response(status_code=204)

    @app.get("/v1/runs/{name}/models/{number}")
    def model(request: Request, name: Name, number: Annotated[int, Path(ge=0, le=10_000)]) -> Response:
        return FileResponse(runs.model(runs.find(_user(request), name), number), media_type="application/octet-stream")

    @app.delete("/v1/runs/{name}", status_code=204)
    def end_run(request: Request, name: Name) -> Response:
        with suppress(MissingFileError):
            runs.end(runs.find(_user(request), name))
        return Response(status_code=204)

    return app


async def _stream(answers: Answers, answer: Answer, after: int) -> AsyncIterator[bytes]:
    answer.listeners += 1
    try:
        async for each in _frames(answer.reply, after, lambda: answers.turns.before(answer.turn), answers.turns.nudge):
            yield each
    finally:
        answer.listeners -= 1
        answer.left = time.monotonic()


async def _frames(reply: Reply, after: int, before: Callable[[], int], nudge: Callable[[], None] = lambda: None) -> AsyncIterator[bytes]:
    """Frames of a reply from one number on, as they come; twice a second without any, how many go before."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has gone
            loop.call_soon_threadsafe(changed.set)

    leave = reply.listen(wake)
    try:
        number = after
        while True:
            changed.clear()
            ended, full = reply.ended, reply.blocked
            found = reply.frame(number)
            if found is not None:
                number += 1
                if full and not reply.blocked:
                    nudge()
                yield found
            elif ended:
                return
            else:
                try:
                    await asyncio.wait_for(changed.wait(), 0.5)
                except TimeoutError:
                    yield frame({"wait": before()})
    finally:
        leave()


async def _body(request: Request, most: int) -> bytearray:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise TooLargeError
    return body


def _user(request: Request) -> str:
    user = request.scope.get("state", {}).get("user")
    if not isinstance(user, str):
        raise InvalidInputError("is not known", where="the user")
    return user
