"""Rounds: scans and weak labels to a trained segmenter and better labels. Nothing here loads torch before a run starts."""

from napari_medseg.refine.cases import Case, load_cases
from napari_medseg.refine.figures import RoundFigures
from napari_medseg.refine.kept import Unfinished, forget, unfinished
from napari_medseg.refine.process import RefineRun
from napari_medseg.refine.queue import Queued, RunQueue
from napari_medseg.refine.request import Folders, RefineRequest, Replay
from napari_medseg.refine.result import RefineResult, Tick, last_result
from napari_medseg.refine.rounds import refine
from napari_medseg.refine.salah.recipe import Recipe, salah2023

__all__ = [
    "Case", "Folders", "Queued", "Recipe", "RefineRequest", "RefineResult", "RefineRun", "Replay", "RoundFigures", "RunQueue", "Tick", "Unfinished",
    "forget", "last_result", "load_cases", "refine", "salah2023", "unfinished",
]
