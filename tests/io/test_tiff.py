"""TIFF stacks: pages as slices whatever their packing, a voxel size where it is honest, and a refusal of grids that TIFF cannot hold."""

import struct

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

from napari_medseg.errors import MedsegError, UnreadableFileError, UnwritableFileError
from napari_medseg.io import describe, read, write
from napari_medseg.volume import Geometry, Volume

ARRAY = np.random.default_rng(0).integers(0, 4000, (5, 20, 30)).astype(np.uint16)
NO_SIZE = ("the file does not say how large its voxels are: 1 mm is assumed",)
GRID = Geometry((4, 5, 6), (2.0, 0.75, 0.5))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(4, 5, 6), (3, 4, 5, 6), (2, 1, 5, 6), (1, 5, 6)])
def test_stacks_and_channels_come_back(tmp_path, dtype, shape):
    volume = Volume(np.arange(np.prod(shape)).reshape(shape).astype(dtype), Geometry(shape[-3:], (2.0, 0.75, 0.5)))
    write(volume, tmp_path / "a.tif")
    back = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.array.dtype == dtype
    assert back.geometry.matches(volume.geometry, 1e-4)
    assert back.notes == ()
    assert (describe(tmp_path / "a.tif")[0].dtype, describe(tmp_path / "a.tif")[0].channels) == (dtype, volume.channels)


def test_simpleitk_and_tifffile_read_our_slices_and_spacing(tmp_path):
    volume = Volume((np.arange(120).reshape(4, 5, 6)).astype(np.uint8), GRID)
    write(volume, tmp_path / "a.tif")
    image = sitk.ReadImage(str(tmp_path / "a.tif"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.array)
    assert image.GetSpacing()[:2] == pytest.approx((0.5, 0.75))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), volume.array)


@pytest.mark.parametrize("form", [
    {}, {"bigtiff": True}, {"byteorder": ">"}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}, {"tile": (16, 16)}, {"rowsperstrip": 3},
    {"compression": "lzma"},
])
def test_pages_of_every_form_are_slices(tmp_path, form):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, **form)
    volume = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.notes == NO_SIZE


@pytest.mark.parametrize("packing", ["tiff_lzw", "packbits"])
def test_older_packings_are_read_too(tmp_path, packing):
    pages = [Image.fromarray(page) for page in ARRAY]
    pages[0].save(tmp_path / "a.tif", compression=packing, save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read(tmp_path / "a.tif").array, ARRAY)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1.0), ("micron", 0.001), ("cm", 10.0)])
def test_imagejs_spacing_counts(tmp_path, unit, factor):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, imagej=True, resolution=(2, 4), metadata={"spacing": 2.5, "unit": unit, "axes": "ZYX"})
    volume = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.geometry.spacing == pytest.approx((2.5 * factor, 0.25 * factor, 0.5 * factor))
    assert volume.notes == ()


def test_a_resolution_in_centimetres_counts_and_one_for_printing_does_not(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, resolution=(20, 10), resolutionunit="CENTIMETER")
    assert read(tmp_path / "a.tif").geometry.spacing == pytest.approx((1.0, 1.0, 0.5))
    assert read(tmp_path / "a.tif").notes == ("the file does not say how far its slices lie apart: 1 mm is assumed",)
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, resolution=(72, 72), resolutionunit="INCH")
    assert read(tmp_path / "a.tif").geometry.spacing == (1.0, 1.0, 1.0)
    assert read(tmp_path / "a.tif").notes == NO_SIZE


def test_colours_and_times_become_channels(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (4, 20, 30, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb")
    np.testing.assert_array_equal(read(tmp_path / "a.tif").array, np.moveaxis(colours, -1, 0))
    tifffile.imwrite(tmp_path / "t.tif", np.stack([ARRAY, ARRAY + 1]), imagej=True, metadata={"axes": "TZYX"})
    volume = read(tmp_path / "t.tif")
    np.testing.assert_array_equal(volume.array, np.stack([ARRAY, ARRAY + 1]))
    assert volume.channel_names == ("t 1", "t 2")


@pytest.mark.parametrize(("grid", "dtype", "said"), [
    (Geometry((4, 5, 6), origin=(0.0, 0.0, 5.0)), "uint8", "neither place nor direction"),
    (Geometry((4, 5, 6), direction=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)), "uint8", "neither place nor direction"),
    (GRID, "int64", "no int64 values"),
])
def test_what_it_cannot_hold_is_refused_with_advice(tmp_path, grid, dtype, said):
    with pytest.raises(UnwritableFileError, match=rf"a.tif: .*{said}.*Save it as .nii.gz"):
        write(Volume(np.zeros(grid.shape, dtype), grid), tmp_path / "a.tif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", [{}, {"compression": "zlib"}, {"tile": (16, 16)}])
def test_a_file_cut_short_is_refused(tmp_path, form):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, **form)
    data = (tmp_path / "a.tif").read_bytes()
    for share in (0.99, 0.5, 0.01):
        (tmp_path / "a.tif").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(UnreadableFileError, match=r"a\.tif: "):
            read(tmp_path / "a.tif")


def test_pages_in_a_circle_are_refused_at_once(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY[0])
    data = bytearray((tmp_path / "a.tif").read_bytes())
    place = struct.unpack_from("<I", data, 4)[0]
    entries = struct.unpack_from("<H", data, place)[0]
    struct.pack_into("<I", data, place + 2 + 12 * entries, place)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(UnreadableFileError, match="order that does not end"):
        read(tmp_path / "a.tif")


def test_no_metadata_leads_to_another_file(tmp_path):
    tifffile.imwrite(tmp_path / "secret.tif", ARRAY + 1, ome=True, metadata={"axes": "ZYX"})
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.ome.tif"
    pixels = '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="30" SizeY="20" SizeC="1" SizeZ="5" SizeT="1">'
    planes = '<TiffData IFD="0" FirstZ="0" PlaneCount="5"><UUID FileName="../secret.tif">urn:uuid:1</UUID></TiffData>'
    ome = f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">{pixels}{planes}</Pixels></Image></OME>'
    tifffile.imwrite(path, ARRAY[:1], description=ome, metadata=None)
    try:
        found = read(path)
    except MedsegError:
        return
    assert not (found.array == (ARRAY + 1)[: len(found.array)]).all()
