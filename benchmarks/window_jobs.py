"""Every kind of job of the window, begun so that `window_closing.py` can close it in the middle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg import io
from napari_medseg.volume import Geometry, Volume

MANY = 50  # scans that are taken in at one go
SERVED = "serving"  # the job that needs a server: its address and token are in a file of that name


@dataclass(frozen=True)
class At:
    """The window a job begins in: its desk, a folder, the made-up scan, and what lets the window live until something is met."""

    desk: Any
    made: Path
    image: np.ndarray
    until: Callable[..., None]

    @property
    def session(self):
        """Of the desk."""
        return self.desk.session

    @property
    def scan(self):
        """The open case's."""
        return self.session.study.scan

    @property
    def place(self):
        """The middle of the scan, LPS mm."""
        grid = self.scan.display.geometry
        return tuple(map(float, grid.world([length // 2 for length in grid.shape])))


def nothing(at: At) -> None:
    """No job; the stroke alone is not in a version yet."""


def opening(at: At) -> None:
    """A large scan is read."""
    large = at.made / "large.nii.gz"
    io.write(Volume(np.tile(at.image.astype(np.int16), (2, 2, 2)), Geometry(tuple(2 * n for n in at.image.shape), (1.0, 1.0, 1.0)), modality="CT"), large)
    at.desk.open_path(large)
    at.until(lambda: at.session.jobs.active)


def importing(at: At) -> None:
    """Scans are taken into the study."""
    folder = at.made / "many"
    folder.mkdir()
    for number in range(MANY):
        io.write(Volume(at.image[:8] + number, Geometry((8, *at.image.shape[1:]), (1.0, 1.0, 1.0)), modality="MR"), folder / f"more {number}.nii.gz")
    at.session.study.add([folder])
    at.until(lambda: at.session.study.busy)
    at.until(lambda: len(at.session.study.project.cases()) > 4)


def switching(at: At) -> None:
    """Another case is on its way."""
    at.session.study.step(-1)
    at.until(lambda: at.session.study.busy)


def growing(at: At) -> None:
    """A level set grows."""
    at.session.set(tab="weak", mode="levelset")
    at.session.set_seeds(at.scan, {at.session.chosen: (at.place,)})
    at.desk.run()
    at.until(lambda: at.scan.preview is not None and not at.scan.preview.is_empty)


def limited(at: At) -> None:
    """A level set grows within a painted limit."""
    from napari_medseg.session import limit_painting

    at.session.begin_limit()
    middle = tuple(length / 2 for length in at.image.shape)
    limit_painting.paint(at.session, at.scan, middle, tuple(each + 6 for each in middle))
    growing(at)


def surface(at: At) -> None:
    """It grows as a surface in 3D."""
    growing(at)
    at.desk.viewer.dims.ndisplay = 3
    at.until(lambda: at.desk.surface.get(at.scan) is not None)


def scribbles(at: At) -> None:
    """Scribbles are answered."""
    at.session.set(tab="weak", mode="scribbles")
    at.desk.arm("scribbles")
    at.until(lambda: at.desk.writer.of(at.scan).strokes is not None)
    layer = at.desk.writer.of(at.scan).strokes
    layer.paint([length // 2 for length in at.scan.display.geometry.shape], at.session.chosen)
    layer.paint((1, 2, 2), 255)
    at.until(lambda: at.session.jobs.active)


def tidying(at: At) -> None:
    """A clean-up is shown."""
    at.session.set(tab="weak", mode="cleanup")
    at.session.tidy.choose(smoothing=True, smooth_mm=3.0)
    at.until(lambda: at.session.jobs.active or at.scan.preview is not None)


def segmenting(at: At) -> None:
    """A network goes over the scan."""
    at.session.set(tab="segment", engine="unet", device="cpu")
    at.desk.run()
    at.until(lambda: at.session.jobs.active)


def clicking(at: At) -> None:
    """A click is answered."""
    at.session.set(tab="segment", engine="promptable", device="cpu")
    at.session.prompting.point(at.place, 1)
    at.until(lambda: at.session.jobs.active)


def serving(at: At) -> None:
    """A click is answered by a server."""
    address, token = (at.made / SERVED).read_text().split()
    at.session.servers.add(address, token)
    at.until(lambda: at.session.servers.chosen == address)
    clicking(at)


def proposing(at: At) -> None:
    """The rest of the slices is proposed from one that is right."""
    at.session.set(tab="refine")
    at.session.verified.toggle(at.image.shape[0] // 2)
    at.until(lambda: at.session.verified.of(at.scan))
    at.session.rest.start()
    at.until(lambda: at.session.jobs.active)


def pretraining(at: At) -> None:
    """A network learns from the scans alone."""
    at.session.set(tab="refine")
    at.session.refining.pretraining.start()
    at.until(lambda: at.session.refining.pretraining.is_learning)


def training(at: At) -> None:
    """A refinement learns."""
    from window_refine import small_base

    session = at.session
    session.refine.recipe, session.refine.rounds, session.refine.base = "salah2023", 1, small_base(at.made / "base")
    session.set(tab="refine")
    at.until(lambda: not session.jobs.active)
    at.desk.run()
    at.until(lambda: len(session.refine.losses) > 2 or not session.refining.is_training)


def adopting(at: At) -> None:
    """Its round is taken."""
    training(at)
    at.until(lambda: not at.session.refining.is_training and at.session.refining.row(1) is not None)
    at.session.refining.adopt(1)


def saving(at: At) -> None:
    """A version is written."""
    at.session.study.save_version()


def exporting(at: At) -> None:
    """Verified labels of every case are written in two formats."""
    from napari_medseg.session import study_export

    study = at.session.study
    for case in reversed([case.id for case in study.cases]):
        study.go(case)
        at.until(lambda case=case: study.current == case and study.scan is not None and not study.busy)
        study.verify()
        at.until(lambda: study.saved == "saved")
    at.until(lambda: study_export.verified(at.session) == len(study.cases))
    study_export.export(at.session, at.made / "exported", ".seg.nrrd", ".nii.gz")


def reporting(at: At) -> None:
    """A report is made."""
    at.session.set(tab="review")
    at.session.reviewing.reporting.start()
    at.until(lambda: at.session.jobs.active)


def reviewing(at: At) -> None:
    """A blinded review is planned."""
    blinded = at.session.reviewing.blinded
    blinded.change(version_a="weak", version_b="corrected", slices=4)
    at.session.set(tab="review")
    at.session.reviewing.turn("blinded")
    blinded.run()
    at.until(lambda: at.session.jobs.active)


JOBS: dict[str, Callable[[At], None]] = {
    job.__name__: job for job in (
        nothing, opening, importing, switching, growing, limited, surface, scribbles, tidying, segmenting, clicking, serving, proposing, pretraining, training,
        adopting, saving, exporting, reporting, reviewing,
    )
}
