"""Small studies and refinements on disk that a report can be made of, full of names that must not get out."""

import json
from pathlib import Path

import numpy as np

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.io import write
from napari_medseg.project import Project
from napari_medseg.volume import Geometry, Volume

GRID = Geometry((8, 24, 20), (3.0, 1.5, 1.0), (-10.0, 5.0, 40.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
SECRET = "Krankheit"
CLASSES = (LabelClass(1, "Liver", (0.9, 0.6, 0.0)), LabelClass(3, "Tumour", (0.3, 0.7, 0.9)))


def truth(radius: float = 6.0) -> np.ndarray:
    """A liver, and a tumour in it."""
    z, y, x = np.indices(GRID.shape)
    away = np.sqrt(((z - 4) * 3.0) ** 2 + ((y - 12) * 1.5) ** 2 + ((x - 10) * 1.0) ** 2)
    return np.where(away < radius / 2, 3, np.where(away < radius, 1, 0)).astype(np.uint8)


def scan(seed: int) -> Volume:
    noise = np.random.default_rng(seed).normal(0, 5, GRID.shape)
    return Volume((100 + 20 * truth() + noise).astype(np.int16), GRID, modality="CT")


def make_study(folder: Path, cases: int, *, title: str = "", user: str = f"{SECRET}-doctor", verified: int = 0, marked: int = 0, run: bool = False) -> Path:
    """A study of weak labels; the first ones verified as a whole, the next ones in two slices, and a refinement on record."""
    path = folder / f"{SECRET} study.medseg"
    with Project.create(path, title=title or f"{SECRET} study", classes=CLASSES, user=user) as project:
        for index in range(cases):
            file = folder / f"{SECRET}_scan_{index}.nrrd"
            write(scan(index), file)
            case = project.add(file, name=f"{SECRET}^Anna {index}")
            weak = np.roll(truth(), 1 + index % 3, axis=1)
            project.save(
                case.id, LabelMap(weak, case.geometry, classes=CLASSES), kind="weak", tool="levelset", parameters={"image": file}, name=f"{SECRET}'s first",
                seconds=40 + index,
            )
            if index < verified:
                project.save(case.id, LabelMap(truth(), case.geometry, classes=CLASSES), kind="verified", tool="brush", parent=1, seconds=100)
            elif index < verified + marked:
                for z in (3, 4):
                    project.mark_slice(case.id, 0, z)
        if run:
            ids = [case.id for case in project.cases()]
            project.record_run("refine", parameters={"recipe": "salah2023"}, figures=record(ids), model="ab" * 32, cases=ids)
    return path


def record(ids: list[str], *, worst: str = "") -> dict:
    """What a refinement of two rounds leaves in rounds.json."""
    def made(number: int) -> dict:
        return {
            "round": number, "labels_of_round": number - 1, "start": "base", "freeze": "none", "seed": 7,
            "recipe": {"name": "salah2023", "rounds": 2, "epochs": 3, "folder": f"/home/{SECRET}/weights"},
            "labels": {
                name: {"sha256": f"{index:064x}", "patient": f"{SECRET}{name}", "voxels": {"weak": 90, "corrected": 10}} for index, name in enumerate(ids)
            },
            "proposals": {name: f"{index + 100:064x}" for index, name in enumerate(ids)}, "base": {"title": "M0", "sha256": "cd" * 32},
        }

    first = {"round": 0, "updates": 0, "seconds": 0.0, "loss": None, "volume_ratio": 1.0, "dice_verified": 0.71, "adopted": False, "reason": "the labels given"}
    second = {"round": 1, "updates": 50, "seconds": 61.5, "loss": 0.31, "volume_ratio": 1.04, "dice_verified": 0.82, "dice_change": 0.11, "verified_slices": 6,
              "verified_patients": 2, "adopted": True, "reason": "better beyond chance", "pieces": "0.6 pieces more a case"}
    third = {"round": 2, "updates": 50, "seconds": 58.0, "loss": 0.27, "volume_ratio": 1.9, "dice_verified": 0.74, "dice_change": -0.08, "adopted": False,
             "reason": f"it fails in {worst or ids[0]}: Dice -0.200 there; round 1 stays" if ids else "its volume is 1.90 times that of the labels given"}
    return {
        "rounds": [first, second, third], "best_round": 1, "zero_shot": {"dice_refined": 0.5}, "lineage": [made(1), made(2)], "updates": 100, "finished": True,
        "model": f"/home/{SECRET}/model.safetensors",
    }


def make_refinement(folder: Path, cases: int) -> Path:
    """What `medseg refine` leaves, with scans, labels given and truth beside it; files are named after a patient."""
    out = folder / f"{SECRET}-refined"
    for index in range(cases):
        name = f"{SECRET}_{index}.nii.gz"
        moved = np.roll(truth(), 1, axis=1)
        maps = {
            "labels": np.roll(truth(), 2, axis=1), "truth": truth(), "refined/round1": moved, "refined/round2": np.roll(truth(), index, axis=2),
            "refined/final": moved,
        }
        for place, array in maps.items():
            where = out / place.partition("/")[2] if place.startswith("refined/") else folder / place
            where.mkdir(parents=True, exist_ok=True)
            write(scan(index).like(array), where / name)
        (folder / "images").mkdir(exist_ok=True)
        write(scan(index), folder / "images" / name)
    ids = [f"{SECRET}_{index}.nii.gz" for index in range(cases)]
    (out / "rounds.json").write_text(json.dumps(record(ids)), encoding="utf-8")
    return out
