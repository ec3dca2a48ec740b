"""Scans of one study meet on one grid, by their millimetres."""

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import Geometry, Volume
from napari_medseg.volume.fusion import channel_names, combine, finest, overlap, split


def ramp(geometry: Geometry, name: str, modality: str, dtype=np.float32) -> Volume:
    """Values are the millimetres towards the left, so that any resampling can be checked."""
    points = geometry.world(np.stack(np.indices(geometry.shape), -1))
    return Volume(points[..., 0].astype(dtype), geometry, name=name, modality=modality)


CT = Geometry((12, 40, 40), (3.0, 1.0, 1.0), (-20.0, -20.0, 0.0))
PET = Geometry((14, 12, 12), (3.5, 4.0, 4.0), (-24.0, -24.0, -4.0))


def test_a_pet_comes_onto_the_grid_of_its_ct_at_its_millimetres():
    ct, pet = combine([ramp(PET, "PET", "PT"), ramp(CT, "CT", "CT", np.int16)])
    assert (ct.name, pet.name) == ("CT", "PET")
    assert pet.geometry == CT
    np.testing.assert_allclose(pet.array[4:8, 10:30, 10:30], ct.array[4:8, 10:30, 10:30], atol=1e-3)
    assert "14 voxels of 4 x 4 x 3.5 mm" in pet.notes[-1]
    assert "grid of CT" in pet.notes[-1]
    assert ct.notes == ()


def test_each_channel_keeps_its_type_and_what_is_outside_is_lowest():
    far = Geometry((12, 40, 40), (3.0, 1.0, 1.0), (0.0, -20.0, 0.0))
    ct, other = combine([ramp(CT, "a", "CT", np.int16), ramp(far, "b", "CT", np.int16)], base=0)
    assert (ct.array.dtype, other.array.dtype) == (np.int16, np.int16)
    assert (other.array[..., :15] == 0).all()


def test_scans_of_two_places_are_not_put_together():
    away = Geometry(CT.shape, CT.spacing, (500.0, 0.0, 0.0))
    with pytest.raises(InvalidInputError, match="head: lies elsewhere than 'chest'"):
        combine([ramp(CT, "chest", "CT"), ramp(away, "head", "CT")])
    with pytest.raises(InvalidInputError, match="nothing"):
        combine([])


def test_the_finest_ct_or_mr_is_what_one_draws_on():
    coarse = Geometry((6, 20, 20), (6.0, 2.0, 2.0))
    assert finest([ramp(PET, "pet", "PT"), ramp(coarse, "thick", "CT"), ramp(CT, "thin", "CT")]) == 2


def test_channels_have_names_and_share_memory():
    both = Volume(np.zeros((3, *CT.shape), np.uint8), CT, name="photo", channel_names=("red", "", "blue"))
    assert channel_names(both) == ("red", "channel 2", "blue")
    parts = split(both)
    assert [p.name for p in parts] == ["photo red", "photo channel 2", "photo blue"]
    assert all(np.shares_memory(p.array, both.array) for p in parts)


def test_overlap_is_one_inside_and_none_outside():
    assert overlap(CT, CT) == pytest.approx(1.0)
    assert overlap(CT, CT.cropped((slice(2, 5), slice(3, 9), slice(3, 9)))) == pytest.approx(1.0)
    assert overlap(CT, Geometry((2, 2, 2), origin=(900.0, 0.0, 0.0))) == 0.0
