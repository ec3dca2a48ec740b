"""Which grey values a scan is shown with: level and width, as radiologists set them, and what one calls the values.

Computed tomography has fixed windows in Hounsfield units; magnetic resonance has no unit, so its windows are shares of the scan's own values.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from napari_medseg.volume.volume import Array

SAMPLES = 200_000  # values looked at: enough for a percentile, few enough not to be felt
SUV_UNITS = ("GML", "SUV", "G/ML")
_UNITS = {
    "HU": "HU", "BQML": "Bq/ml", "KBQML": "kBq/ml", "CNTS": "counts", "PROPCNTS": "counts", "GML": "SUV", "G/ML": "SUV", "SUV": "SUV", "NONE": "", "US": "",
}


@dataclass(frozen=True, slots=True)
class Window:
    """A range of values, drawn from black to white.

    Attributes
    ----------
    level : float
        The value in the middle.
    width : float
        From black to white; above 0.
    """

    level: float
    width: float

    @property
    def limits(self) -> tuple[float, float]:
        """The values drawn black and white."""
        return self.level - self.width / 2, self.level + self.width / 2

    @classmethod
    def between(cls, low: float, high: float) -> Window:
        """The window from one value to another."""
        return cls((low + high) / 2, high - low if high > low else 1.0)

    def words(self, unit: str = "") -> str:
        """Level and width as people read them: "L 40, W 400 HU"."""
        return f"L {_short(self.level, self.width)}, W {_short(self.width, self.width)}" + (f" {unit}" if unit else "")


@dataclass(frozen=True, slots=True)
class Preset:
    """A window with a name.

    Attributes
    ----------
    key : str
        Remembered by this.
    title : str
    window : Window or None
        In the scan's unit; None for one that follows the scan's own values.
    share : (float, float)
        Percentiles drawn black and white, where there is no window.
    """

    key: str
    title: str
    window: Window | None = None
    share: tuple[float, float] = (1.0, 99.5)

    def words(self, unit: str = "") -> str:
        """What it draws: level and width, or the share of the scan's values."""
        low, high = self.share
        return self.window.words(unit) if self.window is not None else f"percentiles {low:g} to {high:g} of this scan's values"

    def of(self, array: Array) -> Window:
        """The window for a scan."""
        return self.window or Window.between(*percentiles(array, self.share))


TISSUE = Preset("tissue", "Tissue")
FULL = Preset("full", "All values", share=(0.0, 100.0))
CT = (
    Preset("soft", "Soft tissue", Window(40, 400)),
    Preset("lung", "Lung", Window(-600, 1500)),
    Preset("bone", "Bone", Window(400, 1800)),
    Preset("brain", "Brain", Window(40, 80)),
    Preset("stroke", "Stroke", Window(35, 40)),
    Preset("liver", "Liver", Window(60, 160)),
    Preset("mediastinum", "Mediastinum", Window(50, 350)),
    Preset("vessels", "Vessels", Window(200, 600)),
)
MR = (TISSUE, Preset("contrast", "More contrast", share=(5.0, 98.0)), Preset("bright", "Bright parts", share=(50.0, 99.9)))
SUV = (Preset("suv10", "SUV 0-10", Window(5, 10)), Preset("suv5", "SUV 0-5", Window(2.5, 5)), Preset("suv20", "SUV 0-20", Window(10, 20)))
UPTAKE = (Preset("uptake", "Uptake", share=(50.0, 99.9)),)


def presets(modality: str, units: str = "") -> tuple[Preset, ...]:
    """The windows on offer, the usual one first.

    Parameters
    ----------
    modality : str
        "CT", "MR", "PT", ...
    units : str
        As the file gives them; tells SUV from activity.
    """
    if modality == "CT" or units == "HU":
        return (*CT, TISSUE, FULL)
    if modality in ("PT", "NM") or units in SUV_UNITS:
        return (*(SUV if units.upper() in SUV_UNITS else ()), *UPTAKE, TISSUE, FULL)
    return (*MR, FULL)


def unit_words(modality: str, units: str = "") -> str:
    """What the values are called beside a number: "HU", "SUV", "Bq/ml"; "" for plain grey values."""
    return _UNITS.get(units.upper(), units) if units else ("HU" if modality == "CT" else "")


def percentiles(array: Array, share: tuple[float, float]) -> tuple[float, float]:
    """Values below which `share` per cent of a scan's finite values lie, from a thinned-out sample.

    Returns
    -------
    (float, float)
        The second is larger than the first, whatever the scan holds.
    """
    values = sample(array)
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, share))
    return (low, high) if high > low else (low, low + 1.0)


def sample(array: Array, most: int = SAMPLES) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Finite values from all over an array, at most about `most` of them; few slices are touched, since each may come from the disk."""
    step = max(1, array.shape[0] // 32)
    thin = array[step // 2::step]
    across = max(1, int(np.ceil(np.sqrt(prod(thin.shape) / most))))
    values = np.asarray(thin[..., ::across, ::across], np.float32).ravel()
    return values[np.isfinite(values)]


def _short(value: float, width: float) -> str:
    """As many digits as matter in a window of this width."""
    return f"{round(value, 0) + 0.0:.0f}" if width >= 20 else f"{value:.3g}"
