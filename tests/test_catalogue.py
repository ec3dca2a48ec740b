"""plugins.yaml: what is read, what is left out and why, and what brings a missing part."""

from importlib.util import find_spec

import numpy as np
import pytest
import yaml

from napari_medseg import catalogue
from napari_medseg.errors import CatalogueError, InvalidInputError, MissingFileError, UnavailableError

PART = {"id": "mine", "kind": "recipe", "title": "Mine", "factory": "fractions:Fraction", "licence": "MIT", "parameters": {"numerator": 3}}


@pytest.fixture(autouse=True)
def _no_own_files(monkeypatch, tmp_path):
    monkeypatch.delenv(catalogue.VARIABLE, raising=False)
    monkeypatch.setattr(catalogue, "user_file", lambda: tmp_path / "config" / "plugins.yaml")


def own(tmp_path, monkeypatch, *parts):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"parts": list(parts)}), encoding="utf-8")
    monkeypatch.setenv(catalogue.VARIABLE, str(path))


def test_every_packaged_part_is_valid_and_can_be_built_or_says_what_it_needs():
    found = catalogue.load()
    assert not found.problems
    assert {"unet", "deepbet", "levelset", "random-walker", "salah2023"} <= set(found.entries)
    for entry in found.entries.values():
        if entry.kind != "network" and not entry.needs() and not any(ask.required for ask in entry.asks):
            assert entry.build() is not None  # networks: segmenters/test_networks.py, where they cost no memory


def test_every_weak_label_tool_is_listed_and_builds_what_it_says():
    found = catalogue.load()
    built = {entry.id: entry.build() for entry in found.of_kind("weaklabel")}
    assert set(built) >= {
        "levelset", "scribbles", "geodesic", "growcut", "random-walker", "pixel-classifier", "interpolate", "interpolate-shape", "clean-up",
    }
    methods = [built[name].method for name in ("levelset", "scribbles", "geodesic", "growcut", "random-walker")]
    assert methods == ["auto", "auto", "geodesic", "growcut", "walker"]
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[::2, 2:6, 2:6] = 1
    for name, method in (("interpolate", "image"), ("interpolate-shape", "shape")):
        *_, filled = built[name](labels, (2.0, 1.0, 1.0), image=np.broadcast_to(labels[0] * 100, labels.shape))
        assert filled.method == method
        assert filled.labels[1].any()
    assert all(entry.summary.endswith(".") and entry.capabilities["takes"] for entry in found.of_kind("weaklabel"))


def test_a_later_source_replaces_a_part_by_its_id(tmp_path, monkeypatch):
    own(tmp_path, monkeypatch, {**PART, "id": "unet", "title": "Other"})
    assert catalogue.load().entries["unet"].title == "Other"


