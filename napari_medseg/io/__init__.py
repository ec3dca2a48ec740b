"""Files in and out, one file a format family."""

from napari_medseg.io.atomic import replacing
from napari_medseg.io.descriptions import read_classes, write_classes
from napari_medseg.io.reading import describe, read, read_labels
from napari_medseg.io.series import SeriesInfo
from napari_medseg.io.writing import require_writable, write

__all__ = ["SeriesInfo", "describe", "read", "read_classes", "read_labels", "replacing", "require_writable", "write", "write_classes"]
