"""Archives of a hospital: looking for scans, pulling a series, giving a segmentation back. Over DICOMweb, or over DICOM's own network protocol."""

from napari_medseg.cluster.pacs.address import Server, parse
from napari_medseg.cluster.pacs.archive import Archive, FoundSeries, FoundStudy, Query, open_archive, pull, push

__all__ = ["Archive", "FoundSeries", "FoundStudy", "Query", "Server", "open_archive", "parse", "pull", "push"]
