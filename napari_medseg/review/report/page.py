"""The page: sections and their blocks through one template that escapes every text; nothing is fetched, and nothing runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from napari_medseg.review.report.blocks import Image, Section
from napari_medseg.review.report.facts import ReportFacts
from napari_medseg.review.report.saying import day
from napari_medseg.review.report.section_compared import compared
from napari_medseg.review.report.section_data import data, glance
from napari_medseg.review.report.section_figures import figures
from napari_medseg.review.report.section_proof import agreement, blinded, footing, lineage, models
from napari_medseg.review.report.section_rounds import rounds

PARTS = ("data", "rounds", "figures", "pictures", "blinded", "lineage", "models")
"""What may be left out, in the page's order. What it is, how figures are counted and with what it was made always stand there."""


def page(facts: ReportFacts, pictures: Mapping[int, Sequence[Image]], parts: Sequence[str] = PARTS) -> str:
    """HTML, one file that needs no other.

    Parameters
    ----------
    pictures : by number of the cohort, from 0
    parts : of `PARTS`
    """
    return _template().render(facts=facts, made=day(facts.made_at), sections=_sections(facts, pictures, parts), style=_style())


def _sections(facts: ReportFacts, pictures: Mapping[int, Sequence[Image]], parts: Sequence[str]) -> list[Section]:
    made = [glance(facts)]
    if "data" in parts:
        made.append(data(facts))
    if "rounds" in parts:
        made.append(rounds(facts))
    if "figures" in parts or "pictures" in parts:
        made += figures(facts, pictures, with_figures="figures" in parts)
    if "blinded" in parts:
        made.append(blinded(facts))
        made += [section for section in (compared(facts), agreement(facts)) if section is not None]
    if "lineage" in parts:
        made.append(lineage(facts))
    if "models" in parts:
        made.append(models(facts))
    return [*made, *footing(facts)]


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_file("page.html.j2"))


@cache
def _style() -> Markup:
    return Markup(_file("page.css"))


def _file(name: str) -> str:
    return (files(__package__ or "napari_medseg.review.report") / name).read_text(encoding="utf-8")
