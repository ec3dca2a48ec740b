"""Where a front stands on a scan: the ground it works on, what drives it, what is shown of it and the way it came; and how a person changes these."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import BoolArray
from napari_medseg.weaklabel import scene
from napari_medseg.weaklabel.blank import blank
from napari_medseg.weaklabel.fronts import front_on
from napari_medseg.weaklabel.ground import Given, Ground, box_of, cut, cut_off, draw_balls, rooms_with
from napari_medseg.weaklabel.samples import LEAST_IN_SCAN, WIDEST_MM, share_in_scan
from napari_medseg.weaklabel.scene import Box, IntArray
from napari_medseg.weaklabel.settings import LevelSetSettings
from napari_medseg.weaklabel.speed import Speed
from napari_medseg.weaklabel.trail import Trail, differences

FARTHER = 1.5  # times the reach
REBUILT_BY = ("shell_mm", "reach_mm", "device")  # settings that change where is looked, not only what is seen


class Stand:
    """A front on its ground. What changes it returns the box of the ground in which the mask shown is another one now, None where it is the same.

    Attributes
    ----------
    given : Given
    settings : LevelSetSettings
    trail : Trail
        The way it came.
    ground, speed, front
        From `begin` on: where it works, what drives it, itself.
    shown : bool, the ground's (z, y, x)
        The mask as it was last told.
    extent : (z, y, x) slices of the ground
        Outside it the mask shown was never anything but empty.
    voxels : int
        In the mask shown.
    stale : bool
        Whether the front still has to take up a mask that a person went back to.
    learned : int
        How often the speed learned from the front since it was made or changed.
    renewals : int
        How often it began anew from a mask: what was suspected of it before counts no more.
    why : str
        What drives it, for people.
    """

    def __init__(self, given: Given, settings: LevelSetSettings) -> None:
        self.given, self.settings, self.trail = given, settings, Trail(given.shape)
        self.stale, self.learned, self.renewals, self.voxels, self.why = False, 0, 0, 0, ""
        self._own_barrier = False
        self._reach_mm = 0.0  # a reach that was taken farther than the seeds say
        self._kept: tuple[float, Box, BoolArray]  # a reach, and the mask with it
        self._turned: Box | None = None  # around what turned over since `ready`
        self._bubbles: list[tuple[IntArray, float, bool, int]] = []  # centre, radius in mm, whether it was added, at which step of the trail

    def begin(self) -> None:
        """Look at what was given, and stand where the front starts."""
        ground = cut(self.given, self.settings)
        inward = self.given.limit is not None and self.settings.start != "seeds"
        self._tense = inward or self.given.init is not None  # it would crush a front as small as the seeds
        speed = self._speed_on(ground, None)
        mask, around = ground.first_mask, None
        if mask is None and inward:
            mask = ground.allowed.copy()
        elif mask is None:
            mask, around = speed.start()
        if self.given.barrier is not None:
            mask &= ground.allowed
            mask = rooms_with(mask, ground.kept if ground.kept.any() else mask)
        self._set(ground, speed, mask, around)
        self.shown: BoolArray = blank(ground.shape)
        inside, around = self.front.inside, around or self.everywhere
        some = inside[around].any()
        self.extent = moved(box_of(inside[around], 0, self.given.spacing), around, self.everywhere) if some else (slice(0, 1), slice(0, 1), slice(0, 1))
        self.shown[self.extent] = inside[self.extent]
        self.voxels = int(np.count_nonzero(self.shown[self.extent]))
        self.learned = 0

    def ready(self) -> None:
        """Before the front moves on: what was learned comes into force, and a mask that a person went back to is taken up."""
        self.speed.refresh()
        self._turned = None
        if self.stale:
            self.front.reset(self.shown.copy())
            self.stale, self._turned = False, self.everywhere

    def move(self, count: int) -> tuple[int, Box | None]:
        """Some iterations: how many it were, and around what turned over in them."""
        before = self.front.iterations
        moved = self.front.advance(self.speed, count).box
        if moved is not None:
            self._turned = moved if self._turned is None else scene.joined(self._turned, moved)
        return self.front.iterations - before, moved

    def settle(self, seen: Box | None = None) -> Box | None:
        """Show the front as it stands; around what changed since `ready`, and around what was seen of it in between."""
        changed = self._take_changes(self._turned)
        return changed if seen is None else self._widened([seen] if changed is None else [changed, seen])

    def glimpse(self) -> tuple[Box, BoolArray]:
        """The front's mask while it is on its way: a box of the ground with all of it, and the mask in there, bool (z, y, x)."""
        box = self.extent if self._turned is None else scene.joined(self.extent, self._turned)
        return box, self.front.inside[box].copy()

    def tighten(self) -> bool:
        """Put the front under tension; whether it was not yet."""
        if self.speed.curvature_mm >= self.speed.tension_mm:
            return False
        self._tense, self.speed.curvature_mm = True, self.speed.tension_mm
        return True

    @property
    def at_the_end(self) -> float:
        """Share of the end of the reach that the mask holds."""
        rim = self.ground.rim
        return float(np.count_nonzero(self.shown.reshape(-1)[rim]) / rim.size) if rim.size else 0.0

    @property
    def everywhere(self) -> Box:
        """The whole ground."""
        z, y, x = (slice(0, count) for count in self.ground.shape)
        return z, y, x

    def on_scan(self, box: Box) -> Box:
        """A box of the ground as one of the scan."""
        z, y, x = (slice(part.start + whole.start, part.stop + whole.start) for part, whole in zip(box, self.ground.box, strict=True))
        return z, y, x

    # -- a reach farther than the seeds say ------------------------------------------------------------------------------------------------------------

    @property
    def held(self) -> float:
        """Share of what lies next to the mask that looks like the target, so that only the distance from the seeds keeps it out; 0 within a limit."""
        if self.given.limit is not None or not self.voxels:
            return 0.0
        return self.speed.beyond(self.shown, self.extent, self.ground.part(self.given.barrier))

    def keep(self) -> None:
        """Remember the mask as it is shown, and its reach, to come back to."""
        self._kept = self.ground.reach_mm, self.on_scan(self.extent), self.shown[self.extent].copy()

    @property
    def may_go_farther(self) -> bool:
        """Whether there is a farther reach to go on with: not where it is a person's word, or would leave the scan."""
        reach, points, given = FARTHER * self.ground.reach_mm, self.given.points, self.given
        if given.limit is not None or given.init is not None or self.settings.reach_mm is not None or not len(points):
            return False
        return reach <= WIDEST_MM and share_in_scan(points, reach, given.spacing, given.shape) >= LEAST_IN_SCAN

    def farther(self) -> None:
        """Go on with a farther reach, where it may."""
        self._reach_mm, self._tense = FARTHER * self.ground.reach_mm, False
        self._rebuilt(self.given)

    def foretold(self) -> float:
        """`held` where it will come to rest if nothing more is learned: a front goes wherever it is driven and can come to."""
        end = rooms_with(self.speed.drawn() | self.shown, self.shown)
        return self.speed.beyond(end, box_of(end, 0, self.given.spacing), self.ground.part(self.given.barrier))

    @property
    def kept_ml(self) -> float:
        """Volume of the mask that was kept."""
        return float(np.count_nonzero(self._kept[2]) * np.prod(self.given.spacing) / 1000)

    def back(self) -> None:
        """The mask that was kept, and its reach."""
        reach, box, part = self._kept
        if reach == self.ground.reach_mm:
            return
        self._reach_mm, self._tense = reach, True
        self._rebuilt(self.given)
        self._go_on_from(self.ground.place(box, part))

    # -- what a person changes -------------------------------------------------------------------------------------------------------------------------

    def rewind(self, updates: int) -> Box | None:
        """Go back to the mask of some updates ago."""
        changed: list[Box] = []
        for _ in range(min(updates, len(self.trail))):
            box, gain = self.trail.back(self.shown, self.ground.box)
            self.voxels += gain
            changed += [box] if box is not None else []
        self.stale = True
        self.renewals += 1
        undone = [bubble for bubble in self._bubbles if bubble[3] > self.trail.position]
        self._bubbles = [bubble for bubble in self._bubbles if bubble[3] <= self.trail.position]
        for centre, radius, _, _ in undone:
            self._allow_again(self._ball(centre, radius))
        return self._widened(changed)

    def change(self, settings: LevelSetSettings) -> None:
        """Take other settings, or stay with the ones before where they cannot be.

        Raises
        ------
        InvalidInputError
            When they do not fit the scan.
        """
        before, self.settings = self.settings, settings
        try:
            if any(getattr(before, name) != getattr(settings, name) for name in REBUILT_BY):
                self._rebuilt(self.given)
            else:
                self.speed.change(settings)
        except InvalidInputError:
            self.settings = before
            raise
        self._pull(self.speed)
        self.why, self.learned = self.speed.describe(self.given.unit), 0

    def seed(self, points: IntArray) -> Box | None:
        """Take these seeds, (n, 3) voxel indices of the scan, in place of those before.

        Raises
        ------
        InvalidInputError
            When there is none left, and nothing else to grow from either.
        """
        if not len(points) and not self._bubbles and self.given.limit is None and self.given.init is None:
            raise InvalidInputError("there is none left to grow from", where="seeds", todo="Add one inside the organ; what has grown stays until then")
        known = {tuple(point) for point in self.given.points.tolist()}
        new = np.array([point for point in points.tolist() if tuple(point) not in known], np.intp).reshape(-1, 3)
        self._rebuilt(replace(self.given, points=points), new)
        return self._take_changes(self.everywhere)

    def bubble(self, centre: IntArray, radius_mm: float, add: bool) -> Box | None:
        """Add a ball around a voxel of the scan, its index (3,), or take one away, for good."""
        box = self._ball(centre, radius_mm)
        self._bubbles.append((centre, radius_mm, add, self.trail.position + 1))
        if add and scene.joined(box, self.ground.box) != self.ground.box:
            self._rebuilt(self.given, least=box)
        else:
            self._allow_again(box)
        return self._go_on_from(self.shown.copy())

    def _ball(self, centre: IntArray, radius_mm: float) -> Box:
        return scene.box_around_points(centre[None], radius_mm, self.given.spacing, self.given.shape)

    def bar(self, mask: BoolArray, box: Box) -> Box | None:
        """Take this mask, bool of the box's shape, for the barrier in a box of the scan; what it severs from the seeds goes."""
        barrier = self.given.barrier
        if barrier is None or not self._own_barrier:
            self._own_barrier = True
            barrier = np.zeros(self.given.shape, bool) if barrier is None else barrier.copy()
            self.given = replace(self.given, barrier=barrier)
        barrier[box] = mask
        here = barrier[self.ground.box]
        mask = cut_off(self.shown, here, self.ground.kept & ~here)
        self._allow_again(box)
        return self._go_on_from(mask)

    # -- the pieces ------------------------------------------------------------------------------------------------------------------------------------

    def _speed_on(self, ground: Ground, mask: BoolArray | None) -> Speed:
        """What drives the front on some ground; without seeds and starting mask it learns from the mask."""
        init = ground.part(self.given.init)
        if init is None and not len(ground.points):
            init = mask
        speed = Speed(
            self.given.image[ground.box], self.given.spacing, self.settings, ground.points, limit=ground.part(self.given.limit), init=init,
            probability=ground.part(self.given.probability), allowed=ground.allowed,
            inward=self.given.limit is not None and self.settings.start != "seeds", reach_mm=ground.reach_mm,
        )
        self._pull(speed)
        return speed

    def _pull(self, speed: Speed) -> None:
        speed.curvature_mm = speed.tension_mm if self._tense else 0.0

    def _set(self, ground: Ground, speed: Speed, mask: BoolArray, around: Box | None = None) -> None:
        """Go on with another ground, speed and front, whose mask lies in a box; what was shown stays known, so that the change can be told."""
        given, sighted = self.given, speed.sighted if around is not None else None
        self.front = front_on(self.settings.device, np.ascontiguousarray(mask), given.spacing, ground.allowed, ground.kept, around, sighted)
        self.ground, self.speed, self.stale = ground, speed, False
        self.why = speed.describe(given.unit)
        self.renewals += 1

    def _rebuilt(self, given: Given, points: IntArray | None = None, least: Box | None = None) -> None:
        """Cut anew, at least as wide as now; new seeds begin with what looks like the target around them."""
        before, self.given = self.given, given
        try:
            ground = self._edited(cut(given, self.settings, self.ground.box if least is None else scene.joined(self.ground.box, least), self._reach_mm))
            mask = ground.place(self.ground.box, self.shown)
            speed = self._speed_on(ground, mask)
        except InvalidInputError:
            self.given = before
            raise
        if points is not None and len(points):
            mask[tuple(speed.like_target(points - [part.start for part in ground.box]).T)] = True
        self.shown = ground.place(self.ground.box, self.shown)
        self.extent = moved(self.extent, self.ground.box, ground.box)
        self._set(ground, speed, mask)
        self.learned = 0

    def _edited(self, ground: Ground) -> Ground:
        """The ground with the bubbles so far: where the front may be, and what it keeps."""
        for centre, radius, add, _ in self._bubbles:
            for mask in (ground.allowed, ground.kept):
                draw_balls(mask, centre[None] - [part.start for part in ground.box], radius, self.given.spacing, add)
        if self._bubbles and self.given.barrier is not None:
            ground.allowed[self.given.barrier[ground.box]] = False
        ground.kept[...] &= ground.allowed
        return ground

    def _allow_again(self, box: Box) -> None:
        """Where the front may be has changed in a box of the scan."""
        fresh = self._edited(cut(self.given, self.settings, self.ground.box, self._reach_mm))  # larger where a painted limit was widened
        same = moved(self.everywhere, self.ground.box, fresh.box)
        self.ground.allowed[...], self.ground.kept[...] = fresh.allowed[same], fresh.kept[same]  # the speed reads this very array
        z, y, x = (slice(max(0, p.start - b.start), max(0, min(p.stop, b.stop) - b.start)) for p, b in zip(box, self.ground.box, strict=True))
        self.speed.remake((z, y, x))

    def _go_on_from(self, mask: BoolArray) -> Box | None:
        self._set(self.ground, self.speed, mask)
        return self._take_changes(self.everywhere)

    def _take_changes(self, box: Box | None) -> Box | None:
        """Note where the front's mask differs from what was shown, within a box of the ground; around what does."""
        turned = differences(self.front.inside, self.shown, box) if box is not None else np.zeros(0, np.intp)
        self.trail.add(turned, self.ground.box)
        if not turned.size:
            return None
        self.voxels += 2 * int(np.count_nonzero(self.shown.reshape(-1)[turned])) - turned.size
        places = np.unravel_index(turned, self.ground.shape)
        z, y, x = (slice(int(place.min()), int(place.max()) + 1) for place in places)
        return self._widened([(z, y, x)])

    def _widened(self, boxes: list[Box]) -> Box | None:
        """One box around all; the extent grows with it."""
        if not boxes:
            return None
        changed = boxes[0]
        for box in boxes[1:]:
            changed = scene.joined(changed, box)
        self.extent = scene.joined(self.extent, changed)
        return changed


def moved(box: Box, before: Box, now: Box) -> Box:
    """A box of one ground in the coordinates of another."""
    z, y, x = (slice(p.start + b.start - n.start, p.stop + b.start - n.start) for p, b, n in zip(box, before, now, strict=True))
    return z, y, x
