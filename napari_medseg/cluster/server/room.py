"""What the routes of a server share: all that it holds, who asks, and how names look."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Path, Request

from napari_medseg.cluster.server.answers import Answers
from napari_medseg.cluster.server.guard import TooLargeError
from napari_medseg.cluster.server.own_models import OwnModels
from napari_medseg.cluster.server.runs import Runs
from napari_medseg.cluster.server.store import Store
from napari_medseg.cluster.server.tokens import Tokens
from napari_medseg.errors import InvalidInputError

BINARY: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}
STREAM = "application/octet-stream"
Name = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
Number = Annotated[int, Path(ge=0, le=1_000_000)]


@dataclass(eq=False)
class Room:
    """All that a server holds."""

    store: Store
    own: OwnModels
    answers: Answers
    runs: Runs
    tokens: Tokens
    audit: logging.Logger


def user_of(request: Request) -> str:
    """Who asks, as the guard found.

    Raises
    ------
    InvalidInputError
        When no guard stands before this server.
    """
    user = request.scope.get("state", {}).get("user")
    if not isinstance(user, str):
        raise InvalidInputError("is not known", where="the user")
    return user


async def body_of(request: Request, most: int) -> bytearray:
    """A whole body.

    Raises
    ------
    TooLargeError
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise TooLargeError
    return body
