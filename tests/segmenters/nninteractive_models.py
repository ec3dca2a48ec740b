"""A model folder in nnInteractive's own format; its small network does what its weights were set to: outlines what is bright, and listens to points."""

import json

import numpy as np

from napari_medseg.annotation.prompts import ObjectPrompt, Prompts
from napari_medseg.volume import Geometry, Volume

PATCH = [64, 64, 64]  # the package plans its refinement with margins of 24 voxels, so windows must be wider than 48
ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 2, "features_per_stage": [4, 4], "conv_op": "torch.nn.modules.conv.Conv3d", "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [2, 2, 2]], "n_conv_per_stage": [1, 1], "n_conv_per_stage_decoder": [1], "conv_bias": True, "norm_op": None,
        "norm_op_kwargs": None, "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"negative_slope": 0.0},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


def plans(architecture=ARCHITECTURE):
    configuration = {
        "data_identifier": "tiny", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2, "patch_size": PATCH, "spacing": [1.0, 1.0, 1.0],
        "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [False], "architecture": architecture, "batch_dice": False,
        "median_image_size_in_voxels": [32, 32, 32],
    }
    return {
        "dataset_name": "Dataset999_Tiny", "plans_name": "nnUNetPlans", "configurations": {"3d_fullres": configuration}, "label_manager": "LabelManager",
        "image_reader_writer": "SimpleITKIO", "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "experiment_planner_used": "ExperimentPlanner",
    }


def model(folder, *, checkpoint=None, weights=None, info=None):
    """Write the folder; `checkpoint` changes the pickle's content, `weights` the network's."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans()))
    (folder / "dataset.json").write_text(json.dumps({"channel_names": {"0": "image"}, "labels": {"background": 0, "object": 1}, "file_ending": ".nii.gz"}))
    (folder / "inference_info.json").write_text(json.dumps({"point_radius": 2, "interaction_decay": 0.98, **(info or {})}))
    (folder / "LICENSE").write_text("CC BY-NC-SA 4.0\nhttps://creativecommons.org/licenses/by-nc-sa/4.0/\n")
    network = PlainConvUNet(
        8, 2, [4, 4], torch.nn.Conv3d, 3, [1, 2], 1, 2, 1, conv_bias=True, nonlin=torch.nn.LeakyReLU, nonlin_kwargs={"negative_slope": 0.0},
    )
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        listening(dict(network.state_dict()))
        state = network.state_dict()
        if weights:
            weights(state)
    whole = {
        "network_weights": state, "trainer_name": "nnInteractiveTrainer", "init_args": {"configuration": "3d_fullres", "fold": 0},
        "current_epoch": 3, "_best_ema": np.float64(0.5), "inference_allowed_mirroring_axes": None, **(checkpoint or {}),
    }
    torch.save(whole, folder / "fold_0" / "checkpoint_final.pth")
    return folder


def listening(state):
    """Features of the first stage: bright; near what says inside; near what says outside; the label before. The decoder hands them on."""
    first = next(name for name in state if name.startswith("encoder.stages.0") and name.endswith("conv.weight"))
    state[first][0, 0, 1, 1, 1] = 1.0
    for feature, channels in ((1, (2, 4, 6)), (2, (3, 5, 7)), (3, (1,))):
        for channel in channels:
            state[first][feature, channel, 1, 1, 1] = 1.0
    state[first.replace("weight", "bias")][0] = -1.0  # brighter than one standard deviation over the mean
    decoder = next(name for name in state if name.startswith("decoder.stages.0") and name.endswith("conv.weight"))
    for feature in range(4):
        state[decoder][feature, 4 + feature, 1, 1, 1] = 1.0  # what the skip brings comes behind what was upsampled
    head = next(name for name in state if name.startswith("decoder.seg_layers") and name.endswith("weight"))
    for feature, weight in enumerate((5.0, 5.0, -50.0, 0.0)):
        state[head][1, feature] = weight
    state[head.replace("weight", "bias")][1] = -0.1


def scene():
    """Two bright balls in noise, more than a window apart, thick slices; the middles in LPS mm."""
    geometry = Geometry((12, 40, 100), (2.0, 1.0, 1.0), (5.0, -8.0, 20.0))
    place = np.meshgrid(*(np.arange(n) * s for n, s in zip(geometry.shape, geometry.spacing, strict=True)), indexing="ij")
    middles = [(12.0, 12.0, 11.0), (12.0, 27.0, 80.0)]
    balls = [sum((p - m) ** 2 for p, m in zip(place, middle, strict=True)) < 5.0**2 for middle in middles]
    values = np.random.default_rng(0).normal(100, 5, geometry.shape)
    values[balls[0] | balls[1]] += 400
    points = [tuple(float(v) for v in geometry.world([m / s for m, s in zip(middle, geometry.spacing, strict=True)])) for middle in middles]
    return Volume(values.astype(np.int16), geometry, name="two balls"), balls, points


def clicks(*points, label=1):
    return Prompts((ObjectPrompt(label, points=tuple((*place, sign) for place, sign in points)),))
