"""DICOM labels spoilt at random: a typed error or a label map on its grid, never anything else and never long."""

import time

import numpy as np
import pytest
from dicom_scans import save_scan

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.errors import MedsegError
from napari_medseg.io import describe, read, read_labels, write
from napari_medseg.volume import Geometry

GRID = Geometry((5, 20, 24), (3.0, 0.8, 0.8))
FEW, MANY, LIMIT = 60, 2000, 5.0  # spoilt files in the gate and by `--faults-long`; seconds of the processor that one may take
TAGS = [bytes.fromhex(t) for t in ("28001000", "28001100", "28000800", "28000001", "20003200", "20003700", "28003000", "62000400", "06305000", "06308400")]


def spoilt(whole, rng):
    """One file with a few bytes changed, taken out, doubled or cut off; half of the time in a tag that matters."""
    data = bytearray(whole)
    at, count = int(rng.integers(len(data))), int(rng.integers(1, 9))
    if rng.random() < 0.5:
        places = [i for tag in TAGS for i in [whole.find(tag, int(rng.integers(len(whole))))] if i > 0]
        at = int(rng.choice(places)) + 8 if places else at
    match int(rng.integers(5)):
        case 0:
            return bytes(data[:at])
        case 1:
            del data[at : at + 20 * count]
        case 2:
            data[at:at] = data[at // 2 : at // 2 + 20 * count]
        case 3:
            data[at : at + count] = bytes(rng.choice([0, 45, 57, 78, 92, 255], count).astype(np.uint8))
        case _:
            for place in rng.integers(len(data), size=count):
                data[place] ^= 1 << int(rng.integers(8))
    return bytes(data)


@pytest.mark.parametrize(("suffix", "kind"), [(".seg.dcm", "binary"), (".seg.dcm", "labelmap"), (".rtstruct.dcm", "binary")])
def test_spoilt_files_are_refused_in_words_or_read_on_their_grid(tmp_path, request, suffix, kind):
    save_scan(tmp_path / "scan", np.zeros(GRID.shape, np.uint16), GRID)
    array = np.zeros(GRID.shape, np.uint8)
    array[1:4, 4:15, 5:18], array[2, 8:11, 9:13] = 1, 3
    path = tmp_path / f"labels{suffix}"
    write(LabelMap(array, GRID, source=tmp_path / "scan", classes=(LabelClass(1, "Liver", (1, 0, 0)),)), path, kind=kind)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(5), 0
    for _ in range(MANY if request.config.getoption("--faults-long") else FEW):
        path.write_bytes(spoilt(whole, rng))
        for way in (lambda: read_labels(path, like=GRID).array.shape == GRID.shape, lambda: read(path).array.ndim == 3, lambda: bool(describe(path))):
            began = time.process_time()
            try:
                assert way()
            except MedsegError:
                refused += 1
            assert time.process_time() - began < LIMIT
    assert refused
