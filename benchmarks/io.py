"""Opening and saving against SimpleITK and nibabel: `python benchmarks/io.py [--quick] [--repeats 5] [--only TEXT] [--json]`.

Every measurement runs in a process of its own, ours and the peer's in turn, with the files in the page cache. A process first does the same with a small
input, so that imports do not count. Ratios are of medians. Peak memory is the highest resident size during the call, less the resident size before it.
Ours and the peer must give the same voxels, or the run fails. All files lie in one temporary folder, which goes at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

SHAPE, QUICK = (600, 512, 512), (60, 256, 256)
SPACING = (1.0, 0.75, 0.75)
STORED = {"12 bits, intercept -1024": (False, 12, -1024), "int16 as it is": (True, 16, 0)}  # signed, bits, intercept


# What is opened ------------------------------------------------------------------------------------------------------------------------------------------

def phantom(shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Slices of a CT-like body, int16 HU: a soft ellipse with bones in air, noise of 25 HU."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:complex(shape[1]), -1:1:complex(shape[2])]
    for k in range(shape[0]):
        body = (x / 0.8) ** 2 + (y / 0.6) ** 2 < 1
        bone = (x**2 + (y - 0.3) ** 2 < 0.01) | (abs((x / 0.7) ** 2 + (y / 0.5) ** 2 - 1) < 0.03) & (k % 20 < 8)
        yield (np.where(bone, 700, np.where(body, 40, -1000)) + rng.normal(0, 25, shape[1:])).clip(-1024, 3071).astype(np.int16)


def organs(shape: tuple[int, int, int]) -> np.ndarray:
    """A label map of six organs with rough outlines, uint8."""
    from scipy import ndimage as ndi

    labels, rough = np.zeros(shape, np.uint8), np.random.default_rng(2).normal(0, 0.02, (shape[0] // 8 + 2, shape[1] // 8, shape[2] // 8))
    y, x = np.mgrid[-1:1:complex(shape[1]), -1:1:complex(shape[2])]
    places = [(0.5, 0.1, -0.3, 0.35), (0.6, 0.1, 0.4, 0.2), (0.3, 0.2, -0.2, 0.15), (0.3, 0.2, 0.2, 0.15), (0.75, -0.2, 0, 0.2), (0.1, 0, 0, 0.1)]
    for k in range(shape[0]):
        share = k % 8 / 8
        outline = ndi.zoom((1 - share) * rough[k // 8] + share * rough[k // 8 + 1], 8, order=1)
        for value, (cz, cy, cx, radius) in enumerate(places, 1):
            rest = radius**2 - (2 * (k / shape[0] - cz)) ** 2
            if rest > 0:
                labels[k][(x - cx) ** 2 + (y - cy) ** 2 + outline * radius < rest] = value
    return labels


def save_series(folder: Path, shape: tuple[int, int, int], signed: bool, bits: int, intercept: int) -> None:
    """Write a DICOM series, one file a slice, under names that say nothing."""
    from pydicom import dcmwrite
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir()
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for k, name, plane in zip(range(shape[0]), np.random.default_rng(1).permutation(shape[0]), phantom(shape), strict=True):
        meta, data = FileMetaDataset(), Dataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = CTImageStorage, generate_uid(), ExplicitVRLittleEndian
        data.file_meta = meta
        data.SOPClassUID, data.SOPInstanceUID, data.SeriesInstanceUID, data.StudyInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID, series, study
        data.FrameOfReferenceUID, data.PatientID, data.PatientName, data.PatientPosition = frame, "phantom", "phantom", "HFS"
        data.Modality, data.SeriesDescription, data.SeriesNumber, data.InstanceNumber = "CT", "phantom", 3, k + 1
        data.ImageType, data.Manufacturer, data.KVP, data.ConvolutionKernel = ["ORIGINAL", "PRIMARY", "AXIAL"], "none", 120, "B30f"
        data.Rows, data.Columns, data.PixelSpacing, data.SliceThickness = *shape[1:], list(SPACING[1:]), SPACING[0]
        data.ImagePositionPatient, data.ImageOrientationPatient = [-192.0, -192.0, k * SPACING[0]], [1, 0, 0, 0, 1, 0]
        data.SamplesPerPixel, data.PhotometricInterpretation, data.BitsAllocated, data.BitsStored, data.HighBit = 1, "MONOCHROME2", 16, bits, bits - 1
        data.PixelRepresentation, data.RescaleIntercept, data.RescaleSlope, data.RescaleType = int(signed), intercept, 1, "HU"
        data.PixelData = (plane - intercept).astype(np.int16 if signed else np.uint16).tobytes()
        dcmwrite(folder / f"{name:06d}.dcm", data, enforce_file_format=True)


def prepare(folder: Path, kind: str, shape: tuple[int, int, int]) -> None:
    """Write what a job opens: a small one beside it, for warming up."""
    import SimpleITK as sitk

    for name, size in (("small", (3, 64, 64)), ("full", shape)):
        if kind in STORED:
            save_series(folder / name, size, *STORED[kind])
        elif kind == "nifti":
            image = sitk.GetImageFromArray(np.stack(list(phantom((size[0] // 2 or 1, *size[1:])))))
            image.SetSpacing(SPACING[::-1])
            sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))


# One measurement, in a process of its own ----------------------------------------------------------------------------------------------------------------

def series_ours(path: Path) -> np.ndarray:
    """`napari_medseg.io.read` of a folder."""
    from napari_medseg.io import read

    return read(path).array


def series_simpleitk(path: Path) -> np.ndarray:
    """SimpleITK's series reader, names sorted by GDCM, no copy of the voxels."""
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
    return _keep(reader.Execute())


