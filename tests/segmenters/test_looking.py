"""Where an attention U-Net looks: the gates of a scan as maps, blended over windows as the answer is."""

from __future__ import annotations

import pkgutil

import numpy as np
import pytest
import torch

from napari_medseg import catalogue
from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.looking import Looker, collected
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.opening import open_model
from napari_medseg.segmenters.volumetric.fingerprint import fingerprint
from napari_medseg.segmenters.volumetric.grid import Way
from napari_medseg.segmenters.volumetric.members import described, new_member
from napari_medseg.segmenters.volumetric.model import VolumetricModel
from napari_medseg.segmenters.volumetric.plan import planned_for
from napari_medseg.volume import Geometry, Volume, orient

SMALL = {"attention-unet": {"widths": [4, 8, 16]}, "unet-lite": {}}
NAMES = ("attention-1", "attention-2")


def scan(shape=(8, 24, 28), spacing=(2.0, 1.0, 1.0)):
    array = np.random.default_rng(0).normal(0, 20, shape).astype(np.float32)
    array[2:4, 6:16, 8:20] += 100
    return Volume(array, Geometry(shape, spacing, (3.0, -8.0, 12.0)), "block", "MR")


def model(name="attention-unet", dims=3, members=1, patch=None):
    volume = scan()
    labels = (volume.array > 50).astype(np.uint8)
    network = described(name, in_channels=1, classes=1, dims=dims, axis=0, parameters=SMALL[name])
    plan = planned_for(network, fingerprint([(volume, labels)], (1,)), [1], ["block"])
    if patch is not None:
        plan = plan.model_copy(update={"patch": patch})
    return VolumetricModel(plan, [new_member(plan.network, plan.fingerprint.share, seed).eval() for seed in range(members)], "cpu")


def looker(tmp_path, **kinds):
    return open_model(model(**kinds).save(tmp_path, {"title": "Gates"}))


def whole(segmenter, volume):
    return collected(segmenter.look(volume, device="cpu"), volume.geometry.shape)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_maps_are_the_gates_of_the_network_on_the_scans_own_grid(tmp_path, dims):
    segmenter, volume = looker(tmp_path, dims=dims), scan()
    assert segmenter.capabilities.looks
    assert isinstance(segmenter, Looker)
    found = whole(segmenter, volume)
    assert tuple(found) == NAMES
    for each in found.values():
        assert each.shape == volume.geometry.shape
        assert each.dtype == np.float32
        assert 0 < each.min() <= each.max() < 1
        assert each.std() > 0
    same = model(dims=dims)
    member, way = same.network.networks[0], Way.of(volume.geometry, same.described)
    windows = torch.from_numpy(way.image(volume, same.described.fingerprint))
    with torch.inference_mode():
        if dims == 3:
            gates = member.network.looks(windows[None])["attention-1"][0]
        else:
            gates = member.network.looks(windows.permute(1, 0, 2, 3))["attention-1"].permute(1, 0, 2, 3)
    np.testing.assert_allclose(found["attention-1"], way.back(gates.numpy())[0], atol=1e-4)


def test_windows_are_blended_and_pieces_cover_the_scan_from_the_slice_in_view(tmp_path):
    small = looker(tmp_path, patch=(4, 16, 16))
    volume = scan()
    pieces = list(small.look(volume, device="cpu", focus=3))
    seen = np.zeros(volume.geometry.shape, bool)
    for piece in pieces:
        seen[piece.box] = True
        assert piece.maps.shape[0] == len(piece.names)
    assert len(pieces) > 1
    assert seen.all()
    assert pieces[0].box[0].start <= 3 < pieces[0].box[0].stop
    assert pieces[-1].fraction == 1.0
    steps = np.abs(np.diff(collected(iter(pieces), volume.geometry.shape)["attention-2"], axis=2))
    assert steps[:, :, 7].mean() < 4 * np.median(steps) + 1e-3, "no seam where a window ends"


def test_another_voxel_order_turns_the_maps_along_and_several_networks_give_their_mean(tmp_path):
    segmenter, volume = looker(tmp_path), scan()
    plain = whole(segmenter, volume)["attention-1"]
    turned = orient(volume, "AIR")
    back = orient(turned.like(whole(segmenter, turned)["attention-1"])).array
    np.testing.assert_allclose(back, orient(volume.like(plain)).array, atol=1e-5)
    two = looker(tmp_path / "two", members=2)
    mean = whole(two, volume)["attention-1"]
    assert np.abs(mean - plain).max() > 1e-3


def test_a_network_without_gates_refuses_and_the_catalogue_says_which_have_some(tmp_path):
    segmenter = looker(tmp_path, name="unet-lite")
    assert not segmenter.capabilities.looks
    with pytest.raises(InvalidInputError, match="where it looks"):
        next(segmenter.look(scan(), device="cpu"))
    entries = [entry for entry in catalogue.load().of_kind("network") if not entry.needs()]
    told = {entry.id: bool(entry.capabilities.get("looks")) for entry in entries}
    real = {entry.id: pkgutil.resolve_name(entry.factory).looked is not Network.looked for entry in entries}
    assert {name for name in told if told[name]} == {name for name in real if real[name]} - {"super-image"}, "which shows those of the network inside it"
    assert told["attention-unet"]
