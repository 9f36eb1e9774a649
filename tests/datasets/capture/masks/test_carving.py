"""Voxels go where enough views show background, and stay where a few of them err."""

from dataclasses import replace

import numpy as np
import pytest
from capture_scenes import cameras, model_of_points

from datasets.capture.masks.carving import Hull, carve
from datasets.capture.masks.evidence import BACKGROUND, OTHER
from datasets.capture.sparse_model import SparseModel

THIN = np.array([0.6, 0.1, 0.5])  # half edges of a box


@pytest.fixture(name="model", scope="module")
def _model() -> SparseModel:
    corners = THIN * (np.indices((2, 2, 2)).reshape(3, -1).T * 2.0 - 1.0)
    return model_of_points(corners, cameras(40, distance=3.0, lift=0.3))


def silhouettes(model: SparseModel) -> list[np.ndarray]:
    """(H, W) int8 of each view: the box before a plain background."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, 81)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * THIN
    found = []
    for view, (width, height) in enumerate(model.sizes.tolist()):
        evidence = np.full((height // 4, width // 4), BACKGROUND, np.int8)
        pixels = (model.project(view, grid)[0] / 4.0).astype(int)
        evidence[pixels[:, 1], pixels[:, 0]] = OTHER
        found.append(evidence)
    return found


def carved(model: SparseModel, evidence: list[np.ndarray], misses: float) -> Hull:
    small = replace(model, intrinsics=model.intrinsics / 4.0, sizes=model.sizes // 4)
    return carve(evidence, small, np.zeros(3), 1.0, np.eye(3), None, misses)


def test_a_flat_side_has_no_bulge_if_few_views_may_err(model):
    evidence = silhouettes(model)
    thick = [np.abs(carved(model, evidence, misses).centres()[:, 1]).max() for misses in (0.1, 0.04)]
    assert thick[1] < 1.7 * THIN[1] < 0.8 * thick[0]


@pytest.mark.parametrize("every", [1, 4], ids=["40 views", "10 views"])
def test_one_view_that_errs_takes_nothing_away(model, every):
    few = replace(model, **{name: getattr(model, name)[::every] for name in ("names", "c2w", "intrinsics", "sizes")})
    evidence = silhouettes(few)
    whole = core(carved(few, evidence, 0.04))
    evidence[1][:] = BACKGROUND
    assert core(carved(few, evidence, 0.04)) > 0.98 * whole > 0.0


def core(hull: Hull) -> float:
    """The volume of what is surely within the box."""
    return (np.abs(hull.centres()) < 0.9 * THIN).all(axis=1).sum() * hull.edge**3
