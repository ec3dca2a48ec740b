"""The page: one file that fetches nothing, names nobody, escapes everything, reads on paper, and is honest where there is little to tell."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from report_studies import SECRET, make_refinement, make_study

from napari_medseg.annotation import LabelClass
from napari_medseg.project import Project
from napari_medseg.review.report import Beside, ReportRequest, make
from napari_medseg.review.report.charts import Series, lines
from napari_medseg.review.report.facts import CaseFacts, CohortFacts, DataFacts, ReportFacts, ScoreFacts, StageFacts, VersionFacts
from napari_medseg.review.report.page import page
from napari_medseg.review.report.summing import statistics
from napari_medseg.review.report.tables import csv_text, json_text

WHEN = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
VOID = {"meta", "img", "br", "path", "use"}


class Strict(HTMLParser):
    """Whether every element is closed in its turn, ids are unique, and what the page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, (tag, self.open)

    def every(self, tag):
        return [attrs for name, attrs in self.seen if name == tag]


def made(source, folder, **wanted):
    *_, final = make(ReportRequest(source, folder / "report.html", folder / "report.json", folder / "report.csv", made_at=WHEN, **wanted))
    return (folder / "report.html").read_text(encoding="utf-8"), final.made


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return made(make_study(folder, 9, verified=8, marked=1, run=True), folder)[0]


def test_the_page_is_well_formed_and_its_ids_are_unique(html):
    found = Strict(html)
    ids = [attrs["id"] for _, attrs in found.seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in found.every("a")} <= set(ids)


