"""What a process holds after many starts and cancels of a network: memory in use, or memory that malloc keeps (Linux with glibc).

    python benchmarks/segment_growth.py [--count 150] [--ways worker main plain]

The U-Net over 128^3, started and cancelled at random moments: through the worker, the same generator in the main thread, and beside them the bare network in
a loop on batches of the same kinds, with none of our code. Each in a process of its own. Every 25 starts: resident memory, and of it what malloc says is in
use, what it keeps for later and what it took by maps of their own (`mallinfo2`); at last resident memory after `malloc_trim`. In MB.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import subprocess
import sys
import threading

import numpy as np
import psutil

MEGABYTE, EVERY, SIDE = 2**20, 25, 128
FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class Account(ctypes.Structure):
    """What `mallinfo2` gives."""

    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


def resident() -> float:
    """Memory of this process in MB."""
    return psutil.Process().memory_info().rss / MEGABYTE


def tell(way: str, count: int) -> None:
    """One line."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Account
    held = libc.mallinfo2()
    parts = f"in use {held.uordblks / MEGABYTE:.0f}, kept by malloc {held.fordblks / MEGABYTE:.0f}, mapped {held.hblkhd / MEGABYTE:.0f}"
    print(f"  {way}, {count} starts: resident {resident():.0f}, {parts}, threads {psutil.Process().num_threads()}", flush=True)


def runs(count: int):
    """Starts of the segmenter: a generator, and after how many steps it is to be left."""
    from napari_medseg.catalogue import load
    from napari_medseg.volume import Geometry, Volume

    rng = np.random.default_rng(1)
    volume = Volume(np.random.default_rng(0).normal(0, 100, (SIDE,) * 3).astype(np.int16), Geometry((SIDE,) * 3))
    segmenter = load().find("unet", "segmenter").build()
    for _ in range(count):
        focus = int(rng.integers(SIDE))
        yield lambda focus=focus: segmenter.predict(volume, device="cpu", focus=focus), int(rng.integers(1, 4))


def by_worker(count: int):
    """As in the window."""
    from napari_medseg.segmenters.worker import Worker

    with Worker() as worker:
        for start, steps in runs(count):
            stepped = threading.Semaphore(0)
            ticket = worker.submit(start, key="volume", on_tick=lambda _, told=stepped: told.release(), on_done=lambda *_: None, on_error=print)
            for _ in range(steps):
                stepped.acquire()
            ticket.cancel()
            ticket.wait()
            yield


def in_main(count: int):
    """The same generator without a thread."""
    for start, steps in runs(count):
        running = start()
        list(itertools.islice(running, steps))
        running.close()
        yield


def plain(count: int):
    """The network alone."""
    import torch

    from napari_medseg.catalogue import load
    from napari_medseg.segmenters.weights import load_model

    network, _ = load_model(load().find("unet", "segmenter").build().model)
    network, rng = network.eval(), np.random.default_rng(1)
    for _ in range(count):
        with torch.inference_mode():
            for batch in (1, int(rng.integers(2, 9)), int(rng.integers(2, 9))):
                network(torch.randn(batch, 1, SIDE, SIDE))
        yield


WAYS = {"worker": by_worker, "main": in_main, "plain": plain}


def child(way: str, count: int) -> None:
    """One process's part."""
    import torch

    torch.set_num_threads(2)
    tell(way, 0)
    for done, _ in enumerate(WAYS[way](count), start=1):
        if done % EVERY == 0 or done == count:
            tell(way, done)
    before = resident()
    ctypes.CDLL(None).malloc_trim(0)
    print(f"  {way}, after malloc_trim: {before:.0f} -> {resident():.0f}", flush=True)


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=150)
    options.add_argument("--ways", nargs="*", choices=tuple(WAYS), default=tuple(WAYS))
    options.add_argument("--child", choices=tuple(WAYS), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallinfo2"):
        sys.exit("This needs Linux with glibc 2.33 or newer.")
    if chosen.child:
        child(chosen.child, chosen.count)
        return
    for way in chosen.ways:
        subprocess.run([sys.executable, __file__, "--child", way, "--count", str(chosen.count)], check=True)


if __name__ == "__main__":
    main()
