"""Label maps as DICOM: segmentations (`seg`, `segframes`, `segwriting`) and structure sets (`rtstruct`, `rtwriting`, `contours`).

Both are written for the images of a scan (`reference`), say whose they are or leave it out (`identity`), and name their classes in coded terms (`terms`).
"""
