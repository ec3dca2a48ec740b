"""The course a front takes: when it learns, comes under tension, has come to rest, or leaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from napari_medseg.weaklabel import leak, scene
from napari_medseg.weaklabel.scene import Box, IntArray
from napari_medseg.weaklabel.stand import Stand, moved

SETTLED = 0.002  # share of the mask that at most differs from what it was CALM iterations ago when it has come to rest
CALM = 12  # iterations; under tension single voxels may go to and fro for ever
CALM_ON_EDGES = 48  # a front that only edges hold creeps
STEADY = 0.0005  # share by which the volume may differ between looks while voxels go to and fro in noise
FLICKER = 0.02  # of the mask at most
STEADY_LOOKS = 3  # in a row
LEARN_EVERY = 40  # iterations
LEARN_SLICES = 4  # updates over which what was learned comes into force, so that none waits long; with more, a leak through a wide neck was not told
LEARNINGS = 3  # then the speed stays, so that the front can come to rest
LEARNINGS_IN_LIMIT = 1  # the paint's surroundings told much already; three rounds differed by less than 0.01 of Dice on the tuning cases
LEAK_SHARE = 0.05  # of the end of the reach: stop
LOOK_EVERY = 4  # updates between two looks for a leak
HELD = 0.3  # share of what lies next to a mask that looks like the target, from which on only its reach holds it
SURE = 0.65  # share from which on it goes farther for good, though nothing else may hold it there
LESS = 0.9  # of that share before: where a second farther reach leaves more of it, a third is in vain
TRIES = 3  # of a farther reach, in a row
IN_VAIN = 0.4  # foretold share from which on the last try goes no further: right ones were foretold 0.34 at most where they were held in the end


class Moment(NamedTuple):
    """A place to look at a front.

    Attributes
    ----------
    changed : three slices of the ground (z, y, x) or None
        Around what is another since the moment before.
    reason : str
        Why it should end here; "" where it should not.
    whole : bool
        Whether an update ends here.
    """

    changed: Box | None
    reason: str = ""
    whole: bool = False


class Course:
    """What is watched while a front moves.

    Attributes
    ----------
    iteration : int
        Iterations so far.
    neck : (z, y, x) or None
        Of the scan: where the front seems to leak through.
    overran : bool
        Whether it came back from a farther reach, where nothing held it either.
    """

    def __init__(self, stand: Stand) -> None:
        self._stand, self._known = stand, stand.renewals
        self.iteration = self._first = 0
        self.neck: tuple[int, int, int] | None = None
        self.overran = False
        self._insisted = False  # whether a person ran on past a leak that was told
        self._watched = self._since_watched = self._since_learning = self._looks = 0
        self._suspicions = self._held = self._steady = 0
        self._tries, self._sure, self._share, self._kept = 0, False, 0.0, ""  # of a farther reach; why it would have ended where the mask was kept
        self._given_up: IntArray | None = None  # the seeds from which no farther reach was any good
        self._foretold = 0  # learnings after which the end of this try was foretold

    @property
    def done(self) -> int:
        """Iterations of this run."""
        return self.iteration - self._first

    @property
    def is_trying(self) -> bool:
        """Whether it is on a farther reach from which it may come back."""
        return self._tries > 0

    def run(self) -> None:
        """A run begins, or goes on."""
        self._suspicions, self.neck, self.overran = 0, None, False
        self.watch()
        self._steady, self._held, self._first = 0, self._stand.voxels, self.iteration

    def watch(self) -> None:
        """Compare with the mask as it is now from now on; what was suspected of a front that began anew is forgotten."""
        self._watched = self._since_watched = 0
        if self._known != self._stand.renewals:
            self._known, self._insisted, self._suspicions, self.neck = self._stand.renewals, False, 0, None

    def steered(self) -> None:
        """A person changed something: there is no coming back to what was before."""
        self._tries, self.overran = 0, False
        self.watch()

    def update(self, finely: bool = False) -> Iterator[Moment]:
        """Move on by some iterations; `finely`: with a moment after each that turned something. The last moment is the update's own."""
        stand = self._stand
        left = stand.settings.iterations - self.done
        count, ran = min(stand.settings.iterations_per_update, left), 0
        seen: Box | None = None
        stand.ready()
        for part in [1] * count if finely else [count]:
            time = stand.front.time
            took, turned = stand.move(part)
            ran, self.iteration = ran + took, self.iteration + took
            if stand.front.time == time:
                break
            if finely and turned is not None and ran < count:
                seen = turned if seen is None else scene.joined(seen, turned)
                yield Moment(turned)
        changed, box = stand.settle(seen), stand.ground.box
        reason = self._looked_at(count, ran, left)
        yield Moment(changed if changed is None else moved(changed, box, stand.ground.box), reason, whole=True)

    def _looked_at(self, count: int, ran: int, left: int) -> str:
        """What follows from an update of so many iterations, of which some were made: why it should end here."""
        stand = self._stand
        self._watched += 1
        self._since_watched += count
        self._since_learning += count
        if self._leaks():
            return self._at_the_end("leak")
        if self._is_in_vain():
            return self._back()
        if ran < count or self._since_watched >= CALM + stand.speed.edge * (CALM_ON_EDGES - CALM):
            differ = stand.trail.net(self._watched)
            steady = abs(stand.voxels - self._held) <= STEADY * stand.voxels and differ <= FLICKER * stand.voxels
            self._steady, self._held = self._steady + 1 if steady else 0, stand.voxels
            rests = differ <= SETTLED * stand.voxels or self._steady >= STEADY_LOOKS
            self.watch()
            if rests:
                return self._rest()
        if self._since_learning >= LEARN_EVERY:
            self._learn()
        if ran < left:
            return ""
        return self._back() if self._tries and not self._sure else "iterations"

    def _rest(self) -> str:
        """What to do when it has come to rest: learn, put it under tension, or end."""
        self._steady, stand = 0, self._stand
        if stand.speed.refresh(whole=True) or self._learn() or stand.tighten():
            return ""
        return "vanished" if stand.voxels <= np.count_nonzero(stand.ground.kept) else self._at_the_end("converged")

    def _at_the_end(self, reason: str) -> str:
        """Where it rests, or has left the target: why it should end here; "" where it goes on with a farther reach.

        What the scan holds back ends here. What only the distance from the seeds holds back, or has come to the end of its reach, goes on with a farther
        one, and comes back if nothing holds it there either: to where it first rested, or last after nearly all around had looked like the target.
        """
        stand, leaves = self._stand, reason == "leak"
        if stand.given.limit is not None or (self.neck is not None and leaves and not self._tries):
            return reason
        if self.neck is not None and leaves:
            return self._back()
        held = stand.held
        if held < HELD and not leaves:
            self._tries = 0
            return reason
        if self._tries > 1 and not self._sure and not leaves and LESS * self._share <= held < SURE:
            return self._back()
        if self._tries == 0 or self._sure:
            self._kept = reason if leaves else "reach"
            stand.keep()
        self._sure, self._share = held >= SURE, held
        if not self._may_go_farther:
            return self._back()
        stand.farther()
        self._tries += 1
        self._since_learning = self._suspicions = self._steady = self._foretold = 0
        self.watch()
        return ""

    @property
    def _may_go_farther(self) -> bool:
        return self._tries < TRIES and self._given_up is not self._stand.given.points and self._stand.may_go_farther

    def _is_in_vain(self) -> bool:
        """Whether a try of a farther reach will run over and nothing come of it: foretold each time that what was learned has come into force."""
        stand = self._stand
        if not self._tries or self._sure or self._foretold == stand.learned or not stand.speed.is_settled:
            return False
        self._foretold = stand.learned
        second = self._tries > 1 and stand.learned >= LEARNINGS  # a third may not follow (see `LESS`)
        if self._may_go_farther and not second:
            return False
        held = stand.foretold()
        return held >= IN_VAIN and (not self._may_go_farther or LESS * self._share <= held < SURE)

    def _back(self) -> str:
        """Back to the mask that was kept."""
        self._stand.back()
        self.overran = self._tries > 0
        self._tries, self._given_up = 0, self._stand.given.points
        self.watch()
        return self._kept

    def _learn(self) -> bool:
        self._since_learning, stand = 0, self._stand
        if stand.learned >= (LEARNINGS if stand.given.limit is None else LEARNINGS_IN_LIMIT):
            return False
        stand.learned += 1
        return stand.speed.learn(stand.front.inside, LEARN_SLICES)

    def _leaks(self) -> bool:
        """Whether the front has left the target: at the end of the reach, or through a neck at two looks in a row."""
        stand = self._stand
        if stand.given.limit is not None:
            return False
        if stand.at_the_end > LEAK_SHARE:
            return True
        self._looks += 1
        if self._looks % LOOK_EVERY or self._insisted:
            return False
        found = leak.suspected(stand.front.inside, stand.ground.kept, stand.given.spacing)
        self.neck = None
        if found is not None:
            z, y, x = (int(v) + part.start for v, part in zip(found.neck, stand.ground.box, strict=True))
            self.neck = z, y, x
        self._suspicions = self._suspicions + 1 if found is not None else 0
        self._insisted = self._suspicions >= 2
        return self._insisted
