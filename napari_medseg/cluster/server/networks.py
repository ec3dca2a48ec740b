"""Built segmenters, and what a client may ask for: ids of the server's catalogue, and answers that name no file of the server's and agree to nothing."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from napari_medseg import catalogue
from napari_medseg.catalogue import Entry
from napari_medseg.cluster.server.own_models import OwnModels
from napari_medseg.cluster.wire.asking import Member, Spec
from napari_medseg.errors import CatalogueError, InvalidInputError
from napari_medseg.segmenters.opening import CLEANUP
from napari_medseg.segmenters.protocol import Segmenter

log = logging.getLogger(__name__)

OURS = ("folder", "file", "consent")
"""Kinds of questions that only whoever runs the server answers, as `parameters` of the entry."""
OF_FILES = "unet"
"""What opens a model of ours, whichever family of networks it is of."""
PLAIN = re.compile(r"[^/\\\x00-\x1f]{1,200}")


class Offer:
    """What clients may ask for; read once, since reading a catalogue takes longer than a click may.

    Parameters
    ----------
    own : OwnModels
        Models that clients sent.
    """

    def __init__(self, own: OwnModels) -> None:
        self._own = own
        self._parts = catalogue.load()
        self.entries = {entry.id: entry for entry in self._parts.of_kind("segmenter") if _offered(entry)}

    def check(self, spec: Spec) -> None:
        """Refuse what may not be asked.

        Raises
        ------
        CatalogueError
            When the server has no such segmenter.
        InvalidInputError
            When an answer names a file, agrees to something or is to a question that nobody asked.
        """
        for member in spec.members:
            if member.model is not None:
                if any(name != CLEANUP or answer not in ("on", "off") for name, answer in member.answers.items()):
                    raise InvalidInputError("asks for nothing but its clean-up, on or off", where="a model that was sent", todo="Leave the answers out")
                continue
            entry = self.entries.get(member.id)
            if entry is None:
                raise CatalogueError("is not offered by this server", where=member.id[:40], todo=f"Choose one of: {', '.join(self.entries)}")
            asks = {ask.name: ask for ask in entry.asks}
            for name, answer in member.answers.items():
                ask = asks.get(name)
                if ask is None or ask.kind in OURS or name in entry.parameters:
                    raise InvalidInputError("is settled by the server", where=name[:40], todo="Leave it out; whoever runs the server sets it in its catalogue")
                if ".." in str(answer) or not PLAIN.fullmatch(str(answer)):
                    raise InvalidInputError("looks like a path, which a server does not take", where=name[:40], todo="Leave it out")

    def built(self, spec: Spec) -> Segmenter:
        """Make it; loads what is slow.

        Raises
        ------
        CatalogueError, InvalidInputError, UnavailableError, MissingFileError, SegmenterError
        """
        self.check(spec)
        members = [self._member(member) for member in spec.members]
        if spec.mirror:
            from napari_medseg.segmenters.mirrored import mirrored

            members = [mirrored(member, spec.mirror) for member in members]
        if len(members) == 1:
            return members[0]
        from napari_medseg.segmenters.ensemble import Ensemble

        return Ensemble(members)

    def _member(self, member: Member) -> Segmenter:
        from_file = member.model is not None
        entry = self._parts.find(OF_FILES if from_file else member.id, "segmenter")
        built: Segmenter = entry.build(model=str(self._own.path(member.model or "")), **member.answers) if from_file else entry.build(**member.answers)
        return built


@dataclass(eq=False, slots=True)
class _Built:
    spec: Spec
    scan: str
    segmenter: Segmenter
    busy: bool = False


class Networks:
    """Segmenters that stay built. Used from the device's thread only.

    Parameters
    ----------
    offer : Offer
    most : int
        How many stay while nobody asks them.
    """

    def __init__(self, offer: Offer, most: int = 4) -> None:
        self._offer, self._most = offer, most
        self._built: list[_Built] = []

    @contextmanager
    def taken(self, spec: Spec, scan: str) -> Iterator[Segmenter]:
        """One for these answers, which nobody else uses meanwhile: best the one that was asked about this scan before, as it may remember it."""
        fits = [each for each in self._built if each.spec == spec and not each.busy]
        found = next((each for each in fits if each.scan == scan), None)
        if found is None and len(self._built) >= self._most and fits:
            found = fits[0]
        if found is None:
            self._forget(self._most - 1)
            found = _Built(spec, scan, self._offer.built(spec))
        else:
            self._built.remove(found)
        found.scan, found.busy = scan, True
        self._built.append(found)  # the last used is the last to go
        try:
            yield found.segmenter
        finally:
            found.busy = False
            self._forget(self._most)

    def _forget(self, most: int) -> None:
        for each in [built for built in self._built if not built.busy][: max(0, len(self._built) - most)]:
            self._built.remove(each)
            release: Any = getattr(each.segmenter, "release", None)
            if release is not None:
                try:
                    release()
                except Exception:
                    log.exception("a segmenter was not let go of cleanly")


def _offered(entry: Entry) -> bool:
    """Whether it is installed, runs here, and asks for nothing of ours that is not settled."""
    settled = all(not ask.required or ask.kind not in OURS or ask.name in entry.parameters for ask in entry.asks)
    return settled and not entry.needs() and not entry.capabilities.get("remote")
