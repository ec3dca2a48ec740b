"""What a server costs: a click there against one here, an upload against a raw socket, sixteen clients at once, and twenty kills. Loopback.

python benchmarks/server.py click|upload|many|kills [--seconds 150] [--mbit 0]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as the server has it: sums of several threads differ in the last bit

import numpy as np
import psutil

from napari_medseg import catalogue
from napari_medseg.annotation import Prompts
from napari_medseg.annotation.prompts import ObjectPrompt
from napari_medseg.cluster.remote.address import Server
from napari_medseg.cluster.remote.segmenter import RemoteSegmenter
from napari_medseg.cluster.server.tokens import Tokens
from napari_medseg.cluster.wire.asking import Spec
from napari_medseg.errors import MedsegError
from napari_medseg.segmenters.protocol import collect
from napari_medseg.volume import Geometry, Volume

CT = (300, 512, 512)


class Serving:
    """`medseg serve` as a process that can be killed and started again at its address."""

    def __init__(self, folder, users=("ann",)):
        self.folder, self.port, self.process = Path(folder), 0, None
        self.tokens = [Tokens(self.folder / "users.json").add(name) for name in users]
        self.start()

    def start(self):
        """Wait until it listens."""
        places = ["--users", str(self.folder / "users.json"), "--audit-log", str(self.folder / "audit.log")]
        command = [sys.executable, "-c", "from napari_medseg.cli import main; main()", "serve", "--port", str(self.port), "--device", "cpu", *places]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        line = next(line for line in self.process.stderr if line.startswith("Listening on "))
        self.address = line.split()[2].rstrip(",")
        self.port = int(self.address.rpartition(":")[2])
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def kill(self):
        """As the system does: no farewell."""
        self.process.kill()
        self.process.wait()

    @property
    def mb(self):
        """Resident memory."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def segmenter(self, name="promptable", user=0, port=0):
        """A client's; `port` of what forwards to the server, if anything does."""
        address = f"http://127.0.0.1:{port}" if port else self.address
        return RemoteSegmenter(Server(address, self.tokens[user]), Spec(members=({"id": name},)))


