"""A PostgreSQL server for tests: Debian's own programs, a folder of its own, a free port of the loopback, gone at the end."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOMES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=60", "unix_socket_directories=")


def missing() -> str:
    """Why there can be no server here; "" when there can."""
    if not any((home / "initdb").is_file() for home in HOMES) and shutil.which("initdb") is None:
        return "no PostgreSQL server is installed (on Debian: apt-get install postgresql)"
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and there is no setpriv to become somebody else"
    return ""


@contextmanager
def postgres(*options: str) -> Iterator[str]:
    """A running server; yields the address of an empty database. `options` are NAME=VALUE of postgresql.conf."""
    home = next((home for home in HOMES if (home / "initdb").is_file()), None)
    programs = home if home is not None else Path(shutil.which("initdb") or "").parent
    with tempfile.TemporaryDirectory(prefix="medseg-pg-", ignore_cleanup_errors=True) as folder:
        become = _become(Path(folder))
        data = Path(folder, "data")
        arguments = ["-D", data, "-U", "team", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run([*become, programs / "initdb", *arguments], check=True, capture_output=True)
        port = _free_port()
        settings = [part for option in (*FAST, *options, "listen_addresses=127.0.0.1", f"port={port}") for part in ("-c", option)]
        server = subprocess.Popen([*become, programs / "postgres", "-D", data, *settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"postgresql://team@127.0.0.1:{port}/postgres"
            _wait(url, server)
            yield url
        finally:
            subprocess.run([*become, programs / "pg_ctl", "stop", "-D", data, "-m", "immediate"], check=False, capture_output=True)
            server.wait(30)


def _become(folder: Path) -> list[str]:
    """The beginning of a command that is not run as root."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return []
    import pwd

    who = next((name for name in ("postgres", "nobody") if _is_there(name)), "nobody")
    entry = pwd.getpwnam(who)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


def _is_there(name: str) -> bool:
    import pwd

    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    import psycopg

    end = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < end, "the server did not answer within a minute"
            time.sleep(0.05)
        else:
            return
