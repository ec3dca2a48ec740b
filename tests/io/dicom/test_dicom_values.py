"""What stored numbers mean: signs, bits, scales, tables, units and colours."""

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_series import image, save
from pydicom.dataset import Dataset
from pydicom.pixels.processing import convert_color_space

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io import describe, read

Y, X = np.mgrid[:10, :12]
RAMP = (X * 100 + Y).astype(np.uint16)


def opened(tmp_path, data):
    path = save(data, tmp_path / "a.dcm")
    (told,), volume = describe(path), read(path)
    assert (told.dtype, told.units, told.channels, told.channel_names, told.geometry) == (
        str(volume.array.dtype), volume.units, volume.channels, volume.channel_names, volume.geometry,
    )
    return volume


def test_hu_are_int16_whatever_the_bits_stored(tmp_path):
    for plane, bits in ((RAMP, 12), (RAMP, 16), (RAMP.astype(np.int16) - 1000, 16)):
        volume = opened(tmp_path, image(plane, BitsStored=bits, HighBit=bits - 1))
        np.testing.assert_array_equal(volume.array[0], plane.astype(int) - 1024)
        assert (volume.array.dtype, volume.units) == (np.int16, "HU")


def test_hu_beyond_int16_are_cut_off_and_counted(tmp_path):
    plane = RAMP.copy()
    plane[0, :3] = 65000
    volume = opened(tmp_path, image(plane, BitsStored=16, HighBit=15))
    np.testing.assert_array_equal(volume.array[0], np.minimum(plane.astype(int) - 1024, 32767))
    assert volume.notes == ("3 values lay outside -32768 to 32767 HU and were set to the nearest of these",)


def test_bits_above_those_stored_are_no_value(tmp_path):
    overlay = RAMP | np.uint16(0xA000)
    np.testing.assert_array_equal(opened(tmp_path, image(overlay)).array[0], RAMP.astype(int) - 1024)
    shifted = image((RAMP << 4).astype(np.uint16), HighBit=15)
    np.testing.assert_array_equal(opened(tmp_path, shifted).array[0], RAMP.astype(int) - 1024)


def test_a_sign_of_twelve_bits_is_spread(tmp_path):
    values = RAMP.astype(np.int16) - 600
    plane = (values & 0x0FFF).astype(np.int16)
    volume = opened(tmp_path, image(plane, BitsStored=12, HighBit=11, RescaleIntercept=0))
    np.testing.assert_array_equal(volume.array[0], values)


@pytest.mark.parametrize("modality", ["PT", "MR"])
def test_each_slice_of_pet_has_its_own_scale(tmp_path, modality):
    slopes = [0.5, 1.25, 2.0]
    for k, slope in enumerate(slopes):
        unit = {"Units": "BQML"} if modality == "PT" else {"RescaleType": "ms"}
        save(image(RAMP, (0, 0, 3 * k), Modality=modality, RescaleSlope=slope, RescaleIntercept=0, **unit), tmp_path / "scan" / f"IM{k}")
    (told,), volume = describe(tmp_path / "scan"), read(tmp_path / "scan")
    np.testing.assert_allclose(volume.array, RAMP * np.array(slopes)[:, None, None], rtol=1e-6)
    assert (volume.array.dtype, told.dtype, volume.units, told.units) == (np.float32, "float32", *["BQML" if modality == "PT" else "ms"] * 2)
    assert volume.notes == told.notes == ("Each slice has its own scale, which is applied",)
    peer = sitk.ReadImage([str(tmp_path / "scan" / f"IM{k}") for k in range(3)])
    np.testing.assert_allclose(volume.array, sitk.GetArrayFromImage(peer), rtol=1e-6)


def test_units_are_never_guessed(tmp_path):
    for attributes, units in (
        ({"Modality": "PT", "Units": "GML"}, "GML"), ({"Modality": "PT"}, ""), ({"Modality": "MR"}, ""), ({"RescaleType": "US"}, ""),
        ({"RescaleSlope": None, "RescaleIntercept": None}, ""), ({"RescaleType": "HU_MOD"}, "HU_MOD"), ({}, "HU"),
    ):
        assert opened(tmp_path, image(RAMP, **attributes)).units == units