def organ(seed=0, shape=(48, 96, 96)):
    """A bright ellipsoid in noise."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape)
    middle = [n / 2 + rng.uniform(-6, 6) for n in shape]
    inside = ((z - middle[0]) / 12) ** 2 + ((y - middle[1]) / 22) ** 2 + ((x - middle[2]) / 18) ** 2 < 1
    return Volume((100 + 120 * inside + rng.normal(0, 15, shape)).astype(np.int16), Geometry(shape, (2.0, 1.0, 1.0))), middle


def clicked(scan, middle, count, seed=0):
    """The first of many clicks inside."""
    rng = np.random.default_rng(seed)
    places = [middle, *(np.array(middle) + rng.uniform(-4, 4, (count - 1, 3)))]
    points = tuple((*map(float, scan.geometry.world(place)), 1) for place in places)
    return Prompts((ObjectPrompt(1, points),))


def answered(segmenter, scan, prompts):
    """The answer, and ms."""
    began = time.perf_counter()
    found = collect(segmenter.predict(scan, prompts, device="cpu"), scan.geometry.shape)
    return found, (time.perf_counter() - began) * 1000


def click(arguments):
    """Each click there and here in turn; then the same question again, whose answer both remember, so that only the way there and back is left."""
    with tempfile.TemporaryDirectory() as folder, started(folder) as serving:
        there, here = serving.segmenter(), catalogue.load().find("promptable", "segmenter").build()
        more, bare, same = [], [], True
        for seed in range(4):
            scan, middle = organ(seed)
            for count in range(1, 9):
                prompts = clicked(scan, middle, count, seed)
                far, near = answered(there, scan, prompts), answered(here, scan, prompts)
                same &= np.array_equal(far[0], near[0])
                bare.append(answered(there, scan, prompts)[1] - answered(here, scan, prompts)[1])
                if count > 1:
                    more.append((far[1] - near[1], near[1], far[1]))
        added = sorted(each[0] for each in more)
        print(f"{len(more)} clicks: here {statistics.median(e[1] for e in more):.0f} ms, there {statistics.median(e[2] for e in more):.0f} ms (medians); "
              f"difference median {statistics.median(added):.1f} ms, nine in ten below {added[int(0.9 * len(added))]:.1f} ms; equal to the bit: {same}")
        bare.sort()
        print(f"remembered answers: there {statistics.median(bare):.1f} ms more (median), nine in ten below {bare[int(0.9 * len(bare))]:.1f} ms")
        there.release()


def ct(seed):
    """A scan of 512x512x300 int16 with structure and noise, each of its own content."""
    rng = np.random.default_rng(seed)
    plane = np.add.outer(np.sin(np.arange(512) / 40), np.cos(np.arange(512) / 55)) * 300
    body = plane[None] + np.sin(np.arange(300) / 20)[:, None, None] * 100
    return Volume((body + rng.normal(0, 15, (8, 512, 512)).repeat(38, 0)[:300] + rng.integers(0, 99)).astype(np.int16), Geometry(CT))


def _sink(pipe):
    with socket.create_server(("127.0.0.1", 0)) as door:
        pipe.send(door.getsockname()[1])
        into = bytearray(int(np.prod(CT)) * 2)
        while True:
            line, _ = door.accept()
            with line:
                at = 0
                while at < len(into):
                    got = line.recv_into(memoryview(into)[at:])
                    if not got:
                        return
                    at += got
                line.sendall(b"k")


def _slow(pipe, target, rate):
    """Forward to `target` at so many bytes a second, upwards."""
    def up(a, b):
        due = time.perf_counter()
        while data := a.recv(65536):
            due = max(due, time.perf_counter() - 0.02) + len(data) / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            b.sendall(data)
        b.close()

    def down(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass

    with socket.create_server(("127.0.0.1", 0)) as door:
        pipe.send(door.getsockname()[1])
        while True:
            a, _ = door.accept()
            b = socket.create_connection(("127.0.0.1", target))
            threading.Thread(target=up, args=(a, b), daemon=True).start()
            threading.Thread(target=down, args=(b, a), daemon=True).start()


def beside(work, *given):
    """A process of ours and the port it tells."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=work, args=(theirs, *given), daemon=True)
    process.start()
    return process, ours.recv()


def upload(arguments):
    """The same voxels through a raw socket and as a scan is sent, in turn; and the seconds of processor that sending took on both sides."""
    with tempfile.TemporaryDirectory() as folder, started(folder) as serving:
        processes = [beside(_sink)]
        raw_port = sink = processes[0][1]
        port = serving.port
        if arguments.mbit:
            rate = arguments.mbit * 1e6 / 8
            processes += [beside(_slow, sink, rate), beside(_slow, serving.port, rate)]
            raw_port, port = processes[1][1], processes[2][1]
        there = serving.segmenter("unet", port=port)
        rows = []
        for seed in range(arguments.times):
            scan = ct(seed)
            data = scan.array.tobytes()
            began = time.perf_counter()
            with socket.create_connection(("127.0.0.1", raw_port)) as line:
                line.sendall(data)
                line.recv(1)
            raw = time.perf_counter() - began
            both = (psutil.Process(serving.process.pid), psutil.Process())
            spent = [sum(each.cpu_times()[:2]) for each in both]
            began = time.perf_counter()
            list(there._scans.opened(scan))
            ours = time.perf_counter() - began
            spent = [sum(each.cpu_times()[:2]) - before for each, before in zip(both, spent, strict=True)]
            again = time.perf_counter()
            there._scans.forget(scan)
            list(there._scans.opened(scan))
            again = time.perf_counter() - again
            rows.append((raw, ours, again))
            speeds = f"raw {len(data) / raw / 1e6:.0f} MB/s, ours {len(data) / ours / 1e6:.0f} MB/s ({raw / ours:.0%})"
            print(f"{speeds}, processor {spent[0]:.2f} s there, {spent[1]:.2f} s here; opened again in {again * 1000:.0f} ms", flush=True)
        print(f"median {statistics.median(raw / ours for raw, ours, _ in rows):.0%} of a raw socket's speed")
        there.release()
        for process, _ in processes:
            process.terminate()


