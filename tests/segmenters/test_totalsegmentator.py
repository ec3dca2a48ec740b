"""TotalSegmentator's tasks through tiny models in its real layout of folders; nothing is fetched unasked."""

import hashlib
import io
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import numpy as np
import pytest
from tiny_nnunets import write_nnunet

from napari_medseg import catalogue
from napari_medseg.errors import InvalidInputError, SegmenterError, UnavailableError
from napari_medseg.segmenters import collect, to_labels
from napari_medseg.segmenters.downloads import Download
from napari_medseg.segmenters.engines import totalsegmentator
from napari_medseg.segmenters.engines.nnunet import NnunetSegmenter
from napari_medseg.segmenters.engines.totalsegmentator import TotalSegmentator, task_parts, weights_folder
from napari_medseg.testing.segmenter_conformance import SegmenterConformance
from napari_medseg.volume import Geometry, Volume

THERE = all(find_spec(name) is not None for name in ("totalsegmentator", "nnunetv2"))
needs_package = pytest.mark.skipif(not THERE, reason="the optional packages TotalSegmentator and nnunetv2 are not installed")
RAS = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


def scan(spacing=(1.5, 1.5, 1.5)):
    noise = np.random.default_rng(1).normal(0, 1, (16, 36, 32))
    return Volume((500 + 15 * np.cumsum(np.cumsum(noise, axis=1), axis=2)).astype(np.float32), Geometry(noise.shape, spacing, (0.0, 0.0, 0.0), RAS))


def write_weights(folder, task, seed=0):
    """Tiny models for every part of a task, where the program would keep them."""
    for number, part in enumerate(task_parts(task)[1]):
        labels = {"background": 0, **{name: place + 1 for place, name in enumerate(part.classes)}}
        write_nnunet(folder / part.folder.name / part.model, labels=labels, spacing=(1.5, 1.5, 1.5), dataset=part.folder.name, seed=seed + 10 * number)


@pytest.fixture(autouse=True)
def _own_weights(tmp_path_factory, monkeypatch, request):
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path_factory.mktemp("weights")))


@pytest.fixture
def body():
    write_weights(weights_folder(), "body")
    return TotalSegmentator("body")


@needs_package
@pytest.mark.slow  # every scene through nnU-Net's preprocessing and resampling, many times
class TestTotalSegmentator(SegmenterConformance):
    @pytest.fixture(autouse=True)
    def _body(self, body):
        self.made = body

    def segmenter(self):
        return self.made


@needs_package
def test_a_task_says_its_classes_spacing_and_licence():
    can = TotalSegmentator("total fast").capabilities
    assert (len(can.classes), can.classes[:2], can.spacing) == (117, ("spleen", "kidney_right"), (3.0, 3.0, 3.0))
    assert (can.modalities, can.licence) == ({"CT"}, "Apache-2.0")
    assert TotalSegmentator("total_mr", classes="liver, spleen").capabilities.classes == ("spleen", "liver")
    assert len(task_parts("total")[1]) == 5
    assert {name for part in task_parts("total")[1] for name in part.classes} == set(TotalSegmentator("total").capabilities.classes)
    assert "licence number" in TotalSegmentator("tissue_types").capabilities.licence


@needs_package
def test_every_task_the_catalogue_offers_can_be_built():
    entry = catalogue.load().find("totalsegmentator", "segmenter")
    for task in entry.asks[0].choices:
        assert entry.build(task=task).capabilities.classes
    assert entry.build().task == "total fast"


@needs_package
@pytest.mark.parametrize(("given", "said"), [({"task": "liver_vessels"}, "no task 'liver_vessels' that runs on its own"), ({"task": "total slow"}, "no task"),
                                             ({"classes": "liver, wings"}, "does not outline wings")])
def test_tasks_and_classes_that_do_not_exist_are_refused(given, said):
    with pytest.raises(InvalidInputError, match=said):
        TotalSegmentator(**given)


