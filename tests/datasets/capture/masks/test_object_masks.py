"""The object is told from what it stands on, whatever that looks like, and from nothing where nothing tells it."""

from dataclasses import replace

import numpy as np
import pytest
from capture_scenes import AXES
from drawn_table import drawn_scene

from datasets.capture.masks import carving
from datasets.capture.masks.object_masks import NoObjectError, find_object
from datasets.capture.region.estimate_region import estimate_region


@pytest.fixture(autouse=True)
def _coarse_voxels(monkeypatch):
    """Voxels of a pixel or two of the small photographs, as the usual ones are of photographs of 640 pixels."""
    monkeypatch.setattr(carving, "_COARSE", 28)
    monkeypatch.setattr(carving, "_FINE", 56)


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.mark.parametrize("plain", [False, True], ids=["wood", "white desk without any point"])
def test_masks_are_the_silhouettes(plain):
    model, photos, truth = drawn_scene(plain)
    region = estimate_region(model)
    result = find_object(region, model, photos.__getitem__)
    overlap = [iou(mask > 127, truth[name]) for name, mask in zip(model.names, result.masks, strict=True)]
    assert np.mean(overlap) > 0.92
    assert np.min(overlap) > 0.85
    assert result.agreement > 0.9
    ball = result.region
    assert np.linalg.norm(ball.center) < 0.12
    assert AXES.max() * 0.95 < ball.radius < AXES.max() * 1.25


def test_what_turns_needs_no_plane():
    model, photos, truth = drawn_scene()
    region = replace(estimate_region(model), ground=None)
    sideways = replace(region, center=region.center + 100.0)  # no point is in it
    with pytest.raises(NoObjectError, match="no plane"):
        find_object(sideways, model, photos.__getitem__)
    turning = {name: np.where(mask, 255, 0).astype(np.uint8) for name, mask in truth.items()}
    result = find_object(region, model, photos.__getitem__, turning)
    assert np.mean([iou(mask > 127, truth[n]) for n, mask in zip(model.names, result.masks, strict=True)]) > 0.95


def test_photographs_of_something_else_are_refused():
    model, photos, _ = drawn_scene()
    random = np.random.default_rng(0)
    blocks = {name: random.integers(0, 256, (9, 12, 3), dtype=np.uint8) for name in photos}
    noise = {name: block.repeat(10, axis=0).repeat(10, axis=1) for name, block in blocks.items()}
    with pytest.raises(NoObjectError, match="plane that all photographs agree on"):
        find_object(estimate_region(model), model, noise.__getitem__)
    table = {name: np.full_like(image, 128) for name, image in photos.items()}
    with pytest.raises(NoObjectError, match="nothing stands out"):
        find_object(estimate_region(model), model, table.__getitem__)
