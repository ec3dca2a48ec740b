"""The model card: what a person must know of a model before they use it, after Mitchell et al., "Model Cards for Model Reporting", FAT* 2019."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SHOWN = {
    "round": "Round", "updates": "Updates", "volume_ratio": "Volume against the labels given", "dice_verified": "Dice, verified labels",
    "dice_heldout": "Dice, held out", "dice_refined": "Dice, refined cases", "adopted": "Adopted",
}
FILES = {
    "model.safetensors": "weights with their plan; holds no code",
    "plan.json": "the plan alone: network, preprocessing, classes, record of the training",
    "plugins.yaml": "an entry for the catalogue of napari-medseg (`MEDSEG_PLUGINS`)",
    "model.pt": "the network as TorchScript",
    "model.onnx": "the network as ONNX",
    "model.json": "what model.pt and model.onnx want to see, and what their answer means",
}


def model_card(plan: Mapping[str, Any], files: Iterable[str], figures: Mapping[str, Any]) -> str:
    """Markdown for README.md.

    Parameters
    ----------
    plan : mapping
        As `model.safetensors` carries it.
    files : names of the files beside the card
    figures : mapping
        Further figures, by their name.
    """
    training, files = plan["training"], list(files)
    channels = plan["network"].get("in_channels") or len(plan["fingerprint"]["channels"])  # networks that answer together say it of each
    parts = [
        f"# {plan['title']}",
        "**For research. Not a medical device:** it is not cleared for diagnosis or treatment, and a person must check every outline it makes.",
        "## What it does", _bullets({
            "outlines": ", ".join(plan["classes"]), "in": ", ".join(plan["modalities"]) or "no kind of scan is named",
            "channels": channels, "a voxel belongs to a class above the probability": plan["threshold"], "licence": plan["licence"],
        }),
        "## Intended use",
        "Proposals for outlines in scans like those it was trained on, for a person to check and correct. It was tried on the data below only: other scanners, "
        "protocols, age groups or diseases may mislead it without a sign. Check it on verified cases of your own first.",
        "## How it sees a scan", _bullets(_sight(plan)),
        "## What it was trained on", _bullets(_data(training)) or "Not recorded.",
        "## How it was trained", _bullets(_recipe(training)) or "Not recorded.",
        "## Figures", _rounds(training.get("rounds") or []) or "None recorded.",
        "Verified labels and held-out cases were never learnt from; Dice on refined cases is not a figure for unseen patients.",
        _bullets(figures),
        "## Files", _bullets({f"`{name}`": FILES[name] for name in dict.fromkeys(files) if name in FILES}),
        *(["## In other programs", _elsewhere(plan)] if "model.json" in files else []),
        "```\nmedseg segment scan.nii.gz --with THIS_FOLDER -o proposal.nii.gz\n```",
        f"Weights: SHA-256 `{plan['sha256']}`.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sight(plan: Mapping[str, Any]) -> dict[str, Any]:
    if "preprocessing" in plan:
        facts = plan["preprocessing"]
        return {"slices": facts["slices"], "each slice": f"{facts['normalise']}, shown at {facts['size']} x {facts['size']} pixels"}
    facts = plan["fingerprint"]
    return {
        "spacing (z, y, x)": " x ".join(f"{value:.3g}" for value in plan["spacing"]) + " mm",
        "patch (z, y, x)": " x ".join(map(str, plan["patch"])) + " voxels",
        "intensities": "scaled by each scan's own values" if facts["normalise"] == "z-score" else "scaled by the set's values",
        "median shape of the training scans (z, y, x)": " x ".join(map(str, facts["shape"])) + " voxels",
        "median volume of what was labelled": f"{facts['object_mm3'] / 1000:.3g} ml",
    }


def _elsewhere(plan: Mapping[str, Any]) -> str:
    """What the network alone leaves to whoever runs it."""
    told = ["`model.pt` and `model.onnx` hold the network alone; `model.json` says what it must be shown."]
    if "fingerprint" in plan:
        told.append(
            "napari-medseg smooths a scan finer than the spacing above before it resamples it, and looks at one up to 1.3 patches wide whole, not window by "
            "window: another program answers otherwise there."
        )
    if plan.get("cleanup"):
        steps = ", ".join(f"{name.replace('_', ' ')}: {_value(value)}" for name, value in plan["cleanup"].items())
        told.append(f"What is labelled is then cleaned up ({steps}), which another program must do itself.")
    return " ".join(told)


def _data(training: Mapping[str, Any]) -> dict[str, Any]:
    learnt = training.get("learnt_from") or {}
    voxels = learnt.get("voxels") or {}
    total = sum(voxels.values())
    shares = ", ".join(f"{level} {100 * count / total:.3g} %" for level, count in voxels.items()) if total else None
    base = training.get("base") or {}
    return _known({"cases": learnt.get("cases", training.get("cases")), "patients": learnt.get("patients"), "voxels by where their label comes from": shares,
                   "started from": base.get("title"), "data": training.get("data")})


def _recipe(training: Mapping[str, Any]) -> dict[str, Any]:
    left = ("rounds", "learnt_from", "cases", "base", "data", "label_values")
    return _known({key.replace("_", " "): value for key, value in training.items() if key not in left and not isinstance(value, (dict, list))})


def _rounds(rounds: Sequence[Mapping[str, Any]]) -> str:
    columns = [key for key in SHOWN if any(one.get(key) is not None for one in rounds)]
    if not columns:
        return ""
    lines = ["| " + " | ".join(SHOWN[key] for key in columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_value(one.get(key)) for key in columns) + " |" for one in rounds]
    return "\n".join([*lines, "", "Round 0 is the labels given."])


def _bullets(facts: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {_value(value)}" for name, value in facts.items())


def _known(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
