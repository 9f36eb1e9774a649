"""What a view is measured by: all of its pixels, and those of the object alone."""

import numpy as np
import pytest
import torch
from small_models import random_rays, sphere_model

from systems.training import evaluation
from systems.training.evaluation import render_view, render_views
from utils.rays import RayBatch


def evaluate(monkeypatch, mask: torch.Tensor | None) -> dict[str, float]:
    """A photograph of 16x16 pixels, black, whose left half is rendered too bright by 0.1."""
    rgb = torch.zeros(16, 16, 3)
    rgb[:, :8] = 0.1
    pictures = {"rgb": rgb, "opacity": torch.ones(16, 16), "depth": torch.ones(16, 16)}
    monkeypatch.setattr(evaluation, "_render", lambda *_: pictures)
    batch = RayBatch(None, torch.zeros(256, 3), mask, torch.zeros(3), torch.zeros(256, dtype=torch.int64))
    return evaluation.evaluate_view(None, batch, (16, 16)).metrics


def test_the_object_is_measured_alone_where_there_is_a_mask(monkeypatch):
    left = torch.zeros(16, 16)
    left[:, :8] = 1.0
    found = evaluate(monkeypatch, left.flatten())
    assert found["psnr_inside"] == pytest.approx(20.0, abs=1e-3)
    assert found["psnr"] == pytest.approx(20.0 + 10.0 * np.log10(2.0), abs=1e-3)


@pytest.mark.parametrize("mask", [None, torch.zeros(256)], ids=["none", "empty"])
def test_without_object_pixels_there_is_no_such_figure(monkeypatch, mask):
    assert set(evaluate(monkeypatch, mask)) == {"psnr", "ssim"}


def test_views_rendered_together_are_those_rendered_alone(device: torch.device) -> None:
    model, background = sphere_model("neus", device), torch.ones(3, device=device)
    rays = [random_rays(48, spread, device) for spread in (0.3, 0.6, 0.9)]
    for together, own in zip(render_views(model, rays, background, (8, 6)), rays, strict=True):
        alone = render_view(model, lambda pixel, shift, own=own: own, background, (8, 6))
        assert set(together.images) == set(alone.images)
        for name, image in alone.images.items():
            assert together.images[name].shape == image.shape
            np.testing.assert_allclose(together.images[name], image, atol=2e-4)
