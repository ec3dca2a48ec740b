"""The Review tab's pages: which one is open, what its Run does, and the lane its work runs in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

from napari_medseg.session.agreeing import Agreeing
from napari_medseg.session.blinded import Blinded
from napari_medseg.session.comparing import Comparing
from napari_medseg.session.reporting import Reporting
from napari_medseg.session.rulers import Rulers
from napari_medseg.session.statistics import Statistics

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

Page = Literal["statistics", "rulers", "blinded", "agreement", "compare", "report"]
PAGES: tuple[Page, ...] = get_args(Page)


class Reviewing:
    """What the Review tab shows; each page's model hangs here.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    page : Page
    statistics : Statistics
    rulers : Rulers
    agreement : Agreeing
    comparing : Comparing
    blinded : Blinded
    reporting : Reporting
    runs : page to callable
        What Run (G) does on a page; pages without an entry have no such act.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.page: Page = "statistics"
        self.statistics = Statistics(session)
        self.rulers = Rulers(session)
        self.blinded = Blinded(session)
        self.agreement = Agreeing(session)
        self.comparing = Comparing(session)
        self.reporting = Reporting(session)
        self.runs: dict[Page, Callable[[], None]] = {
            "statistics": self.statistics.start, "blinded": self.blinded.run, "agreement": self.agreement.start, "compare": self.comparing.start,
            "report": self.reporting.start,
        }

    @property
    def lane(self) -> str:
        """The lane of the open page's work; each page has its own, so that none stops another's."""
        return lane(self.page)

    def is_on(self, page: Page) -> bool:
        """Whether a person looks at that page."""
        return self._session.tab == "review" and self.page == page

    def turn(self, page: Page) -> None:
        """Turn to a page."""
        self.page = page
        self._session.set(tab="review")

    def run(self) -> None:
        """Do what the open page is for."""
        act = self.runs.get(self.page)
        if act is not None:
            act()

    def shut(self) -> None:
        """The session goes."""
        self.blinded.shut()

    def stop(self) -> None:
        """Stop the open page's work."""
        self._session.jobs.stop(self.lane)


def lane(page: Page) -> str:
    """The lane of a page's work."""
    return f"review {page}"
