"""nnInteractive on a server (`nninteractive-server` on a machine with a graphics card), through the small package `nninteractive-client`.

The scan leaves this machine. So a person must agree when they choose a server that is not this machine itself; nothing but voxels and prompts is sent: no name,
no header, no spacing.
"""

from __future__ import annotations

import contextlib
import ipaddress
from urllib.parse import urlsplit

from napari_medseg.catalogue import install_hint
from napari_medseg.errors import InvalidInputError, MedsegError, SegmenterError, UnavailableError
from napari_medseg.segmenters.engines.dialogue import PROMPTS, DialogueSegmenter, Session
from napari_medseg.segmenters.protocol import Capabilities

REQUIREMENT = "nninteractive-client>=2.6,<2.7"
LICENCE = "that of the server's model (the authors': CC-BY-NC-SA-4.0)"


class NnInteractiveRemoteSegmenter(DialogueSegmenter):
    """nnInteractive on a server.

    Parameters
    ----------
    server : str
        Its address, such as "http://gpu-box:1527".
    agreed : bool
        That scans may be sent there. Not needed for this machine itself.
    api_key : str
        The server's key, where it asks for one.

    Raises
    ------
    InvalidInputError
        When the address is none.
    SegmenterError
        When nobody agreed that the scan is sent.
    """

    showing = "Sending the scan"

    def __init__(self, server: str, agreed: bool = False, api_key: str = "") -> None:
        super().__init__()
        parts = urlsplit(server.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInputError(f"'{server}' is no address of a server", where="nnInteractive server", todo="Write it as http://name:1527")
        self.server, self._key = server.strip(), api_key
        self.title = f"nnInteractive on {parts.hostname}"
        self.remote = not _is_this_machine(parts.hostname)
        if self.remote and not agreed:
            what = f"your scan would be sent to {parts.hostname}" + (", unencrypted" if parts.scheme == "http" else "")
            raise SegmenterError(what, where=self.title, todo="Agree to it in the window, or with --set agreed=yes, if you may send it there")
        self._lost = False

    @property
    def capabilities(self) -> Capabilities:
        """Anything it is pointed at, in 3D, elsewhere."""
        return Capabilities(classes=(), licence=LICENCE, prompts=PROMPTS, dims=3, remote=self.remote)

    def open(self, device: str) -> Session:
        """A session on the server, which chooses the device.

        Raises
        ------
        UnavailableError
            When a package is missing.
        """
        try:
            from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession
        except ImportError as error:
            raise UnavailableError(f"needs {REQUIREMENT} ({error})", where=self.title, todo=install_hint([REQUIREMENT])) from error
        return nnInteractiveRemoteInferenceSession(self.server, api_key=self._key or None)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Free the place on the server."""
        if self._session is not None:
            with contextlib.suppress(Exception):
                self._session.close()  # type: ignore[attr-defined]

    def recover(self, error: Exception) -> bool:
        """Sessions end after minutes without a click, or when the server starts again: once more, from the first prompt."""
        again = type(error).__name__ == "SessionExpiredError" and not self._lost
        self._lost = again
        return again

    def fault(self, error: Exception) -> MedsegError:
        """What the client and its HTTP library raise."""
        kind, status = type(error).__name__, getattr(getattr(error, "response", None), "status_code", None)
        if kind == "ServerAtCapacityError":
            return SegmenterError("the server has no free place", where=self.title, todo="Try again later, or start it with more --max-sessions")
        if kind == "SessionExpiredError":
            return SegmenterError("the server ended the session", where=self.title, todo="Run it again")
        if status in (401, 403):
            return SegmenterError("the server refuses the key", where=self.title, todo="Give the api_key it was started with")
        if status is not None:
            return SegmenterError(f"the server failed (HTTP {status})", where=self.title, todo="Look at its log; it must be of version 2.6, as the client is")
        if "Timeout" in kind:
            return SegmenterError("the server did not answer in time", where=self.title, todo="Try again, or look at its log")
        if kind.endswith(("ConnectError", "NetworkError", "ProtocolError", "ReadError", "WriteError")):
            return SegmenterError("the server cannot be reached", where=self.title, todo="Check the address, and that nninteractive-server runs there")
        return SegmenterError(f"the server answered with something else ({kind})", where=self.title, todo="Check that nninteractive-server runs there")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
