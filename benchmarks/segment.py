"""Networks that run live, against MONAI's SlidingWindowInferer: same network, same windows, same machine.

    python benchmarks/segment.py [--device cuda] [--repeats 3] [--only time memory worker] [--jobs 3D] [--threads 2]

Prints one JSON line a figure. `time`: seconds for a whole volume in one process on two threads (best of the repeats, taken in turn; wall clock and processor
seconds), their ratio, the largest difference of the answers, and how long the slice in view took to show its first pixels and to be covered. `memory`: peak
memory over what the process held before, each run in a process of its own; MONAI gives all maps as float32, ours the label map (what the
window shows) or all maps. `worker`: from asking to the first tick, and from cancel to the worker being free.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet as UNet3D

from napari_medseg.segmenters.inference import Inference
from napari_medseg.segmenters.protocol import to_labels
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.window import slide
from napari_medseg.segmenters.worker import Worker
from napari_medseg.session.jobs import Jobs

JOBS = {
    "2D, 1 class, 24 slices of 384x384, windows 128x128": (lambda: UNet(), (24, 384, 384), (1, 128, 128)),
    "3D, 1 class, 96x128x128, windows 64": (lambda: UNet3D(3, 1, 1, (8, 16, 32), (2, 2)), (96, 128, 128), (64, 64, 64)),
    "3D, 5 classes, 128x192x192, windows 64": (lambda: UNet3D(3, 1, 5, (16, 32, 64), (2, 2)), (128, 192, 192), (64, 64, 64)),
    "3D, 14 classes, 192x192x192, windows 64": (lambda: UNet3D(3, 1, 14, (8, 16, 32), (2, 2)), (192, 192, 192), (64, 64, 64)),
}


def prepared(job):
    """The network and the scan of a job."""
    torch.manual_seed(0)
    make, shape, window = JOBS[job]
    return make().eval(), np.random.default_rng(0).random((1, *shape), dtype=np.float32), window


def pieces(image, network, window, device):
    """Ours, with the middle slice in view."""
    return slide(image, Inference(network, device, "benchmark", dims=2 if window[0] == 1 else 3), window, focus=(image.shape[1] // 2, None, None))


def ours(image, network, window, device):
    """All maps; when the slice in view had its first pixels, and when it was covered (s)."""
    start = time.perf_counter()
    middle = image.shape[1] // 2
    answer, first, covered = None, None, None
    seen = np.zeros(image.shape[2:], bool)
    for piece in pieces(image, network, window, device):
        if answer is None:
            answer = np.zeros((len(piece.values), *image.shape[1:]), np.float32)
        answer[(slice(None), *piece.box)] = piece.values
        if covered is None and piece.box[0].start <= middle < piece.box[0].stop:
            first = first or time.perf_counter() - start
            seen[piece.box[1:]] = True
            covered = time.perf_counter() - start if seen.all() else None
    return answer, first, covered


def ours_labels(image, network, window, device):
    """The label map alone, as the window shows it."""
    labels = np.zeros(image.shape[1:], np.uint8)
    for piece in pieces(image, network, window, device):
        labels[piece.box] = to_labels(piece.values)
    return labels


def monai(image, network, window, device, batch):
    """MONAI over the same windows; 2D ones slice by slice as a batch, which is how MONAI is used there."""
    tensor, network = torch.from_numpy(image).to(device), network.to(device)
    with torch.inference_mode():
        if window[0] == 1:
            return SlidingWindowInferer(window[1:], batch, overlap=0.5, mode="gaussian")(tensor.transpose(0, 1), network).transpose(0, 1).cpu().numpy()
        return SlidingWindowInferer(window, batch, overlap=0.5, mode="gaussian")(tensor[None], network)[0].cpu().numpy()


def batches(window):
    """MONAI's windows at once: as little memory as it can do with, and a usual choice."""
    return (4, 16) if window[0] == 1 else (1, 4)


def measure_time(job, device, repeats):
    """Seconds of both, in turn; the first round warms up."""
    network, image, window = prepared(job)
    runs = {"ours": lambda: ours(image, network, window, device)}
    runs |= {f"monai, batch {b}": lambda b=b: monai(image, network, window, device, b) for b in batches(window)}
    wall, work, answers = {who: [] for who in runs}, {who: [] for who in runs}, {}
    for _ in range(repeats + 1):
        for who, run in runs.items():
            start = time.perf_counter(), time.process_time()
            answers[who] = run()
            wall[who].append(time.perf_counter() - start[0])
            work[who].append(time.process_time() - start[1])
        answer, first, covered = answers.pop("ours")
        difference = max(float(np.abs(answer - other).max()) for other in answers.values())
    seconds = {who: min(times[1:]) for who, times in wall.items()}
    busy = {who: min(times[1:]) for who, times in work.items()}
    other = min((who for who in runs if who != "ours"), key=seconds.get)
    print(json.dumps({
        "job": job, "device": device, "threads": torch.get_num_threads(), "load": os.getloadavg()[0],
        "wall_s": {who: round(s, 2) for who, s in seconds.items()}, "processor_s": {who: round(s, 2) for who, s in busy.items()},
        "ratio_wall": round(seconds["ours"] / seconds[other], 3), "ratio_processor": round(busy["ours"] / min(busy[who] for who in busy if who != "ours"), 3),
        "first_pixels_s": round(first, 3), "slice_covered_s": round(covered, 3), "sooner": round(wall["ours"][-1] / first, 1), "max_difference": difference,
    }), flush=True)


