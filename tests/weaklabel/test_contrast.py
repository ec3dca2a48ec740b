import numpy as np
import pytest

from napari_medseg.weaklabel.contrast import LN9, Contrast, Edge, fit_contrast

RNG = np.random.default_rng(0)


def test_the_transition_from_ten_to_ninety_per_cent_is_beta_plus_minus_alpha_ln_nine():
    contrast = Contrast(300.0, Edge(200.0, 80.0), None, 0.0)
    values = np.array([200 - 80 * LN9, 200, 200 + 80 * LN9], np.float32)
    np.testing.assert_allclose(contrast.membership(values), [0.1, 0.5, 0.9], atol=1e-5)


@pytest.mark.parametrize(("target", "background", "rises", "falls"), [(100, 40, True, False), (40, 100, False, True)])
def test_beta_lies_between_target_and_background(target, background, rises, falls):
    contrast = fit_contrast(RNG.normal(target, 5, 500), RNG.normal(background, 5, 2000))
    edge = contrast.lower or contrast.upper
    assert (contrast.lower is not None, contrast.upper is not None) == (rises, falls)
    assert edge.beta == pytest.approx(70, abs=8)
    assert contrast.membership(np.float32([target]))[0] > 0.85
    assert contrast.membership(np.float32([background]))[0] < 0.15
    assert contrast.overlap < 0.1


def test_a_target_between_has_two_edges():
    contrast = fit_contrast(RNG.normal(100, 5, 500), np.concatenate([RNG.normal(40, 5, 900), RNG.normal(160, 5, 900)]))
    assert contrast.lower.beta < 100 < contrast.upper.beta
    assert "from" in contrast.describe()


def test_values_that_are_all_the_same_tell_nothing():
    contrast = fit_contrast(np.full(10, 7.0), np.full(10, 7.0))
    assert contrast.overlap == 1.0
    assert "do not tell" in contrast.describe()


def test_the_unit_of_the_scan_does_not_matter():
    ours, theirs = RNG.normal(100, 8, 500), RNG.normal(60, 8, 500)
    plain, scaled = fit_contrast(ours, theirs), fit_contrast(ours * 1000 - 5e4, theirs * 1000 - 5e4)
    assert scaled.lower.beta == pytest.approx(plain.lower.beta * 1000 - 5e4)
    assert scaled.lower.alpha == pytest.approx(plain.lower.alpha * 1000)
