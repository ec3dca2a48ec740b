"""Other machines with a graphics card: each server that a person has told the window of is one more device that segmenters run on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from napari_medseg.cluster.remote import address as book
from napari_medseg.cluster.remote.address import Server
from napari_medseg.errors import InvalidInputError
from napari_medseg.session.jobs import Looked

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

LANE = "server"


class Servers:
    """The servers that are remembered, and the one that is chosen.

    Attributes
    ----------
    known : tuple of Server
    chosen : str
        Address of the one that segmenters run on; "" for this machine.
    adding : bool
        Whether somebody is about to add one.
    told : str
        What asking one found, in a sentence.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.known = book.known()
        self.chosen = ""
        self.adding = False
        self.told = ""

    @property
    def asking(self) -> bool:
        """Whether an answer is waited for."""
        job = self._session.jobs.of(LANE)
        return job is not None and job.is_active

    def choose(self, address: str) -> None:
        """Run on it from now on; "" for this machine."""
        if address != self.chosen:
            self._session.prompting.let_go()
        self.chosen, self.adding, self.told = address, False, ""
        self._session.jobs.stop(LANE)
        self._session.changed.emit()

    def begin(self) -> None:
        """Somebody wants to add one."""
        self.adding, self.told = True, ""
        self._session.changed.emit()

    def add(self, address: str, token: str, authority: str = "") -> None:
        """Ask a server; once it has answered it is remembered and chosen.

        Parameters
        ----------
        address : str
            As https://name:port.
        token : str
            What whoever runs it gave this person.
        authority : str
            PEM file of the certificate that counts; "" for those of the system.

        Raises
        ------
        InvalidInputError
            When it is no address, or no token is given.
        """
        server = Server(book.checked(address), token.strip(), authority.strip())
        if not server.token:
            raise InvalidInputError("wants a token", where=name_of(server.address), todo="Ask whoever runs the server for yours")

        def answered(words: str) -> None:
            book.remember(server)
            self.known = book.known()
            self.choose(server.address)
            self.tell(words)

        self._ask(server, answered)

    def test(self) -> None:
        """Ask the chosen one what it is and how soon it answers."""
        for server in self.known:
            if server.address == self.chosen:
                self._ask(server, self.tell)

    def forget(self) -> None:
        """Remember the chosen one no longer."""
        book.forget(self.chosen)
        self.known = book.known()
        self.choose("")

    def _ask(self, server: Server, answered: Callable[[str], None]) -> None:
        found: list[str] = []

        def make() -> Iterator[Looked]:
            from napari_medseg.cluster.remote.connection import Connection

            yield Looked(None, "Asking")
            connection = Connection(server)
            try:
                found.append(connection.about().words())
            finally:
                connection.close()

        title = f"Asking {name_of(server.address)}"
        self.told = f"{title}…"
        self._session.jobs.start(
            LANE, title, make, apply=lambda _: None, done=lambda: answered(found[0]), failed=lambda error: self.tell(str(error)), own_thread=True, quiet=True,
        )

    def tell(self, words: str) -> None:
        """Say what came of asking."""
        self.told = words
        self._session.changed.emit()


def name_of(address: str) -> str:
    """Machine and port, for a list."""
    return urlsplit(address).netloc