@needs_package
def test_the_answer_is_that_of_its_nnunet_model_on_the_scans_grid(body):
    volume = scan()
    found = collect(body.predict(volume, device="cpu"), volume.geometry.shape)
    (part,) = body.parts
    expected = collect(NnunetSegmenter(part.folder, mirroring="off").predict(volume, device="cpu"), volume.geometry.shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(np.unique(to_labels(found))) == 3


@needs_package
def test_another_spacing_comes_back_to_its_grid_in_slabs_from_the_slice_in_view(body, monkeypatch):
    monkeypatch.setattr(totalsegmentator, "SLAB", 2 * 36 * 32 * 3)
    fine = scan()
    coarse = Volume(np.repeat(fine.array, 2, axis=0), Geometry((32, 36, 32), (0.75, 1.5, 1.5), (0.0, 0.0, -0.375), RAS))
    pieces = [piece for piece in body.predict(coarse, device="cpu", focus=20) if piece.probabilities.size]
    assert pieces[0].box[0].start <= 20 < pieces[0].box[0].stop
    assert len(pieces) == 11
    whole = to_labels(collect(body.predict(fine, device="cpu"), fine.geometry.shape))
    assert (to_labels(collect(pieces, coarse.geometry.shape))[::2] == whole).mean() > 0.8


@needs_package
def test_several_models_of_a_task_answer_together_and_only_those_that_are_wanted_run():
    write_weights(weights_folder(), "total_mr")
    volume = scan()
    segmenter = TotalSegmentator("total_mr")
    organs, muscles = segmenter.parts
    found = collect(segmenter.predict(volume, device="cpu"), volume.geometry.shape)
    for part in (organs, muscles):
        own = collect(NnunetSegmenter(part.folder, mirroring="off").predict(volume, device="cpu"), volume.geometry.shape)
        places = [segmenter.classes.index(name) for name in part.classes]
        np.testing.assert_allclose(found[places], own, atol=1e-5)
    only = TotalSegmentator("total_mr", classes=organs.classes[3])
    (alone,) = collect(only.predict(volume, device="cpu"), volume.geometry.shape)
    np.testing.assert_allclose(alone, found[segmenter.classes.index(organs.classes[3])], atol=1e-5)
    assert list(only._models) == [organs.folder.name]


@needs_package
def test_weights_are_never_fetched_unasked_and_what_they_are_is_said():
    said = r"total fast: its weights are not here\. Dataset297\w+: .*Apache-2\.0, from github\.com, .*--set download=yes"
    with pytest.raises(UnavailableError, match=said):
        next(TotalSegmentator().predict(scan(), device="cpu"))


@needs_package
def test_weights_that_need_a_licence_number_are_never_fetched():
    with pytest.raises(UnavailableError, match=r"Dataset481\w+\) need a licence number"):
        next(TotalSegmentator("tissue_types", download=True).predict(scan(), device="cpu"))


@needs_package
def test_with_consent_weights_are_fetched_unpacked_and_used(tmp_path, monkeypatch):
    (part,) = task_parts("body")[1]
    write_weights(tmp_path / "made", "body")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted((tmp_path / "made").rglob("*")):
            archive.write(file, file.relative_to(tmp_path / "made"))
    (tmp_path / "weights.zip").write_bytes(packed.getvalue())
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *args: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    sha = hashlib.sha256(packed.getvalue()).hexdigest()
    segmenter = TotalSegmentator("body", download=True)
    here = Download(f"http://127.0.0.1:{server.server_port}/weights.zip", part.folder.name, "Apache-2.0", len(packed.getvalue()), sha)
    segmenter.parts = (totalsegmentator.Part(part.folder, part.model, part.classes, here),)
    try:
        told = [piece.message for piece in segmenter.predict(scan(), device="cpu")]
    finally:
        server.shutdown()
        server.server_close()
    assert told[0] == here.words()
    assert any(message.startswith("Fetching Dataset299") for message in told)
    assert any(message.startswith("Unpacking Dataset299") for message in told)
    assert told[-1] == "Outlined"
    assert [p.name for p in weights_folder().iterdir()] == [part.folder.name]


@needs_package
def test_weights_of_another_task_are_said():
    (part,) = task_parts("body")[1]
    write_nnunet(part.folder / part.model)
    write_nnunet(part.folder / "extra", labels={"background": 0, "a": 1})
    (part.folder / part.model).rename(part.folder / "other")
    (part.folder / "extra").rename(part.folder / part.model)
    with pytest.raises(SegmenterError, match="holds a model of 1 classes, the task has 2"):
        list(TotalSegmentator("body").predict(scan(), device="cpu"))


def test_weights_are_looked_for_where_the_program_keeps_them(monkeypatch, tmp_path):
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path))
    assert weights_folder() == tmp_path
    monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH")
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path / "home"))
    assert weights_folder() == tmp_path / "home" / "nnunet" / "results"
    monkeypatch.delenv("TOTALSEG_HOME_DIR")
    assert weights_folder().parts[-3:] == (".totalsegmentator", "nnunet", "results")


@pytest.mark.skipif(THERE, reason="the package is installed")
def test_a_missing_package_is_said_with_the_command_that_brings_it():
    with pytest.raises(UnavailableError, match=r'pip install "TotalSegmentator>=2\.18"'):
        TotalSegmentator()
