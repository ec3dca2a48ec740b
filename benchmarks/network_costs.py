"""What a window costs in every network of the catalogue, as shipped: `python benchmarks/network_costs.py COSTS.json [--turns 3] [--table]`.

One channel, one class, fresh weights, one thread; 256 x 256 pixels in 2D, 32 x 64 x 64 voxels in 3D, which are multiples of every network's step. For each:

- parameters, and floating-point operations (two for a multiplication with its addition);
- `look_mb`: the most that tensors of an answer hold at one time, weights aside, in eval mode and without gradients;
- `learn_mb`: what an update keeps of a window until its gradients are known (`probing.learning_bytes`), weights aside;
- `ms`: the least processor time of an answer over the turns. Networks take turns, and processor time counts what the machine's other work leaves out.
  The machine's load stands beside it.

`--table` prints Markdown of what is in the file, and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

from napari_medseg import catalogue
from napari_medseg.segmenters.networks.building import build
from napari_medseg.segmenters.networks.probing import learning_bytes

WINDOWS = {2: (256, 256), 3: (32, 64, 64)}


class Held(TorchDispatchMode):
    """The bytes of all tensors that operations made and that are still there, and the most of them at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._owners: dict[int, int] = {}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run it and note what it made."""
        given = {value.untyped_storage()._cdata for value in tree_iter((args, kwargs)) if isinstance(value, Tensor)}
        made = operation(*args, **(kwargs or {}))
        for value in tree_iter(made):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                if storage._cdata in self._owners or storage._cdata not in given:
                    self._note(value, storage._cdata, storage.nbytes())
        self.most = max(self.most, self.now)
        return made

    def _note(self, value: Tensor, storage: int, size: int) -> None:
        if storage not in self._owners:
            self._owners[storage], self.now = 0, self.now + size
        self._owners[storage] += 1
        weakref.finalize(value, self._drop, storage, size)

    def _drop(self, storage: int, size: int) -> None:
        self._owners[storage] -= 1
        if not self._owners[storage]:
            del self._owners[storage]
            self.now -= size


def costs(name: str, dims: int) -> dict[str, Any]:
    """What can be counted: without any content where the network allows that, as one that finds objects does not."""
    entry = catalogue.load().find(name, "network")
    with torch.device("meta"):
        network = entry.build(in_channels=1, classes=1, dims=dims).eval()
    try:
        most, work = looked(network, dims, "meta")
    except (RuntimeError, NotImplementedError):
        network = build(name, dims=dims).eval()
        most, work = looked(network, dims, "cpu")
    parameters = sum(value.numel() for value in network.parameters())
    return {"parameters": parameters, "gflop": work / 1e9, "look_mb": most / 1e6, "learn_mb": learning_bytes(network, (1, *WINDOWS[dims]))[0] / 1e6}


def looked(network: nn.Module, dims: int, device: str) -> tuple[int, int]:
    """Most bytes at one time, and operations of an answer."""
    window = torch.zeros(1, 1, *WINDOWS[dims], device=device)
    held = Held()
    with torch.no_grad(), held:
        network(window)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(window)
    return held.most, int(counter.get_total_flops())


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown of the rows."""
    lines = ["| network | dims | parameters | GFLOP | MB to look | MB to learn | ms |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        counted = " | ".join("" if row[n] is None else f"{row[n]:.3g}" if row[n] < 100 else f"{row[n]:,.0f}" for n in ("gflop", "look_mb", "learn_mb", "ms"))
        lines.append(f"| `{row['name']}` | {row['dims']} | {row['parameters']:,} | {counted} |")
    return "\n".join(lines)


def main() -> None:
    """Count, then measure in turns."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("results", type=Path)
    options.add_argument("--turns", type=int, default=3)
    options.add_argument("--only", nargs="+", default=[], help="ids of networks")
    options.add_argument("--table", action="store_true")
    chosen = options.parse_args()
    if chosen.table:
        print(table(json.loads(chosen.results.read_text(encoding="utf-8"))["rows"]))
        return
    torch.set_num_threads(1)
    entries = [entry for entry in catalogue.load().of_kind("network") if not entry.needs() and (not chosen.only or entry.id in chosen.only)]
    asked = [(entry.id, dims) for entry in entries for dims in entry.capabilities["dims"]]
    rows = [{"name": name, "dims": dims, **costs(name, dims), "ms": None} for name, dims in asked]
    for turn in range(1, chosen.turns + 1):
        for row in rows:
            network = build(row["name"], dims=row["dims"]).eval()
            shown = torch.randn(1, 1, *WINDOWS[row["dims"]], generator=torch.Generator().manual_seed(0))
            with torch.inference_mode():
                begun = time.process_time()
                network(shown)
                taken = 1000 * (time.process_time() - begun)
            row["ms"] = taken if row["ms"] is None else min(row["ms"], taken)
            facts = {"turn": turn, "load": psutil.getloadavg()[0], "cores": psutil.cpu_count(), "torch": torch.__version__}
            chosen.results.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
