"""LPIPS says in one line what it lacks, downloads nothing, and hands over images in the range that it is told."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from utils.metrics.images import find_lpips


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """A torchvision that knows where its weights come from, and an empty folder for them."""
    weights = {"VGG16_Weights": "https://example.org/vgg16-1.pth", "AlexNet_Weights": "https://example.org/alex-2.pth"}
    package = ModuleType("torchvision")
    package.models = SimpleNamespace(
        **{name: SimpleNamespace(IMAGENET1K_V1=SimpleNamespace(url=url)) for name, url in weights.items()}
    )
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints"


def test_without_the_package(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert find_lpips("vgg") is None
    assert "pip install torchvision" in caplog.text


def test_without_the_weights(stand_in, caplog):
    assert find_lpips("alex") is None
    assert f"Download https://example.org/alex-2.pth as {stand_in / 'alex-2.pth'}" in caplog.text


def test_images_reach_the_network_as_batches(stand_in, monkeypatch):
    stand_in.mkdir()
    (stand_in / "vgg16-1.pth").touch()
    lpip = ModuleType("torchmetrics.image.lpip")

    class Distance:
        def __init__(self, net_type, normalize):
            assert (net_type, normalize) == ("vgg", True)  # images are in [0, 1]

        def __call__(self, prediction, truth):
            assert prediction.shape == truth.shape == (1, 3, 4, 6)
            return (prediction - truth).abs().mean()

    lpip.LearnedPerceptualImagePatchSimilarity = Distance
    monkeypatch.setitem(sys.modules, "torchmetrics.image.lpip", lpip)
    white, grey = np.ones((4, 6, 3), np.float32), np.full((4, 6, 3), 0.75, np.float32)
    assert find_lpips("vgg")(white, grey) == pytest.approx(0.25)
