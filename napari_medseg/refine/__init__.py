"""Rounds: scans and weak labels to a trained segmenter and better labels. Nothing here loads torch before a run starts."""

from napari_medseg.refine.cases import Case, load_cases
from napari_medseg.refine.figures import RoundFigures
from napari_medseg.refine.process import RefineRun
from napari_medseg.refine.recipe import Recipe, salah2023
from napari_medseg.refine.rounds import Folders, RefineRequest, RefineResult, Tick, last_result, refine

__all__ = [
    "Case", "Folders", "Recipe", "RefineRequest", "RefineResult", "RefineRun", "RoundFigures", "Tick",
    "last_result", "load_cases", "refine", "salah2023",
]
