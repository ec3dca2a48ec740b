"""Models that users sent: each its owner's alone, checked before anything reads it, on disk for as long as the server holds what was sent."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_medseg.cluster.server.store import Store
from napari_medseg.cluster.wire.asking import Spec
from napari_medseg.cluster.wire.models import bytes_in
from napari_medseg.errors import MissingFileError, SegmenterError
from napari_medseg.io import replacing
from napari_medseg.segmenters.opening import family
from napari_medseg.segmenters.plan import LONGEST_HEADER as LONGEST
from napari_medseg.segmenters.plan import parse_plan
from napari_medseg.volume import Array, Volume

MOST_NUMBER, MOST_BYTES = 1024, 4 << 30
"""A plan makes the network before weights are laid into it: how wide one that came from elsewhere may be, and how much memory its widths may come to."""
TODO = "Send a model file that napari-medseg wrote"


class OwnModels:
    """Models by what they hold.

    Parameters
    ----------
    store : Store
        Where they arrive, as scans of bytes.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._kept: dict[str, weakref.ref[Array]] = {}

    def settled(self, user: str, spec: Spec) -> tuple[Spec, tuple[Volume, ...]]:
        """What is asked, by what its models hold and no more by how this user calls them; and what has to be held until the answer is there.

        Raises
        ------
        MissingFileError
            When this user has sent no such model, or it was let go of.
        InvalidInputError, SegmenterError
            When it is not whole, or no model of ours.
        """
        members, held = list(spec.members), []
        for number, member in enumerate(members):
            if member.model is not None:
                name, sent = self._there(user, member.model)
                members[number] = member.model_copy(update={"model": name})
                held.append(sent)
        return (spec.model_copy(update={"members": tuple(members)}), tuple(held)) if held else (spec, ())

    def path(self, name: str) -> Path:
        """The file of a settled model.

        Raises
        ------
        MissingFileError
            When it was let go of.
        """
        with self._lock:
            kept = self._kept.get(name)
            if kept is None or kept() is None or self._folder is None:
                raise MissingFileError("is not known here any more", where="the model", todo="Send it again")
            return self._folder / f"{name}.safetensors"

    def copied(self, user: str, lease: str, into: Path) -> Path:
        """A copy of a model, for whom it must stay; raises as `settled` does."""
        name, sent = self._there(user, lease)
        with replacing(into) as temporary:
            shutil.copyfile(self.path(name), temporary)
        del sent  # which had to be held until here
        return into

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            folder, self._folder = self._folder, None
            self._kept.clear()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _there(self, user: str, lease: str) -> tuple[str, Volume]:
        leased = self._store.lease(user, lease)
        sent, name = self._store.volume(leased), leased.kept.digest
        content = bytes_in(sent)
        with self._lock:
            kept = self._kept.get(name)
            if kept is None or kept() is None:
                if self._folder is None:
                    self._folder = Path(tempfile.mkdtemp(prefix="medseg-models-"))
                path = self._folder / f"{name}.safetensors"
                _require_plausible(content)
                with replacing(path) as temporary:
                    temporary.write_bytes(content.tobytes())
                family(path)
                self._kept[name] = weakref.ref(sent.array, lambda gone: self._let_go(name, gone))
        return name, sent

    def _let_go(self, name: str, gone: weakref.ref[Array]) -> None:
        folder = self._folder
        if self._kept.get(name) is gone and folder is not None:
            del self._kept[name]
            (folder / f"{name}.safetensors").unlink(missing_ok=True)


def _require_plausible(content: Array) -> None:
    """Refuse a file whose plan would make a network that no file of ours holds.

    Raises
    ------
    SegmenterError
    """
    from pydantic import BaseModel

    class Described(BaseModel):
        network: dict[str, Any]

    length = int.from_bytes(content[:8].tobytes(), "little")
    header = content[8 : 8 + length].tobytes() if 0 < length <= min(LONGEST, content.size) else b""
    network = parse_plan(header, Path("model"), Described).network
    numbers = list(_numbers({name: value for name, value in network.items() if name not in ("kept", "members")}))
    several = network.get("members", 1)
    need = 4 * 27 * sum(number * number for number in numbers) * (several if isinstance(several, int) else 1)  # each as a 3 x 3 x 3 layer as wide as it is long
    if max(numbers, default=0) > MOST_NUMBER or need > MOST_BYTES:
        raise SegmenterError("names a network larger than any of ours", where="the model", todo=TODO)


def _numbers(value: Any) -> Iterator[float]:
    """Every number in a plan."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _numbers(each)
    elif isinstance(value, list):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield abs(value)
