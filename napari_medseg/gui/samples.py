"""Sample scans, as napari's File > Open Sample shows them."""

from __future__ import annotations

from typing import Any

from napari_medseg.catalogue import shipped

FILES = {"brain1": "brain1_t1gd.nii.gz", "lung2": "lung2_crop_ct.nii.gz", "breast1": "breast1_image.nrrd"}


def sample(key: str) -> list[Any]:
    """The layer of one sample scan."""
    from napari_medseg.gui.reader import read_layers

    return read_layers(str(shipped("sample_data") / FILES[key]))


def brain1() -> list[Any]:
    """Head MR with a tumour, T1 with contrast medium."""
    return sample("brain1")


def lung2() -> list[Any]:
    """Part of a chest CT with a tumour."""
    return sample("lung2")


def breast1() -> list[Any]:
    """Breast MR."""
    return sample("breast1")
