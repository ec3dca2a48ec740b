"""What the window holds after a network was started and stopped 200 times (Linux with glibc): `python benchmarks/window_growth.py [--engine unet promptable]`.

Needs a display. In a process of its own each: a made-up scan, and a segmenter started over it, or pointed at it, and stopped right away. Every so many
starts: resident memory, and of it what malloc says is in use, what it keeps for later and what it took by maps of their own (`mallinfo2`); threads and
Python's objects. Torch and the network are loaded before the first account. At last the growth of resident memory a start, by a line through the points from
`--from` on, which kinds of objects came, and resident memory after `malloc_trim`. In MB.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import subprocess
import sys
import threading
from collections import Counter

import napari
import numpy as np
from segment_growth import MEGABYTE, Account, resident
from window import Heartbeat, phantom
from window_segment import opened


def held() -> tuple[float, float, float, float]:
    """Resident, in use by malloc's account, kept by it, mapped by it."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Account
    told = libc.mallinfo2()
    return resident(), told.uordblks / MEGABYTE, told.fordblks / MEGABYTE, told.hblkhd / MEGABYTE


def kinds() -> Counter[str]:
    """How many objects of each type Python looks after."""
    gc.collect()
    return Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())


def tell(engine: str, count: int) -> float:
    """One line; what is resident."""
    words = "resident {:.0f}, in use {:.0f}, kept by malloc {:.0f}, mapped {:.0f}".format(*(state := held()))
    print(f"  {engine}, {count} starts: {words}, threads {threading.active_count()}, objects {len(gc.get_objects())}", flush=True)
    return state[0]


def child(side: int, engine: str, count: int, every: int, first: int, wait: float) -> None:
    """One process's part."""
    napari.qt.get_qapp()
    beat = Heartbeat()
    viewer, desk, start = opened(*phantom((side,) * 3), engine, beat)
    session = desk.session
    points: list[tuple[int, float]] = []
    before: Counter[str] = Counter()
    for number in range(count + 1):
        if number % every == 0:
            beat.rest(wait)
            points.append((number, tell(engine, number)))
        if number == first:
            before = kinds()
        start()
        beat.rest(0.02)
        session.stop()
    told = kinds()
    late = np.array([point for point in points if point[0] >= first], float)
    slope = np.polyfit(late[:, 0], late[:, 1], 1)[0]
    print(f"  {engine}: {slope:.2f} MB a start from {first} on; objects that came: {dict((told - before).most_common(5))}", flush=True)
    session.stop()
    beat.rest(3)
    grown = resident()
    ctypes.CDLL(None).malloc_trim(0)
    print(f"  {engine}: after malloc_trim {grown:.0f} -> {resident():.0f}", flush=True)
    viewer.close()


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--side", type=int, default=256)
    options.add_argument("--engine", nargs="+", default=["unet", "promptable"])
    options.add_argument("--count", type=int, default=200)
    options.add_argument("--every", type=int, default=25)
    options.add_argument("--from", type=int, default=50, dest="first")
    options.add_argument("--wait", type=float, default=3.0, help="seconds of rest before the memory is read")
    options.add_argument("--child", help=argparse.SUPPRESS)
    given = options.parse_args()
    if not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallinfo2"):
        sys.exit("This needs Linux with glibc 2.33 or newer.")
    if given.child:
        child(given.side, given.child, given.count, given.every, given.first, given.wait)
        return
    for engine in given.engine:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--child", engine], check=True)


if __name__ == "__main__":
    main()
