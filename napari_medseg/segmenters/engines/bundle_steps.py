"""What a MONAI bundle does before and after its network, as a description: orientation, spacing, intensities, windows, activation.

MONAI's transforms are not run; the few that say how a scan is prepared are understood and done by the runner of described networks, live and on any grid. A
step that would change the picture in a way the runner does not know is refused, never left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.engines.bundle_config import BundleConfig

Steps = list[tuple[str, dict[str, Any], str]]
"""Name without module and the d of dictionary transforms, arguments, field."""

IGNORED = {
    "LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "ToTensor", "CastToType", "ToDevice", "Identity",
    "SelectItems", "DeleteItems", "CopyItems", "SpatialPad", "DivisiblePad", "BorderPad",
}
INTENSITIES = {"ScaleIntensity", "ScaleIntensityRange", "ScaleIntensityRangePercentiles", "NormalizeIntensity"}
TODO = "Use another bundle, or export its network as TorchScript and describe it"


def steps(config: BundleConfig, name: str) -> Steps:
    """The transforms of a `Compose` (or a list of them) under this name; none where there is none."""
    item, field = config.raw(name), name
    if isinstance(item, str) and item.startswith("@"):
        item, field = config.pointed(item, field)
    if isinstance(item, dict) and str(item.get("_target_", "")).rpartition(".")[2] == "Compose":
        item, field = item.get("transforms", []), f"{field}.transforms"
        if isinstance(item, str) and item.startswith("@"):
            item, field = config.pointed(item, field)
    return list(_each(config, item or [], field))


def input_of(config: BundleConfig, channels: int) -> dict[str, Any]:
    """Fields of `description.Input`, without its window."""
    found: dict[str, Any] = {"channels": channels, "axes": "xyz", "orientation": "RAS", "intensity": {"kind": "none"}}
    cropped = ""
    for name, given, field in steps(config, "preprocessing"):
        if name == "Orientation":
            found["orientation"] = str(given.get("axcodes") or "RAS").upper()
        elif name == "Spacing":
            found["spacing"] = _spacing(given.get("pixdim"), field)
        elif name == "CropForeground":
            cropped = field
        elif name in INTENSITIES:
            if found["intensity"]["kind"] != "none":
                raise _unknown(field, "a second change of intensities")
            found["intensity"] = _intensity(name, given, field, channels)
            if cropped and not _outlives_cropping(found["intensity"]):
                raise _unknown(cropped, "intensities measured on a cropped scan")
        elif name not in IGNORED:
            raise _unknown(field, name)
    return found


def window_of(config: BundleConfig, spatial: Any) -> dict[str, Any]:
    """How the network is slid over the scan: fields of `description.Input`.

    Parameters
    ----------
    spatial : list of int, or anything
        The size the metadata names, for a bundle that gives its network the whole scan at once.
    """
    item = config.raw("inferer")
    item = item if isinstance(item, dict) else {}
    given = config.value({key: inner for key, inner in item.items() if key in ("roi_size", "overlap", "spatial_dim")}, "inferer")
    name = str(item.get("_target_", "")).rpartition(".")[2]
    size = given.get("roi_size", spatial)
    size = [size] * 3 if isinstance(size, int) else size
    if name not in ("SlidingWindowInferer", "SlidingWindowInfererAdapt", "SliceInferer", "SimpleInferer", "") or not isinstance(size, (list, tuple)):
        raise _unknown("inferer", name or "no window")
    if not all(isinstance(n, int) and n > 0 for n in size):
        raise _unknown("inferer.roi_size", str(size))
    overlap = given.get("overlap", 0.25)
    window = {"window": tuple(size[::-1]), "overlap": max(overlap) if isinstance(overlap, list) else overlap}
    if name == "SliceInferer":
        across = {0: "sagittal", 1: "coronal", 2: "axial"}.get(given.get("spatial_dim", 0))
        if len(size) != 2 or across is None:
            raise _unknown("inferer", "slices of another kind")
        return {**window, "dims": 2, "slices": across}
    if len(size) != 3:
        raise _unknown("inferer.roi_size", f"windows of {len(size)} numbers")
    return window


def output_of(config: BundleConfig, maps: int, names: dict[str, str]) -> dict[str, Any]:
    """Fields of `description.Output`.

    Parameters
    ----------
    maps : int
        How many the network gives.
    names : dict
        The metadata's `channel_def`: "0" to a name.
    """
    activation = ""
    threshold = 0.5
    for name, given, _ in steps(config, "postprocessing"):
        if name == "Activations":
            activation = "sigmoid" if given.get("sigmoid") is True else "softmax" if given.get("softmax") is True else activation
        if name == "AsDiscrete":
            if isinstance(given.get("threshold"), float):
                threshold = given["threshold"]
            activation = activation or ("softmax" if given.get("argmax") is True else "sigmoid" if "threshold" in given else "")
    activation = activation or ("softmax" if maps > 1 else "sigmoid")
    first = str(names.get("0", "background" if activation == "softmax" else "")).lower().startswith("back")
    background = first and activation == "softmax"
    shift = 1 if first and (background or str(maps) in names) else 0
    classes = [str(names.get(str(place + shift), f"class {place + 1}")).strip() or f"class {place + 1}" for place in range(maps - background)]
    unique = [name if classes.count(name) == 1 else f"{name} {place + 1}" for place, name in enumerate(classes)]
    return {"classes": unique, "background": background, "activation": activation, "threshold": threshold}


def _each(config: BundleConfig, items: Any, field: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    if not isinstance(items, list):
        raise _unknown(field, "something that is no list of steps")
    for place, item in enumerate(items):
        where = f"{field}[{place}]"
        if isinstance(item, str) and item.startswith("@"):
            item, where = config.pointed(item, where)
        if not isinstance(item, dict) or not isinstance(item.get("_target_"), str):
            raise _unknown(where, str(item)[:60])
        name = item["_target_"].rpartition(".")[2].removesuffix("Dict").removesuffix("D")
        name = name.removesuffix("d") if name.endswith("d") and name not in ("SpatialPad", "DivisiblePad", "BorderPad") else name
        if item.get("_disabled_") is True:
            continue
        known = name in INTENSITIES or name in ("Orientation", "Spacing", "Activations", "AsDiscrete", "Compose")
        yield name, _arguments(config, item, where) if known else {}, where


def _arguments(config: BundleConfig, item: dict[str, Any], field: str) -> dict[str, Any]:
    skipped = ("keys", "mode", "dtype", "allow_missing_keys", "padding_mode", "align_corners", "recompute_affine")
    wanted = {key: inner for key, inner in item.items() if key not in skipped and not key.startswith("_")}
    found = config.value(wanted, field)
    return {key: inner[0] if isinstance(inner, list) and len(inner) == 1 else inner for key, inner in found.items()}


def _spacing(pixdim: Any, field: str) -> tuple[float, ...]:
    given = [pixdim] * 3 if isinstance(pixdim, (int, float)) else pixdim
    if not isinstance(given, (list, tuple)) or len(given) != 3 or not all(isinstance(n, (int, float)) and n > 0 for n in given):
        raise _unknown(f"{field}.pixdim", str(pixdim))
    return tuple(float(n) for n in given[::-1])


def _intensity(name: str, given: dict[str, Any], field: str, channels: int) -> dict[str, Any]:
    """Fields of `description.Intensity`, from the arguments (and defaults) of MONAI's transform."""
    together = channels > 1 and not given.get("channel_wise", False)
    if name == "ScaleIntensityRange":
        low, high = given.get("a_min"), given.get("a_max")
        below, above = given.get("b_min"), given.get("b_max")
        if not all(isinstance(n, (int, float)) for n in (low, high)) or (below is None) != (above is None):
            raise _unknown(field, name)
        below, above = (low, high) if below is None else (below, above)
        if given.get("clip"):
            return {"kind": "clip", "low": low, "high": high, "range": (below, above)}
        scale = (high - low) / (above - below)  # type: ignore[operator]
        return {"kind": "z-score", "mean": low - below * scale, "std": scale}
    if together:
        raise _unknown(field, f"{name} over all channels together")
    if name == "ScaleIntensity":
        if given.get("factor") is not None or given.get("minv", 0.0) is None:
            raise _unknown(f"{field}.factor", "a factor")
        return {"kind": "min-max", "range": (given.get("minv", 0.0), given.get("maxv", 1.0))}
    if name == "NormalizeIntensity":
        mean, std = given.get("subtrahend"), given.get("divisor")
        return {"kind": "z-score", "nonzero": bool(given.get("nonzero", False)), "mean": mean, "std": std}
    if given.get("relative") or not given.get("clip"):
        raise _unknown(field, f"{name} without clip, or relative")
    return {"kind": "percentiles", "low": given.get("lower"), "high": given.get("upper"), "range": (given.get("b_min"), given.get("b_max"))}


def _outlives_cropping(intensity: dict[str, Any]) -> bool:
    """Whether it is the same on the whole scan as on a scan cropped to what is above 0."""
    return intensity["kind"] == "clip" or bool(intensity.get("nonzero")) or intensity.get("mean") is not None


def _unknown(field: str, what: str) -> InvalidInputError:
    return InvalidInputError(f"does something that cannot be done here: {what}", where=field, todo=TODO)
