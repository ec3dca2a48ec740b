"""MONAI bundle: a folder with configs/inference.json, configs/metadata.json and models/model.pt (or model.ts), as the MONAI Model Zoo gives them.

https://docs.monai.io/en/stable/mb_specification.html. The configuration is read, not run (`bundle_config`, `bundle_steps`); weights are read as weights
(`safe_load`). A bundle whose network needs its own code is refused with the line that asks for it, unless a person agrees (`consent`); then MONAI itself
builds the network, and nothing but the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError
from napari_medseg.segmenters import consent
from napari_medseg.segmenters.engines.bundle_config import BundleConfig, RefusedError, read_config
from napari_medseg.segmenters.engines.bundle_steps import input_of, output_of, window_of
from napari_medseg.segmenters.engines.described import DescribedSegmenter, Network
from napari_medseg.segmenters.engines.description import Description

if TYPE_CHECKING:
    from torch import nn

NETWORKS = ("network_def", "network", "net")
LICENCES = {"Apache License": "Apache-2.0", "MIT License": "MIT", "BSD 3-Clause": "BSD-3-Clause", "NVIDIA": "NVIDIA, see its LICENSE"}


class BundleSegmenter(DescribedSegmenter):
    """A MONAI bundle as a segmenter.

    Parameters
    ----------
    folder : path
        The bundle.
    trust : bool, optional
        A person's answer whether it may run its own code; remembered. Not needed by bundles whose network is one of MONAI's.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When the folder is no bundle.
    InvalidInputError
        When it prepares scans in a way that is not known here; names the field.
    SegmenterError
        When its configuration would run code and nobody agreed.
    """

    def __init__(self, folder: str | Path, trust: bool | None = None) -> None:
        self.folder, self._trust = Path(folder), trust
        self._config = BundleConfig(read_config(self.folder, "inference"))
        super().__init__(_model(self.folder, self._config), _description(self.folder, self._config), "MONAI bundle")

    def open(self, device: str) -> Network:
        """The network with its weights; see `DescribedSegmenter.open`."""
        from napari_medseg.segmenters.engines.torch_network import TorchNetwork

        wanted, given = self.description.input, self.description.output
        return TorchNetwork(self._network(), device, self.title, given.take, wanted.batch)

    def _network(self) -> nn.Module:
        import torch

        from napari_medseg.segmenters.safe_load import load_checkpoint, load_into, weights_in

        if self.model.suffix == ".ts":
            try:
                script: nn.Module = torch.jit.load(self.model, map_location="cpu")  # type: ignore[no-untyped-call]
            except (RuntimeError, ValueError, OSError) as error:
                raise SegmenterError("is no TorchScript network that torch can load", where=self.model, todo="Get the bundle again") from error
            return script
        name = next(n for n in NETWORKS if n in self._config)
        try:
            network: nn.Module = self._config.network(self._config.raw(name), name)
        except RefusedError as error:
            consent.require(self.folder, error.reason, self._trust)
            network = self._by_monai(name)
        load_into(network, weights_in(load_checkpoint(self.model), self.model), self.model)
        return network

    def _by_monai(self, name: str) -> nn.Module:
        """The network as MONAI's own parser builds it, with the bundle's code at hand; only after a consent."""
        import sys

        from monai.bundle import ConfigParser
        from torch import nn

        parser = ConfigParser(read_config(self.folder, "inference"))
        parser["bundle_root"] = str(self.folder)
        sys.path.insert(0, str(self.folder))
        try:
            network = parser.get_parsed_content(name)
        except Exception as error:  # the bundle's own code
            told = " ".join(str(error).split())[:200]
            raise SegmenterError(f"its own code failed ({told})", where=self.folder, todo="Ask whoever made it") from error
        finally:
            sys.path.remove(str(self.folder))
        if not isinstance(network, nn.Module):
            raise SegmenterError(f"its own code gave {type(network).__name__}, not a network", where=self.folder, todo="Ask whoever made it")
        return network


def _model(folder: Path, config: BundleConfig) -> Path:
    """The weights of the network the configuration names, else a TorchScript network, which needs no name."""
    named = any(name in config for name in NETWORKS)
    for name in ("model.pt", "model.ts") if named else ("model.ts",):
        if (folder / "models" / name).is_file():
            return folder / "models" / name
    what = "holds no models/model.pt or model.ts" if named else f"names no network ({', '.join(NETWORKS)}) and holds no models/model.ts"
    raise MissingFileError(what, where=folder, todo="Download the whole bundle; its weights may be a file of their own")


def _description(folder: Path, config: BundleConfig) -> Description:
    """What the bundle says of itself, as a description."""
    meta = read_config(folder, "metadata")
    taken, given = (_of(meta, "network_data_format", side, name) for side, name in (("inputs", "image"), ("outputs", "pred")))
    channels, maps = taken.get("num_channels", 1), given.get("num_channels")
    if not isinstance(channels, int) or not isinstance(maps, int) or channels < 1 or maps < 1:
        todo = "Check inputs.image.num_channels and outputs.pred.num_channels"
        raise InvalidInputError("does not say how many channels go in and come out", where="configs/metadata.json", todo=todo)
    try:
        content: dict[str, Any] = {
            "input": {**input_of(config, channels), **window_of(config, taken.get("spatial_shape"))},
            "output": output_of(config, maps, {str(key): str(name) for key, name in _of(given, "channel_def").items()}),
            "title": str(meta.get("name") or folder.name)[:80], "licence": _licence(folder), "modalities": _modalities(taken.get("modality")),
        }
        return Description.model_validate(content)
    except RefusedError as error:
        raise SegmenterError(f"is refused: {error.reason}", where=folder, todo="How a scan is prepared must be said in plain values") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInputError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", where=folder, todo="Use another bundle") from error


def _of(content: Any, *names: str) -> dict[str, Any]:
    for name in names:
        content = content.get(name) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}


def _licence(folder: Path) -> str:
    for name in ("LICENSE", "LICENSE.txt", "docs/LICENSE"):
        try:
            text = (folder / name).read_text(encoding="utf-8", errors="replace")[:2000]
        except OSError:
            continue
        return next((short for words, short in LICENCES.items() if words in text), "see LICENSE in the bundle")
    return "not stated"


def _modalities(told: Any) -> tuple[str, ...]:
    return {"CT": ("CT",), "MR": ("MR",), "MRI": ("MR",)}.get(str(told).upper(), ())
