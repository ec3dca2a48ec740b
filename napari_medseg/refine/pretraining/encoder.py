"""A pre-trained encoder as a file, and its way into a network.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from napari_medseg.errors import SegmenterError
from napari_medseg.refine.pretraining.encoder_plan import EncoderPlan, encoder_file, read_encoder, require_kind
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.weights import read_weights, write_weights


def encoder_tensors(network: Network) -> dict[str, Tensor]:
    """What a pre-training hands on: the parameters of the encoder, and what its normalisation knows of the data; by their names in the whole network."""
    found: dict[str, Tensor] = dict(network.encoder())
    layers = {name.rpartition(".")[0] for name in found}
    found |= {name: value for name, value in network.named_buffers() if name.rpartition(".")[0] in layers and name in network.state_dict()}
    return found


def save_encoder(network: Network, plan: EncoderPlan, path: Path) -> Path:
    """Write the encoder of a network with its plan; returns the file.

    Raises
    ------
    UnwritableFileError
        When the disk refuses.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in encoder_tensors(network).items()}
    return write_weights(encoder_file(path), tensors, EncoderPlan, plan.model_dump())


def load_encoder(network: Network, path: str | Path) -> EncoderPlan:
    """Put a pre-trained encoder into a network; its other weights stay as they are.

    Parameters
    ----------
    network : Network
        Of the same architecture, with any classes.
    path : path
        A file, or a folder that holds `encoder.safetensors`.

    Raises
    ------
    MissingFileError
        When nothing is there.
    SegmenterError
        When it is something else or damaged, or learnt in another network, in other dimensions, or on another number of channels. The network is as it was.
    """
    file = encoder_file(path)
    plan = read_encoder(file)
    require_kind(plan, file, dims=network.dims, channels=network.in_channels)
    tensors, own = read_weights(file, plan.sha256), encoder_tensors(network)
    odd = sorted(name for name in own.keys() | tensors.keys() if name not in own or name not in tensors or own[name].shape != tensors[name].shape)
    if odd:
        what = f"holds the encoder of another network ({plan.network.name}; {odd[0]} and {len(odd) - 1} more do not fit)"
        raise SegmenterError(what, where=file, todo=f"Train {plan.network.name} with the same parameters, or pre-train this network")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(tensors[name])
    return plan
