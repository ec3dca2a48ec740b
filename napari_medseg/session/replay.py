"""Doing again what made a label version, from what it recorded, without a window."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_medseg import catalogue, io
from napari_medseg.annotation import LabelMap, seed_voxels
from napari_medseg.errors import InvalidInputError, NoSeedsError, NoStrokesError
from napari_medseg.session import preferences
from napari_medseg.session.merging import merge
from napari_medseg.volume import Array, LabelArray, Volume, axis_map, orient, require_same_grid

if TYPE_CHECKING:
    from napari_medseg.project import Project, Version
    from napari_medseg.segmenters.protocol import Segmenter
    from napari_medseg.weaklabel.evolution import Evolution

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it.

    Attributes
    ----------
    labels : LabelMap
        On the scan's grid; the stored ones for work by hand.
    tool : str
    ran : bool
        Whether something was computed.
    voxels_different : int
        Between the result and what is stored.
    note : str
        A sentence for people.
    """

    labels: LabelMap
    tool: str
    ran: bool
    voxels_different: int
    note: str

    @property
    def same(self) -> bool:
        """Whether the result equals what is stored."""
        return not self.voxels_different


def replay(project: Project, case_id: str, number: int) -> Replayed:
    """Run the tool of a version again: same scan, parameters, prompts, arrays and parent version.

    Parameters
    ----------
    project : Project
    case_id : str
    number : int
        Of the version. "levelset", "scribble", "cleanup", "interpolate" and "segment:<id>" run again; "restore" takes the version it restored; what was
        made by hand, read from a file or by a refinement of many scans is given as it is stored.

    Returns
    -------
    Replayed

    Raises
    ------
    NoLabelsError, ProjectError
        When there is no such version, or it is damaged.
    MedsegError
        When the scan is not where it was, or what was recorded is not enough.
    """
    version, stored = project.version(case_id, number), project.labels(case_id, number)
    result, note = _again(project, version, stored)
    if result is None:
        return Replayed(stored, version.tool, False, 0, note)
    different = int(np.count_nonzero(result != stored.array))
    said = "the same again" if not different else f"{different:,} voxels differ from what is stored"
    return Replayed(replace(stored, array=result), version.tool, True, different, said + (f"; {note}" if note else ""))


def _again(project: Project, version: Version, stored: LabelMap) -> tuple[Array | None, str]:
    """The result and what to know of it; None for what is not computed."""
    before = np.zeros_like(stored.array) if version.parent is None else project.labels(version.case, version.parent).array
    tool, _, engine = version.tool.partition(":")
    if tool == "restore":
        old = version.parameters.get("number", version.parameters.get("version"))
        if type(old) is not int:
            raise _unclear(version, "which version it restored")
        return project.labels(version.case, old).array, ""
    if tool == "cleanup":
        return _cleanup(project, version, stored, before), ""
    if tool == "interpolate":
        return _interpolate(project, version, stored, before), ""
    if tool not in ("levelset", "scribble", "segment"):
        why = {
            "refine": "a refinement learns from many scans at once; run it again with `medseg refine`", "import": "it was read from a file",
            "single": "it was proposed from slices that were corrected before", "consensus": "it is what several people's labels amounted to",
        }
        return None, why.get(tool, "it was made by hand; these are its labels")
    scan = _scan(project, version, stored)
    arrays = project.arrays(version.case, version.number)
    if tool == "segment":
        return _segment(version, stored, scan, before, arrays, engine)
    if tool == "levelset":
        return _levelset(version, stored, scan, before, arrays), _steered(version)
    return _scribble(version, stored, scan, before, arrays), ""


def _levelset(version: Version, stored: LabelMap, scan: Volume, before: Array, arrays: dict[str, Array]) -> Array:
    from napari_medseg.weaklabel.levelset import LevelSet, LevelSetSettings

    turn, display = axis_map(scan.geometry), orient(scan)
    hints = {name: turn.apply(arrays[name]) > 0 for name in ("limit", "init", "barrier") if name in arrays}
    result = before
    for value, points in _seeds(version).items():
        seeds = seed_voxels(points, display.geometry) if len(points) else ()
        settings = _settings(LevelSetSettings, version)
        front = LevelSet(display.channel(), display.geometry.spacing, settings, seeds=seeds, unit=display.units, finely=True, **hints)
        final = _last(_until(iter(front), version.prompts.get("iterations")), version)
        result = _accepted(result, turn.undo(final.mask).astype(np.uint8), [value], value, stored.array)
    return result


