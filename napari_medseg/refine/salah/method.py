"""How salah2023 learns: a copy of the base network, fine-tuned on every slice, then asked for the same scans.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.refine.checksums import labels_sha256
from napari_medseg.refine.examples import REPLAY
from napari_medseg.refine.method import Example, Freeze, Learned, Learning
from napari_medseg.refine.models import require_channels, require_kind
from napari_medseg.refine.salah.recipe import Recipe
from napari_medseg.refine.salah.saving import Saving
from napari_medseg.refine.salah.training import fine_tune, predict_labels, probabilities, slice_set, widened
from napari_medseg.segmenters.slices import SIZE, slice_order
from napari_medseg.segmenters.unet import WIDTHS, UNet
from napari_medseg.segmenters.weights import BASE, load_model, save_model
from napari_medseg.volume import FloatArray, LabelArray, Volume

if TYPE_CHECKING:
    from napari_medseg.refine.cases import Case
    from napari_medseg.refine.checkpoint import Checkpoints

KEPT_MAPS = 12
TRAINING_SHARE = 0.95
"""Of a round; the rest is prediction."""


class SalahModel:
    """A U-Net over slices with what it needs to label a scan.

    Parameters
    ----------
    network : UNet
    plan : mapping
        Fields of `segmenters.plan.Plan`.
    values : label values of the classes, in the order of the network's maps
    """

    def __init__(self, network: UNet, plan: Mapping[str, Any], values: Sequence[int], device: str = "cpu") -> None:
        self.network, self._plan, self.values, self.device = network, dict(plan), tuple(values), device
        self.size = int(plan["preprocessing"]["size"])

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> SalahModel:
        """Read what `save` wrote, or any model of this family.

        Raises
        ------
        MissingFileError, SegmenterError
        """
        network, plan = load_model(path)
        return cls(network, plan, plan["training"].get("label_values") or range(1, network.classes + 1), device)

    @property
    def plan(self) -> Mapping[str, Any]:
        """What it is and how it sees a scan."""
        return self._plan

    def predict(self, image: Volume) -> FloatArray:
        """Probabilities (classes, z, y, x) on the scan's own grid."""
        return probabilities(self.network, image, size=self.size, device=self.device)

    def label(self, image: Volume) -> LabelArray:
        """Label map (z, y, x) on the scan's own grid."""
        return predict_labels(self.network, image, self.values, threshold=self._plan["threshold"], size=self.size, device=self.device)

    def save(self, folder: Path, facts: Mapping[str, Any]) -> Path:
        """Write `model.safetensors` into a folder."""
        training = {**self._plan["training"], **facts.get("training", {})}
        return save_model(folder, self.network, {**self._plan, **facts, "training": training})


class SalahMethod:
    """Fine-tuning on slices.

    Parameters
    ----------
    recipe : Recipe
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def base_model(self, base: Path | None, values: Sequence[int], device: str, channels: int | None = None) -> SalahModel:
        """The base as it is; None is the shipped M0.

        Raises
        ------
        InvalidInputError
            When it is of another kind, or takes scans of another number of channels.
        """
        require_kind(base or BASE, ("unet2d",), self.recipe.name)
        network, plan = load_model(base or BASE)
        require_channels(base or BASE, network.in_channels, channels)
        own = values if network.classes == len(values) else range(1, network.classes + 1)
        return SalahModel(network, {**plan, "threshold": self.recipe.threshold}, own, device)

    def learn(
        self, examples: Sequence[Example], values: Sequence[int], *, number: int, base: Path | None, seed: int, device: str, freeze: Freeze = "none",
        checkpoints: Checkpoints | None = None,
    ) -> Iterator[Learning]:
        """As `refine.method.Method.learn`."""
        start, plan = load_model(base or BASE)
        network = widened(start, len(values), seed)
        model = SalahModel(network, self._plan(plan, number), values, device)
        data = slice_set(examples, values, model.size)
        whose = {
            "recipe": self.recipe.name, "round": number, "seed": seed, "freeze": freeze, "base": plan["sha256"], "slices": len(data),
            "labels": labels_sha256(examples),
        }
        saving = Saving(checkpoints, whose) if checkpoints else None
        last = None
        for last in fine_tune(network, data, self.recipe, seed=seed + number, device=device, freeze=freeze, saving=saving):
            done, rate = TRAINING_SHARE * last.fraction, self.recipe.learning_rate
            yield Learning(done, last.message.lower(), last.loss, last.updates, rate=rate, now=_look(model))
        updates, loss = (last.updates, last.loss) if last else (0, None)
        proposals = {}
        asked = [one for one in examples if not one.id.startswith(REPLAY)]
        for index, one in enumerate(asked):
            proposals[one.id] = model.label(one.image)
            yield Learning(TRAINING_SHARE + (1 - TRAINING_SHARE) * (index + 1) / len(asked), f"segmenting {one.id}", updates=updates)
        yield Learning(1.0, "learnt", updates=updates, learned=Learned(model, proposals, updates=updates, loss=loss))

    def memory(self, cases: Sequence[Case], classes: int, device: str) -> tuple[int, int]:
        """Bytes at the peak of a round: in the processor's memory beside the cases, and on a graphics card; see `refine.room`.

        A batch keeps some twelve maps of each level's width for its gradients; counted on a processor at 128 x 128 (ours).
        """
        slices = sum(case.image.geometry.shape[slice_order(case.image.geometry).order[0]] for case in cases)
        pixels = 4 * SIZE * SIZE
        prepared = slices * pixels * (cases[0].image.channels + classes + 1)
        kept = sum(KEPT_MAPS * width // 4**level for level, width in enumerate(WIDTHS))
        learning = min(self.recipe.batch_for(slices), slices) * pixels * kept
        return (prepared, learning) if device != "cpu" else (prepared + learning, 0)

    def _plan(self, base: Mapping[str, Any], number: int) -> dict[str, Any]:
        training = {
            "recipe": self.recipe.name, "round": number, "epochs": self.recipe.epochs, "learning_rate": self.recipe.learning_rate, "loss": "Jaccard distance",
            "base": {"title": base["title"], "sha256": base["sha256"]},
        }
        return {
            "title": f"Refined from {base['title'].removeprefix('Refined from ')}", "threshold": self.recipe.threshold, "training": training,
            "preprocessing": base["preprocessing"],
        }


def _look(model: SalahModel) -> Callable[[Volume], LabelArray]:
    """Label a scan with a network that is in training, and leave it as it was, frozen parts too."""

    def now(image: Volume) -> LabelArray:
        modes = {module: module.training for module in model.network.modules()}
        try:
            return model.label(image)
        finally:
            for module, training in modes.items():
                module.training = training

    return now
