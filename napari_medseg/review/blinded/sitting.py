"""A rater at work: which question is next, how long the answer took, one back, and nothing about the result before the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median

from napari_medseg.errors import InvalidInputError
from napari_medseg.review.blinded.answers import CHOICES, Answer, Choice, RaterFile
from napari_medseg.review.blinded.plan import Plan, Question

LATEST = 10
"""Answers from which the time left is told."""
LONGEST = 600.0  # seconds; who took longer for one slice was away


class Sitting:
    """Questions and answers of one rater, in order.

    Parameters
    ----------
    file : RaterFile
        Open; what it holds already is not asked again.
    clock : callable
        Seconds, rising.

    Attributes
    ----------
    question : Question or None
        The one to answer; None when all are answered.
    unusable : bool
        Whether neither mask of it is good enough.
    note : str
        Its note.
    """

    def __init__(self, file: RaterFile, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock = file, clock
        self._since: float | None = None
        self._spent = 0.0
        self._paused = False
        self._is_up = False
        self.unusable, self.note = False, ""
        self.question: Question | None = None
        self._turn(self._next())

    @property
    def plan(self) -> Plan:
        """What is asked."""
        return self._file.plan

    @property
    def rater(self) -> str:
        """Who answers."""
        return self._file.rater

    @property
    def answered(self) -> int:
        """Questions that have an answer."""
        return len(self._file.answers)

    @property
    def of(self) -> int:
        """Questions in all."""
        return len(self.plan.questions)

    @property
    def is_done(self) -> bool:
        """Whether every question has an answer and none is being looked at again."""
        return self.question is None

    def has(self, number: int) -> bool:
        """Whether a question has an answer."""
        return number in self._file.answers

    @property
    def was(self) -> Choice | None:
        """What was answered to this question before, when the rater went back to it."""
        answer = self._file.answers.get(self.question.number) if self.question is not None else None
        return answer.choice if answer is not None else None

    @property
    def can_go_back(self) -> bool:
        """Whether there is an earlier question."""
        return self._before() is not None

    @property
    def seconds_left(self) -> float | None:
        """A guess from the last answers; None before three."""
        times = [answer.seconds for answer in list(self._file.answers.values())[-LATEST:]]
        return median(times) * (self.of - self.answered) if len(times) >= 3 else None

    def show(self) -> None:
        """The pictures are on the screen: the clock runs."""
        self._is_up = True
        if self._since is None and not self._paused:
            self._since = self._clock()

    def pause(self) -> None:
        """The window is not in front."""
        self._stop()
        self._paused = True

    def go_on(self) -> None:
        """It is in front again."""
        self._paused = False
        if self._is_up:
            self.show()

    def answer(self, choice: str) -> None:
        """Answer the question and go to the next one without an answer; it is on the disk when this returns.

        Raises
        ------
        InvalidInputError
            When there is no question, no picture on the screen yet, or it is no answer.
        UnwritableFileError
            When the disk refuses; the question stays.
        """
        if self.question is None:
            raise InvalidInputError("every question is answered", where="review", todo="Look at the result")
        if not self._is_up:
            raise InvalidInputError("the pictures are not there yet", where="review", todo="Wait a moment")
        if choice not in CHOICES:
            raise InvalidInputError(f"'{choice}' is no answer", where="review", todo="Answer left, tie or right")
        spent = self._spent + (self._clock() - self._since if self._since is not None else 0.0)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._file.put(Answer(self.question.number, choice, min(max(spent, 0.0), LONGEST), at, self.unusable, self.note))
        self._turn(self._next(self.question))

    def back(self) -> bool:
        """Go to the question before; its answer stands until it is answered anew. False at the first one."""
        before = self._before()
        if before is not None:
            self._turn(before)
        return before is not None

    def forward(self) -> None:
        """Leave the answer one went back to as it is, and go to the first question without one."""
        if self.was is not None:
            self._turn(self._next())

    def close(self) -> None:
        """Put the file away."""
        self._file.close()

    def upcoming(self, count: int) -> list[Question]:
        """The question and those that follow it, for reading ahead."""
        start = self.question.number - 1 if self.question is not None else 0
        return [] if self.question is None else list(self.plan.questions[start:start + count])

    def _turn(self, question: Question | None) -> None:
        self.question, self._since, self._spent, self._is_up = question, None, 0.0, False
        answer = self._file.answers.get(question.number) if question is not None else None
        self.unusable, self.note = (answer.unusable, answer.note) if answer is not None else (False, "")

    def _stop(self) -> None:
        if self._since is not None:
            self._spent += self._clock() - self._since
            self._since = None

    def _next(self, after: Question | None = None) -> Question | None:
        """The next one without an answer, from a question on and then from the start; after going back the way leads forward again."""
        start = after.number if after is not None else 0
        rest = [*self.plan.questions[start:], *self.plan.questions[:start]]
        return next((question for question in rest if question.number not in self._file.answers), None)

    def _before(self) -> Question | None:
        number = self.question.number if self.question is not None else self.of + 1
        return self.plan.questions[number - 2] if number > 1 else None
