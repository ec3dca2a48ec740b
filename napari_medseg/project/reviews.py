"""What people said of versions in blinded reviews."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from napari_medseg.errors import InvalidInputError
from napari_medseg.project import rows
from napari_medseg.project.durable import writing
from napari_medseg.project.records import Review
from napari_medseg.project.verified import Verified


class Reviews(Verified):
    """Blinded reviews of a study: a folder each for plan and answers, and the verdicts in the database once a rater is done."""

    @property
    def reviews_folder(self) -> Path:
        """Holds a folder for each review; not there before the first."""
        return self._layout.reviews

    def new_review_folder(self) -> Path:
        """An empty folder for another review, by number.

        Raises
        ------
        UnwritableFileError
        """
        self._require_writer()
        home = self._layout.reviews
        with self._mutex, writing(home):
            home.mkdir(exist_ok=True)
            taken = [int(path.name) for path in home.iterdir() if path.name.isdecimal()]
            made = home / f"{max(taken, default=0) + 1:04d}"
            made.mkdir()
        return made

    def record_reviews(self, plan: str, rater: str, verdicts: Iterable[Review]) -> bool:
        """Record all that a rater said in one review, together; a second time nothing happens.

        Parameters
        ----------
        plan : str
            The plan's hash.
        rater : str
        verdicts : Review each
            Their `details` must name the plan.

        Returns
        -------
        bool
            Whether it was recorded now.

        Raises
        ------
        InvalidInputError, ProjectError, UnwritableFileError
            When a verdict is none or names another plan, a version is not there, or nothing can be written.
        """
        self._require_writer()
        given = list(verdicts)
        for one in given:
            if one.verdict not in rows.VERDICTS or one.details.get("plan") != plan or one.author != rater:
                raise InvalidInputError(f"is no verdict of {rater} in this review", where=one.case, todo=f"A verdict is one of {', '.join(rows.VERDICTS)}")
            for number in (one.number, one.against):
                self.version(one.case, number)
        with self._mutex, self._database.writing() as connection:
            if any(one.details.get("plan") == plan and one.author == rater for one in rows.reviews(connection)):
                return False
            for one in given:
                rows.add_review(connection, one)
            rows.log(connection, self.user, "reviewed", plan=plan, rater=rater, verdicts=len(given))
        return True

    def reviews(self, case_id: str | None = None) -> list[Review]:
        """What was said of versions, oldest first; of one case or of all."""
        with self._database.reading() as connection:
            return rows.reviews(connection, None if case_id is None else self._row(connection, case_id).id)
