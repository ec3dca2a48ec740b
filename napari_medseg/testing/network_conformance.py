"""What every network must do, ours or a third party's.

Inherit from `NetworkConformance` in a test module and say how yours is made, once for each number of dimensions it comes with::

    class TestMyNetwork(NetworkConformance):
        dims = 2

        def network(self, in_channels=1, classes=2, seed=0):
            return seeded(lambda: MyNetwork(in_channels, classes, self.dims, width=4), seed)

The suite asks whether it keeps to `segmenters.networks.network.Network`, stands any window, can leave for other programs and learns at all; not whether it is
any good. Make a small one: every answer of the suite should take milliseconds.

What cannot be quick is named in `heavy` ("onnx", "training"), is left out then with a word, and belongs into a benchmark run.

Imports torch: only tests may import this module.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.refine.medseg.losses import compound
from napari_medseg.segmenters.engines.description import Description, Input, Intensity, Output
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.portable import SAME, Portable, write_onnx, write_torchscript

Shape = tuple[int, ...]
SHAPES: dict[int, dict[str, Shape]] = {
    2: {"even sides": (32, 48), "odd sides": (37, 21), "one row": (1, 40), "one pixel": (1, 1)},
    3: {"even sides": (16, 16, 24), "odd sides": (9, 19, 21), "one slice": (1, 17, 24), "one voxel": (1, 1, 1)},
}
PHANTOM: dict[int, Shape] = {2: (48, 48), 3: (20, 20, 20)}
PAIRS = [(1, 1), (3, 4)]  # channels and classes
BATCH = 2
ENOUGH = 0.9
HERE_FOR_ONNX = all(find_spec(name) is not None for name in ("onnx", "onnxscript", "onnxruntime"))


def seeded(make: Callable[[], Network], seed: int) -> Network:
    """A network with the weights of a seed, torch's generator left as it was; what `building.build` does for an entry of the catalogue."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()


def phantom(dims: int, seed: int, count: int = BATCH) -> tuple[Tensor, Tensor]:
    """Windows (count, 1, [z,] y, x) of noise with a bright ball and a dark one, and which voxels (count, 2, [z,] y, x) are in them."""
    generator = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*(np.linspace(0, 1, n) for n in PHANTOM[dims]), indexing="ij"))  # in window sides
    windows, targets = [], []
    for _ in range(count):
        first = generator.uniform(0.25, 0.29, (dims, *[1] * dims))
        radii = generator.uniform(0.24, 0.3, 2) * (1.3 if dims == 3 else 1)
        balls = [((place - centre) ** 2).sum(0) < radius**2 for centre, radius in zip((first, 1 - first), radii, strict=True)]
        windows.append((generator.normal(0, 0.3, PHANTOM[dims]) + 2 * balls[0] - 2 * balls[1])[None])
        targets.append(np.stack(balls))
    return torch.tensor(np.stack(windows), dtype=torch.float32), torch.tensor(np.stack(targets), dtype=torch.float32)


