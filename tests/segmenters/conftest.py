"""Small real networks, made on the spot."""

import pytest


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A random U-Net on disk, two classes wide: as deep as the real one, a twentieth of its size."""
    import torch

    from napari_medseg.segmenters.unet import UNet
    from napari_medseg.segmenters.weights import save_model

    torch.manual_seed(3)
    network = UNet(classes=2, widths=(3, 4, 6, 8, 12))
    for layer in network.modules():  # a fresh BatchNorm does nothing; a trained one does
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    with torch.no_grad():
        network.head.weight.mul_(8)
    return save_model(tmp_path_factory.mktemp("model"), network, {"title": "Tiny", "classes": ["liver", "spleen"], "training": {"seed": 3}})


@pytest.fixture
def deepbet_folder(tmp_path, monkeypatch):
    """The layout of the deepbet package with networks that call bright brain."""
    import torch

    class Bright(torch.nn.Module):
        def forward(self, x):
            return torch.softmax(torch.cat([0.6 - x, x - 0.6], dim=1) * 20, dim=1)

    (tmp_path / "deepbet").mkdir()
    (tmp_path / "deepbet" / "__init__.py").write_text("raise RuntimeError('the package itself must not be imported')")
    models = tmp_path / "data" / "models"
    models.mkdir(parents=True)
    for name in ("model.pt", "bbox_model.pt"):
        torch.jit.script(Bright()).save(models / name)
    monkeypatch.syspath_prepend(tmp_path)
    return models