def _until(steps: Iterator[Evolution], iterations: Any) -> Iterator[Evolution]:
    """A run that was accepted before it came to rest stops where it was then."""
    for step in steps:
        yield step
        if isinstance(iterations, int) and step.iteration >= iterations:
            return


def _steered(version: Version) -> str:
    """What cannot be done again exactly."""
    notes = []
    if version.prompts.get("steering"):
        notes.append("it was steered by hand while it grew, and was now grown in one go from all of its seeds, with its last settings")
    if version.prompts.get("learned"):
        notes.append("the probabilities that drove it are not stored, so grey values did")
    return "; ".join(notes)


def _scribble(version: Version, stored: LabelMap, scan: Volume, before: Array, arrays: dict[str, Array]) -> Array:
    from napari_medseg.weaklabel.scribble import ScribbleSettings, grow, whole

    if "strokes" not in arrays:
        raise NoStrokesError("its strokes were not stored", where=f"version {version.number}", todo="Scribble again")
    turn, display = axis_map(scan.geometry), orient(scan)
    strokes = turn.apply(arrays["strokes"]).astype(np.uint8)
    growth = _last(grow(display.channel(), strokes, display.geometry.spacing, _settings(ScribbleSettings, version, but="solved_by")), version)
    values = [int(value) for value in np.unique(strokes) if 0 < value < 255]
    return _accepted(before, turn.undo(whole(growth, display.geometry.shape)), values, None, stored.array)


def _cleanup(project: Project, version: Version, stored: LabelMap, before: Array) -> Array:
    from napari_medseg.weaklabel.cleanup import CleanupSettings, clean
    from napari_medseg.weaklabel.cleanup_steps import chain_from

    turn = axis_map(stored.geometry)
    spacing = turn.geometry(stored.geometry).spacing
    if "steps" in version.parameters:
        values = version.parameters.get("values")
        if not (isinstance(values, list) and all(type(value) is int for value in values)):
            raise _unclear(version, "its classes")
        chain = chain_from({name: version.parameters[name] for name in ("steps", "edit") if name in version.parameters})
        image = None if chain.edit.window is None else orient(_scan(project, version, stored)).channel()
        found = turn.undo(clean(turn.apply(before), spacing, chain, image=image, values=values).labels)
        return _accepted(before, np.where(np.isin(found, values), found, 0).astype(np.uint8), values, None, stored.array)
    cleaned = clean(turn.apply(before), spacing, _settings(CleanupSettings, version)).labels
    return turn.undo(cleaned)


def _interpolate(project: Project, version: Version, stored: LabelMap, before: Array) -> Array:
    from napari_medseg.session.interpolating import filled
    from napari_medseg.weaklabel.interpolate import interpolate

    slices = version.parameters.get("slices")
    if slices is not None and not (isinstance(slices, list) and all(type(z) is int for z in slices)):
        raise _unclear(version, "its slices")
    if "value" in version.parameters:
        value, axis = version.parameters["value"], version.parameters.get("axis", 0)
        if slices is None or type(value) is not int or axis not in (0, 1, 2):
            raise _unclear(version, "its class, slices and plane")
        follow = bool(version.parameters.get("image"))
        turn, spacing = axis_map(stored.geometry), axis_map(stored.geometry).geometry(stored.geometry).spacing
        labels = turn.apply(before)
        image = orient(_scan(project, version, stored)).channel() if follow else labels
        patch = _last(filled(labels, image, spacing, value, slices, axis, follow), version)
        preview = np.zeros(labels.shape, np.uint8)
        preview[patch.box] = patch.labels
        return _accepted(before, turn.undo(preview), [value], None, stored.array)
    return interpolate(before, slices, plane_spacing=stored.geometry.spacing[1:])


