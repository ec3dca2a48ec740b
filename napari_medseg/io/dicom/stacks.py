"""From headers to the volumes a person can open: pictures grouped by series, plane and size, each group put on a grid or told why it cannot be."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from napari_medseg.errors import MedsegError, UnreadableFileError
from napari_medseg.io.dicom import tags
from napari_medseg.io.dicom.axes import Part, parts_of
from napari_medseg.io.dicom.elements import HeaderFault
from napari_medseg.io.dicom.frames import Frame, frames_of
from napari_medseg.io.dicom.geometry import ShearedError, Straight, UnevenError, by_place, geometry_of, nominal, straightened
from napari_medseg.io.dicom.headers import Header
from napari_medseg.io.dicom.pixels import COPY_AGAIN, colours_of
from napari_medseg.io.dicom.values import COLOURS, Scale, dtype_of, padding_of, scale_of, units_of
from napari_medseg.io.series import SeriesInfo
from napari_medseg.volume import Geometry

SAME_PLANE = 2e-3  # how far direction cosines of one plane may differ
SCOUT_SHARE = 4  # pictures of another plane that are so many times fewer are no part of the scan
NOT_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "dicomlabels.seg",  # Segmentation
    "1.2.840.10008.5.1.4.1.1.66.7": "dicomlabels.seg",  # Label Map Segmentation
    "1.2.840.10008.5.1.4.1.1.481.3": "dicomlabels.rtstruct",  # RT Structure Set
}


@dataclass(slots=True)
class Stack:
    """Pictures that belong together, and the grid they lie on.

    Attributes
    ----------
    where : Path
        The folder or file it was found in.
    series : str
        The series' UID; with "/2", "/3" behind it for further planes or sizes in one series, "/straight" for a tilted gantry made straight.
    number : int
    title, modality, units : str
    images : int
        How many pictures it has.
    is_scout : bool
        A localiser, or a few pictures of another plane.
    parts : list of Part
        One for each channel; empty when it cannot be read.
    scales : for each part, for each slice
    timepoints, colours : int
    geometry : Geometry
    dtype : str
    notes : tuple of str
    straight : Straight or None
        Where slices go that are sheared.
    trouble : MedsegError or None
        Why it cannot be read.
    """

    where: Path
    series: str
    number: int
    title: str
    modality: str
    images: int
    geometry: Geometry
    is_scout: bool = False
    parts: list[Part] = field(default_factory=list)
    scales: list[list[Scale]] = field(default_factory=list)
    timepoints: int = 1
    colours: int = 1
    units: str = ""
    dtype: str = "int16"
    notes: tuple[str, ...] = ()
    straight: Straight | None = None
    trouble: MedsegError | None = None

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Of the volume's channels; () when it has one."""
        if self.colours > 1:
            return COLOURS
        return tuple(part.name or str(number) for number, part in enumerate(self.parts, 1)) if len(self.parts) > 1 else ()

    @property
    def info(self) -> SeriesInfo:
        """What a list of series says of it."""
        grid, channels = self.geometry, max(1, len(self.parts)) * self.colours
        notes = self.notes if self.trouble is None else (*self.notes, f"{_capital(self.trouble.what)}. {self.trouble.todo}".strip())
        return SeriesInfo(
            grid.shape, grid.spacing, grid.origin, grid.direction, self.dtype, modality=self.modality, channels=max(1, channels // self.timepoints),
            timepoints=self.timepoints, series=self.series, title=self.title, units=self.units, channel_names=self.channel_names, notes=notes,
            readable=self.trouble is None, scout=self.is_scout, number=self.number,
        )


def stacks_of(headers: list[Header], where: Path) -> list[Stack]:
    """The volumes in DICOM files, by series number; unreadable ones too."""
    series: dict[tuple[str, str], list[Frame]] = defaultdict(list)
    damaged = 0
    for header in headers:
        if header.sop_class in NOT_IMAGES or not header.is_image:
            damaged += bool(header.fault)
            continue
        series[header.data.text(tags.STUDY_UID), header.data.text(tags.SERIES_UID)] += frames_of(header)
    taken: Counter[str] = Counter()  # some programs give one UID to the series of several studies
    stacks = [stack for (_, uid), frames in series.items() for stack in _stacks_of_series(uid, taken, frames, where)]
    if damaged:
        note = f"{_count(damaged, 'file')} in the folder could not be read as DICOM and {'is' if damaged == 1 else 'are'} left out"
        for stack in stacks:
            stack.notes += (note,)
    return sorted(stacks, key=lambda stack: (stack.number, stack.series.partition("/")[0], stack.is_scout))


def _stacks_of_series(uid: str, taken: Counter[str], frames: list[Frame], where: Path) -> list[Stack]:
    sound = [frame for frame in frames if not frame.fault]
    faulty = [frame for frame in frames if frame.fault]
    groups = sorted(_planes(sound), key=lambda group: (-len(group), group[0].orientation))
    if faulty and groups:
        groups[0] += faulty
    elif faulty:
        groups = [faulty]
    stacks = []
    for rank, group in enumerate(groups):
        is_scout = "LOCALIZER" in group[0].image_type or (rank > 0 and len(group) * SCOUT_SHARE <= len(groups[0]))
        note: tuple[str, ...] = ()
        if is_scout:
            note = ("A localiser (scout): pictures for planning, not a scan",)
        elif len(groups) > 1 and len(groups[1]) * SCOUT_SHARE > len(groups[0]):
            note = ("One of several planes or sizes in one series, each listed by itself",)
        for stack in _stacks_of_plane(group, where):
            taken[uid] += stack.straight is None
            stack.series = (uid if taken[uid] == 1 else f"{uid}/{taken[uid]}") + ("" if stack.straight is None else "/straight")
            stack.is_scout, stack.notes = is_scout, (*note, *stack.notes)
            if isinstance(stack.trouble, ShearedError) and stack.colours == 1:
                stack.trouble.todo = f"Open it straightened, which is listed as series {stack.series}/straight"
            stacks.append(stack)
    return stacks


def _stacks_of_plane(frames: list[Frame], where: Path) -> list[Stack]:
    """One stack, with what is offered in its place; or one for each acquisition where there are gaps between them: chest and abdomen in one series."""
    whole = _stack(frames, where)
    if not isinstance(whole[0].trouble, UnevenError):
        return whole
    blocks: dict[bytes, list[Frame]] = defaultdict(list)
    for frame in frames:
        blocks[frame.data.raw(tags.ACQUISITION_NUMBER)].append(frame)
    if not 1 < len(blocks) <= len(frames) // 2:
        return whole
    found = [part for block in blocks.values() for part in _stack(block, where)]
    if len(found) > len(blocks) or any(part.trouble for part in found):
        return whole
    for number, part in enumerate(found, 1):
        part.title = f"{part.title}, block {number}"
        part.notes = (f"One of {len(found)} blocks of slices in one series, each listed by itself", *part.notes)
    return found


def _planes(frames: list[Frame]) -> list[list[Frame]]:
    """Frames of one size and one plane; scouts and reformats may share a series' UID."""
    kinds: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    stacks = {frame.data.text(tags.STACK_ID) for frame in frames}
    named = 1 < len(stacks) <= len(frames) // 2
    planes, count = np.full((len(frames), 6), np.inf), 0
    nearest: dict[tuple[float, ...], int] = {(): -1}
    for frame in frames:
        turn = frame.orientation
        if turn not in nearest:
            planes[count] = turn
            nearest[turn] = int((np.abs(planes[: count + 1] - turn) <= SAME_PLANE).all(axis=1).argmax())
            count += nearest[turn] == count
        stack = frame.data.text(tags.STACK_ID) if named else ""
        alone = id(frame.header) if frame.count > 1 and not frame.position else 0  # pictures without places stay with their file
        kinds[frame.rows, frame.columns, colours_of(frame), nearest[turn], bool(frame.position), stack, alone].append(frame)
    return list(kinds.values())


def _stack(frames: list[Frame], where: Path) -> list[Stack]:
    """Pictures put on a grid, or why they lie on none; followed by what is offered in their place."""
    first = next((frame for frame in frames if not frame.fault), frames[0])
    data = first.data
    modality = data.text(tags.MODALITY)
    number = _number(first)
    title = data.text(tags.SERIES_DESCRIPTION) or f"{modality or 'DICOM'} series {number}"
    stack = Stack(where, "", number, title, modality, len(frames), nominal(frames))
    found = [stack]
    try:
        _fill(stack, frames)
    except UnreadableFileError as error:
        if isinstance(error, ShearedError) and stack.colours == 1:
            found.append(_straight(stack, error))
        stack.trouble, stack.parts, stack.scales = error, [], []
    return found


def _fill(stack: Stack, frames: list[Frame]) -> None:
    faulty = [frame for frame in frames if frame.fault]
    if faulty:
        what = faulty[0].fault
        if len(frames) > 1:
            what += f" ({len(faulty)} of {len(frames)} images of '{stack.title}' cannot be used)"
        raise UnreadableFileError(what, where=faulty[0].header.path, todo=COPY_AGAIN)
    first = frames[0]
    if "MOSAIC" in first.image_type:
        what = f"'{stack.title}' holds mosaics, the slices of a volume as tiles of one picture, which are not read here"
        raise UnreadableFileError(what, where=stack.where, todo="Convert it to NIfTI with dcm2niix, or export it as enhanced DICOM")
    if not first.position:
        if len({id(frame.header) for frame in frames}) > 1:
            what = f"the {len(frames)} images of '{stack.title}' give no positions, so they make no volume"
            raise UnreadableFileError(what, where=stack.where, todo="Open one of its files by itself")
        places = [[frame] for frame in frames]
    else:
        places = by_place(frames)
    found = parts_of(places)
    stack.notes += found.notes
    stack.timepoints = found.timepoints
    if not found.told_apart:
        what = f"series '{stack.title}' holds {found.timepoints} images at each position, and their headers do not say what tells them apart"
        raise UnreadableFileError(what, where=stack.where, todo="Export one timepoint as a series of its own")
    _meaning(stack, found.parts)
    stack.parts = found.parts
    stack.geometry, notes = geometry_of(found.parts[0].slices, stack.title, stack.where)
    stack.notes += notes
    if len(found.parts) > 1 and stack.colours > 1:
        what = f"'{stack.title}' holds {len(found.parts)} colour images at each position"
        raise UnreadableFileError(what, where=stack.where, todo="Export one of them by itself")


def _meaning(stack: Stack, parts: list[Part]) -> None:
    """Types, units and notes of the values."""
    first = parts[0].slices[0]
    for part in parts:
        scales = []
        for frame in part.slices:
            try:
                scales.append(scale_of(frame))
            except HeaderFault as error:
                raise UnreadableFileError(str(error), where=frame.header.path, todo=COPY_AGAIN) from error
        stack.scales.append(scales)
    units = {units_of(frame) for part in parts for frame in part.slices}
    stack.colours = colours_of(first)
    if stack.colours > 1:
        stack.dtype = "uint16" if first.bits == 16 and first.samples == 3 else "uint8"
        if first.bits == 32:
            raise UnreadableFileError("keeps colours of 32 bits, which are not read here", where=first.header.path, todo="Export it with 8 bits a colour")
        return
    stack.units = units.pop() if len(units) == 1 else ""
    every = [scale for scales in stack.scales for scale in scales]
    stack.dtype = str(dtype_of(every, stack.units))
    if len(units) > 1:
        stack.notes += ("Its slices give different units",)
    if len({(s.slope, s.intercept) for s in every}) > 1:
        stack.notes += ("Each slice has its own scale, which is applied",)
    if first.data.text(tags.PHOTOMETRIC) == "MONOCHROME1":
        stack.notes += ("Low values are meant to be shown bright (MONOCHROME1); values are kept as they are",)
    padding = padding_of(first, every[0])
    if padding is not None:
        stack.notes += (f"Voxels outside the picture hold {padding:g}",)


def _straight(tilted: Stack, error: ShearedError) -> Stack:
    """What can be offered in place of sheared slices."""
    shear = error.what.partition("are sheared by ")[2]
    note = f"Straightened: the slices are sheared by {shear}; each is shifted within its plane onto the smallest straight grid, with values between pixels"
    straight = straightened(tilted.parts[0].slices, tilted.title, tilted.where)
    return replace(
        tilted, title=f"{tilted.title}, straightened", straight=straight, geometry=straight.geometry,
        notes=(*tilted.notes, note),
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _number(frame: Frame) -> int:
    try:
        return frame.data.whole(tags.SERIES_NUMBER, 0)
    except HeaderFault:
        return 0
