"""Points of photographs whose cameras are known, against the mesh that was photographed."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from datasets.points.object_points import object_points
from datasets.points.triangulate import triangulate
from datasets.scene import Scene
from systems.configs import read_experiment
from utils.errors import DataError
from utils.registry import ROOT, build


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Every third photograph of the bundled cow."""
    whole = build(read_experiment([ROOT / "configs/neus-demo.yaml"], []).dataset).load("train")
    every = slice(None, None, 3)
    pixels = np.concatenate([whole.image(index).reshape(-1, 4) for index in range(len(whole))[every]])
    views = {name: getattr(whole, name)[every] for name in ("sizes", "c2w", "intrinsics", "image_names")}
    return replace(whole, pixels=pixels, **views)


@pytest.fixture(scope="module")
def points(scene: Scene) -> np.ndarray:
    return triangulate(scene)


def test_points_lie_on_what_was_photographed_the_same_each_time(scene: Scene, points: np.ndarray):
    assert points.dtype == np.float32
    assert len(points) > 100
    surface, _ = trimesh.sample.sample_surface(trimesh.load(ROOT / "load/spot/gt_mesh.ply"), 200_000, seed=0)
    distance, _ = cKDTree(surface).query(points)
    assert np.median(distance) < 0.006  # of 2, the width of the cow
    assert np.percentile(distance, 80) < 0.02
    assert np.array_equal(points, triangulate(scene))


def test_a_loss_of_points_triangulates_where_the_dataset_brings_none(scene: Scene, points: np.ndarray):
    assert scene.points is None
    found = object_points(scene, 1.0)
    assert 50 < len(found) <= len(points)
    assert np.abs(found).max() < 1.0


def test_a_full_disk_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("datasets.points.triangulate.cv2.imwrite", lambda path, image: False)
    with pytest.raises(DataError, match=r"cannot write a photograph there.*TMPDIR"):
        triangulate(scene)