def test_the_page_fetches_nothing_and_runs_nothing(html):
    found = Strict(html)
    for tag, attrs in found.seen:
        for name in ("src", "href", "data", "poster", "action", "srcset"):
            assert attrs.get(name, "#").startswith(("#", "data:image/png;base64,")), (tag, attrs)
        assert not [name for name in attrs if name.startswith("on")]
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in found.seen}
    policy = next(meta["content"] for meta in found.every("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html


def test_people_who_do_not_see_it_can_read_it(html):
    found = Strict(html)
    assert found.every("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in found.seen if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(image["alt"] for image in found.every("img"))
    assert all(svg.get("aria-label") and svg.get("role") == "img" for svg in found.every("svg"))
    assert all(head.get("scope") in ("col", "row") for head in found.every("th"))
    assert len(found.every("caption")) == len(found.every("table"))


def test_pictures_and_charts_are_in_the_page(html):
    found = Strict(html)
    assert len(found.every("img")) == 3
    assert len(found.every("svg")) >= 4
    assert html.count("Best: case-") == html.count("Worst: case-") == html.count("Median: case-") > 0


def test_it_has_rules_for_paper_and_for_the_dark(html):
    paper = html[html.index("@media print"):]
    assert "table-header-group" in paper
    assert "break-inside: avoid" in paper
    assert "@page" in html
    assert re.search(r"@media screen and \(prefers-color-scheme: dark\)", html), "paper stays white whatever the screen does"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_ink_stands_out_from_its_ground(html, theme):
    styles = re.findall(r":root \{(.*?)\}", html, re.S)[theme == "dark"]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", styles))
    inks = [name for name in colours if name in ("ink", "quiet", "warn", "link") or name.startswith("series")]
    for name in inks:
        for ground in ("ground", "box"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def contrast(one, two):
    def light(colour):
        parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((light(one), light(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_nothing_says_who_the_patient_is(tmp_path):
    for kind in ("study", "refinement"):
        folder = tmp_path / kind
        folder.mkdir()
        if kind == "study":
            html, _ = made(make_study(folder, 3, verified=2, run=True), folder)
        else:
            beside = Beside(*((folder / name) for name in ("images", "labels", "truth")))
            html, _ = made(make_refinement(folder, 3), folder, beside=beside)
        for path in (folder / "report.html", folder / "report.json", folder / "report.csv"):
            assert SECRET.casefold() not in path.read_text(encoding="utf-8").casefold(), path.name
            assert str(tmp_path) not in path.read_text(encoding="utf-8")
        assert "/home/" not in html


def test_pictures_hold_pixels_and_nothing_else(tmp_path):
    import base64

    html, _ = made(make_study(tmp_path, 1, verified=1), tmp_path)
    for source in re.findall(r'src="data:image/png;base64,([^"]+)"', html):
        data = base64.b64decode(source)
        kinds, at = [], 8
        while at < len(data):
            kinds.append(data[at + 4:at + 8].decode("ascii"))
            at += 12 + int.from_bytes(data[at:at + 4], "big")
        assert set(kinds) <= {"IHDR", "PLTE", "IDAT", "IEND"}


def test_what_people_wrote_is_text_and_never_markup(tmp_path):
    study = make_study(tmp_path, 2, verified=2, title="<script>alert(1)</script> & Co")
    with Project.open(study) as project:
        project.set_classes([LabelClass(1, '"><img src=x onerror=alert(2)>', (1, 0, 0)), LabelClass(3, "=1+1", (0, 1, 0))])
    html, _ = made(study, tmp_path, names=True)
    found = Strict(html)
    assert not found.every("script")
    assert all(image["src"].startswith("data:") for image in found.every("img"))
    assert "&lt;script&gt;alert(1)" in html
    assert "'=1+1" in (tmp_path / "report.csv").read_text(encoding="utf-8"), "no table program may take a name for a formula"


@pytest.mark.parametrize(("cases", "wanted"), [
    (0, {}), (1, {}), (1, {"verified": 1}), (1, {"marked": 1}), (2, {}), (2, {"verified": 1}), (3, {"verified": 3}),
])
def test_little_data_is_said_and_never_drawn(tmp_path, cases, wanted):
    html, done = made(make_study(tmp_path, cases, **wanted), tmp_path)
    Strict(html)
    assert "Not enough data" in html
    assert "no refinement was recorded" in html
    assert not re.search(r"\bnan\b|\binf\b|None", re.sub(r'base64,[^"]+', "", html))
    assert done.pictures == min(cases, 3 if not wanted else sum(wanted.values()))


def test_parts_can_be_left_out(tmp_path):
    html, done = made(make_study(tmp_path, 2, verified=2), tmp_path, parts=("data", "models"))
    assert done.pictures == 0
    assert 'id="figures"' not in html
    assert 'id="data"' in html
    assert 'id="conventions"' in html, "how figures are counted always stands there"


def test_a_huge_study_makes_a_page_of_bounded_size():
    def case(number):
        dice = 0.5 + 0.4 * ((number * 0.618) % 1)
        figures = {str(value): {"dice": dice, "volume_ml_pred": 9.0 + dice, "volume_ml_truth": 10.0} for value in (1, 2, 3)}
        return CaseFacts(f"case-{number:04d}", scores=tuple(ScoreFacts(stage, "whole", figures) for stage in ("weak", "proposal")))

    def told(count):
        stages = (StageFacts("weak", "weak"), StageFacts("proposal", "proposal"))
        cohort = CohortFacts("Figures", "", "the verified labels", stages, tuple(map(case, range(count))))
        versions = tuple(VersionFacts(f"case-{n:04d}", 1, "weak", "levelset", "A", WHEN, None, "", f"{n:064x}", 1.0) for n in range(count))
        return ReportFacts("study", "Huge", "", DataFacts(count), WHEN, cohorts=(replace(cohort, statistics=statistics(cohort)),), versions=versions)

    small, large = told(150), told(1100)
    assert len(page(small, {})) < 600_000
    assert len(page(large, {})) < 1.5 * len(page(small, {})), "tables end and charts become pictures"
    assert csv_text(large).count("\n") == 1 + 1100 * 2 * 3
    assert json_text(large).count('"checksum"') == 1100


def test_charts_do_not_share_ids_and_take_the_pages_ink():
    drawn = [lines([Series("a", [0, 1], [0.1, 0.9]), Series("b", [0, 1], [None, 0.4])], key=key, alt="Two lines", ticks=[(0, "x"), (1, "y")], y="Dice")
             for key in ("one", "two")]
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in drawn]
    assert ids[0]
    assert not ids[0] & ids[1]
    leads_to = set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawn[0]))
    assert leads_to
    assert leads_to <= ids[0]
    assert "currentColor" in drawn[0]
    assert "#010203" not in drawn[0]
    assert "stroke-dasharray" in drawn[0], "the second line is told by its dashes as well as by its colour"
