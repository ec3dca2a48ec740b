"""Every network of the catalogue passes the suite that third parties' networks must pass, in every number of dimensions it comes with."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import torch

from napari_medseg import catalogue
from napari_medseg.errors import CatalogueError, InvalidInputError
from napari_medseg.segmenters.networks.building import build
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.testing.network_conformance import NetworkConformance

ENTRIES = list(catalogue.load().of_kind("network"))
MANUAL = Path(__file__).parents[2] / "docs" / "networks.md"
OFFERED = [(entry, dims) for entry in ENTRIES for dims in entry.capabilities["dims"]]


def factory(entry):
    module, _, name = entry.factory.partition(":")
    return getattr(import_module(module), name)


class TestEveryNetworkOfTheCatalogue(NetworkConformance):
    @pytest.fixture(autouse=True, params=OFFERED, ids=[f"{entry.id}-{dims}d" for entry, dims in OFFERED])
    def _of_the_catalogue(self, request):
        self.entry, self.dims = request.param
        if self.entry.needs():
            pytest.skip(f"needs {', '.join(self.entry.needs())}")
        self.small = getattr(factory(self.entry), "SMALL", {})
        if not request.config.getoption("--networks-whole"):
            self.heavy = getattr(factory(self.entry), "HEAVY", frozenset())
            if self.dims != self.entry.capabilities["dims"][0]:
                self.heavy |= {"onnx"}  # seconds for each; the layers are the same

    def network(self, in_channels=1, classes=2, seed=0):
        return build(self.entry.id, in_channels=in_channels, classes=classes, dims=self.dims, seed=seed, **self.small)


@pytest.mark.parametrize(("entry", "dims"), OFFERED, ids=[f"{entry.id}-{dims}d" for entry, dims in OFFERED])
def test_as_shipped_it_is_a_network_of_the_size_that_the_manual_tells(entry, dims):
    """At its full size, without the memory for its weights."""
    if entry.needs():
        pytest.skip(f"needs {', '.join(entry.needs())}")
    with torch.device("meta"):
        network = entry.build(in_channels=1, classes=1, dims=dims)
    assert isinstance(network, Network)
    assert (network.in_channels, network.classes, network.dims) == (1, 1, dims)
    told = [cell.strip() for row in MANUAL.read_text(encoding="utf-8").splitlines() if row.startswith(f"| `{entry.id}` |") for cell in row.split("|")][2]
    assert told.split(" / ")[entry.capabilities["dims"].index(dims)] == f"{sum(value.numel() for value in network.parameters()):,}"
    assert entry.capabilities["source"].strip()
    assert entry.capabilities["answers"] in {"maps", "objects"}


def test_dimensions_that_are_not_offered_are_refused(monkeypatch, tmp_path):
    part = {
        "id": "flat", "kind": "network", "title": "Flat", "factory": "napari_medseg.segmenters.networks.unet:UNet", "licence": "MIT",
        "capabilities": {"dims": [2]},
    }
    own = tmp_path / "own.yaml"
    own.write_text(f"parts: [{part}]", encoding="utf-8")
    monkeypatch.setenv(catalogue.VARIABLE, str(own))
    assert build("flat", dims=2, widths=(2, 3)).dims == 2
    with pytest.raises(InvalidInputError, match="does not come with 3 dimensions") as told:
        build("flat", dims=3)
    assert "2 dimensions" in told.value.todo


def test_a_factory_that_makes_something_else_is_named(monkeypatch, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("parts: [{id: odd, kind: network, title: Odd, factory: 'builtins:dict', licence: MIT}]", encoding="utf-8")
    monkeypatch.setenv(catalogue.VARIABLE, str(own))
    with pytest.raises(CatalogueError, match="makes a dict, not a Network"):
        build("odd")
    with pytest.raises(CatalogueError, match="no network 'unknown'"):
        build("unknown")


def test_a_suite_that_does_not_say_how_its_network_is_made_is_told_so():
    with pytest.raises(TypeError, match="define `network`"):
        NetworkConformance().network()
