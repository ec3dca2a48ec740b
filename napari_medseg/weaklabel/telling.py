"""What is told of a front: how it stands, and the last word when it ends."""

from __future__ import annotations

import numpy as np

from napari_medseg.weaklabel.course import HELD, Course
from napari_medseg.weaklabel.evolution import Evolution
from napari_medseg.weaklabel.morphology import close_mm, drop_islands
from napari_medseg.weaklabel.scene import Box
from napari_medseg.weaklabel.stand import Stand

LEAK_SUSPECTED = 0.005  # of the end of the reach: say so
HALF_WAY = 60  # iterations a usual run takes about twice


def as_it_stands(stand: Stand, course: Course, changed: Box | None, message: str = "", *, whole: bool = True) -> Evolution:
    """The mask as it is shown, or, where an update is not `whole` yet, as it is on the way; `changed` is a box of the ground."""
    fraction = min(0.99, max(course.done / (course.done + HALF_WAY), course.done / stand.settings.iterations))
    rested = stand.kept_ml if course.is_trying else None
    size = f"{stand.voxels * float(np.prod(stand.given.spacing)) / 1000:.3g} ml"
    words = message or (f"{size} ({stand.why})" if rested is None else f"{size}, trying farther than the {rested:.3g} ml where it rested ({stand.why})")
    box, part = (stand.extent, stand.shown[stand.extent].copy()) if whole else stand.glimpse()
    return Evolution(
        stand.on_scan(box), part, stand.given.shape, course.iteration, fraction, words, "", stand.speed.method,
        course.neck, None if changed is None else stand.on_scan(changed), whole, rested_ml=rested,
    )


def finished(stand: Stand, course: Course, reason: str) -> Evolution:
    """The last word: islands dropped and gaps closed around the mask, inside what is allowed."""
    ground, settings, spacing = stand.ground, stand.settings, stand.given.spacing
    margins = [int(np.ceil(settings.close_mm / step)) + 1 for step in spacing]
    z, y, x = (slice(max(0, e.start - m), min(n, e.stop + m)) for e, m, n in zip(stand.extent, margins, ground.shape, strict=True))
    stand.extent = box = z, y, x
    allowed, place = ground.allowed[box], stand.on_scan(box)
    if stand.given.image.dtype.kind == "f":
        allowed = allowed & np.isfinite(stand.given.image[place])
    mask = close_mm(drop_islands(stand.shown[box] & allowed, ground.kept[box]), settings.close_mm, spacing) & allowed
    size = f"{np.count_nonzero(mask) * float(np.prod(spacing)) / 1000:.3g} ml"
    by_reach = course.neck is None and (reason in ("reach", "leak") or (reason == "iterations" and stand.held >= HELD))
    words = f"{size}; {_last_word(stand, course, reason, by_reach)}"
    return Evolution(
        place, mask, stand.given.shape, course.iteration, 1.0, words, reason, stand.speed.method, course.neck, place,
        held_mm=ground.reach_mm if by_reach else None, overran=course.overran,
    )


def _last_word(stand: Stand, course: Course, reason: str, by_reach: bool) -> str:
    """Why it ended, and what to do about it."""
    if reason == "leak" and course.neck is not None:
        return f"stopped: growth through a narrow neck near slice {course.neck[0]}. Draw a barrier across it, or run on if it belongs to the target"
    reach = f"{stand.ground.reach_mm:.0f} mm from the seeds"
    if reason == "leak":
        return f"stopped: the front went as far as it may, {reach}, and may have leaked. Paint a limit, add seeds, or change the reach"
    if by_reach:
        moving = f"still moving after the {stand.settings.iterations} iterations it may make ({stand.why}), within its reach"
        ends = "came to rest as far as it may go" if reason == "reach" else moving
        farther = "farther it ran over" if course.overran else "the scan looks the same beyond"
        what = "Add seeds farther out, or paint a limit" if course.overran else "Take the reach farther, add seeds farther out, or paint a limit"
        return f"{ends}, {reach}; {farther}. {what}"
    if stand.at_the_end > LEAK_SUSPECTED:
        return "part of it lies as far from the seeds as it may: probably a leak. Paint a limit, add seeds, or lower the reach"
    if reason == "vanished":
        return "nothing but the seeds looks like the target. Add seeds, or paint closer"
    if reason == "iterations":
        return f"still moving after the {stand.settings.iterations} iterations it may make ({stand.why})"
    return f"{'stopped' if reason == 'stopped' else 'came to rest'} ({stand.why})"
