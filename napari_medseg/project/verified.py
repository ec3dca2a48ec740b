"""Slices that a person marked as right, and which patients teach and which check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from napari_medseg.annotation import Side
from napari_medseg.annotation import sides as dealt
from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.project import arrays as groups
from napari_medseg.project import rows
from napari_medseg.project.patients import patient_key
from napari_medseg.project.records import Box, Case, VerifiedSlice, Version
from napari_medseg.project.versions import Versions
from napari_medseg.volume import Array, LabelArray

UNKNOWN = 255
_BY_HAND = ("corrected", "verified")
Place = tuple[int, int]


class Verified(Versions):
    """Marking slices as right, and what follows from the marks."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._by_hand: dict[tuple[str, int, Place], bool] = {}

    def mark_slice(self, case_id: str, axis: int, index: int, number: int | None = None) -> VerifiedSlice:
        """A person looked at a slice of a version and found it right. The first mark of a patient gives the patient a side.

        Parameters
        ----------
        axis, index : int
            In the file's voxel order: 0, 1, 2 for z, y, x.
        number : int, optional
            The version; the latest when not given.

        Raises
        ------
        InvalidInputError
            When the scan has no such slice.
        NoLabelsError, ProjectError, UnwritableFileError
            As `version`; when nothing can be written.
        """
        self._require_writer()
        with self._mutex:
            case, version = self._slice(case_id, axis, index), self.version(case_id, number)
            self.side(case.id)
            with self._database.writing() as connection:
                rows.add_mark(connection, self.user, case.id, version.number, axis, index, stands=True)
                rows.log(connection, self.user, "marked", case.id, version.number, axis=axis, index=index)
        return next(one for one in self.verified_slices(case.id) if (one.axis, one.index) == (axis, index))

    def unmark_slice(self, case_id: str, axis: int, index: int) -> None:
        """A slice is not marked as right any more; that it was stays in the log.

        Raises
        ------
        InvalidInputError
            When it is not marked.
        UnwritableFileError
        """
        self._require_writer()
        with self._mutex, self._database.writing() as connection:
            case = self._slice(case_id, axis, index).id
            mark = next((m for m in rows.marks(connection, case) if (m.axis, m.index) == (axis, index)), None)
            if mark is None:
                raise InvalidInputError(f"slice {index} along axis {axis} is not marked", where=case, todo="Look at `verified_slices`")
            rows.add_mark(connection, self.user, case, mark.number, axis, index, stands=False)
            rows.log(connection, self.user, "unmarked", case, mark.number, axis=axis, index=index)

    def verified_slices(self, case_id: str | None = None) -> list[VerifiedSlice]:
        """The slices marked as right, by case, axis and index; of one case or of all.

        Raises
        ------
        ProjectError
            When the study has no such case, or a version that tells what the same person changed later is damaged.
        """
        with self._database.reading() as connection:
            found = rows.marks(connection, None if case_id is None else self._row(connection, case_id).id)
            made = {case: rows.versions(connection, case) for case in dict.fromkeys(mark.case for mark in found)}
        return [self._settled(mark, made[mark.case]) for mark in found]

    def verified_labels(self, case_id: str) -> LabelArray | None:
        """What is known to be right in a case: its marked slices, or all of it when its latest version is a verified one.

        Returns
        -------
        uint8 (z, y, x) or None
            255 wherever nobody said so; None when nobody said anything.
        """
        if (whole := self._whole(case_id)) is not None:
            return np.asarray(self.labels(case_id, whole.number).array, np.uint8)
        return self._assembled(case_id, {(one.axis, one.index): one.holds for one in self.verified_slices(case_id)})

    def labels_before(self, case_id: str) -> LabelArray | None:
        """What tools made of the verified places before a person's hand: the fair thing to score against what was verified later.

        Returns
        -------
        uint8 (z, y, x) or None
            255 elsewhere, and where no tool ever answered; None when nothing is verified.
        """
        if (whole := self._whole(case_id)) is not None:
            made = self.versions(case_id)
            hand = next(version.number for version in made if version.kind in _BY_HAND)
            before = _last_by_tool(made, hand)
            known = np.asarray(self.labels(case_id, whole.number if before is None else before).array, np.uint8)
            return known if before is not None else np.full_like(known, UNKNOWN)
        return self._assembled(case_id, {(one.axis, one.index): one.before for one in self.verified_slices(case_id)})

    def side(self, case_id: str) -> Side:
        """Whether what is verified of this case's patient teaches or checks; given once, at the first time of asking.

        Raises
        ------
        ProjectError, UnwritableFileError
            When there is no such case; when its patient has no side yet and the study is read-only.
        """
        return self._sides([case_id])[self.case(case_id).id][1]

    def sides(self) -> dict[str, Side]:
        """Side by case, of those that have one."""
        with self._database.reading() as connection:
            return {case: side for case, (_, side) in rows.sides(connection).items()}

    def patients(self, case_ids: Iterable[str]) -> dict[str, str]:
        """A key of each case's patient, the same for scans of one patient and saying nothing of who it is.

        Scans whose files name no patient are patients of their own.
        """
        with self._database.reading() as connection:
            known = {case: patient for case, (patient, _) in rows.sides(connection).items()}
        return {case: known[case] if case in known else self._patient(case) for case in case_ids}

    def _sides(self, case_ids: Sequence[str]) -> Mapping[str, tuple[str, Side]]:
        with self._database.reading() as connection:
            stored = rows.sides(connection)
        if all(self.case(case).id in stored for case in case_ids):
            return stored
        self._require_writer()
        with self._mutex, self._database.holding():
            with self._database.reading() as connection:
                stored = rows.sides(connection)
            patients = {case: self._patient(case) for case in case_ids if case not in stored}
            given = dealt(patients.values(), dict(stored.values()))
            with self._database.writing() as connection:
                for case, patient in patients.items():
                    rows.add_side(connection, self.user, case, patient, given[patient])
                    rows.log(connection, self.user, "side", case, side=given[patient])
                return rows.sides(connection)

    def _patient(self, case: str) -> str:
        source = self._sources.get(case)
        return patient_key(case, source.found(self.folder) if source is not None else None, source.series if source is not None else "", self._salt)

    def _whole(self, case_id: str) -> Version | None:
        """The latest version, when it is a verified one."""
        try:
            latest = self.version(case_id)
        except NoLabelsError:
            return None
        return latest if latest.kind == "verified" else None

    def _settled(self, mark: rows.Mark, made: list[Version]) -> VerifiedSlice:
        """A mark with the versions that follow from it."""
        place, later = (mark.axis, mark.index), [v for v in made if v.number > mark.number]
        holds = next((v.number for v in reversed(later) if v.author == mark.author and self._changed_by_hand(v, place, made)), mark.number)
        first = next((v.number for v in made if v.number <= holds and self._changed_by_hand(v, place, made)), holds + 1)
        return VerifiedSlice(mark.case, *place, mark.number, holds, _last_by_tool(made, first), mark.author, mark.created)

    def _changed_by_hand(self, version: Version, place: Place, made: list[Version]) -> bool:
        """Whether a person changed a slice in making this version."""
        if version.kind not in _BY_HAND or version.tool == "restore":
            return False
        key = (version.case, version.number, place)
        if key not in self._by_hand:
            parent = next((v for v in made if v.number == version.parent), None)
            now = self._plane(version, place)
            self._by_hand[key] = bool(now.any() if parent is None else (now != self._plane(parent, place)).any())
        return self._by_hand[key]

    def _plane(self, version: Version, place: Place) -> Array:
        shape = self.case(version.case).geometry.shape
        return groups.Parts(self._layout.group(version.case, version.number), shape, version.dtype)(_box(shape, place))

    def _assembled(self, case_id: str, numbers: Mapping[Place, int | None]) -> LabelArray | None:
        """Slices of several versions in one map, 255 elsewhere."""
        if not numbers:
            return None
        shape = self.case(case_id).geometry.shape
        found = np.full(shape, UNKNOWN, np.uint8)
        for number in sorted(set(numbers.values()) - {None}, key=int):  # type: ignore[arg-type]
            labels = self.labels(case_id, number).array
            for box in (_box(shape, place) for place, of in numbers.items() if of == number):
                found[box] = labels[box]
        return found

    def _slice(self, case_id: str, axis: int, index: int) -> Case:
        """The case, if it has such a slice."""
        case = self.case(case_id)
        if axis not in (0, 1, 2) or not 0 <= index < case.geometry.shape[axis]:
            raise InvalidInputError(f"has no slice {index} along axis {axis}", where=case.id, todo="Count from 0, in the file's voxel order (z, y, x)")
        return case


def _last_by_tool(made: list[Version], before: int) -> int | None:
    return next((v.number for v in reversed(made) if v.number < before and v.kind not in _BY_HAND), None)


def _box(shape: tuple[int, int, int], place: Place) -> Box:
    z, y, x = (slice(place[1], place[1] + 1) if axis == place[0] else slice(0, n) for axis, n in enumerate(shape))
    return z, y, x
