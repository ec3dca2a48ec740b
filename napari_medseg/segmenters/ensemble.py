"""Several segmenters as one: the mean of their probabilities, and how far they lie apart.

Averaging networks, or one network over mirrored views of a scan, is the plainest way to a better and better calibrated answer (Lakshminarayanan et al.,
NeurIPS 2017; mirroring at test time as in nnU-Net, Isensee et al., Nature Methods 2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters.protocol import Box, Capabilities, Focus, Prediction, Segmenter
from napari_medseg.volume import FloatArray, Volume

if TYPE_CHECKING:
    from napari_medseg.annotation.prompts import Prompts

TODO = "Leave it out of the ensemble"


class Ensemble:
    """The mean of its members, one after the other; what is known so far shows all the while.

    Parameters
    ----------
    members : segmenters
        Two or more that answer with the same number of maps; the first gives the classes their names.
    title : str, optional

    Raises
    ------
    InvalidInputError
        When there are fewer than two, or they do not answer the same question.
    """

    def __init__(self, members: Sequence[Segmenter], title: str = "") -> None:
        if len(members) < 2:
            raise InvalidInputError("an ensemble needs at least two members", where="ensemble", todo="Choose another segmenter beside the first")
        counts = [len(member.capabilities.classes) for member in members]
        if len(set(counts)) > 1:
            told = ", ".join(f"{m.title}: {n or 'whatever it is pointed at'}" for m, n in zip(members, counts, strict=True))
            raise InvalidInputError(f"the members outline different things ({told})", where="ensemble", todo="Choose members with the same classes")
        channels = {member.capabilities.channels for member in members}
        if len(channels) > 1:
            raise InvalidInputError("the members take different numbers of channels", where="ensemble", todo="Choose members for the same kind of scan")
        self.members = tuple(members)
        self.title = title or " + ".join(dict.fromkeys(member.title for member in members))

    @property
    def capabilities(self) -> Capabilities:
        """What all members can."""
        all_of = [member.capabilities for member in self.members]
        limited = [can.modalities for can in all_of if can.modalities]
        return Capabilities(
            classes=all_of[0].classes,
            licence=" AND ".join(dict.fromkeys(can.licence for can in all_of)),
            prompts=frozenset.intersection(*(can.prompts for can in all_of)),
            dims=max(can.dims for can in all_of),
            channels=all_of[0].channels,
            modalities=frozenset.intersection(*limited) if limited else frozenset(),
            remote=any(can.remote for can in all_of),
            threshold=float(np.mean([can.threshold for can in all_of])),
        )

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Segment a volume; see `protocol.Segmenter`. From the second member on, `Prediction.disagreement` is the standard deviation between members."""
        shape = volume.geometry.shape
        total: FloatArray | None = None
        squares = np.zeros(0, np.float32)
        reached: Box | None = None
        for number, member in enumerate(self.members, start=1):
            now: FloatArray | None = None
            for piece in member.predict(volume, prompts, device=device, focus=focus):
                if total is None:
                    total = np.zeros((len(piece.probabilities), *shape), np.float32)
                    squares = np.zeros_like(total)
                if len(piece.probabilities) != len(total):
                    raise SegmenterError(f"answered with {len(piece.probabilities)} maps, not {len(total)}", where=member.title, todo=TODO)
                now = np.zeros_like(total) if now is None else now
                here = (slice(None), *piece.box)
                now[here] = piece.probabilities
                reached = _union(reached, piece.box)
                fraction = None if piece.fraction is None else (number - 1 + piece.fraction) / len(self.members)
                yield _blended(piece.box, total[here] + now[here], squares[here] + now[here] ** 2, number, fraction, f"{member.title}: {piece.message}")
            if total is None or now is None or reached is None:
                raise SegmenterError("gave no answer", where=member.title, todo=TODO)
            total += now
            squares += now**2
            if self.capabilities.interactive:  # members may leave out what they hold to be 0; the mean changes there too
                here = (slice(None), *reached)
                yield _blended(reached, total[here], squares[here], number, number / len(self.members), member.title)

    def release(self) -> None:
        """Let the members' networks go."""
        for member in self.members:
            release = getattr(member, "release", None)
            if release is not None:
                release()


def _blended(box: Box, total: FloatArray, squares: FloatArray, count: int, fraction: float | None, message: str) -> Prediction:
    mean = np.clip(total / np.float32(count), 0, 1)
    apart = np.sqrt(np.maximum(squares / np.float32(count) - mean**2, 0)).max(axis=0) if count > 1 else None
    return Prediction(box, mean, fraction, message, apart)


def _union(one: Box | None, other: Box) -> Box:
    if one is None or any(part.start == part.stop for part in one):
        return other
    if any(part.start == part.stop for part in other):
        return one
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))  # type: ignore[return-value]
