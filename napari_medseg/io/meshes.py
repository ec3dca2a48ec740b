"""Label maps as surfaces for 3D printing and rendering: STL and PLY, binary, in LPS millimetres.

STL knows neither names nor colours, so each class becomes a file of its own, as 3D Slicer exports them; PLY holds all classes in one file, coloured. Both say
"SPACE=LPS", which 3D Slicer looks for.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from napari_medseg.annotation import LabelClass, LabelMap, named
from napari_medseg.errors import UnwritableFileError
from napari_medseg.io.formats import stem_of, suffix_of
from napari_medseg.io.reading import label_values
from napari_medseg.io.surfaces import surface
from napari_medseg.notice import RESEARCH
from napari_medseg.volume import Volume

_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_POINT = np.dtype([("place", "<f4", 3), ("colour", "u1", 3), ("label", "u1")])
_FACE = np.dtype([("count", "u1"), ("points", "<i4", 3)])


def parts(volume: Volume, path: Path) -> list[tuple[Path, LabelMap]]:
    """The files that a label map becomes: one STL for each class, named after it when there are several, or one PLY.

    Raises
    ------
    UnwritableFileError
        When no voxel is labelled, or a value is no class.
    InvalidInputError
        When it is no label map.
    """
    labels = _label_map(volume, path)
    if suffix_of(path) != ".stl" or len(labels.classes) == 1:
        return [(path, labels)]
    names: dict[str, LabelClass] = {}
    for one in labels.classes:
        name = re.sub(r"[^\w.+-]+", "_", one.name).strip("._") or str(one.value)
        taken = {known.lower() for known in names}
        names[name if name.lower() not in taken else f"{name}_{one.value}"] = one
    alone = {name: LabelMap((labels.array == one.value) * np.uint8(one.value), labels.geometry, classes=(one,)) for name, one in names.items()}
    return [(path.with_name(f"{stem_of(path)}_{name}{path.name[len(stem_of(path)):]}"), part) for name, part in alone.items()]


def write(volume: Volume, path: Path) -> None:
    """Write the surfaces of all classes to one file.

    Raises
    ------
    UnwritableFileError, InvalidInputError
        As `parts`.
    """
    labels = _label_map(volume, path)
    path.write_bytes(_stl(labels) if suffix_of(path) == ".stl" else _ply(labels))


def _label_map(volume: Volume, path: Path) -> LabelMap:
    array = label_values(volume, path)
    known = volume.classes if isinstance(volume, LabelMap) else ()
    present = set(np.unique(array).tolist()) - {0}
    if not present:
        raise UnwritableFileError("would be empty: no voxel is labelled", where=path, todo="Label something first")
    if max(present) > 254:
        raise UnwritableFileError(f"cannot hold the value {max(present)}, which is no class", where=path, todo="Number the classes from 1 to 254")
    return LabelMap(array, volume.geometry, volume.name, classes=tuple(c for c in named(array, known) if c.value in present))


def _stl(labels: LabelMap) -> bytes:
    made = [surface(labels.array == one.value, labels.geometry) for one in labels.classes]
    count = sum(len(each.triangles) for each in made)
    header = f"Surface in LPS mm; SPACE=LPS; {RESEARCH}".encode("ascii").ljust(80)  # must not begin with "solid", which would make it text
    triangles = np.zeros(count, _TRIANGLE)
    triangles["normal"] = np.concatenate([each.normals for each in made])
    triangles["corners"] = np.concatenate([each.points[each.triangles] for each in made])
    return header + count.to_bytes(4, "little") + triangles.tobytes()


def _ply(labels: LabelMap) -> bytes:
    points, faces, comments, first = [], [], ["comment SPACE=LPS", "comment unit mm", f"comment {RESEARCH}"], 0
    for one in labels.classes:
        each = surface(labels.array == one.value, labels.geometry)
        block = np.zeros(len(each.points), _POINT)
        block["place"], block["colour"], block["label"] = each.points, [round(part * 255) for part in one.colour], one.value
        face = np.zeros(len(each.triangles), _FACE)
        face["count"], face["points"] = 3, each.triangles + first
        first += len(block)
        points.append(block)
        faces.append(face)
        comments.append(f"comment class {one.value} {' '.join(one.name.split())}")
    properties = [*(f"property float {axis}" for axis in "xyz"), *(f"property uchar {name}" for name in ("red", "green", "blue", "label"))]
    counts = (f"element vertex {first}", f"element face {sum(map(len, faces))}")
    lines = ["ply", "format binary_little_endian 1.0", *comments, counts[0], *properties, counts[1], "property list uchar int vertex_indices", "end_header", ""]
    return "\n".join(lines).encode("ascii", "backslashreplace") + np.concatenate(points).tobytes() + np.concatenate(faces).tobytes()