def first_slice(folder: Path) -> dict[str, float]:
    """Seconds until `napari_medseg.io.dicom.stream` gives its first slice, of a series that nobody looked at before."""
    from napari_medseg.io.dicom import stream

    next(stream(folder / "small"))
    began = time.perf_counter()
    step = next(stream(folder / "full"))
    seconds = time.perf_counter() - began
    assert step.volume.array[step.slices[0]].any()
    return {"seconds": seconds}


def file_ours(path: Path) -> np.ndarray:
    """`napari_medseg.io.read` of a file."""
    from napari_medseg.io import read

    return read(path.with_suffix(".nii.gz")).array


def file_simpleitk(path: Path) -> np.ndarray:
    """SimpleITK, no copy of the voxels."""
    import SimpleITK as sitk

    return _keep(sitk.ReadImage(str(path.with_suffix(".nii.gz"))))


def file_nibabel(path: Path) -> np.ndarray:
    """Nibabel, voxels as stored."""
    import nibabel

    return np.asarray(nibabel.load(path.with_suffix(".nii.gz")).dataobj).T


_kept: list[Any] = []


def _keep(image: Any) -> np.ndarray:
    import SimpleITK as sitk

    _kept[:] = [image]  # a view dies with its image
    return sitk.GetArrayViewFromImage(image)


READERS: dict[str, Callable[[Path], np.ndarray]] = {f.__name__: f for f in (series_ours, series_simpleitk, file_ours, file_simpleitk, file_nibabel)}


@contextmanager
def peak() -> Iterator[list[int]]:
    """The highest resident size in bytes within the block, less what there was before; in the list given, afterwards."""
    import psutil

    this, answer, done = psutil.Process(), [0], threading.Event()
    before = this.memory_info().rss
    exact = Path("/proc/self/clear_refs")
    watch = threading.Thread(target=_watch, args=(this, answer, done), daemon=True)
    if exact.exists():
        exact.write_text("5", encoding="ascii")  # Linux forgets the peak so far
    else:
        watch.start()
    yield answer
    done.set()
    if exact.exists():
        status = Path("/proc/self/status").read_text(encoding="ascii")
        answer[0] = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
    answer[0] = max(0, answer[0] - before)


def _watch(process: Any, highest: list[int], done: threading.Event) -> None:
    while not done.wait(0.005):
        highest[0] = max(highest[0], process.memory_info().rss)


def measure(what: str, folder: Path) -> dict[str, float]:
    """One measurement: seconds, and peak memory over the array's or bytes written."""
    if what in SPECIAL:
        return SPECIAL[what](folder)
    READERS[what](folder / "small")
    with peak() as highest:
        began = time.perf_counter()
        array = READERS[what](folder / "full")
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "memory": highest[0] / array.nbytes, "voxels": zlib.crc32(np.ascontiguousarray(array, dtype=np.int16).data)}