def test_the_users_file_counts_and_the_variable_outranks_it(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    catalogue.user_file().write_text(yaml.safe_dump({"parts": [PART, {**PART, "id": "second"}]}), encoding="utf-8")
    own(tmp_path, monkeypatch, {**PART, "title": "From the variable"})
    entries = catalogue.load().entries
    assert entries["mine"].title == "From the variable"
    assert entries["second"].title == "Mine"


@pytest.mark.parametrize(("faulty", "said"), [
    ({"id": "Bad Id"}, "id"), ({"kind": "spell"}, "kind"), ({"factory": "no colon"}, "factory"), ({"colour": "red"}, "colour"), ({"licence": ""}, "licence"),
])
def test_a_faulty_part_costs_itself_only_and_says_which_field(tmp_path, monkeypatch, faulty, said):
    own(tmp_path, monkeypatch, {**PART, **faulty}, {**PART, "id": "good"})
    found = catalogue.load()
    assert "good" in found.entries
    assert len(found.problems) == 1
    assert f"{said}:" in found.problems[0]


@pytest.mark.parametrize("content", ["parts: [", "just a word", "parts: 3", "\x00\xff"])
def test_a_file_that_is_no_catalogue_is_one_problem(tmp_path, monkeypatch, content):
    path = tmp_path / "own.yaml"
    path.write_text(content, encoding="latin-1")
    monkeypatch.setenv(catalogue.VARIABLE, str(path))
    found = catalogue.load()
    assert found.entries
    assert len(found.problems) == 1
    assert found.problems[0].startswith("own.yaml: ")


def test_a_part_is_built_with_its_parameters_and_the_callers(tmp_path, monkeypatch):
    own(tmp_path, monkeypatch, PART)
    entry = catalogue.load().find("mine", "recipe")
    assert float(entry.build()) == 3.0
    assert float(entry.build(denominator=2)) == 1.5


def test_a_missing_package_is_said_with_the_command_that_brings_it_and_keeps_the_torch_that_runs(tmp_path, monkeypatch):
    own(tmp_path, monkeypatch, {**PART, "requires": {"no_such_module_at_all": "nosuch==1.0"}})
    entry = catalogue.load().entries["mine"]
    assert entry.needs() == ("nosuch==1.0",)
    with pytest.raises(UnavailableError, match=r'pip install "nosuch==1\.0" "torch=='):
        entry.build()


def test_a_package_that_installs_but_does_not_import_counts_as_missing_when_tried(tmp_path, monkeypatch):
    (tmp_path / "broken_module_here.py").write_text("raise RuntimeError('wrong torch')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    own(tmp_path, monkeypatch, {**PART, "requires": {"broken_module_here": "broken"}})
    entry = catalogue.load().entries["mine"]
    assert entry.needs() == ()
    assert entry.needs(try_import=True) == ("broken",)


def asking(tmp_path, monkeypatch, *asks):
    """An entry whose factory gives back what it was given."""
    own(tmp_path, monkeypatch, {**PART, "parameters": {}, "factory": "builtins:dict", "asks": list(asks)})
    found = catalogue.load()
    assert not found.problems
    return found.entries["mine"]


def test_what_a_part_asks_for_reaches_its_factory_checked_and_typed(tmp_path, monkeypatch):
    model = tmp_path / "model.PT"
    model.write_bytes(b"x")
    entry = asking(
        tmp_path, monkeypatch,
        {"name": "model", "kind": "file", "title": "Model file", "suffixes": [".pt", ".ts"]},
        {"name": "folder", "kind": "folder", "title": "Model folder"},
        {"name": "fold", "kind": "choice", "title": "Fold", "choices": ["all", "0"], "default": "all", "required": False},
        {"name": "overlap", "kind": "number", "title": "Overlap", "default": 0.5, "required": False},
        {"name": "note", "kind": "text", "title": "Note", "required": False},
        {"name": "trust", "kind": "consent", "title": "It may run its own code", "required": False},
    )
    assert entry.build(model=str(model), folder=tmp_path, overlap="0.25", trust="Yes") == {
        "model": model, "folder": tmp_path, "fold": "all", "overlap": 0.25, "trust": True,
    }
    assert entry.build(model=model, folder=tmp_path, trust=False)["trust"] is False


def test_parts_can_share_a_form(tmp_path, monkeypatch):
    form = [{"name": name, "kind": "number", "title": name, "required": False} for name in ("low", "high")]
    entry = asking(tmp_path, monkeypatch, {"name": "model", "kind": "text", "title": "Model"}, form)
    assert [ask.name for ask in entry.asks] == ["model", "low", "high"]


@pytest.mark.parametrize(("answer", "kind", "said"), [
    ({}, InvalidInputError, r"Mine: needs an answer: Model file\. .*--set model="),
    ({"model": "gone.pt"}, MissingFileError, r"Model file \(model\): there is no file 'gone\.pt'"),
    ({"model": "."}, InvalidInputError, "is a folder"),
    ({"model": "other.txt"}, InvalidInputError, r"ends in \.pt"),
    ({"model": "m.pt", "overlap": "half"}, InvalidInputError, "'half' is no number"),
    ({"model": "m.pt", "overlap": "nan"}, InvalidInputError, "'nan' is no number"),
    ({"model": "m.pt", "fold": "7"}, InvalidInputError, "Choose one of: all, 0"),
    ({"model": "m.pt", "trust": "perhaps"}, InvalidInputError, "Answer yes or no"),
    ({"model": " "}, InvalidInputError, "is empty"),
])
def test_an_answer_that_does_not_fit_names_its_question(tmp_path, monkeypatch, answer, kind, said):
    monkeypatch.chdir(tmp_path)
    for name in ("m.pt", "other.txt"):
        (tmp_path / name).write_bytes(b"x")
    entry = asking(
        tmp_path, monkeypatch,
        {"name": "model", "kind": "file", "title": "Model file", "suffixes": [".pt"]},
        {"name": "overlap", "kind": "number", "title": "Overlap", "required": False},
        {"name": "fold", "kind": "choice", "title": "Fold", "choices": ["all", "0"], "required": False},
        {"name": "trust", "kind": "consent", "title": "It may run its own code", "required": False},
    )
    with pytest.raises(kind, match=said):
        entry.build(**answer)


@pytest.mark.parametrize("ask", [
    {"kind": "choice"}, {"kind": "text", "choices": ["a"]}, {"kind": "folder", "suffixes": [".pt"]}, {"kind": "consent", "default": "yes"},
    {"kind": "number", "default": "many"}, {"kind": "file", "default": "a.pt"}, {"kind": "spell"}, {"kind": "text", "name": "Bad Name"},
])
def test_a_question_that_makes_no_sense_is_a_problem_of_its_entry(tmp_path, monkeypatch, ask):
    own(tmp_path, monkeypatch, {**PART, "asks": [{"name": "a", "title": "A", **ask}]})
    found = catalogue.load()
    assert "mine" not in found.entries
    assert "asks" in found.problems[0]


@pytest.mark.parametrize(("change", "kind"), [
    ({"factory": "fractions:Nothing"}, CatalogueError), ({"parameters": {"wrong": 1}}, CatalogueError),
    ({"factory": "no_such_module_at_all:X"}, UnavailableError),
])
def test_a_factory_that_does_not_work_says_so(tmp_path, monkeypatch, change, kind):
    own(tmp_path, monkeypatch, {**PART, **change})
    with pytest.raises(kind):
        catalogue.load().entries["mine"].build()


def test_an_unknown_id_lists_those_there_are():
    with pytest.raises(CatalogueError, match=r"no segmenter 'sam'.*unet"):
        catalogue.load().find("sam", "segmenter")


def test_an_id_of_another_kind_does_not_count():
    with pytest.raises(CatalogueError, match="no recipe 'unet'"):
        catalogue.load().find("unet", "recipe")


def test_a_part_of_a_package_that_is_missing_is_not_looked_for_at_every_change(tmp_path, monkeypatch):
    looked = []

    def look(module):
        looked.append(module)
        return find_spec(module)

    monkeypatch.setattr(catalogue, "find_spec", look)
    own(tmp_path, monkeypatch, {**PART, "requires": {"no_such_package_either.part": "nosuch==1.0"}})
    entry = catalogue.load().entries["mine"]
    assert [entry.needs() for _ in range(3)] == [("nosuch==1.0",)] * 3
    assert looked == ["no_such_package_either.part"]
