"""`python -m napari_medseg.gui [--sample NAME] [PATHS]`: the window as a process of its own."""

from __future__ import annotations

import argparse
import sys

from napari_medseg.gui.launch import main
from napari_medseg.gui.samples import FILES

parser = argparse.ArgumentParser(prog="medseg", description="Open napari with the Medseg dock.")
parser.add_argument("paths", nargs="*", help="scans to open: NIfTI, NRRD, MHA, DICOM files or folders")
parser.add_argument("--series", help="which series of a folder: UID, number or description")
parser.add_argument("--sample", choices=sorted(FILES), help="open a sample scan")
parser.add_argument("--review", help="folder of a blinded review to answer")
parser.add_argument("--rater", default="", help="who answers it")
parser.add_argument("--starter", type=int, help="number of the process that started this one: the window closes when that is gone")

if __name__ == "__main__":
    options = parser.parse_args()
    sys.exit(main(options.sample, options.paths, options.series, options.review, options.rater, options.starter))
