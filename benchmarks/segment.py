"""Our sliding window against MONAI's SlidingWindowInferer: same network, same windows, same machine.

    python benchmarks/segment.py [--repeats 5]

Prints, for slices in 2D windows and for a volume in 3D windows, seconds of each (best of the repeats, taken in turn), their ratio, and the largest
difference between the answers.
"""

import argparse
import json
import os
import time

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet as UNet3D

from napari_medseg.segmenters.inference import Inference
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.window import slide


def ours(image, network, window, batch):
    """The last value of every voxel; 2D networks see windows one slice thick."""
    flat = window[0] == 1
    infer = Inference(network, "cpu", "benchmark")
    answer = np.zeros((1, *image.shape[1:]), np.float32)
    for blend in slide(image, (lambda w: infer(w[:, :, 0])[:, :, None]) if flat else infer, window, batch=batch):
        answer[(slice(None), *blend.box)] = blend.values
    return answer


def monai(image, network, window, batch):
    """MONAI over the same windows; 2D ones slice by slice as a batch, which is how MONAI is used there."""
    tensor = torch.from_numpy(image)
    with torch.inference_mode():
        if window[0] == 1:
            return SlidingWindowInferer(window[1:], batch, overlap=0.5, mode="gaussian")(tensor.transpose(0, 1), network.eval()).transpose(0, 1).numpy()
        return SlidingWindowInferer(window, batch, overlap=0.5, mode="gaussian")(tensor[None], network.eval())[0].numpy()


def main():
    """Run every job and print one JSON line each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    jobs = {
        "2D, 12 slices of 256x256, windows 128x128": (UNet(), (12, 256, 256), (1, 128, 128), 16),
        "3D, 96x128x128, windows 64x64x64": (UNet3D(3, 1, 1, (8, 16, 32), (2, 2)), (96, 128, 128), (64, 64, 64), 4),
    }
    for name, (network, shape, window, batch) in jobs.items():
        image = rng.random((1, *shape), dtype=np.float32)
        seconds = {"ours": [], "monai": []}
        answers = {}
        for _ in range(repeats + 1):  # the first round warms up
            for who, run in (("ours", ours), ("monai", monai)):
                start = time.perf_counter()
                answers[who] = run(image, network, window, batch)
                seconds[who].append(time.perf_counter() - start)
        best = {who: min(times[1:]) for who, times in seconds.items()}
        difference = float(np.abs(answers["ours"] - answers["monai"]).max())
        print(json.dumps({
            "job": name, "threads": torch.get_num_threads(), "load": os.getloadavg()[0], "ours_s": round(best["ours"], 3), "monai_s": round(best["monai"], 3),
            "ratio": round(best["ours"] / best["monai"], 3), "max_difference": difference,
        }))


if __name__ == "__main__":
    main()
