"""One page that shows what was done and how good it is: facts gathered from disk, charts, pictures, and the same facts as JSON and CSV."""

from napari_medseg.review.report.gather_run import Beside
from napari_medseg.review.report.making import Made, MakingTick, ReportRequest, make
from napari_medseg.review.report.page import PARTS

__all__ = ["PARTS", "Beside", "Made", "MakingTick", "ReportRequest", "make"]
