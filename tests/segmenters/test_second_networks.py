"""What the suite for all networks does not ask of SegFormer, EfficientNet-B3, super images and MONAI's: their published sizes and rules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks.nets import DiNTS as MonaiDiNTS
from monai.networks.nets import TopologyInstance

from napari_medseg.errors import CatalogueError, InvalidInputError
from napari_medseg.refine.freezing import Frozen
from napari_medseg.segmenters.networks.building import build
from napari_medseg.segmenters.networks.dints import OPERATIONS, TOPOLOGY, DiNTS
from napari_medseg.segmenters.networks.dynunet import levels
from napari_medseg.segmenters.networks.super_image import folded, grid, laid_out
from napari_medseg.segmenters.volumetric.members import Architecture, described

TINY_SEGFORMER = {"widths": [16, 16, 32, 32], "depths": [1, 1, 1, 1], "heads": [1, 1, 2, 2], "decoder": 32}


def weights(name: str, part: str = "", **how) -> int:
    with torch.device("meta"):
        network = build(name, **how)
    return sum(p.numel() for n, p in (network.encoder() if part == "encoder" else network.named_parameters()))


def test_segformer_has_the_published_number_of_weights():
    """B0 with four maps (Sourget et al.) to the weight; B4 as Xie et al. round it for 150 maps; the volumetric one as Perera et al. do for theirs."""
    assert weights("segformer-b0", in_channels=3, classes=4, dims=2) == 3_715_172
    assert weights("segformer-b0", "encoder", in_channels=3, classes=4, dims=2) == 3_319_392
    assert round(weights("segformer-b4", in_channels=3, classes=150, dims=2) / 1e6, 1) == 64.1
    assert round(weights("segformer-b0", in_channels=4, classes=3, dims=3) / 1e6, 1) == 4.5


def test_the_unets_of_sourget_have_their_published_numbers_of_weights():
    assert weights("unet-sourget", classes=4, dims=2) == 31_030_788
    assert weights("unet-lite", classes=4, dims=2) == 3_668_460


def test_segformer_sees_the_whole_window_at_once():
    network = build("segformer-b0", dims=2, **TINY_SEGFORMER).eval()
    window = torch.zeros(1, 1, 96, 96)
    other = window.clone()
    other[..., :8, :8] = 5
    with torch.no_grad():
        assert (network(other) - network(window))[..., -4:, -4:].abs().max() > 1e-6


def test_the_encoder_is_efficientnet_b3_to_the_weight():
    """Published are 12,233,232 with the head: a convolution to 1,536 features with its norm, and 1,000 classes."""
    head = 384 * 1536 + 2 * 1536 + 1536 * 1000 + 1000
    assert weights("efficientnet-b3", "encoder", in_channels=3, dims=2) + head == 12_233_232


def test_swin_unetr_has_the_weights_of_the_super_image_paper():
    """15.7 million on volumes and 6.3 million on super images of PET and CT."""
    pytest.importorskip("einops")
    assert round(weights("swin-unetr", in_channels=2, dims=3) / 1e6, 1) == 15.7
    assert round(weights("super-image", in_channels=2, dims=3, inside="swin-unetr") / 1e6, 1) == 6.3


@pytest.mark.parametrize("slices", range(1, 41))
def test_a_volume_of_any_depth_comes_back_from_its_super_image_as_it_was(slices):
    volumes = torch.arange(2 * 3 * slices * 5 * 4, dtype=torch.float32).reshape(2, 3, slices, 5, 4)
    rows, columns = grid(slices)
    image = laid_out(volumes)
    assert image.shape == (2, 3, rows * 5, columns * 4)
    assert torch.equal(folded(image, volumes.shape), volumes)
    row, column = divmod(slices - 1, columns)
    assert torch.equal(image[..., row * 5 : row * 5 + 5, column * 4 : column * 4 + 4], volumes[:, :, -1])


def test_the_grid_is_the_papers_where_it_has_one_and_near_a_square_otherwise():
    assert [grid(n) for n in (144, 88, 64, 48)] == [(12, 12), (11, 8), (8, 8), (8, 6)]
    for slices in range(2, 200):
        rows, columns = grid(slices)
        assert rows * columns >= slices
        assert columns <= rows <= 2 * columns
        assert rows * columns - slices < columns + 2  # places left empty


def test_a_super_image_has_at_least_two_and_a_half_times_fewer_weights_than_its_twin_in_3d():
    assert weights("unet-lite", dims=3) >= 2.5 * weights("super-image", dims=3)
    assert weights("super-image", dims=3) == weights("unet-lite", dims=2)


def test_a_super_image_takes_networks_for_images_only_and_no_image():
    with pytest.raises(CatalogueError, match="there is no network 'unet-heavy'"):
        build("super-image", inside="unet-heavy")
    with pytest.raises(InvalidInputError, match="does not come with 2 dimensions"):
        build("super-image", inside="super-image")
    with pytest.raises(InvalidInputError, match="does not come with 2 dimensions"):
        build("super-image", dims=2)
    with pytest.raises(InvalidInputError, match="finds objects and learns from them"):
        build("super-image", inside="hmr-net")


def test_a_frozen_encoder_rests_inside_a_super_image_too():
    inside = Architecture(described("super-image", in_channels=1, classes=1, dims=3, axis=0, parameters={}))
    frozen = Frozen(inside, inside.frozen_parts("encoder"))
    frozen.train()
    unet = inside.network.inside
    assert not any(part.training for part in unet.down.modules())  # its dropout is off
    assert all(part.training for part in unet.up.modules())
    assert {id(p) for p in frozen.learning()}.isdisjoint(id(p) for p in unet.down.parameters())


def test_numbers_that_torch_makes_no_layer_of_are_refused_in_a_sentence():
    with pytest.raises(InvalidInputError, match="unet-lite: makes no network"):
        build("unet-lite", widths=[4.5, 8])


def test_strides_and_kernels_are_those_that_nnunet_publishes():
    """Hippocampus and prostate of the Medical Segmentation Decathlon, 3D at full resolution (Isensee et al. 2021, supplement)."""
    strides, kernels = levels((1.0, 1.0, 1.0), (40, 56, 40))
    assert strides == [(1, 1, 1)] + 3 * [(2, 2, 2)]
    assert kernels == 4 * [(3, 3, 3)]
    strides, kernels = levels((3.6, 0.62, 0.62), (20, 320, 256))
    assert strides[1:] == 2 * [(1, 2, 2)] + 2 * [(2, 2, 2)] + 2 * [(1, 2, 2)]
    assert kernels == 2 * [(1, 3, 3)] + 5 * [(3, 3, 3)]


def test_nnunets_u_net_leaves_coarse_axes_alone():
    assert build("dynunet", spacing=[5.0, 0.7, 0.7], window=[12, 32, 32], width=4).step == (2, 8, 8)  # halved once the others are as coarse
    network = build("dynunet", spacing=[8.0, 0.7, 0.7], window=[10, 32, 32], width=4).eval()
    assert network.step == (1, 8, 8)
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 7, 20, 33)).shape == (1, 1, 7, 20, 33)


def test_dints_with_its_topology_answers_as_monais_does():
    space = TopologyInstance(channel_mul=0.25, num_blocks=6, num_depths=3, arch_code=monai_code())
    theirs = MonaiDiNTS(space, in_channels=1, num_classes=2, node_a=np.array([[1, 1, 0]] + 6 * [[1, 1, 1]])).eval()
    there = theirs.state_dict()
    network = DiNTS(1, 2, 3, width=8).eval()
    own = {name: there[monai_name(name, list(space.cell_tree))] for name in network.state_dict()}
    network.take(own)
    window = torch.randn((1, 1, 16, 24, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(window), theirs(window))


def monai_code() -> list[np.ndarray]:
    """Which of the 7 connections of each block there are, and which operation each has."""
    ways = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (1, 2), (2, 2)]
    there, operation = np.zeros((6, 7)), np.zeros((6, 7), np.int64)
    for block, paths in enumerate(TOPOLOGY):
        for path in paths:
            where = block, ways.index((path.before, path.after))
            there[where], operation[where] = 1, OPERATIONS[3].index(path.operation)
    return [there, operation]


def monai_name(name: str, cells: list[str]) -> str:
    part, index, rest = name.split(".", 2)
    if part == "cells":
        return f"dints_space.cell_tree.{cells[int(index)]}.{rest}"
    return f"stem_finals.{index}.{rest}" if part == "head" else f"stem_{part}.{index}.mod.{rest}"


@pytest.mark.parametrize(("name", "wrong"), [
    ("segformer-b0", {"widths": [32, 64, 160]}), ("segformer-b0", {"heads": [1, 2, 5, 7]}), ("segformer-b0", {"depths": [2, 2, 2, 0]}),
    ("efficientnet-b3", {"width": 0}), ("efficientnet-b3", {"halvings": 6}), ("efficientnet-b3", {"decoder": [32, 16]}),
    ("segresnet", {"width": 12}), ("segresnet", {"up": [1, 1]}), ("dynunet", {"spacing": [1.0, 1.0]}), ("dynunet", {"window": [32, 0, 32]}),
    ("swin-unetr", {"width": 16}), ("swin-unetr", {"depths": [2, 2]}), ("swin-unetr", {"heads": [3, 6, 12, 25]}), ("dints", {"width": 5}),
])
def test_numbers_that_make_no_network_are_refused_with_a_next_step(name, wrong):
    if name == "swin-unetr":
        pytest.importorskip("einops")
    with pytest.raises(InvalidInputError) as told:
        build(name, **wrong)
    assert told.value.todo
