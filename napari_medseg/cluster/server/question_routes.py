"""Segmenters: what they can, questions, and answers that come piece by piece."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from napari_medseg.cluster.server.answers import Answer, Answers
from napari_medseg.cluster.server.replies import GoneError, Reply
from napari_medseg.cluster.server.room import BINARY, STREAM, Name, Number, Room, body_of, user_of
from napari_medseg.cluster.wire.arrays import FASTEST, SMALL
from napari_medseg.cluster.wire.asking import Asked, Can, Spec, prompts_of, read
from napari_medseg.cluster.wire.frames import frame, only
from napari_medseg.errors import NoRoomError

LARGEST_QUESTION = 64 << 20
HERE = ("127.0.0.1", "::1")


def question_routes(room: Room) -> APIRouter:
    """All about segmenters."""
    store, answers, routes = room.store, room.answers, APIRouter(prefix="/v1")

    @routes.post("/engines")
    async def engine(request: Request, spec: Spec) -> Can:
        told = await run_in_threadpool(answers.can, user_of(request), spec)
        for _ in range(1200):
            can = told()
            if can is not None:
                return can
            await asyncio.sleep(0.05)
        raise NoRoomError("is busy", where="the server", todo="Try again later")

    @routes.post("/scans/{scan}/answers", openapi_extra=BINARY)
    async def ask(request: Request, scan: Name) -> Response:
        user = user_of(request)
        lease = store.lease(user, scan)
        level = FASTEST if request.client is not None and request.client.host in HERE else SMALL
        body = await body_of(request, LARGEST_QUESTION)

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
        return StreamingResponse(_stream(answers, answer, asked.after), media_type=STREAM)

    @routes.put("/answers/{name}/focus/{number}", status_code=204)
    def look(request: Request, name: Name, number: Number) -> Response:
        answer = answers.find(user_of(request), name)
        if answer is not None:
            answer.focus = number
        return Response(status_code=204)

    @routes.delete("/answers/{name}", status_code=204)
    def drop(request: Request, name: Name) -> Response:
        answers.drop(user_of(request), name)
        return Response(status_code=204)

    return routes


async def _stream(answers: Answers, answer: Answer, after: int) -> AsyncIterator[bytes]:
    answer.listeners += 1
    try:
        async for each in frames(answer.reply, after, lambda: answers.turns.before(answer.turn), answers.turns.nudge):
            yield each
    finally:
        answer.listeners -= 1
        answer.left = time.monotonic()


async def frames(reply: Reply, after: int, before: Callable[[], int], nudge: Callable[[], None] = lambda: None) -> AsyncIterator[bytes]:
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