def test_a_modality_lut_is_looked_up_and_held_at_its_ends(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.LUTData, table.ModalityLUTType = [1000, 100, 16], (np.arange(1000, dtype=np.uint16) * 3).tobytes(), "OD"
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    volume = opened(tmp_path, image(RAMP, Modality="CR", ModalityLUTSequence=[table], RescaleSlope=None, RescaleIntercept=None))
    np.testing.assert_array_equal(volume.array[0], np.clip(RAMP.astype(int) - 100, 0, 999) * 3)


def test_inverted_display_and_padding_are_said_and_values_kept(tmp_path):
    data = image(RAMP, PhotometricInterpretation="MONOCHROME1")
    data.add_new(0x00280120, "US", 63)
    volume = opened(tmp_path, data)
    np.testing.assert_array_equal(volume.array[0], RAMP.astype(int) - 1024)
    assert "MONOCHROME1" in volume.notes[0]
    assert "Voxels outside the picture hold -961" in volume.notes[1]


def test_float_pixels_and_what_is_no_number_among_them(tmp_path):
    plane = RAMP.astype(np.float32) / 7
    plane[0, 0] = np.nan
    data = image(RAMP, Modality="MR", BitsAllocated=32, BitsStored=None, HighBit=None, PixelRepresentation=None, RescaleSlope=None, RescaleIntercept=None,
                 PixelData=None, FloatPixelData=plane.tobytes())
    volume = opened(tmp_path, data)
    np.testing.assert_array_equal(volume.array[0].ravel()[1:], plane.ravel()[1:])
    assert "1 of 120 values were not finite" in volume.notes[0]


def test_a_dose_grid_is_in_gray_and_lies_along_its_offsets(tmp_path):
    doses = np.random.default_rng(0).integers(0, 2**31, (4, 10, 12)).astype(np.uint32)
    data = image(doses[0], (1, 2, 3), Modality="RTDOSE", SOPClassUID="1.2.840.10008.5.1.4.1.1.481.2", NumberOfFrames=4, DoseUnits="GY", DoseGridScaling="2e-8",
                 GridFrameOffsetVector=[0, 3, 6, 9], PixelData=doses.tobytes(), RescaleSlope=None, RescaleIntercept=None)
    volume = opened(tmp_path, data)
    np.testing.assert_allclose(volume.array, doses * 2e-8)
    assert (volume.units, volume.geometry.spacing, volume.geometry.origin) == ("GY", (3.0, 0.7, 0.8), (1.0, 2.0, 3.0))


COLOUR = np.stack([X * 20, Y * 25, (X + Y) * 10], axis=-1).astype(np.uint8)
PLAIN = {"Modality": "US", "RescaleSlope": None, "RescaleIntercept": None}


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL"])
def test_colours_are_channels(tmp_path, planar, kind):
    stored = COLOUR if kind == "RGB" else convert_color_space(COLOUR, "RGB", "YBR_FULL")
    laid = np.moveaxis(stored, -1, 0) if planar else stored
    pixels = np.ascontiguousarray(laid).tobytes()
    volume = opened(tmp_path, image(COLOUR, PhotometricInterpretation=kind, PlanarConfiguration=planar, PixelData=pixels, **PLAIN))
    assert np.abs(volume.array[:, 0].astype(int) - np.moveaxis(COLOUR, -1, 0)).max() <= (0 if kind == "RGB" else 2)
    assert (volume.channels, volume.channel_names, volume.array.dtype) == (3, ("red", "green", "blue"), np.uint8)


def test_subsampled_colours_are_channels(tmp_path):
    flat = np.repeat(COLOUR[:, ::2], 2, axis=1)
    ybr = convert_color_space(flat, "RGB", "YBR_FULL")
    pairs = np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], axis=-1)
    volume = opened(tmp_path, image(COLOUR, PhotometricInterpretation="YBR_FULL_422", PixelData=pairs.tobytes(), **PLAIN))
    assert np.abs(volume.array[:, 0].astype(int) - np.moveaxis(flat, -1, 0)).max() <= 2


@pytest.mark.parametrize("bits", [8, 16])
def test_palettes_are_looked_up(tmp_path, bits):
    index = (X + Y).astype(np.uint8)
    tables = np.random.default_rng(0).integers(0, 256, (3, 32)).astype(np.uint8)
    data = image(index, PhotometricInterpretation="PALETTE COLOR", **PLAIN)
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        setattr(data, f"{name}PaletteColorLookupTableDescriptor", [32, 0, bits])
        setattr(data, f"{name}PaletteColorLookupTableData", table.tobytes() if bits == 8 else (table.astype(np.uint16) << 8).tobytes())
        data[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
    np.testing.assert_array_equal(opened(tmp_path, data).array[:, 0], tables[:, index])


@pytest.mark.parametrize(("attributes", "told"), [
    ({"RescaleSlope": 1e300}, "rescale"), ({"BitsStored": 20}, "20 bits a value"), ({"BitsAllocated": 12}, "12 bits a value"), ({"BitsAllocated": 1}, "1 bits"),
    ({"SamplesPerPixel": 7}, "7 samples"), ({"Rows": 0}, "12 x 0 pixels"), ({"Rows": 65535}, "cut short"), ({"NumberOfFrames": 2**30}, "cut short"),
    ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "right angles"), ({"ImageOrientationPatient": [0] * 6}, "right angles"),
    ({"PixelSpacing": [0, 1]}, "pixel spacing of 0 x 1"), ({"ImagePositionPatient": [1, 2]}, "2 values instead of 3"),
])
def test_a_header_that_cannot_be_says_what_is_wrong(tmp_path, attributes, told):
    path = save(image(RAMP, **attributes), tmp_path / "a.dcm")
    assert not describe(path)[0].readable
    with pytest.raises(UnreadableFileError, match=told):
        read(path)
