"""The front on a graphics card: updates a second on 256^3, and how far an iteration is from what the card's memory allows."""

from __future__ import annotations

import time

import numpy as np
import torch
import weaklabel_peers as peers
from weaklabel_scenes import Fixed, dice, maps, phantom

from napari_medseg.weaklabel import flow_torch, front_torch
from napari_medseg.weaklabel.front import Front

PER_UPDATE = 10
UPDATES = 30


def report() -> None:
    """Print it."""
    print("\n== Graphics card")
    if not front_torch.has_card():
        print("  no card here: nothing was measured, and nothing is claimed")
        return
    device = torch.device("cuda")
    print(f"  {torch.cuda.get_device_name(device)}; memory copies {_bandwidth(device) / 1e9:.0f} GB/s, read and written")
    scene = phantom()
    given = maps(scene)
    began = time.perf_counter()
    compiled = front_torch.compile_passes(device)
    print(f"  passes {'compiled' if compiled else 'could not be compiled and run one operation after the other'}, {time.perf_counter() - began:.1f} s")
    drive = Fixed(given.speed, None, scene.spacing, 0.0, peers.CURVATURE)
    grids = (np.ones_like(given.start), np.zeros_like(given.start))
    theirs, ours = (kind(given.start.copy(), scene.spacing, *(grid.copy() for grid in grids)) for kind in (front_torch.Front, Front))
    theirs.advance(drive, PER_UPDATE)
    began = time.perf_counter()
    for _ in range(UPDATES):
        theirs.advance(drive, PER_UPDATE)
    seconds = time.perf_counter() - began
    ours.advance(drive, PER_UPDATE * (UPDATES + 1))
    same = dice(theirs.inside, ours.inside)
    print(f"  {UPDATES / seconds:.0f} updates of {PER_UPDATE} iterations a second on 256^3; Dice with the processor's front {same:.4f}")
    _one_iteration(device, given)


def _one_iteration(device, given) -> None:
    """The whole of 256^3 as one box: the most an iteration can cost."""
    front = front_torch.Front(given.start.copy(), (1.0, 1.0, 1.0), np.ones_like(given.start), np.zeros_like(given.start))
    phi, flags, speed = front._phi, front._flags, torch.from_numpy(given.speed).to(device)
    numbers = torch.tensor([0.0, 0.0, peers.CURVATURE, 0.0], device=device)
    inverse, least = torch.ones(3, device=device), torch.tensor(0.5, device=device)
    for count in (3, 50):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            phi, flags, _, _ = flow_torch.step(front._passes, phi, speed, None, flags, inverse, inverse, least, numbers)
        torch.cuda.synchronize()
        seconds = (time.perf_counter() - began) / count
    limit = _bandwidth(device)
    for words, moved in (("what the passes read and write", flow_torch.STEP_BYTES), ("what any dense step must", flow_torch.LEAST_BYTES)):
        floor = moved * phi.numel() / limit
        print(
            f"  an iteration over all 256^3 voxels {1000 * seconds:.2f} ms; {words}: {moved} bytes a voxel, at least {1000 * floor:.2f} ms; "
            f"we take {seconds / floor:.1f} times that"
        )


def _bandwidth(device) -> float:
    """Bytes a second of a copy of 1 GB within the card, both ways counted."""
    one, other = torch.empty(2**28, device=device), torch.empty(2**28, device=device)
    for count in (2, 20):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            other.copy_(one)
        torch.cuda.synchronize()
        seconds = (time.perf_counter() - began) / count
    return 2 * 4 * 2**28 / seconds