def measure_memory(job, device):
    """Peak memory of each in a process of its own, in MB."""
    _, _, window = JOBS[job]
    peaks = {}
    for who in ("ours, labels", "ours, all maps", *(f"monai, batch {b}" for b in batches(window))):
        asked = [sys.executable, __file__, "--child", job, who, "--device", device, "--threads", str(torch.get_num_threads())]
        child = subprocess.run(asked, capture_output=True, text=True, check=True)
        peaks[who] = json.loads(child.stdout)
    least = min(peak for who, peak in peaks.items() if who.startswith("monai"))
    print(json.dumps({
        "job": job, "device": device, "peak_mb": peaks, "ratio_labels": round(peaks["ours, labels"] / least, 3),
        "ratio_all_maps": round(peaks["ours, all maps"] / least, 3),
        "ratios_against_the_usual_batch": [round(peaks[who] / peaks[f"monai, batch {batches(window)[-1]}"], 3) for who in ("ours, labels", "ours, all maps")],
    }), flush=True)


def child(job, who, device):
    """One run; prints how much the memory rose at its peak, in MB."""
    network, image, window = prepared(job)
    if device != "cpu":
        torch.zeros(1, device=device)
        torch.cuda.reset_peak_memory_stats()
    before = _peak_from_now()
    if who == "ours, labels":
        ours_labels(image, network, window, device)
    elif who == "ours, all maps":
        ours(image, network, window, device)
    else:
        monai(image, network, window, device, int(who.rpartition(" ")[2]))
    peak = torch.cuda.max_memory_allocated() if device != "cpu" else _peak() - before
    print(round(peak / 2**20, 1))


def _peak_from_now():
    """Forget the peak so far (Linux); the memory held now, in bytes."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return _status("VmRSS")


def _peak():
    return _status("VmHWM")


def _status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def measure_worker(device, repeats):
    """Asking to first tick for a generator that does nothing, plain and overtaking; cancel to free, beside the time of one window."""
    with Worker() as worker:
        first_tick(worker)
        tell("submit to first tick", [first_tick(worker) for _ in range(1000)])

        def steps():
            while True:
                yield time.sleep(0.001)

        worker.submit(steps, key="big", on_tick=ignore, on_done=ignore, on_error=print)
        tell("the same, overtaking steps of 1 ms", [first_tick(worker, urgent=True) for _ in range(200)])
    jobs = Jobs(lambda call: call(), lambda: None)
    tell("session job to first tick", [first_job_tick(jobs) for _ in range(1000)])
    jobs.close()
    measure_cancel(device, 5 * repeats)


def first_tick(worker, **how):
    """Seconds from asking to the first tick."""
    told = []
    start = time.perf_counter()
    ticket = worker.submit(lambda: iter([0]), key="small", on_tick=lambda _: told.append(time.perf_counter()), on_done=ignore, on_error=print, **how)
    ticket.wait()
    return told[0] - start


def first_job_tick(jobs):
    """The same through the session's jobs."""
    told = []
    start = time.perf_counter()
    job = jobs.start("small", "small", lambda: iter([Tick()]), apply=lambda _: told.append(time.perf_counter()), done=ignore, failed=print)
    while job.is_active:
        time.sleep(0.0001)
    return told[0] - start


def tell(name, seconds):
    """One figure of the worker."""
    median, late = statistics.median(seconds), float(np.quantile(seconds, 0.99))
    print(json.dumps({"worker": name, "median_ms": round(1000 * median, 3), "99_percent_ms": round(1000 * late, 3), "load": os.getloadavg()[0]}), flush=True)


def measure_cancel(device, times):
    """From cancel to the worker being free, at random moments of a volume."""
    network, image, window = prepared("3D, 5 classes, 128x192x192, windows 64")
    infer = Inference(network, device, "benchmark")
    one = image[None, :, :64, :64, :64]
    infer(one)
    start = time.perf_counter()
    for _ in range(5):
        infer(one)
    alone = (time.perf_counter() - start) / 5
    rng = np.random.default_rng(0)
    waits = []

    def volume():
        return slide(image, infer, window, focus=(64, None, None))

    with Worker() as worker:
        for _ in range(times):
            ticket = worker.submit(volume, key="volume", on_tick=ignore, on_done=ignore, on_error=print)
            time.sleep(rng.uniform(2, 6) * alone)
            start = time.perf_counter()
            ticket.cancel()
            ticket.wait()
            waits.append(time.perf_counter() - start)
    tell(f"cancel to free (one window: {1000 * alone:.0f} ms, longest wait {1000 * max(waits):.0f} ms)", waits)


class Tick:
    """The least that an engine yields."""

    fraction, message = None, ""


def ignore(*_):
    """Nothing."""


def main():
    """Run what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=("time", "memory", "worker"), default=("worker", "time", "memory"))
    parser.add_argument("--jobs", nargs="*", default=list(JOBS), help="parts of the jobs' names")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    choices = parser.parse_args()
    torch.set_num_threads(choices.threads)
    if choices.child:
        return child(*choices.child, choices.device)
    if "worker" in choices.only:
        measure_worker(choices.device, choices.repeats)
    for job in (job for job in JOBS if any(part in job for part in choices.jobs)):
        if "time" in choices.only:
            measure_time(job, choices.device, choices.repeats)
        if "memory" in choices.only:
            measure_memory(job, choices.device)


if __name__ == "__main__":
    main()