def many(arguments):
    """Sixteen users who click without a pause."""
    with tempfile.TemporaryDirectory() as folder, started(folder, tuple(f"user{n}" for n in range(16))) as serving:
        stop, rows, wrong = time.monotonic() + arguments.seconds, [[] for _ in range(16)], []

        def work(number):
            there = serving.segmenter(user=number)
            scan, middle = organ(number, (24, 48, 48))
            count = 0
            while time.monotonic() < stop:
                count = count % 6 + 1
                found, took = answered(there, scan, clicked(scan, middle, count, number))
                rows[number].append(took)
                if not found.any():
                    wrong.append(number)
            there.release()

        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for each in threads:
            each.start()
        memory = []
        while any(each.is_alive() for each in threads):
            memory.append(serving.mb)
            print(f"{max(0, stop - time.monotonic()):.0f} s left: {memory[-1]:.0f} MB, {sum(map(len, rows))} answers", flush=True)
            time.sleep(15)
        counts, every = sorted(map(len, rows)), [took for each in rows for took in each]
        first, second = (statistics.mean(part) for part in (memory[2 : len(memory) // 2], memory[len(memory) // 2 :]))
        print(f"16 clients, {arguments.seconds:.0f} s: answers by client {counts}, {len(wrong)} empty; median {statistics.median(every):.0f} ms, longest "
              f"{max(every):.0f} ms; memory {min(memory[2:]):.0f} to {max(memory[2:]):.0f} MB, mean of the first half {first:.0f}, of the second {second:.0f}")


def kills(arguments):
    """A client that clicks on while its server is killed and started again."""
    with tempfile.TemporaryDirectory() as folder, started(folder) as serving:
        there, here = serving.segmenter(), catalogue.load().find("promptable", "segmenter").build()
        stop, answers, lost = threading.Event(), [], []

        def work():
            seed = 0
            while not stop.is_set():
                scan, middle = organ(seed % 3, (24, 48, 48))
                for count in range(1, 5):
                    prompts = clicked(scan, middle, count, seed)
                    try:
                        found, took = answered(there, scan, prompts)
                    except MedsegError as error:
                        lost.append(error)
                        continue
                    answers.append((np.array_equal(found, answered(here, scan, prompts)[0]), took))
                seed += 1

        worker = threading.Thread(target=work)
        worker.start()
        for _ in range(arguments.kills):
            had = len(answers)
            while len(answers) < had + 2:
                time.sleep(0.05)
            time.sleep(np.random.default_rng(had).uniform(0, 0.6))
            serving.kill()
            serving.start()
            print(f"{len(answers)} answers, {len(lost)} lost", flush=True)
        stop.set()
        worker.join()
        equal = all(same for same, _ in answers)
        print(f"{arguments.kills} kills: {len(answers)} questions answered, {len(lost)} lost {lost[:2]}; all equal to the bit: {equal}; "
              f"longest {max(took for _, took in answers) / 1000:.1f} s")


@contextmanager
def started(folder, users=("ann",)):
    """A server that is ended."""
    serving = Serving(folder, users)
    try:
        yield serving
    finally:
        serving.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=re.split("\n\n", __doc__)[0])
    parser.add_argument("what", choices=["click", "upload", "many", "kills"])
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--mbit", type=float, default=0, help="speed of the line, for upload; 0 for loopback's own")
    given = parser.parse_args()
    {"click": click, "upload": upload, "many": many, "kills": kills}[given.what](given)
