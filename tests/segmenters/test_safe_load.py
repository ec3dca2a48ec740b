"""Checkpoints from anywhere are read, and nothing in them ever runs."""

import collections
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from napari_medseg.errors import MissingFileError, SegmenterError
from napari_medseg.segmenters.safe_load import load_checkpoint, load_into, weights_in


class Trap:
    """Unpickling this writes a file."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.fixture
def like_nnunet(tmp_path):
    """What nnU-Net keeps in a checkpoint beside its weights."""
    network = torch.nn.Conv3d(1, 2, 3)
    kept = {
        "network_weights": network.state_dict(), "optimizer_state": torch.optim.SGD(network.parameters(), 0.1).state_dict(), "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5), np.float32(0.25)], "dice_per_class": np.array([0.5, 0.75]), "names": np.array(["liver"])},
        "_best_ema": np.float64(0.7), "current_epoch": 3, "trainer_name": "nnUNetTrainer", "inference_allowed_mirroring_axes": (0, 1, 2),
        "init_args": {"configuration": "3d_fullres", "fold": 0, "device": torch.device("cuda"), "plans": collections.OrderedDict(spacing=[1.0, np.int64(2)])},
    }
    torch.save(kept, tmp_path / "checkpoint_final.pth")
    return tmp_path / "checkpoint_final.pth", network, kept


def test_tensors_numbers_texts_and_numpy_are_read_as_they_were(like_nnunet):
    file, network, kept = like_nnunet
    found = load_checkpoint(file)
    assert found["trainer_name"] == "nnUNetTrainer"
    assert found["logging"]["mean_fg_dice"] == [0.5, 0.25]
    assert found["init_args"] == kept["init_args"]
    np.testing.assert_array_equal(found["logging"]["dice_per_class"], [0.5, 0.75])
    for name, value in weights_in(found, file).items():
        torch.testing.assert_close(value, network.state_dict()[name])


def test_checkpoints_of_older_numpy_and_torch_are_read_too(like_nnunet):
    file, _, kept = like_nnunet
    torch.save(kept, file, _use_new_zipfile_serialization=False)
    old = file.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != file.read_bytes()
    file.write_bytes(old)
    assert load_checkpoint(file)["_best_ema"] == 0.7


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize(("call", "arguments", "named"), [
    (os.mkdir, ("MARK",), "mkdir"), (exec, ("open('MARK', 'w').close()",), "exec"), (np.save, ("MARK", np.zeros(1)), "numpy.save"),
    (torch.hub.download_url_to_file, ("file:///etc/hostname", "MARK"), "download_url_to_file"),
])
def test_code_in_a_checkpoint_is_refused_by_its_name_and_never_runs(tmp_path, monkeypatch, as_zip, call, arguments, named):
    monkeypatch.chdir(tmp_path)
    torch.save({"network_weights": {}, "logging": Trap(call, *arguments)}, "bad.pth", _use_new_zipfile_serialization=as_zip)
    with pytest.raises(SegmenterError, match=rf"bad\.pth: is refused: it wants to use [\w.]*{named}"):
        load_checkpoint("bad.pth")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.pth"]
    if call is os.mkdir:  # the trap is a real one: torch's own way falls into it
        torch.load("bad.pth", weights_only=False)
        assert (tmp_path / "MARK").is_dir()


def test_a_bare_pickle_with_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.pth").write_bytes(pickle.dumps(Trap(os.mkdir, "MARK")))
    with pytest.raises(SegmenterError, match=r"bad\.pth: is"):
        load_checkpoint("bad.pth")
    assert not (tmp_path / "MARK").exists()


def test_a_whole_network_instead_of_weights_is_refused_by_its_class(tmp_path):
    torch.save(torch.nn.Conv3d(1, 1, 1), tmp_path / "net.pt")
    with pytest.raises(SegmenterError, match=r"wants to use torch\.nn\.modules\.conv\.Conv3d"):
        load_checkpoint(tmp_path / "net.pt")


def test_half_a_file_is_said_whatever_half(like_nnunet):
    file, _, _ = like_nnunet
    whole = file.read_bytes()
    for share in (0.0, 0.01, 0.5, 0.9, 0.999):
        file.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(SegmenterError, match="checkpoint"):
            load_checkpoint(file)


def test_spoilt_bytes_give_a_typed_error_or_a_checkpoint(like_nnunet):
    file, _, _ = like_nnunet
    whole, random = np.frombuffer(file.read_bytes(), np.uint8), np.random.default_rng(0)
    for _ in range(60):
        spoilt = whole.copy()
        spoilt[random.integers(0, len(whole), 8)] = random.integers(0, 256, 8)
        file.write_bytes(spoilt.tobytes())
        try:
            load_checkpoint(file)
        except SegmenterError as error:
            assert error.where == file.name  # noqa: PT017 - either end is right, nothing else is


@pytest.mark.parametrize("content", [b"", b"no model", b"\x89PNG\r\n\x1a\n" + bytes(99), b"PK\x03\x04" + bytes(99), b"\x80\x02.", bytes(4096)])
def test_a_file_of_another_kind_is_said(tmp_path, content):
    (tmp_path / "other.pth").write_bytes(content)
    with pytest.raises(SegmenterError, match=r"other\.pth"):
        load_checkpoint(tmp_path / "other.pth")


def test_a_torchscript_model_is_called_one(tmp_path):
    torch.jit.script(torch.nn.ReLU()).save(tmp_path / "model.ts")
    with pytest.raises(SegmenterError, match="TorchScript model, not a checkpoint"):
        load_checkpoint(tmp_path / "model.ts")


def test_a_file_that_unpacks_to_far_more_is_refused_unopened(tmp_path):
    plain = io.BytesIO()
    torch.save({"a": torch.zeros(4_000_000)}, plain)
    with zipfile.ZipFile(plain) as whole, zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for part in whole.infolist():
            packed.writestr(part.filename, whole.read(part))
    assert (tmp_path / "bomb.pth").stat().st_size < 100_000
    with pytest.raises(SegmenterError, match="unpacks to more"):
        load_checkpoint(tmp_path / "bomb.pth")


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(MissingFileError, match=r"gone\.pth"):
        load_checkpoint(tmp_path / "gone.pth")


@pytest.mark.parametrize("kept", [
    lambda w: w, lambda w: {"state_dict": w}, lambda w: {"model": {f"module.{k}": v for k, v in w.items()}, "epoch": 3},
    lambda w: {"network_weights": {f"_orig_mod.module.{k}": v for k, v in w.items()}},
])
def test_weights_are_found_where_programs_keep_them(kept):
    network = torch.nn.Conv3d(1, 2, 3)
    other = torch.nn.Conv3d(1, 2, 3)
    load_into(other, weights_in(kept(network.state_dict()), "x"), "x")
    torch.testing.assert_close(other.weight, network.weight)


@pytest.mark.parametrize("checkpoint", [None, [], {}, {"state_dict": {}}, {"a": 1}, torch.zeros(3)])
def test_a_checkpoint_without_weights_is_said(checkpoint):
    with pytest.raises(SegmenterError, match=r"w\.pt: holds no weights"):
        weights_in(checkpoint, "w.pt")


def test_weights_of_another_network_name_what_does_not_fit():
    with pytest.raises(SegmenterError, match=r"w\.pt: holds weights that do not fit the network \(size mismatch for weight"):
        load_into(torch.nn.Conv3d(1, 2, 3), torch.nn.Conv3d(1, 3, 3).state_dict(), "w.pt")
