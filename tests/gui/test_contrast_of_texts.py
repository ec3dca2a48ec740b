"""Contrast of what is written and of what can be pressed, measured as WCAG 2.1 does, in both of napari's themes."""

import itertools

import numpy as np
import pytest

from napari_medseg.annotation.classes import OKABE_ITO, palette

TEXT, LARGE = 4.5, 3.0  # WCAG 2.1, 1.4.3 and 1.4.11
THEMES = ("dark", "light")
BLUE_TINT, AMBER_TINT = ((0, 114, 178), 40 / 255), ((230, 159, 0), 30 / 255)

# Machado, Oliveira, Fernandes, "A physiologically-based model for simulation of color vision deficiency" (2009), severity 1.0, linear RGB.
SIMULATED = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
LAB_APART = 15.0  # CIE 1976; about 2 is just seen where two colours touch


def rgb(colour):
    if isinstance(colour, str):
        return np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.array(colour.as_rgb_tuple()[:3] if hasattr(colour, "as_rgb_tuple") else colour, float) / (255 if np.max(colour.as_rgb_tuple()[:3]) > 1 else 1)


def linear(colour):
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    return float(linear(colour) @ (0.2126, 0.7152, 0.0722))


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def over(tint, ground):
    colour, share = tint
    return share * np.array(colour) / 255 + (1 - share) * ground


def pairs(theme):
    """(what, text or edge, what it lies on, the least contrast) of all that our style draws."""
    from napari.utils.theme import get_theme

    from napari_medseg.gui.style import COLOURS, FILLED, FILLED_HOVER

    napari, ours = get_theme(theme), COLOURS[theme]
    ground, field, front, text = (rgb(getattr(napari, name)) for name in ("background", "primary", "foreground", "text"))
    guide, waiting, white = over(BLUE_TINT, ground), over(AMBER_TINT, ground), np.ones(3)
    for name, behind in (("dock", ground), ("button", field), ("table", front), ("Guide", guide), ("Guide while it waits", waiting)):
        yield f"text on {name}", text, behind, TEXT
    for name, behind in (("dock", ground), ("Guide", guide), ("Guide while it waits", waiting)):
        yield f"small print on {name}", rgb(ours.quiet), behind, TEXT
    yield "hint in an empty field or list", rgb(ours.hint), field, TEXT
    yield "text on a pressed button or an open tab", text, rgb(napari.current), TEXT
    for name, fill in (("filled button", FILLED), ("filled button under the mouse", FILLED_HOVER)):
        yield f"text on the {name}", white, rgb(fill), TEXT
    yield "pictures on a table", rgb(ours.ink), front, LARGE
    for edge in ("rim", "focus", "armed"):
        yield f"{edge} on the dock", rgb(getattr(ours, edge)), ground, LARGE
    yield "focus on the filled button", rgb(ours.ink), ground, LARGE
    from napari_medseg.gui.charts import LINES

    for number, line in enumerate(LINES[theme]):
        yield f"line {number} of a chart", rgb(line), ground, LARGE


@pytest.mark.parametrize("theme", THEMES)
def test_all_that_is_written_and_all_that_is_pressed_stands_out(theme, record_property):
    faint = []
    for what, one, other, least in pairs(theme):
        found = contrast(one, other)
        record_property(what, round(found, 2))
        if found < least:
            faint.append(f"{what}: {found:.2f} to 1, not {least}")
    assert not faint, "\n".join(faint)


def test_ink_is_napari_s_own_text_colour():
    from napari.utils.theme import get_theme

    from napari_medseg.gui.style import COLOURS

    for theme in THEMES:
        assert np.allclose(rgb(COLOURS[theme].ink), rgb(get_theme(theme).text), atol=1 / 255)


@pytest.mark.parametrize("one", OKABE_ITO)
def test_the_number_on_a_colour_is_read(one):
    from napari_medseg.gui.class_icons import is_light

    assert contrast(np.array(one), np.zeros(3) if is_light(one) else np.ones(3)) >= TEXT


def lab(colour):
    xyz = np.array(((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))) @ linear(colour) / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array((116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])))


def seen(colour, eye):
    changed = np.clip(np.array(SIMULATED[eye]) @ linear(np.array(colour)), 0, 1)
    return np.where(changed <= 0.0031308, 12.92 * changed, 1.055 * changed ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("eye", SIMULATED)
def test_the_first_seven_classes_are_told_apart_by_every_eye(eye):
    colours = [lab(seen(colour, eye)) for colour in OKABE_ITO]
    assert min(float(np.linalg.norm(one - other)) for one, other in itertools.combinations(colours, 2)) >= LAB_APART


@pytest.mark.parametrize("eye", SIMULATED)
def test_of_twenty_classes_neighbours_in_the_table_are_told_apart(eye):
    colours = [lab(seen(colour, eye)) for colour in palette(20)]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.pairwise(colours)) >= LAB_APART


def falling_loss():
    from napari_medseg.gui.loss_plot import LossPlot

    plot = LossPlot("light")
    plot.show_losses([1.0, 0.5, 0.2], [0])
    return plot, lambda: None


def compared_volumes():
    from napari_medseg.gui.compare_plot import ComparePlot
    from napari_medseg.review.volumes import VolumeFit

    plot = ComparePlot(lambda case: None, "light")
    fit = VolumeFit(3, ("a", "b", "c"), (1.0, 2.0, 3.0), (1.1, 2.3, 2.8), slope=0.9, intercept=0.1)
    return plot, lambda: plot.show_volumes(fit)


@pytest.mark.qt
@pytest.mark.parametrize("made", [falling_loss, compared_volumes])
def test_a_chart_is_read_in_either_theme_also_after_it_was_changed(made, qtbot):
    from napari.utils.theme import get_theme
    from qtpy.QtWidgets import QWidget

    from napari_medseg.gui.charts import LINES

    behind = QWidget()
    qtbot.addWidget(behind)
    plot, draw = made()
    plot.setParent(behind)
    plot.resize(300, 140)
    behind.resize(300, 140)
    for theme in ("dark", "light"):
        ground = get_theme(theme).background.as_hex(format="long")
        behind.setStyleSheet(f"background-color: {ground}")
        plot.rethemed(theme)
        draw()
        behind.show()
        drawn = behind.grab().toImage()
        assert drawn.pixelColor(298, 2).name() == ground, "what lies behind it is seen through"
        line = rgb(LINES[theme][0])
        near = min(np.abs(rgb(drawn.pixelColor(x, y).name()) - line).max() for x in range(0, 300, 2) for y in range(0, 140, 2))
        assert near < 0.05, "the line has the colour of the theme"
