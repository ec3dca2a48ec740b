"""One scan: correct a few of its slices, and the rest is proposed. Nothing here loads torch or numba before it is asked."""

from napari_medseg.refine.single.propose import SingleTick, propose_rest
from napari_medseg.refine.single.report import ClassReport, Report

__all__ = ["ClassReport", "Report", "SingleTick", "propose_rest"]
