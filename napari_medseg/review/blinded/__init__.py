"""Blinded choice: which of two masks is better, asked without telling whose they are (Salah et al., MIUA 2023)."""

from napari_medseg.review.blinded.answers import Answer, Answers, RaterFile, read_answers
from napari_medseg.review.blinded.folder import find_plans, read_all_answers, read_plan, summaries, summary_of, write_plan
from napari_medseg.review.blinded.plan import Plan, Question
from napari_medseg.review.blinded.planning import PlanOptions, make_plan
from napari_medseg.review.blinded.sitting import Sitting
from napari_medseg.review.blinded.sources import FolderSource, StudySource
from napari_medseg.review.blinded.summarising import summarise
from napari_medseg.review.blinded.summary import Summary

__all__ = [
    "Answer", "Answers", "FolderSource", "Plan", "PlanOptions", "Question", "RaterFile", "Sitting", "StudySource", "Summary", "find_plans", "make_plan",
    "read_all_answers", "read_answers", "read_plan", "summaries", "summarise", "summary_of", "write_plan",
]
