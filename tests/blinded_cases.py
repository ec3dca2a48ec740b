"""Small scans with two sets of masks, and raters who answer by rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medseg.io import write
from napari_medseg.review.blinded import Answer, FolderSource, PlanOptions, RaterFile, make_plan, write_plan
from napari_medseg.review.blinded.plan import MaskSet, Plan, PlannedCase, Question
from napari_medseg.volume import Geometry, Volume

SHAPE = (12, 40, 44)
AT = "2026-11-21T20:00:00+00:00"
TURNED = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def grid(turned: bool = False) -> Geometry:
    return Geometry(SHAPE, (3.0, 1.0, 1.0), (20.0, -30.0, 5.0), TURNED if turned else (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))


def ball(seed: int, shift: int = 0) -> np.ndarray:
    z, y, x = np.indices(SHAPE)
    return (((z - 5 - seed % 2) * 3.0) ** 2 + (y - 20) ** 2 + (x - 22 - shift) ** 2 < (9 + seed) ** 2).astype(np.uint8)


def made(folder: Path, cases: int = 3) -> tuple[Path, Path, Path]:
    """Folders scans, model and expert; the second case lies the other way round in its file."""
    paths = tuple(folder / name for name in ("scans", "model", "expert"))
    for path in paths:
        path.mkdir(parents=True)
    for seed in range(cases):
        truth = ball(seed)
        noise = np.random.default_rng(seed).normal(100, 10, SHAPE)
        scan = Volume((noise + 60 * truth).astype(np.int16), grid(seed == 1), modality="MR")
        for path, array in zip(paths, (scan.array, truth, ball(seed, 2)), strict=True):
            write(scan.like(array), path / f"patient{seed}.nii.gz")
    return paths


def planned(folder: Path, options: PlanOptions = PlanOptions(slices=10), cases: int = 3) -> Plan:  # noqa: B008
    """A plan in `folder/review`, with its files beside."""
    images, a, b = made(folder, cases)
    *_, last = make_plan(FolderSource(images, a, b, beside=folder / "review"), options)
    write_plan(last.plan, folder / "review")
    return last.plan


def bare_plan(count: int, seed: int = 0, repeats: int = 0) -> Plan:
    """A plan without files, for what looks at answers only."""
    random = np.random.default_rng(seed)
    questions = [Question(n, f"case{n % 7}", "axial", n, "a" if random.random() < 0.5 else "b") for n in range(1, count + 1)]
    questions += [Question(count + n, q.case, q.view, q.slice, "b" if q.left == "a" else "a", q.number) for n, q in enumerate(questions[:repeats], 1)]
    cases = tuple(PlannedCase(f"case{i}", "", "", "", "", "", "") for i in range(7))
    return Plan("Blinded review", AT, "slices", "folders", "scans", MaskSet("model", "model"), MaskSet("weak", "weak"), None, seed, {}, cases, tuple(questions))


def answer_all(plan: Plan, folder: Path, rater: str, choices: dict[int, str], seconds: float = 2.0) -> Path:
    """A rater file whose answers mean "a", "tie" or "b"."""
    folder.mkdir(parents=True, exist_ok=True)
    with RaterFile(plan, folder, rater) as file:
        for number, meant in choices.items():
            question = plan.questions[number - 1]
            choice = "tie" if meant == "tie" else ("left" if question.left == meant else "right")
            file.put(Answer(number, choice, seconds, AT))
        return file.path
