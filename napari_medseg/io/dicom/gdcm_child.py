"""What runs in a process of its own: GDCM reads the DICOM files named on stdin, and their pixels go to stdout. It imports nothing of this package."""

from __future__ import annotations

import json
import sys

import numpy as np
import SimpleITK as sitk


def main() -> None:
    """Answer each line, a path as JSON, with a line of JSON and the bytes it tells of; until stdin ends."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    for line in sys.stdin.buffer:
        try:
            image = sitk.ReadImage(json.loads(line), imageIO="GDCMImageIO")
        except RuntimeError:
            _answer({"size": 0}, b"")
            continue
        array = np.ascontiguousarray(sitk.GetArrayFromImage(image))
        _answer({"size": array.nbytes, "shape": array.shape, "dtype": array.dtype.str, "flat": image.GetDimension() == 2}, array.tobytes())


def _answer(told: dict[str, object], data: bytes) -> None:
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
