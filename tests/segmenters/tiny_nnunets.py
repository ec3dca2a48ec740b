"""Trained-model folders of nnU-Net v2, tiny and random, in the real layout."""

import json

import numpy as np

ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 3, "features_per_stage": [4, 6, 8], "conv_op": "torch.nn.modules.conv.Conv3d", "kernel_sizes": [[3, 3, 3]] * 3,
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]], "n_conv_per_stage": [1, 1, 1], "n_conv_per_stage_decoder": [1, 1], "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": True}, "dropout_op": None,
        "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


def _flat(architecture):
    """The same network for slices."""
    arguments = architecture["arch_kwargs"]
    flat = {
        **arguments, "conv_op": "torch.nn.modules.conv.Conv2d", "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d", "kernel_sizes": [[3, 3]] * 3,
        "strides": [[1, 1], [2, 2], [2, 2]],
    }
    return {**architecture, "arch_kwargs": flat}


def write_nnunet(
    folder, *, labels=None, order=None, channels=("CT",), folds=(0,), spacing=(2.0, 1.2, 1.0), patch=(12, 24, 24), dims=3, dataset="Dataset123_Tiny",
    trainer="nnUNetTrainer", seed=0,
):
    """Needs nnunetv2: weights are those of its own network."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from torch import nn

    folder.mkdir(parents=True)
    labels = labels or {"background": 0, "liver": 1, "tumour": 2}
    heads = len([name for name in labels if name != "ignore"]) - (order is not None)
    architecture = ARCHITECTURE if dims == 3 else _flat(ARCHITECTURE)
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "tiny", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2, "patch_size": list(patch)[3 - dims:],
        "median_image_size_in_voxels": [20.0, 40.0, 40.0][3 - dims:], "spacing": list(spacing)[3 - dims:],
        "normalization_schemes": ["CTNormalization" if name == "CT" else "ZScoreNormalization" for name in channels],
        "use_mask_for_norm": [False] * len(channels), "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg": "resample_data_or_seg_to_shape", "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape", "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": architecture, "batch_dice": False,
    }
    stats = {"max": 1200.0, "mean": 500.0, "median": 480.0, "min": -100.0, "percentile_00_5": -50.0, "percentile_99_5": 1100.0, "std": 250.0}
    name = "3d_fullres" if dims == 3 else "2d"
    plans = {
        "dataset_name": dataset, "plans_name": "nnUNetPlans", "original_median_spacing_after_transp": list(spacing),
        "original_median_shape_after_transp": [20, 40, 40], "image_reader_writer": "SimpleITKIO", "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2], "configurations": {name: configuration}, "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager", "foreground_intensity_properties_per_channel": {str(n): stats for n in range(len(channels))},
    }
    described = {"channel_names": {str(n): c for n, c in enumerate(channels)}, "labels": labels, "numTraining": 3, "file_ending": ".nii.gz"}
    if order is not None:
        described["regions_class_order"] = order
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(described), encoding="utf-8")
    kinds = (nn.Conv3d, nn.InstanceNorm3d) if dims == 3 else (nn.Conv2d, nn.InstanceNorm2d)
    arguments = {**architecture["arch_kwargs"], "conv_op": kinds[0], "norm_op": kinds[1], "nonlin": nn.LeakyReLU}
    for fold in folds:
        torch.manual_seed(seed + 7 + (fold if isinstance(fold, int) else 99))
        network = PlainConvUNet(input_channels=len(channels), num_classes=heads, deep_supervision=False, **arguments)
        with torch.no_grad():
            network.decoder.seg_layers[-1].weight.mul_(6)
        (folder / f"fold_{fold}").mkdir()
        torch.save({
            "network_weights": network.state_dict(), "optimizer_state": torch.optim.SGD(network.parameters(), 0.01).state_dict(), "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float64(0.5)], "ema_fg_dice": [np.float32(0.4)]}, "_best_ema": np.float64(0.7), "current_epoch": 1000,
            "init_args": {"plans": plans, "configuration": name, "fold": fold, "dataset_json": described, "device": torch.device("cuda")},
            "trainer_name": trainer, "inference_allowed_mirroring_axes": tuple(range(dims)),
        }, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder
