"""Weights that travel between sites: what leaves, what comes back, and what is refused."""

import json

import pytest
import torch

from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError
from napari_medseg.refine.exchange import ChangePlan, apply_change, export_change, merge_changes
from napari_medseg.segmenters.opening import checksum
from napari_medseg.segmenters.plan import read_plan
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.weights import load_model, read_weights, save_model, write_weights

LEARNT = {
    "recipe": "salah2023", "cases": ["Mrs Smith.nii.gz"], "source": "D:/patients/smith",
    "lineage": {"labels_sha256": ["ab", "cd", "ef"], "patients": 3, "voxels": {"weak": 70}, "labels": {"Mrs Smith.nii.gz": {"patient": "smith"}}},
}


def tensors(path):
    return read_weights(path, checksum(path))


@pytest.fixture
def base(tmp_path):
    torch.manual_seed(0)
    return save_model(tmp_path / "base.safetensors", UNet(widths=(4, 8)), {"title": "Shared base"})


@pytest.fixture
def site(tmp_path, base):
    """A site's training: the base with its decoder moved, or its first weight turned into something else."""

    def trained(seed, *, cases=True, spoil=None, scale=0.1):
        network, plan = load_model(base)
        torch.manual_seed(seed)
        with torch.no_grad():
            for name, value in network.named_parameters():
                if "down" not in name and "encoder" not in name:
                    value += scale * torch.randn(value.shape)
            for value in network.buffers():
                if not value.is_floating_point():
                    value += seed  # how many batches the normalisation has seen
            if spoil is not None:
                next(network.parameters()).view(-1)[0] = spoil
        return save_model(tmp_path / f"site{seed}.safetensors", network, {**plan, "title": f"Site {seed}", "training": LEARNT if cases else {}})

    return trained


def test_a_change_put_into_its_base_is_the_trained_model_bit_by_bit(tmp_path, base, site):
    for scale in (1e-7, 0.1, 1e4):
        trained = site(1, scale=scale)
        done = export_change(trained, base, tmp_path / "change.safetensors")
        again = apply_change(done.file, base, tmp_path / "again")
        assert checksum(again) == checksum(trained) != checksum(base)
        assert all(torch.equal(value, tensors(trained)[name]) for name, value in tensors(again).items())
        assert read_plan(again).title == "Site 1"


def test_what_leaves_is_weights_a_count_and_a_plan_that_names_nobody(tmp_path, base, site):
    done = export_change(site(1), base, tmp_path / "change.safetensors")
    assert (done.samples, done.base) == (3, checksum(base))
    content = done.file.read_bytes()
    assert not any(word in content for word in (b"smith", b"Smith", b"patients/", b"\"ab\""))
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    told = json.loads(header["__metadata__"]["medseg"])
    assert set(told) == {"format", "kind", "base", "samples", "model", "sha256"}
    assert told["model"]["training"] == {"recipe": "salah2023", "cases": [], "learnt_from": {"cases": 3, "patients": 3, "voxels": {"weak": 70}}}


def test_weights_that_did_not_change_stay_at_home(tmp_path, base):
    network, plan = load_model(base)
    with torch.no_grad():
        list(network.parameters())[-1].add_(1)
    done = export_change(save_model(tmp_path / "m.safetensors", network, plan), base, tmp_path / "c.safetensors", samples=4)
    assert (done.changed, done.samples) == (1, 4)
    assert done.arrays > 5
    assert done.file.stat().st_size < base.stat().st_size / 2


def test_merging_is_the_mean_weighted_by_cases(tmp_path, base, site):
    models = [site(1), site(2), site(3)]
    counts = [3, 10, 1]
    changes = [export_change(m, base, tmp_path / f"c{i}.safetensors", samples=n).file for i, (m, n) in enumerate(zip(models, counts, strict=True))]
    done = merge_changes(changes, base, tmp_path / "next")
    found, each = tensors(done.file), [tensors(model) for model in models]
    for name, value in found.items():
        mean = sum(n * one[name].double() for n, one in zip(counts, each, strict=True)) / sum(counts)
        assert torch.allclose(value.double(), mean if value.is_floating_point() else mean.round(), rtol=2e-7, atol=0)
        assert value.dtype == each[0][name].dtype
    assert done.samples == (3, 10, 1)
    assert done.sha256 == checksum(done.file)
    plan = read_plan(done.file)
    assert plan.title == "Shared base"
    assert plan.training["merged"] == {"sites": 3, "samples": counts, "base": checksum(base)}
    assert plan.training["learnt_from"] == {"cases": 14}
    backwards = merge_changes(changes[::-1], base, tmp_path / "backwards")
    assert all(torch.allclose(value, found[name], rtol=1e-6) for name, value in tensors(backwards.file).items())


def test_one_site_alone_merges_to_its_own_model(tmp_path, base, site):
    trained = site(1)
    done = merge_changes([export_change(trained, base, tmp_path / "c.safetensors").file], base, tmp_path / "next.safetensors")
    assert done.sha256 == checksum(trained)


def test_the_merged_model_is_the_next_base(tmp_path, base, site):
    first = merge_changes([export_change(site(n), base, tmp_path / f"c{n}.safetensors").file for n in (1, 2)], base, tmp_path / "first")
    network, plan = load_model(first.file)
    with torch.no_grad():
        next(network.parameters()).mul_(1.5)
    trained = save_model(tmp_path / "later.safetensors", network, {**plan, "training": LEARNT})
    change = export_change(trained, first.file, tmp_path / "later_change.safetensors")
    assert change.base == first.sha256
    assert merge_changes([change.file], first.file, tmp_path / "second").sha256 == checksum(trained)
    with pytest.raises(InvalidInputError, match="another base"):
        merge_changes([change.file], base, tmp_path / "wrong")


def refused(kind, said, work, *arguments, **options):
    with pytest.raises(kind) as caught:
        work(*arguments, **options)
    assert said in str(caught.value)
    assert caught.value.todo


def test_a_change_of_another_base_or_network_is_refused(tmp_path, base, site):
    change = export_change(site(1), base, tmp_path / "c.safetensors").file
    torch.manual_seed(1)
    other = save_model(tmp_path / "other.safetensors", UNet(widths=(4, 8)), {})
    larger = save_model(tmp_path / "larger.safetensors", UNet(widths=(4, 16)), {})
    for work in (lambda start: apply_change(change, start, tmp_path / "out"), lambda start: merge_changes([change], start, tmp_path / "out")):
        refused(InvalidInputError, "another base", work, other)
    refused(InvalidInputError, "not the same network as the base (it differs in network)", export_change, larger, base, tmp_path / "d.safetensors", samples=1)
    assert not (tmp_path / "out").exists()


def test_a_damaged_or_wrong_file_is_refused(tmp_path, base, site):
    change = export_change(site(1), base, tmp_path / "c.safetensors").file
    whole = change.read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 64
    faulty = {bytes(flipped): "damaged", whole[: len(whole) // 2]: "cut short", b"junk": "cut short", base.read_bytes(): "is no change of weights"}
    for content, said in faulty.items():
        (tmp_path / "bad.safetensors").write_bytes(content)
        refused(SegmenterError, said, apply_change, tmp_path / "bad.safetensors", base, tmp_path / "out")
    refused(MissingFileError, "no such file", merge_changes, [change, tmp_path / "nowhere.safetensors"], base, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_neither_leave_nor_come_in(tmp_path, base, site, value):
    refused(InvalidInputError, "no numbers", export_change, site(1, spoil=value), base, tmp_path / "c.safetensors")
    good = export_change(site(2), base, tmp_path / "good.safetensors").file
    plan = read_plan(good, ChangePlan)
    weights = {name: torch.full_like(one, value) if one.is_floating_point() else one for name, one in read_weights(good, plan.sha256).items()}
    evil = write_weights(tmp_path / "evil.safetensors", weights, ChangePlan, plan.model_dump())
    refused(InvalidInputError, "no numbers", merge_changes, [good, evil], base, tmp_path / "out")
    more = write_weights(tmp_path / "more.safetensors", {"extra": torch.zeros(2)}, ChangePlan, plan.model_dump())
    refused(InvalidInputError, "does not have (extra)", merge_changes, [more], base, tmp_path / "out")
    bent = write_weights(tmp_path / "bent.safetensors", {name: one.flatten()[:1] for name, one in weights.items()}, ChangePlan, plan.model_dump())
    refused(InvalidInputError, "does not have", apply_change, bent, base, tmp_path / "out")
    swapped = {**plan.model_dump(), "model": {**plan.model, "network": {**plan.model["network"], "widths": [4, 16]}}}
    another = write_weights(tmp_path / "another.safetensors", read_weights(good, plan.sha256), ChangePlan, swapped)
    refused(InvalidInputError, "not the same network", apply_change, another, base, tmp_path / "out")


def test_what_cannot_be_counted_or_written_is_refused(tmp_path, base, site):
    refused(InvalidInputError, "from how many cases", export_change, site(1, cases=False), base, tmp_path / "c.safetensors")
    refused(InvalidInputError, "from how many cases", export_change, site(1), base, tmp_path / "c.safetensors", samples=0)
    refused(InvalidInputError, "nothing was learnt", export_change, base, base, tmp_path / "c.safetensors", samples=2)
    refused(InvalidInputError, "must end in .safetensors", export_change, site(1), base, tmp_path / "c.zip")
    refused(InvalidInputError, "would overwrite", export_change, site(1), base, base)
    change = export_change(site(1), base, tmp_path / "c.safetensors").file
    refused(InvalidInputError, "given twice", merge_changes, [change, change], base, tmp_path / "out")
    refused(InvalidInputError, "nothing to merge", merge_changes, [], base, tmp_path / "out")
    refused(InvalidInputError, "would overwrite", merge_changes, [change], base, base)
