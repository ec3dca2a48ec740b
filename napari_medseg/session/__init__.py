"""What is going on now: open scans, chosen tools, running jobs; evented models and pure functions, no Qt."""

from napari_medseg.session.guide import next_step
from napari_medseg.session.guide_step import Step
from napari_medseg.session.session import Session
from napari_medseg.session.state import Preview, Scan

__all__ = ["Preview", "Scan", "Session", "Step", "next_step"]
