"""serve: this machine's networks for others, and who may use them."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from napari_medseg.cli.answer import Answer, answering
from napari_medseg.cluster.server.tokens import Tokens, usual_file
from napari_medseg.errors import InvalidInputError

MEGABYTE = 1 << 20


@answering
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; only this machine can reach 127.0.0.1.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8433,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate, PEM; needed for other addresses than this machine's.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen to other machines without TLS: scans and tokens can be read on the way.")] = False,
    device: Annotated[str, typer.Option(help="What networks run on: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    memory_mb: Annotated[int, typer.Option(help="Memory that scans may take; those looked at longest ago go first.", min=64)] = 8192,
    networks: Annotated[int, typer.Option(help="Networks that stay loaded.", min=1, max=64)] = 4,
    rate: Annotated[float, typer.Option(help="Requests a second that one user may send.", min=1)] = 200.0,
    users: Annotated[Path | None, typer.Option(help="File of the users' tokens (hashes only); the usual one when not given.")] = None,
    audit_log: Annotated[Path | None, typer.Option(help="Where it writes who asked what and when; the usual place when not given.")] = None,
    runs: Annotated[Path | None, typer.Option(help="Where refinements lie while they run, to go on after a restart; the usual place when not given.")] = None,
    add_user: Annotated[str | None, typer.Option(help="Make a token for this user, print it once, and end.")] = None,
    days: Annotated[float, typer.Option(help="How long that token counts.")] = 90.0,
    remove_user: Annotated[str | None, typer.Option(help="End this user's token.")] = None,
    list_users: Annotated[bool, typer.Option("--list-users", help="Print who has a token, and until when.")] = False,
) -> Answer:
    """Let others use this machine's networks, or say who may.

    Example: medseg serve --add-user ann

    Example: medseg serve --host 0.0.0.0 --tls-cert server.pem --tls-key server.key --device cuda
    """
    tokens = Tokens(users or usual_file())
    if sum((add_user is not None, remove_user is not None, list_users)) > 1:
        raise InvalidInputError("one thing at a time", where="--add-user, --remove-user, --list-users", todo="Give one of them")
    if add_user is not None:
        token = tokens.add(add_user, days)
        text = f"{token}\nThis is {add_user}'s token for {days:g} days. It is shown this once and kept as a hash only."
        return Answer({"user": add_user, "token": token, "days": days}, text)
    if remove_user is not None:
        tokens.remove(remove_user)
        return Answer({"user": remove_user, "removed": True}, f"{remove_user} has no token any more")
    if list_users:
        found = [{"user": each.name, "until": _day(each.expires), "expired": each.expires < time.time()} for each in tokens.users()]
        lines = [f"{each['user']}: until {each['until']}{' (expired)' if each['expired'] else ''}" for each in found]
        return Answer({"users": found}, "\n".join(lines) or "Nobody has a token; make one with --add-user NAME")
    return _served(host, port, tls_cert, tls_key, insecure, device, memory_mb, networks, rate, tokens, audit_log, runs)


def _served(
    host: str, port: int, cert: Path | None, key: Path | None, insecure: bool, device: str, memory_mb: int, networks: int, rate: float, tokens: Tokens,
    log: Path | None, runs: Path | None,
) -> Answer:
    from napari_medseg.cluster.server.running import Running, Settings, usual_log, usual_runs
    from napari_medseg.segmenters.devices import choose

    running = Running(Settings(host, port, cert, key, insecure, tokens.path, log, device, memory_mb * MEGABYTE, networks, rate, runs or usual_runs()))
    running.room.answers.device = chosen = choose(device)
    if not tokens.users():
        typer.echo("Nobody has a token yet: medseg serve --add-user NAME", err=True)
    typer.echo(f"Listening on {running.address}, on {chosen}; audit log {log or usual_log()}; Ctrl-C ends it", err=True)
    began = time.monotonic()
    with suppress(KeyboardInterrupt):  # which is how it is ended
        running.run()
    seconds = round(time.monotonic() - began, 1)
    return Answer({"address": running.address, "device": chosen, "seconds": seconds}, f"Served for {seconds:.0f} s")


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d")
