"""Windows are what radiologists set, whatever the scan."""

import numpy as np
import pytest

from napari_medseg.volume.windows import Window, percentiles, presets, sample, unit_words


def by_key(modality, units=""):
    return {p.key: p for p in presets(modality, units)}


@pytest.mark.parametrize(("key", "limits"), [("lung", (-1350, 150)), ("soft", (-160, 240)), ("brain", (0, 80)), ("bone", (-500, 1300))])
def test_ct_windows_are_the_usual_ones(key, limits):
    assert by_key("CT")[key].of(np.zeros((2, 2, 2))).limits == limits


def test_the_first_preset_of_ct_is_soft_tissue_and_of_mr_follows_the_values():
    values = np.arange(100_000, dtype=np.float32).reshape(10, 100, 100)
    assert presets("CT")[0].key == "soft"
    low, high = presets("MR")[0].of(values).limits
    assert low == pytest.approx(1_000, rel=0.2)
    assert high == pytest.approx(99_500, rel=0.01)


def test_a_pet_in_suv_offers_suv_windows_and_one_in_activity_does_not():
    assert by_key("PT", "GML")["suv10"].of(np.zeros((2, 2, 2))).limits == (0, 10)
    assert "suv10" not in by_key("PT", "BQML")
    assert presets("PT", "BQML")[0].key == "uptake"


def test_a_scan_in_hounsfield_units_is_treated_as_ct_without_saying_so():
    assert "lung" in by_key("", "HU")


@pytest.mark.parametrize(("modality", "units", "words"), [
    ("CT", "", "HU"), ("PT", "BQML", "Bq/ml"), ("PT", "GML", "SUV"), ("MR", "", ""), ("OT", "mm/s", "mm/s"),
])
def test_units_are_said_as_people_say_them(modality, units, words):
    assert unit_words(modality, units) == words


@pytest.mark.parametrize("array", [np.full((3, 4, 5), 7.0), np.full((3, 4, 5), np.nan), np.zeros((1, 1, 1), np.uint8)])
def test_a_scan_without_contrast_still_has_a_window(array):
    low, high = percentiles(array, (1, 99))
    assert high > low


def test_nan_counts_for_nothing():
    values = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
    values[::2] = np.nan
    low, high = percentiles(values, (0, 100))
    assert np.isfinite([low, high]).all()


def test_a_large_scan_is_thinned_out():
    assert sample(np.zeros((300, 400, 400), np.int16)).size <= 250_000


def test_level_and_width_in_words():
    assert Window(40, 400).words("HU") == "L 40, W 400 HU"
    assert Window.between(0, 10).words("SUV") == "L 5, W 10 SUV"
    assert Window.between(0, 0.5).words() == "L 0.25, W 0.5"
    assert Window(-0.3, 40).words() == "L 0, W 40"


def test_a_preset_says_what_it_draws():
    assert by_key("CT")["lung"].words("HU") == "L -600, W 1500 HU"
    assert by_key("MR")["tissue"].words() == "percentiles 1 to 99.5 of this scan's values"
