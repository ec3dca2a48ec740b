"""Several images at each place: told apart by contrast and time, named for people, opened as channels."""

from time import thread_time

import numpy as np
import pytest
from dicom_series import image, save

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io import describe, read

COUNT = 5
RNG = np.random.default_rng(8)


def save_parts(folder, parts, *, modality="MR", count=COUNT):
    """Write the same places once for each of `parts` (attributes that may be functions of the slice); gives their voxels."""
    voxels = RNG.integers(0, 4000, (len(parts), count, 6, 7)).astype(np.uint16)
    names = iter(RNG.permutation(len(parts) * count))
    for part, planes in zip(parts, voxels, strict=True):
        for k, plane in enumerate(planes):
            own = {key: value(k) if callable(value) else value for key, value in part.items()}
            data = image(plane, (0, 0, 3.0 * k), Modality=modality, RescaleSlope=None, RescaleIntercept=None, **own)
            save(data, folder / f"IM{next(names):04d}")
    return voxels


def both(folder):
    (told,), volume = describe(folder), read(folder)
    assert (told.channel_names, told.geometry, told.channels * told.timepoints) == (volume.channel_names, volume.geometry, volume.channels)
    return told, volume


@pytest.mark.parametrize(("parts", "names"), [
    ([{"EchoTime": 4.6}, {"EchoTime": 2.3}], ("TE 2.3 ms", "TE 4.6 ms")),
    ([{"DiffusionBValue": 0.0}, {"DiffusionBValue": 800.0}, {"DiffusionBValue": 1000.0}], ("b 0", "b 800", "b 1000")),
    ([{"ImageType": ["ORIGINAL", "PRIMARY", "M"]}, {"ImageType": ["ORIGINAL", "PRIMARY", "P"]}], ("magnitude", "phase")),
    ([{"ImageType": ["DERIVED", "PRIMARY", kind], "EchoTime": te} for kind, te in (("W", 2), ("F", 2), ("IP", 2), ("OP", 1))],
     ("fat", "in phase", "opposed phase", "water")),
    ([{"InversionTime": 100}, {"InversionTime": 50}], ("TI 50 ms", "TI 100 ms")),
    ([{"FlipAngle": 2}, {"FlipAngle": 15}], ("flip angle 2 degrees", "flip angle 15 degrees")),
    ([{"EchoNumbers": 1}, {"EchoNumbers": 2}], ("echo 1", "echo 2")),
    ([{"EchoTime": te, "ImageType": ["ORIGINAL", "PRIMARY", kind]} for te in (2, 4) for kind in "MP"],
     ("TE 2 ms, magnitude", "TE 2 ms, phase", "TE 4 ms, magnitude", "TE 4 ms, phase")),
])
def test_contrasts_are_channels_with_names(tmp_path, parts, names):
    voxels = save_parts(tmp_path / "scan", parts)
    told, volume = both(tmp_path / "scan")
    assert (set(volume.channel_names), told.timepoints) == (set(names), 1)
    assert volume.channel_names == names
    sums = {int(channel.astype(int).sum()) for channel in voxels}
    assert {int(channel.astype(int).sum()) for channel in volume.array} == sums
    for channel in volume.array:
        assert any((channel == part).all() for part in voxels)


@pytest.mark.parametrize("part", [
    {"TemporalPositionIdentifier": (1, 2, 3)},
    {"TriggerTime": (0, 1500, 3000)},
    {"FrameReferenceTime": (500, 2000, 3500)},
    {"AcquisitionTime": ("235959.5", "000001.0", "000002.5")},
    {"AcquisitionNumber": (1, 2, 3)},
    {"ContentTime": ("101010", "101011.5", "101013")},
])
def test_timepoints_become_channels_that_count_from_the_first(tmp_path, part):
    ((key, values),) = part.items()
    midnight = key == "AcquisitionTime"
    days = {"AcquisitionDate": ("20200304", "20200305", "20200305")} if midnight else {}
    voxels = save_parts(tmp_path / "scan", [{key: v, **{k: d[i] for k, d in days.items()}} for i, v in enumerate(values)], modality="CT")
    told, volume = both(tmp_path / "scan")
    assert (told.timepoints, told.channels) == (3, 1)
    np.testing.assert_array_equal(volume.array, voxels)
    plain = ("t 1", "t 2", "t 3")
    assert volume.channel_names == (plain if key.endswith(("Identifier", "Number")) else ("t 1 (0.0 s)", "t 2 (1.5 s)", "t 3 (3.0 s)"))


def test_slices_that_each_have_their_own_time_are_ordered_at_each_place(tmp_path):
    """A dynamic scan takes slice after slice, so no two slices share a time."""
    def taken(t):
        return lambda k: f"{101000 + 10 * t + k + 0.25:.2f}"

    voxels = save_parts(tmp_path / "scan", [{"AcquisitionTime": taken(t)} for t in range(4)])
    told, volume = both(tmp_path / "scan")
    np.testing.assert_array_equal(volume.array, voxels)
    assert told.timepoints == 4
    assert volume.channel_names == ("t 1 (0.0 s)", "t 2 (10.0 s)", "t 3 (20.0 s)", "t 4 (30.0 s)")


def test_contrast_and_time_together(tmp_path):
    parts = [{"EchoTime": te, "TemporalPositionIdentifier": t, "TriggerTime": 700 * (t - 1)} for te in (2, 5) for t in (1, 2, 3)]
    voxels = save_parts(tmp_path / "scan", parts)
    told, volume = both(tmp_path / "scan")
    np.testing.assert_array_equal(volume.array, voxels)
    assert (told.channels, told.timepoints) == (2, 3)
    assert volume.channel_names[:2] == ("TE 2 ms, t 1 (0.0 s)", "TE 2 ms, t 2 (0.7 s)")


def test_a_timepoint_that_was_cut_off_is_left_out_and_said(tmp_path):
    voxels = save_parts(tmp_path / "scan", [{"TemporalPositionIdentifier": t, "InstanceNumber": lambda k, t=t: 10 * t + k} for t in (1, 2, 3)])
    for path in (tmp_path / "scan").iterdir():
        if b"\x20\x00\x13\x00IS\x02\x0034" in path.read_bytes():
            path.unlink()
    told, volume = both(tmp_path / "scan")
    np.testing.assert_array_equal(volume.array, voxels[:2])
    assert "1 of 3 images of the whole volume lack slices and is left out" in told.notes[0]


def test_a_plain_scan_with_a_time_for_each_slice_has_no_time_axis(tmp_path):
    voxels = save_parts(tmp_path / "scan", [{"AcquisitionTime": lambda k: f"10100{k}", "TriggerTime": lambda k: 10 * k, "AcquisitionNumber": lambda k: k}])
    told, volume = both(tmp_path / "scan")
    np.testing.assert_array_equal(volume.array, voxels[0])
    assert (told.timepoints, volume.channel_names) == (1, ())


def test_a_perfusion_series_is_sorted_quickly(tmp_path):
    save_parts(tmp_path / "scan", [{"AcquisitionTime": lambda k, t=t: f"10{t:02d}{k:02d}.5"} for t in range(30)], count=12)
    began = thread_time()
    told, _ = both(tmp_path / "scan")
    assert told.timepoints == 30
    assert thread_time() - began < 3


def test_images_that_nothing_tells_apart_are_counted_not_guessed(tmp_path):
    save_parts(tmp_path / "scan", [{}, {}, {}])
    (told,) = describe(tmp_path / "scan")
    assert (told.timepoints, told.readable) == (3, False)
    with pytest.raises(UnreadableFileError, match="3 images at each position"):
        read(tmp_path / "scan")
