"""What is going on now, and everything the docks offer, as plain methods.

A view shows this model and calls it; it keeps nothing of its own. All of it runs on one thread, the owner's; engines report through `dispatch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_medseg import catalogue
from napari_medseg.annotation import LabelClass, LabelMap, default_classes
from napari_medseg.errors import InvalidInputError, MedsegError
from napari_medseg.session import accepting, levelset_live, limit_painting, preferences, running, saving, segmenting
from napari_medseg.session.archives import Archives
from napari_medseg.session.built import Built
from napari_medseg.session.choices import Choices
from napari_medseg.session.class_table import ClassTable
from napari_medseg.session.doubting import Doubting
from napari_medseg.session.faster import Faster
from napari_medseg.session.history import Box, Step
from napari_medseg.session.interpolating import Interpolating
from napari_medseg.session.jobs import PREVIEW, Dispatch, Job, Jobs
from napari_medseg.session.making import Making
from napari_medseg.session.naming import fresh_class
from napari_medseg.session.patches import Patch
from napari_medseg.session.prompting import Prompting
from napari_medseg.session.refining import Refining
from napari_medseg.session.remembering import Remembering, settle
from napari_medseg.session.resting import Resting
from napari_medseg.session.reviewing import Reviewing
from napari_medseg.session.scribbles_live import LiveScribbles
from napari_medseg.session.servers import Servers
from napari_medseg.session.settings import LevelSetChoices, LimitChoices, RefineChoices, ScribbleChoices, SegmentChoices
from napari_medseg.session.showing import Windows
from napari_medseg.session.state import Mode, Preview, Scan, Seeds, Tab, Tool, labels_for, open_scan
from napari_medseg.session.study import Study
from napari_medseg.session.tidy_choices import CleanupChoices, InterpolateChoices
from napari_medseg.session.tidying import Tidying
from napari_medseg.session.undoing import Seeded
from napari_medseg.session.verified_slices import VerifiedSlices
from napari_medseg.session.views import Views
from napari_medseg.session.where_it_looks import WhereItLooks
from napari_medseg.volume import Volume

if TYPE_CHECKING:
    from napari_medseg.session.levelset_live import LiveLevelSet


class Session:
    """The open study.

    Parameters
    ----------
    dispatch : callable
        Runs a function on the owner's thread, later and in order; called from any thread.

    Attributes
    ----------
    scans : list of Scan
    current : Scan or None
    classes : list of LabelClass
        Shared by all scans, in the order of the table.
    chosen : int
        Value of the class that seeds, strokes and Accept are for.
    tab, mode, tool
        What the person looks at; what a click on the canvas does.
    background : bool
        Whether strokes are for the background.
    add : bool
        Whether Accept keeps what the class holds already.
    over : bool
        Whether Accept may overwrite other classes.
    in_view : int or None
        Display slice the person looks at; views keep it up to date.
    declined : str
        Why the layer that was chosen cannot be worked on; "" when it can.
    notice : str
        What was just done.
    trouble : str
        What went wrong last; "" once the person did something else.
    windows : Windows
        What scans are shown through, by modality.
    letters, readout : bool
        Whether the canvas has orientation letters, and the status bar the place under the cursor.
    edited : signal of Scan and boxes
        Accepted labels changed there; None means anywhere, an empty tuple that a stroke goes on and its boxes are told when it ends.
    painted_over : signal of Scan and str
        The session wrote into the scan's "strokes" or "limit".
    place : signal of Scan and voxel
        The person is to be shown that place.
    """

    changed = Signal()
    scan_opened = Signal(Scan)
    scan_closed = Signal(Scan)
    preview_changed = Signal(Scan, object)
    labels_changed = Signal(Scan, object)
    edited = Signal(Scan, object)
    painted_over = Signal(Scan, str)
    place = Signal(Scan, tuple)
    accepted = Signal(Scan, Making)
    refined = Signal(tuple, Making, dict)
    classes_changed = Signal()
    window_changed = Signal(Scan)
    channel_changed = Signal(Scan)
    grid_changed = Signal(Scan)
    problem = Signal(MedsegError)

    def __init__(self, dispatch: Dispatch) -> None:
        self.jobs = Jobs(dispatch, self.changed.emit)
        self.scans: list[Scan] = []
        self.current: Scan | None = None
        self.classes: list[LabelClass] = list(default_classes(["Organ"]))
        self.chosen = 1
        self.table = ClassTable(self)
        self.tab: Tab = "weak"
        self.mode: Mode = "levelset"
        self.tool: Tool = ""
        self.background = False
        self.add = self.over = False
        self.in_view: int | None = None
        self.declined = ""
        self.notice = ""
        self.trouble = ""
        self.levelset = LevelSetChoices()
        self.scribble = ScribbleChoices()
        self.limit_brush = LimitChoices()
        self.cleanup = CleanupChoices()
        self.interpolation = InterpolateChoices()
        self.windows = Windows()
        self.letters = True
        self.readout = True
        self.refine = RefineChoices()
        self.segment = SegmentChoices()
        self.device = "auto"
        self.devices = ""
        self.servers = Servers(self)
        self.archives = Archives(self)
        self.preparing = ""
        self.catalogue = catalogue.load()
        self.engine = segmenting.first_choice(self.catalogue)
        kept = preferences.load()
        self.answers: dict[str, dict[str, Any]] = kept.answers_by_engine()
        self.choices = Choices()
        self.built = Built()
        self.study = Study(self)
        self.verified = VerifiedSlices(self)
        self.refining = Refining(self)
        self.faster = Faster(self)
        self.rest = Resting(self)
        self.live = LiveScribbles(self)
        self.prompting = Prompting(self)
        self.doubt = Doubting(self)
        self.looks = WhereItLooks(self)
        self.tidy = Tidying(self)
        self.between = Interpolating(self)
        self.reviewing = Reviewing(self)
        self.views = Views(self)
        settle(self, kept.choices)
        self.remembering = Remembering(self, kept.last)

    # -- scans and classes ---------------------------------------------------------------------------------------------------------------------------

    def open(self, scan: Scan | Volume) -> Scan:
        """Add a scan and make it the current one.

        Raises
        ------
        InvalidInputError
            When it holds no finite number.
        """
        if isinstance(scan, Volume):
            scan = open_scan(scan)
        self.scans.append(scan)
        self.current, self.declined, self.notice = scan, "", ""
        self.tool = self.tool or self.prompting.first_tool()
        self.scan_opened.emit(scan)
        self.changed.emit()
        return scan

    def close(self, scan: Scan) -> None:
        """Forget a scan; a job on it stops."""
        if scan not in self.scans:
            return
        if self.current is scan:
            self.jobs.stop(PREVIEW)
            self.current = None
        self.scans.remove(scan)
        self.looks.forget(scan)
        if self.current is None and self.scans:
            self.current = self.scans[-1]
        self.scan_closed.emit(scan)
        self.changed.emit()

    def shut(self) -> None:
        """Stop every job and put the study away; the window goes, and how it was left is remembered."""
        self.remembering.keep()
        self.reviewing.shut()
        self.jobs.close()
        self.study.shut()

    def activate(self, scan: Scan) -> None:
        """Work on this scan from now on."""
        self.declined = ""
        if self.current is not scan:
            self.jobs.stop(PREVIEW)
            if self.current is not None:
                self.current.clock.leave()
            self.current, self.notice, self.trouble = scan, "", ""
            self.tool = self.prompting.first_tool()
            self.looks.follow(scan)
        self.changed.emit()

    def decline(self, why: str) -> None:
        """Say why a layer cannot be worked on."""
        if self.declined != why:
            self.declined = why
            self.changed.emit()

    def act(self) -> None:
        """The person did something: the time since the last act counts as work on the current scan."""
        self.study.clock.act()
        if self.current is not None:
            self.current.clock.act()

    def set(self, **values: Any) -> None:
        """Set attributes of this session, such as tab, mode or tool, and tell the views once."""
        self.act()
        self.trouble = ""
        if values.get("tool") or values.get("tab") or values.get("mode"):
            self.notice = ""
        engine = self.engine
        for name, value in values.items():
            setattr(self, name, value)
        if self.engine != engine:
            self.prompting.let_go()
        if "mode" in values or "tab" in values or self.engine != engine:
            self.tool = values.get("tool", self.prompting.first_tool())
            self.between.look()
        self.changed.emit()

    @property
    def label_class(self) -> LabelClass:
        """The chosen class."""
        return next(c for c in self.classes if c.value == self.chosen)

    def choose_class(self, value: int) -> None:
        """Seeds, strokes and Accept are for this class from now on."""
        if value != self.chosen and any(c.value == value for c in self.classes):
            self.chosen, self.background = value, False
            self.classes_changed.emit()
            self.changed.emit()

    def add_class(self, name: str = "") -> LabelClass:
        """A new class with the next free value and colour, chosen."""
        added = fresh_class(name, [*self.classes, *self.table.removed])
        self.classes.append(added)
        self.table.log(None, added)
        self.chosen = added.value
        self.classes_changed.emit()
        self.changed.emit()
        return added

    def rename_class(self, value: int, name: str) -> None:
        """Give a class another name; an empty one is refused."""
        self.table.rename(value, name)

    def adopt_labels(self, scan: Scan, labels: Volume | np.ndarray[Any, Any], classes: Iterable[LabelClass] = ()) -> None:
        """Take a label map as the scan's accepted labels: a file's, or an array on the display grid that a layer shows and shares; `classes` are its names."""
        self.table.learn([*classes, *(labels.classes if isinstance(labels, LabelMap) else ())])
        scan.hold(labels_for(scan, labels) if isinstance(labels, Volume) else labels)
        self.table.find(scan)
        self.labels_changed.emit(scan, None)
        self.edited.emit(scan, None)
        self.changed.emit()

    # -- what a person puts on a scan ----------------------------------------------------------------------------------------------------------------

    def set_seeds(self, scan: Scan, seeds: Seeds) -> None:
        """Replace the seeds of a scan: class value to points, LPS mm."""
        kept = {value: tuple(points) for value, points in seeds.items() if points}
        if kept != scan.seeds:
            scan.history.push(Seeded(self, scan, scan.seeds, kept))
            self.notice = ""
            self.put_seeds(scan, kept)

    def put_seeds(self, scan: Scan, seeds: Seeds) -> None:
        """These are the seeds of a scan from now on, without a step of its log."""
        scan.seeds, self.trouble = seeds, ""
        levelset_live.follow_seeds(self, scan)
        self.changed.emit()

    @property
    def seed_count(self) -> int:
        """Seeds of the chosen class in the current scan."""
        return len(self.current.seeds.get(self.chosen, ())) if self.current else 0

    def begin_limit(self) -> None:
        """Arm the limit brush; the limit is made when there is none."""
        scan = self._scan()
        if scan.limit is None:
            scan.limit = np.zeros(scan.display.geometry.shape, np.uint8)
        if scan.limit_weight is None:
            scan.limit_weight = scan.limit * np.uint8(255)
        self.set(tool="" if self.tool == "limit" else "limit")

    def begin_scribbles(self) -> None:
        """Arm the scribble brush."""
        scan = self._scan()
        if scan.strokes is None:
            scan.strokes = np.zeros(scan.display.geometry.shape, np.uint8)
        self.set(tool="" if self.tool == "scribbles" else "scribbles")

    def stroked(self, scan: Scan, boxes: tuple[Box, ...] | None = None) -> None:
        """A person drew strokes there, or took them back; None tells that they are others altogether."""
        self.notice = self.trouble = ""
        self.live.drawn(scan, boxes)
        self.prompting.stroked(scan)
        self.changed.emit()

    def stroking(self, scan: Scan, box: Box) -> None:
        """A stroke goes on; the brush is here now."""
        self.live.drawing(scan, box)

    def limited(self, scan: Scan, boxes: tuple[Box, ...]) -> None:
        """A person painted the limit there, or took it back."""
        limit_painting.harden(scan, boxes)
        self.notice = self.trouble = ""
        self.changed.emit()

    def undo_stroke(self, scan: Scan) -> None:
        """Take the last stroke back; among other prompts, whatever was done last."""
        if self.prompting.points_at():
            self.undo(scan)
        else:
            self._walk_strokes(scan, scan.undo_stroke())

    def redo_stroke(self, scan: Scan) -> None:
        """Draw the stroke again that was taken back."""
        if self.prompting.points_at():
            self.redo(scan)
        else:
            self._walk_strokes(scan, scan.redo_stroke())

    def undo_limit(self, scan: Scan) -> None:
        """Take the last stroke of the limit back."""
        self._walk_limit(scan, scan.limit_log.undo())

    def redo_limit(self, scan: Scan) -> None:
        """Paint it again."""
        self._walk_limit(scan, scan.limit_log.redo())

    def flip(self) -> None:
        """Strokes and clicks change between the chosen class and the background; the limit brush between adding and erasing."""
        if self.tab == "weak" and self.mode == "limit":
            self.set(limit_brush=replace(self.limit_brush, erase=not self.limit_brush.erase))
        else:
            self.set(background=not self.background)

    def begin_pick(self) -> None:
        """Arm the tool that clicks the pieces a clean-up keeps, or put it down."""
        self._scan()
        self.set(tool="" if self.tool == "pick" else "pick")

    # -- engines -------------------------------------------------------------------------------------------------------------------------------------

    def run(self, focus: int | None = None) -> None:
        """Run what the open tab is for; a fault becomes `problem`.

        Parameters
        ----------
        focus : int, optional
            Display slice the person looks at; networks begin there.
        """
        self.in_view = focus
        self.attempt(partial(running.start, self))

    def attempt(self, act: Callable[[], object]) -> None:
        """Do something; a fault becomes `problem`."""
        try:
            act()
        except MedsegError as error:
            self.report(error)

    def looking_at(self) -> int | None:
        """The display slice the person looks at now; asked from any thread."""
        return self.in_view

    def ready(self) -> Scan:
        """The current scan.

        Raises
        ------
        InvalidInputError
            When there is none, or its slices still come.
        """
        if self.current is None:
            raise InvalidInputError(self.declined or "no scan is open", where="Medseg", todo="Drop a scan on the window, or try a sample")
        if self.current.arriving:
            raise InvalidInputError("is still being read", where=self.current.name, todo="Try again when all of its slices are there")
        return self.current

    def stop(self) -> None:
        """Stop what runs in the open tab; the preview so far stays."""
        running.stop(self)

    @property
    def job(self) -> Job | None:
        """The job to show: the open tab's if it is active, else any active one, else the tab's last."""
        return running.shown(self)

    def show_preview(self, scan: Scan, preview: Preview, *, tool: Tool = "", begin: Callable[[], None] = lambda: None) -> None:
        """A fresh preview takes the place of the one before, which can be had back; `begin` starts what fills it while views make room for it."""
        self.jobs.stop(PREVIEW)
        scan.drop()
        scan.preview, self.tool, self.notice, self.trouble = preview, tool, "", ""
        begin()
        self.preview_changed.emit(scan, None)

    def fill(self, scan: Scan, preview: Preview, title: str, make: Callable[[], Iterator[Patch]], done: Callable[[], None], *, device: str = "") -> Job:
        """Start an engine whose patches go into a preview that is shown; what it gave before a fault stays."""
        return running.fill(self, scan, preview, title, make, done, device=device)

    @property
    def front(self) -> LiveLevelSet | None:
        """The level set that the current preview is of, while it can be steered."""
        preview = self.current.preview if self.current is not None else None
        return preview.live if preview is not None else None

    # -- accept, discard, undo, save -----------------------------------------------------------------------------------------------------------------

    def accept(self) -> None:
        """The preview becomes part of the labels; a fault becomes `problem`."""
        self.attempt(partial(accepting.accept, self))

    def discard(self) -> None:
        """Drop the preview and stop what makes it."""
        accepting.discard(self)

    def painted(self, scan: Scan, step: Step) -> None:
        """A person painted on the labels with a brush; it joins the undo log, but for what locked classes get back."""
        accepting.paint(self, scan, step)

    def drawing(self, scan: Scan) -> None:
        """A stroke goes on that is not told before it ends."""
        self.edited.emit(scan, ())

    def undo(self, scan: Scan | None = None) -> None:
        """Take back the last change of the labels, whatever tool made it."""
        accepting.walk(self, scan or self.current, back=True)

    def redo(self, scan: Scan | None = None) -> None:
        """Do again what was taken back."""
        accepting.walk(self, scan or self.current, back=False)

    def save_labels(self, path: Path) -> None:
        """Write the current scan's labels on the grid of its file; a fault becomes `problem`."""
        self.attempt(lambda: saving.save(self, self._scan(), path))

    def report(self, error: MedsegError) -> None:
        """Let the window say what went wrong."""
        self.trouble = str(error)
        self.problem.emit(error)
        self.changed.emit()

    def tell_devices(self, words: str) -> None:
        """What networks run on, once one has found out."""
        self.devices = words
        self.changed.emit()

    # -- inside --------------------------------------------------------------------------------------------------------------------------------------

    def _walk_strokes(self, scan: Scan, step: Step | None) -> None:
        if step is not None:
            self.painted_over.emit(scan, "strokes")
            self.stroked(scan, step.boxes)

    def _walk_limit(self, scan: Scan, step: Step | None) -> None:
        if step is not None:
            self.limited(scan, step.boxes)
            self.painted_over.emit(scan, "limit")

    def _scan(self) -> Scan:
        if self.current is None:
            raise InvalidInputError("no scan is open", where="Medseg", todo="Open a scan, or try a sample")
        return self.current
