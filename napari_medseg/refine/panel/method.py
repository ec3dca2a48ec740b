"""The recipes `gil2023` and `top-n` at work; see `round.PanelRound`.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.cases import Case
from napari_medseg.refine.checkpoint import Checkpoints
from napari_medseg.refine.medseg.data import memory_for_cases, prepare, require_known, typical_grid
from napari_medseg.refine.medseg.learner import SLICES
from napari_medseg.refine.medseg.method import BACKWARD, MedsegMethod
from napari_medseg.refine.method import Example, Freeze, Learning
from napari_medseg.refine.models import require_channels, require_kind
from napari_medseg.refine.panel.model import PanelModel
from napari_medseg.refine.panel.recipe import Candidate, Panel
from napari_medseg.refine.panel.round import PanelRound
from napari_medseg.segmenters.networks.plan import KIND as ARCHITECTURE
from napari_medseg.segmenters.networks.plan import ArchitecturePlan
from napari_medseg.segmenters.networks.probing import learning_bytes
from napari_medseg.segmenters.volumetric.fingerprint import Fingerprint, fingerprint
from napari_medseg.segmenters.volumetric.members import made
from napari_medseg.segmenters.volumetric.model import load_volumetric
from napari_medseg.segmenters.volumetric.plan import MIXED, MixedPlan, VolumetricPlan, planned_for, window_for
from napari_medseg.volume import Shape, Spacing

TITLE = "Networks that answer together"


class PanelMethod:
    """See `refine.method.Method`.

    Parameters
    ----------
    recipe : Panel
    """

    def __init__(self, recipe: Panel) -> None:
        self.recipe = recipe

    def base_model(self, base: Path | None, values: Sequence[int], device: str, channels: int | None = None) -> PanelModel | None:
        """The base as it is; None where learning begins from nothing.

        Raises
        ------
        InvalidInputError
            When the base has none of the recipe's networks, or takes scans of another number of channels.
        """
        if base is None:
            return None
        model = self._loaded(base, device)
        require_channels(base, model.described.network.in_channels, channels)
        return model if list(values) == model.described.values else None

    def memory(self, cases: Sequence[Case], classes: int, device: str) -> tuple[int, int]:
        """Bytes at the peak of a round beside the cases themselves: in the processor's memory, and on the device; see `refine.room.enough`."""
        channels, held, largest = memory_for_cases(cases, classes)
        kinds = self.recipe.candidates
        whole = largest * 4 * (channels + (4 + len(kinds)) * classes + 4)
        shape, spacing = typical_grid(cases)
        updates, kept = [], 0
        for kind in kinds:
            part = self._architecture(kind, shape, spacing, channels, classes)
            patch = self._tile(window_for(part, shape, spacing), part)
            window, weights = learning_bytes(made(part), (channels, *patch))
            updates.append(int(BACKWARD * self.recipe.batch * (SLICES if part.dims == 2 else 1) * window) + weights)
            kept += self.recipe.folds * weights // 5  # of a network that is done its mean alone is kept
        return held + whole + kept + (0 if device.startswith("cuda") else max(updates)), max(updates)

    def learn(
        self, examples: Sequence[Example], values: Sequence[int], *, number: int, base: Path | None, seed: int, device: str, freeze: Freeze = "none",
        checkpoints: Checkpoints | None = None,
    ) -> Iterator[Learning]:
        """One round; see `refine.method.Method.learn`."""
        require_known(examples, values)
        yield Learning(0.0, "Looking at the scans")
        old = None if base is None else self._loaded(base, "cpu")
        plan = self._planned(examples, values, old)
        with tempfile.TemporaryDirectory(prefix="medseg-", ignore_cleanup_errors=True) as scratch:
            cases = yield from prepare(examples, plan, Path(scratch))
            this = PanelRound(
                self.recipe, plan, examples, cases, old, number=number, seed=seed, device=device, freeze=freeze, checkpoints=checkpoints,
            )
            yield from this.run()

    def _planned(self, examples: Sequence[Example], values: Sequence[int], old: PanelModel | None) -> VolumetricPlan:
        """The plan of all networks together; a base's view of the scans stays."""
        facts = fingerprint(((example.image, example.labels) for example in examples), values)
        if old is not None:
            facts = old.described.fingerprint.model_copy(update={"share": facts.share})
        parts = [self._part(kind, facts, len(values), old) for kind in self.recipe.candidates]
        plan = planned_for(MixedPlan(parts=parts), facts, list(values))
        modalities = sorted({example.image.modality for example in examples} - {""})
        return plan.model_copy(update={"patch": self._tile(plan.patch, parts[0]), "modalities": modalities, "title": TITLE})

    def _part(self, kind: Candidate, facts: Fingerprint, classes: int, old: PanelModel | None) -> ArchitecturePlan:
        for known in () if old is None else parts_of(old):
            if known.name == kind.network:
                return known.model_copy(update={"classes": classes, "members": 1})
        return self._architecture(kind, facts.shape, facts.spacing, len(facts.channels), classes)

    def _architecture(self, kind: Candidate, shape: Shape, spacing: Spacing, channels: int, classes: int) -> ArchitecturePlan:
        return MedsegMethod(self.recipe.training(kind))._architecture(shape, spacing, channels, classes)

    def _tile(self, patch: Shape, part: ArchitecturePlan) -> Shape:
        """A window (z, y, x) no longer than the recipe's tiles."""
        if not self.recipe.tile or part.dims == 3:
            return patch
        return tuple(min(n, self.recipe.tile) for n in patch)  # type: ignore[return-value]

    def _loaded(self, base: Path, device: str) -> PanelModel:
        require_kind(base, (ARCHITECTURE, MIXED), self.recipe.name)
        model = load_volumetric(base, device)
        found = PanelModel(model.described, model.network.networks, device)  # type: ignore[arg-type]
        names = {kind.network for kind in self.recipe.candidates}
        known = [part for part in parts_of(found) if part.name in names and part.dims == self.recipe.dims]
        if not known:
            what = f"has none of the networks of the recipe {self.recipe.name}"
            raise InvalidInputError(what, where=base, todo="Choose a base that this recipe wrote, or none")
        for part in known:
            wanted = json.loads(json.dumps(self.recipe.parameters.get(part.name, {})))
            if part.kept or any(part.parameters.get(name) != value for name, value in wanted.items()):
                what = f"was made with other parameters of {part.name}, or was made smaller since"
                raise InvalidInputError(what, where=base, todo="Leave the parameters out, or choose another base")
        return found


def parts_of(model: PanelModel) -> list[ArchitecturePlan]:
    """The networks of the catalogue in a model."""
    network = model.described.network
    parts = network.parts if isinstance(network, MixedPlan) else [network]
    return [part for part in parts if isinstance(part, ArchitecturePlan)]
