"""MONAI bundles as the Model Zoo lays them out, tiny and random."""

import json


def write_bundle(folder, *, network=None, preprocessing=None, postprocessing=None, inferer=None, outputs=3, names=None, channels=1, extra=None, weights=True):
    """A bundle with a small UNet; `extra` fields join the configuration."""
    import torch
    from monai.networks.nets import UNet

    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    torch.manual_seed(2)
    plain = UNet(spatial_dims=3, in_channels=channels, out_channels=outputs, channels=(4, 8, 8), strides=(2, 2), num_res_units=1, norm="batch")
    for layer in plain.modules():
        if isinstance(layer, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(layer.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    if weights:
        torch.save(plain.state_dict(), folder / "models" / "model.pt")
    config = {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".", "dataset_dir": "/workspace/data", "output_dir": "$@bundle_root + '/eval'",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "levels": 2,
        "network_def": network or {
            "_target_": "UNet", "spatial_dims": 3, "in_channels": channels, "out_channels": outputs, "channels": [4, "$4 * @levels", 8],
            "strides": [2, "@levels"], "num_res_units": "$@levels - 1", "norm": "batch",
        },
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing or [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"},
            {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0, "a_max": 1200, "b_min": 0.0, "b_max": 1.0, "clip": True},
            {"_target_": "EnsureTyped", "keys": "image"},
        ]},
        "inferer": inferer or {"_target_": "SlidingWindowInferer", "roi_size": [24, 24, 16], "sw_batch_size": 4, "overlap": 0.5, "mode": "gaussian"},
        "postprocessing": {"_target_": "Compose", "transforms": postprocessing or [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image", "device": "cpu"},
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
        ]},
        "checkpoint": {"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/model.pt'", "load_dict": {"model": "@network"}},
        **(extra or {}),
    }
    names = names or {"0": "background", "1": "liver", "2": "tumour"}
    metadata = {"name": "Tiny liver", "version": "0.1.0", "monai_version": "1.5.0", "network_data_format": {
        "inputs": {"image": {"type": "image", "format": "hounsfield", "modality": "CT", "num_channels": channels, "spatial_shape": [24, 24, 16]}},
        "outputs": {"pred": {"type": "image", "num_channels": outputs, "spatial_shape": [24, 24, 16], "channel_def": names}},
    }}
    (folder / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    (folder / "LICENSE").write_text("                                 Apache License\n                           Version 2.0, January 2004\n", encoding="utf-8")
    return folder