def _segment(version: Version, stored: LabelMap, scan: Volume, before: Array, arrays: dict[str, Array], engine: str) -> tuple[Array, str]:
    from napari_medseg.segmenters.protocol import collect, to_labels
    from napari_medseg.session.segmenting import model_hash, replayed

    try:
        wanted = replayed(engine, version.parameters, preferences.load().answers_by_engine())
    except (TypeError, ValueError) as error:
        raise _unclear(version, "its segmenters") from error
    segmenter = wanted.build(catalogue.load())
    now = model_hash(getattr(segmenter, "model", None))
    note = "" if now == version.model else "another model made the stored ones than the one that is here"
    turn, display = axis_map(scan.geometry), orient(scan)
    device = str(version.parameters.get("device", "auto"))
    if segmenter.capabilities.interactive:
        found = turn.undo(_pointed(version, segmenter, display, {name: turn.apply(array) for name, array in arrays.items()}, device))
        return _accepted(before, found, [int(v) for v in np.unique(found) if v] or [1], None, stored.array), note
    maps = collect(segmenter.predict(display, device=device), display.geometry.shape)
    found = turn.undo(to_labels(maps, segmenter.capabilities.threshold))
    if len(segmenter.capabilities.classes) > 1:
        return _accepted(before, found, [int(v) for v in np.unique(found) if v], None, stored.array), note
    tried = [_accepted(before, found, [1], value, stored.array) for value in version.voxels or {1: 0}]
    return min(tried, key=lambda result: int(np.count_nonzero(result != stored.array))), note


def _pointed(version: Version, segmenter: Segmenter, display: Volume, arrays: dict[str, Array], device: str) -> LabelArray:
    """The answer to the prompts that were stored, on the display grid."""
    from napari_medseg.session.outlining import outline_of
    from napari_medseg.session.targets import board_from, prompts_of

    try:
        board = board_from(version.prompts, arrays.get("starts"))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise NoSeedsError("its prompts were not stored", where=f"version {version.number}", todo="Point at the object again") from error
    strokes = arrays.get("strokes")
    drawn = {int(v) for v in np.unique(strokes) if 0 < v < 255} if strokes is not None else set()
    values = sorted({*board.values(), *drawn})
    return outline_of(segmenter, display, {value: prompts_of(board, value, display, strokes) for value in values}, device)


def _scan(project: Project, version: Version, stored: LabelMap) -> Volume:
    path, series = project.source(version.case)
    volume = io.read(path, series=series or None)
    require_same_grid(stored.geometry, volume.geometry, version.case)
    return replace(volume, array=volume.channel(), name=version.case)


def _seeds(version: Version) -> dict[int, Any]:
    """Class value to its points, LPS mm."""
    try:
        seeds = {int(value): np.array(points, float).reshape(-1, 3) for value, points in version.prompts["seeds"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NoSeedsError("its seeds were not stored", where=f"version {version.number}", todo="Grow it again from new ones") from error
    if not seeds or not all(0 < value < 255 for value in seeds):
        raise NoSeedsError("its seeds were not stored", where=f"version {version.number}", todo="Grow it again from new ones")
    return seeds


def _settings(kind: type[T], version: Version, but: str = "") -> T:
    try:
        return kind(**{name: value for name, value in version.parameters.items() if name != but})
    except TypeError as error:
        raise _unclear(version, "its settings") from error


def _accepted(before: Array, preview: LabelArray, values: list[int], target: int | None, stored: Array) -> Array:
    """The labels after Accept: in place of what the class held or beside it, whichever was done."""
    results = []
    for add in (False, True):
        result = before.copy()
        merge(result, preview, values, target=target, add=add)
        results.append(result)
    return min(results, key=lambda result: int(np.count_nonzero(result != stored)))


def _last(steps: Iterable[T], version: Version) -> T:
    final = deque(steps, maxlen=1)
    if not final:
        raise _unclear(version, "what its tool gave")
    return final[0]


def _unclear(version: Version, what: str) -> InvalidInputError:
    return InvalidInputError(f"does not tell {what} in a way that is understood", where=f"version {version.number}", todo="Take its stored labels")
