"""The grid of the scans and labels that studies are tested with."""

from napari_medseg.volume import Geometry

GRID = Geometry((9, 70, 66), (3.0, 0.8, 0.7), (-30.5, 12.0, -80.0), (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
