"""OME-Zarr 0.4 and 0.5: folders of chunked, compressed arrays in several levels of detail."""

from napari_medseg.io.omezarr.reading import LazyLevel, describe, open_levels, read
from napari_medseg.io.omezarr.writing import write

__all__ = ["LazyLevel", "describe", "open_levels", "read", "write"]
