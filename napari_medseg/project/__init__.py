"""A study on disk: scans, label versions, who did what. Nothing is lost."""

from napari_medseg.project.exporting import LeftOut
from napari_medseg.project.journal import Draft
from napari_medseg.project.project import Project
from napari_medseg.project.records import KINDS, STATUSES, Case, Claim, Event, Kind, Problem, Review, Run, Status, Unsaved, VerifiedSlice, Version

__all__ = [
    "KINDS", "STATUSES", "Case", "Claim", "Draft", "Event", "Kind", "LeftOut", "Problem", "Project", "Review", "Run", "Status", "Unsaved", "VerifiedSlice",
    "Version",
]