def stroke(labels: np.ndarray, number: int) -> tuple[slice, slice, slice]:
    """A brush stroke of 40 dabs, 11 voxels wide, on one slice of a label map; where it lies."""
    z, y, x = (int(n * share) for n, share in zip(labels.shape, (0.3 + 0.04 * number, 0.5, 0.3 + 0.03 * number), strict=True))
    rows, columns = np.mgrid[-5:6, -5:6]
    disc = rows**2 + columns**2 <= 25
    for step in range(40):
        labels[z, y + step // 2 - 5 : y + step // 2 + 6, x + step - 5 : x + step + 6][disc] = 7
    return slice(z, z + 1), slice(y - 5, y + 26), slice(x - 5, x + 46)


def autosave(folder: Path) -> dict[str, float]:
    """Autosave of a stroke on top of a version: median of nine, after one that opens the draft."""
    from napari_medseg.project import Project

    with Project.open(folder / "study.medseg", user="benchmark") as project:
        labels = project.labels("case-0001").array.copy()
        draft, seconds, written = project.draft("case-0001", 1), [], []
        for number in range(10):
            box = stroke(labels, number)
            began = time.perf_counter()
            written.append(draft.write(labels, [box]))
            seconds.append(time.perf_counter() - began)
        draft.discard()
    return {"seconds": median(seconds[1:]), "bytes": median(written[1:]), "first": seconds[0], "worst": max(seconds)}


def autosave_anywhere(folder: Path) -> dict[str, float]:
    """The same when nobody says where it was painted, so that every voxel is compared."""
    from napari_medseg.project import Project

    with Project.open(folder / "study.medseg", user="benchmark") as project:
        labels = project.labels("case-0001").array.copy()
        draft, seconds, written = project.draft("case-0001", 1), [], []
        for number in range(3):
            stroke(labels, number)
            began = time.perf_counter()
            written.append(draft.write(labels))
            seconds.append(time.perf_counter() - began)
        draft.discard()
    return {"seconds": median(seconds[1:]), "bytes": median(written[1:]), "first": seconds[0], "worst": max(seconds)}


def rewrite_file(folder: Path) -> dict[str, float]:
    """The whole label map as .nii.gz."""
    from napari_medseg.annotation import LabelMap
    from napari_medseg.io import write
    from napari_medseg.volume import Geometry

    labels = np.load(folder / "labels.npy")
    stroke(labels, 0)
    began = time.perf_counter()
    write(LabelMap(labels, Geometry(labels.shape, SPACING)), folder / "labels.nii.gz")
    return {"seconds": time.perf_counter() - began, "bytes": (folder / "labels.nii.gz").stat().st_size}


def rewrite_version(folder: Path) -> dict[str, float]:
    """A whole label version in the study."""
    from napari_medseg.annotation import LabelMap
    from napari_medseg.project import Project

    with Project.open(folder / "study.medseg", user="benchmark") as project:
        case = project.cases()[0]
        labels = np.load(folder / "labels.npy")
        stroke(labels, 0)
        before = size_of(folder / "study.medseg")
        began = time.perf_counter()
        project.save(case.id, LabelMap(labels, case.geometry), kind="corrected", tool="brush", parent=1)
        return {"seconds": time.perf_counter() - began, "bytes": size_of(folder / "study.medseg") - before}


def size_of(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


SAVERS: dict[str, Callable[[Path], dict[str, float]]] = {f.__name__: f for f in (autosave, autosave_anywhere, rewrite_file, rewrite_version)}
SPECIAL = {**SAVERS, "first_slice": first_slice}


# The run -------------------------------------------------------------------------------------------------------------------------------------------------

@dataclass
class Row:
    """One line of the table: what was measured, of whom, and what it should be."""

    what: str
    ours: float
    unit: str
    peer: str = ""
    theirs: float | None = None
    figure: float | None = None
    target: str = ""
    holds: bool | None = None
    spread: dict[str, list[float]] = field(default_factory=dict)


def child(*arguments: object) -> dict[str, float]:
    """One measurement."""
    done = subprocess.run([sys.executable, __file__, "--measure", *map(str, arguments)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def in_turn(folder: Path, readers: list[str], repeats: int) -> dict[str, list[dict[str, float]]]:
    """Measure everything `repeats` times, each round in another order."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.read_bytes()  # into the page cache
    found: dict[str, list[dict[str, float]]] = {reader: [] for reader in readers}
    for turn in range(repeats):
        for reader in readers[:: -1 if turn % 2 else 1]:
            found[reader].append(child(reader, folder))
    checksums = {row["voxels"] for rows in found.values() for row in rows if "voxels" in row}
    if len(checksums) > 1:
        raise SystemExit(f"not the same voxels: {found}")
    return found


def opening(kind: str, shape: tuple[int, int, int], repeats: int) -> Iterator[Row]:
    """Open a series or a file: seconds against the peers, and our peak memory."""
    with tempfile.TemporaryDirectory(prefix="medseg-io-") as name:
        folder = Path(name)
        prepare(folder, kind, shape)
        series = kind in STORED
        readers = ["series_ours", "series_simpleitk"] if series else ["file_ours", "file_simpleitk", "file_nibabel"]
        found = in_turn(folder, [*readers, "first_slice"] if series else readers, repeats)
        seconds = {reader: [row["seconds"] for row in rows] for reader, rows in found.items()}
        memory = {reader: median(row["memory"] for row in found[reader]) for reader in readers}
        ours = median(seconds[readers[0]])
        size = "x".join(map(str, (shape if series else (shape[0] // 2, *shape[1:]))[::-1]))
        what = f"DICOM series {size}, {kind}" if series else f"NIfTI.gz {size} int16"
        for reader in readers[1:]:
            theirs, peer = median(seconds[reader]), reader.rpartition("_")[2]
            least = None if peer == "nibabel" else 1.5 if series else 1.0
            yield Row(
                f"{what}: seconds to open", ours, "s", peer, theirs, theirs / ours, f">= {least} times faster" if least else "a note",
                None if least is None else theirs / ours >= least, {"ours": seconds[readers[0]], peer: seconds[reader]},
            )
        yield Row(f"{what}: peak memory over the array", memory[readers[0]], "", readers[1].rpartition("_")[2], memory[readers[1]],
                  target="<= 1.3" if series else "a note", holds=memory[readers[0]] <= 1.3 if series else None)
        if series:
            first = median(seconds["first_slice"])
            yield Row(f"{what}: seconds to the first slice", first, "s", target="<= 1 s", holds=first <= 1, spread={"first_slice": seconds["first_slice"]})


def saving(shape: tuple[int, int, int], repeats: int) -> Iterator[Row]:
    """Autosave a brush stroke, against writing everything again."""
    from napari_medseg.annotation import LabelMap, default_classes
    from napari_medseg.io import write
    from napari_medseg.project import Project
    from napari_medseg.volume import Geometry, Volume

    with tempfile.TemporaryDirectory(prefix="medseg-io-") as name:
        folder = Path(name)
        labels, grid = organs(shape), Geometry(shape, SPACING)
        np.save(folder / "labels.npy", labels)
        write(Volume(np.zeros(shape, np.uint8), grid), folder / "scan.nii.gz")
        with Project.create(folder / "study.medseg", user="benchmark", classes=default_classes(7)) as project:
            case = project.add(folder / "scan.nii.gz")
            project.save(case.id, LabelMap(labels, grid), kind="imported", tool="import")
        found = in_turn(folder, list(SAVERS), repeats)
        size = "x".join(map(str, shape[::-1]))
        file, version_ = ("rewrite_file", ".nii.gz whole"), ("rewrite_version", "version whole")
        for ours, (peer, title) in (("autosave", file), ("autosave", version_), ("autosave_anywhere", file)):
            for quantity, unit, by in (("seconds", "ms", 1e3), ("bytes", "kB", 1e-3)):
                here, there = (median(row[quantity] for row in found[who]) * by for who in (ours, peer))
                target = ours == "autosave"
                yield Row(
                    f"{size}: {ours.replace('_', ' ')} of a stroke, {quantity}", here, unit, title, there, there / here, "<= 1/50" if target else "a note",
                    there / here >= 50 if target else None, {who: [row[quantity] * by for row in found[who]] for who in (ours, peer)},
                )
        first, worst = (max(row[which] for row in found["autosave"]) * 1e3 for which in ("first", "worst"))
        yield Row(f"{size}: the stroke that opens the draft", first, "ms", target="a note")
        yield Row(f"{size}: the slowest stroke", worst, "ms", target="a note")


def report(rows: list[Row], conditions: dict[str, Any]) -> None:
    """Print the table."""
    print(", ".join(f"{key} {value}" for key, value in conditions.items()))
    width = max(len(row.what) for row in rows)
    for row in rows:
        theirs = f"{row.peer} {row.theirs:.4g} {row.unit}" if row.theirs is not None else ""
        times = f"{row.figure:.2f} times" if row.figure is not None else ""
        verdict = "" if row.holds is None else "holds" if row.holds else "DOES NOT HOLD"
        print(f"{row.what:{width}}  {row.ours:8.4g} {row.unit:2}  {theirs:26}  {times:12}  {row.target:22}  {verdict}")


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="60 slices of 256 x 256: to see that it runs")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--only", default="", help="only jobs whose name holds this: bits, int16, nifti, autosave")
    options.add_argument("--json", action="store_true")
    options.add_argument("--measure", nargs="*", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.measure:
        print(json.dumps(measure(chosen.measure[0], Path(chosen.measure[1]))))
        return
    shape = QUICK if chosen.quick else SHAPE
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    rows = [row for kind in (*STORED, "nifti") if chosen.only in kind for row in opening(kind, shape, chosen.repeats)]
    rows += saving(shape, chosen.repeats) if not chosen.only or chosen.only in "autosave" else ()
    if chosen.quick:
        for row in rows:
            row.target, row.holds = "", None  # small inputs show that it runs, no more
    conditions = {
        "cores": os.cpu_count(), "load at the start": load, "Python": platform.python_version(), "system": platform.system(), "repeats": chosen.repeats,
        **{name: version(name) for name in ("SimpleITK", "nibabel", "pydicom", "numpy", "zarr")},
    }
    if chosen.json:
        print(json.dumps({"conditions": conditions, "rows": [asdict(row) for row in rows]}))
    else:
        report(rows, conditions)


if __name__ == "__main__":
    main()
