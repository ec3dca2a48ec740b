"""napari-medseg: from unlabelled scans to a trained segmenter in an afternoon, inside napari."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-medseg")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