class NetworkConformance:
    """The suite; a network passes it or says in its own tests why it need not."""

    dims: int = 3
    heavy: frozenset[str] = frozenset()
    updates: ClassVar[int | None] = None
    """Of training on the phantom; the network's own `UPDATES` where it is None."""

    def network(self, in_channels: int = 1, classes: int = 2, seed: int = 0) -> Network:
        """Make the network under test, a small one, with the weights of a seed."""
        raise TypeError(f"{type(self).__name__} does not say how its network is made: define `network`")

    def windows(self, shape: Shape, in_channels: int = 1, count: int = 2) -> Tensor:
        """Windows (count, in_channels, *shape) of noise, always the same."""
        return torch.randn((count, in_channels, *shape), generator=torch.Generator().manual_seed(0))

    @pytest.mark.parametrize(("in_channels", "classes"), PAIRS)
    def test_answers_windows_of_any_size(self, in_channels: int, classes: int) -> None:
        """Even, odd, one slice, one voxel: one map of numbers a class on the window's own grid, whatever else is in the batch."""
        network = self.network(in_channels, classes).eval()
        for name, shape in SHAPES[self.dims].items():
            windows = self.windows(shape, in_channels)
            with torch.no_grad():
                found, alone = network(windows), network(windows[1:])
            assert found.shape == (2, classes, *shape), name
            assert found.dtype == torch.float32, name
            assert found.isfinite().all(), name
            torch.testing.assert_close(alone, found[1:], atol=1e-4, rtol=1e-4, msg=f"{name}: a window is answered otherwise beside another")

    def test_says_which_windows_it_takes(self) -> None:
        """Other channels or dimensions are an error with a next step, not a traceback of torch's."""
        network = self.network(3, 2).eval()
        shape = SHAPES[self.dims]["even sides"]
        for wrong in (self.windows(shape, 1), self.windows(shape, 4), self.windows(shape, 3)[0], self.windows((2, *shape), 3)):
            with pytest.raises(InvalidInputError, match="takes windows") as told:
                network(wrong)
            assert told.value.todo

    @pytest.mark.parametrize(("in_channels", "classes"), [(0, 1), (1, 0), (1, 255)])
    def test_refuses_numbers_that_make_no_network(self, in_channels: int, classes: int) -> None:
        """No channels, no classes, more classes than a label map holds."""
        with pytest.raises(InvalidInputError):
            self.network(in_channels, classes)

    def test_the_same_seed_gives_the_same_network(self) -> None:
        """Same weights and same answer; another seed, other weights; nobody's draws are disturbed."""
        states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]
        first, second, other = (self.network(seed=seed).eval() for seed in (5, 5, 6))
        windows = self.windows(SHAPES[self.dims]["even sides"])
        with torch.no_grad():
            torch.testing.assert_close(first(windows), second(windows), atol=0, rtol=0)
            torch.testing.assert_close(first(windows), first(windows), atol=0, rtol=0)
        assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))
        assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
        assert torch.equal(torch.get_rng_state(), states[0])
        assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index]
        assert random.getstate() == states[2]

    def test_every_parameter_learns(self) -> None:
        """A gradient reaches each, by the second update at the latest: a block that starts as nothing may wait for the one behind it."""
        network = self.network(1, 2).train()
        windows, targets = phantom(self.dims, 0, 2)
        optimiser = torch.optim.SGD(network.parameters(), 0.01)
        learnt: set[str] = set()
        for _ in range(2):
            optimiser.zero_grad()
            _loss(network, windows, targets).backward()  # type: ignore[no-untyped-call]
            learnt |= {name for name, p in network.named_parameters() if p.grad is not None and p.grad.isfinite().all() and p.grad.any()}
            optimiser.step()
        assert not sorted({name for name, _ in network.named_parameters()} - learnt)

    def test_learns_from_a_single_window(self) -> None:
        """Rounds on a few scans have batches of one, also of one slice."""
        for shape in ((33, 24), (1, 17)) if self.dims == 2 else ((9, 17, 12), (1, 17, 12)):
            network = self.network(1, 2).train()
            windows = self.windows(shape, count=1)
            _loss(network, windows, torch.zeros(1, 2, *shape)).backward()  # type: ignore[no-untyped-call]
            assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())

    def test_its_encoder_is_part_of_it(self) -> None:
        """Each name of `ENCODER` names parameters, and something is left to decode with."""
        network = self.network()
        names = [name for name, _ in network.named_parameters()]
        for part in network.ENCODER:
            assert any(name == part or name.startswith(f"{part}.") for name in names), f"nothing is called {part}"
        assert 0 < len(dict(network.encoder())) < len(names)

    def test_weights_survive_a_file(self, tmp_path: Path) -> None:
        """Through safetensors and back the answer is the same to the bit; shared tensors would not be kept."""
        network, fresh = self.network(seed=1).eval(), self.network(seed=2).eval()
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, tmp_path / "w.safetensors")
        fresh.take(load_file(tmp_path / "w.safetensors"))
        windows = self.windows(SHAPES[self.dims]["odd sides"])
        with torch.no_grad():
            torch.testing.assert_close(fresh(windows), network(windows), atol=0, rtol=0)

    def test_weights_of_another_network_are_refused(self) -> None:
        """By a sentence, and it is as it was: more classes, a weight too few, somebody else's."""
        network = self.network(1, 2).eval()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        short = dict(list(before.items())[1:])
        for weights in (self.network(1, 3, seed=1).state_dict(), short, torch.nn.Conv2d(1, 1, 3).state_dict()):
            with pytest.raises(SegmenterError, match=r"^weights\.safetensors: holds the weights of another network"):
                network.take(weights, "weights.safetensors")
        assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())

    def test_what_it_shows_of_itself_fits_the_window(self) -> None:
        """Every map of `looks` is one channel of 0-1 on the window's own grid, also where the window had to be padded."""
        network = self.network(1, 2).eval()
        for shape in SHAPES[self.dims].values():
            with torch.no_grad():
                found = network.looks(self.windows(shape))
            for name, shown in found.items():
                assert name.strip()
                assert shown.shape == (2, 1, *shape), name
                assert ((shown >= 0) & (shown <= 1)).all(), name

    def test_leaves_as_torchscript(self, tmp_path: Path) -> None:
        """Traced, saved and read again it answers other windows, and another number of them, within 1e-4."""
        model = self.portable()
        there = torch.jit.load(write_torchscript(tmp_path, model))  # type: ignore[no-untyped-call]
        windows = self.windows(self.leaving, count=3)
        with torch.no_grad():
            assert (there(windows).sigmoid() - model.network(windows).sigmoid()).abs().max() <= SAME

    @pytest.mark.skipif(not HERE_FOR_ONNX, reason="onnx, onnxscript or onnxruntime is not installed")
    def test_leaves_as_onnx(self, tmp_path: Path) -> None:
        """Written by torch and run by onnxruntime it answers other windows, and another number of them, within 1e-4."""
        self.quick_enough("onnx")
        from onnxruntime import InferenceSession

        model = self.portable()
        there = InferenceSession(write_onnx(tmp_path, model), providers=["CPUExecutionProvider"])
        windows = self.windows(self.leaving, count=3)
        (found,) = there.run(None, {"scan": windows.numpy()})
        with torch.no_grad():
            assert (torch.from_numpy(found).sigmoid() - model.network(windows).sigmoid()).abs().max() <= SAME

    def test_learns_a_phantom(self) -> None:
        """A bright and a dark ball in noise, never the same twice: a mean Dice over 0.9 on windows it has not seen, in eval mode, within its updates."""
        self.quick_enough("training")
        network = self.network(1, 2, seed=0).train()
        optimiser = torch.optim.Adam(network.parameters())
        updates = self.updates or network.UPDATES
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # of dropout
            for update in range(updates):
                optimiser.param_groups[0]["lr"] = network.RATE * (1 - update / updates)
                windows, targets = phantom(self.dims, update)
                optimiser.zero_grad()
                _loss(network, windows, targets).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        windows, targets = phantom(self.dims, 10_000)
        with torch.no_grad():
            logits = network.eval()(windows)
        found = (logits > 0) & (logits == logits.amax(1, keepdim=True))
        axes = [0, *range(2, windows.ndim)]
        dice = 2 * (found * targets).sum(axes) / (found.sum(axes) + targets.sum(axes))
        assert dice.mean() > ENOUGH, f"Dice {dice.tolist()}"

    @pytest.fixture(autouse=True)
    def _on_one_core(self) -> Iterator[None]:
        """Tiny networks are slower on several, most of all where others work beside them."""
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)

    @property
    def leaving(self) -> Shape:
        """Sides of the windows it is exported for: odd ones, so that the padding goes with it."""
        return SHAPES[self.dims]["odd sides"]

    def portable(self) -> Portable:
        """It with a description, ready to leave; one that says it cannot is let off."""
        network = self.network(1, 2).eval()
        if not network.EXPORTABLE:
            pytest.skip("says that it does not leave for other programs")
        wanted = Input(dims=2 if self.dims == 2 else 3, channels=1, window=self.leaving, intensity=Intensity(kind="none"))
        given = Output(classes=("bright", "dark"), activation="sigmoid")
        return Portable(network, Description(input=wanted, output=given))

    def quick_enough(self, test: str) -> None:
        """Leave out what is said to be heavy."""
        if test in self.heavy:
            pytest.skip(f"{test} of this network takes too long for here: for a benchmark run")


def _loss(network: Network, windows: Tensor, targets: Tensor) -> Tensor:
    """Its own loss where it has one, else cross-entropy and Dice; there two dimensions are three with one slice."""
    weights = torch.ones_like(targets[:, :1])
    if own := getattr(network, "own_loss", None):
        loss: Tensor = own(windows, targets, weights)
        return loss
    volumes = [one if one.ndim == 5 else one[:, :, None] for one in (network(windows), targets, weights)]
    return compound(*volumes)
