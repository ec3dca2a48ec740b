"""Refinements: started, followed, paused, their models fetched, ended."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from napari_medseg.cluster.server.question_routes import frames
from napari_medseg.cluster.server.room import STREAM, Name, Room, user_of
from napari_medseg.cluster.wire.training import Ordered
from napari_medseg.errors import MissingFileError


def refinement_routes(room: Room) -> APIRouter:
    """All about refinements."""
    store, runs, routes = room.store, room.runs, APIRouter(prefix="/v1/runs")

    @routes.post("")
    def start_run(request: Request, ordered: Ordered) -> dict[str, str]:
        user = user_of(request)
        taken = runs.start(user, ordered, lambda name: store.volume(store.lease(user, name)), lambda name, into: room.own.copied(user, name, into))
        return {"run": taken.name}

    @routes.post("/{name}/ticks")
    def ticks(request: Request, name: Name, after: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0) -> Response:
        run = runs.followed(user_of(request), name, after)
        return StreamingResponse(frames(run.reply, after, lambda: runs.before(run)), media_type=STREAM)

    @routes.put("/{name}/paused/{yes}", status_code=204)
    def pause(request: Request, name: Name, yes: Annotated[int, Path(ge=0, le=1)]) -> Response:
        runs.pause(runs.find(user_of(request), name), bool(yes))
        return Response(status_code=204)

    @routes.get("/{name}/models/{number}")
    def model(request: Request, name: Name, number: Annotated[int, Path(ge=0, le=10_000)]) -> Response:
        return FileResponse(runs.model(runs.find(user_of(request), name), number), media_type=STREAM)

    @routes.delete("/{name}", status_code=204)
    def end_run(request: Request, name: Name) -> Response:
        with suppress(MissingFileError):
            runs.end(runs.find(user_of(request), name))
        return Response(status_code=204)

    return routes
