"""A dataset of one's own has the options of every dataset, without a line for them."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from datasets.datamodule import SceneData
from datasets.options import DatasetConfig
from datasets.scene import Scene
from utils import registry
from utils.config import schema
from utils.errors import ConfigError, DataError
from utils.mesh import Mesh
from utils.mesh.ply import write_ply

CPU = torch.device("cpu")


@dataclass(frozen=True)
class OwnConfig(DatasetConfig):
    """Fields without a default may follow the inherited ones."""

    focal: float


@dataclass(frozen=True)
class BareConfig:
    """Inherits nothing, as datasets did before there was something to inherit."""

    focal: float


class OwnLoader:
    """One image of 4x2 pixels whose left half is the object."""

    def __init__(self, config: OwnConfig | BareConfig) -> None:
        self.focal = config.focal

    def load(self, split: str) -> Scene:
        pixels = np.full((8, 4), 255, dtype=np.uint8)
        pixels[:, 3] = np.tile([255, 255, 0, 0], 2)
        intrinsics = np.array([[self.focal, self.focal, 2.0, 1.0]], dtype=np.float32)
        return Scene("own", pixels, np.array([[4, 2]]), np.eye(3, 4, dtype=np.float32)[None], intrinsics, ("a",))


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """Both are registered for one test only."""
    before = registry._registry
    monkeypatch.setattr(registry, "_registry", registry._Registry({**before.entries}, {**before.by_config}))
    registry.register("dataset", "own", builds=f"{__name__}:OwnLoader")(OwnConfig)
    registry.register("dataset", "bare", builds=f"{__name__}:OwnLoader")(BareConfig)


@dataclass(frozen=True)
class Experiment:
    dataset: Any = schema.component("dataset")


def load(name: str, **keys: Any) -> SceneData:
    """The data of an experiment with these keys of `dataset`."""
    config = schema.parse(Experiment, {"dataset": {"name": name, "focal": 9.0, **keys}})
    return SceneData(config.dataset, False, 1, "auto")


def draw(data: SceneData):
    return data.views("train", CPU).draw(64, torch.zeros(3), torch.Generator().manual_seed(0))


def test_mask_band_reaches_the_rays_of_a_dataset_of_ones_own():
    batch = draw(load("own", mask_band=1))
    columns = batch.rays.directions[:, 0] / batch.rays.directions[:, 2] * 9.0 + 2.0  # 0.5 to 3.5
    assert torch.equal(batch.in_band, (columns > 1.0) & (columns < 3.0))
    assert 0 < batch.in_band.sum() < 64
    assert draw(load("own")).in_band is None


def test_pixels_on_reaches_the_sampler_of_a_dataset_of_ones_own(monkeypatch):
    placements = []
    monkeypatch.setattr(
        "datasets.sampler.place_pixels",
        lambda pixels, device, placement, name: placements.append(placement) or (torch.from_numpy(pixels), True),
    )
    for keys in ({}, {"pixels_on": "host"}, {"pixels_on": "device"}):
        load("own", **keys).views("train", CPU)
    assert placements == ["auto", "host", "device"]


def test_gt_mesh_of_a_dataset_of_ones_own_is_read_before_the_training(tmp_path):
    mesh = Mesh(np.eye(3), np.array([[0, 1, 2]]))
    write_ply(mesh, tmp_path / "truth.ply")
    assert load("own").true_mesh is None
    np.testing.assert_allclose(load("own", gt_mesh=str(tmp_path / "truth.ply")).true_mesh.vertices, mesh.vertices)
    with pytest.raises(DataError, match=r"missing\.ply"):
        load("own", gt_mesh=str(tmp_path / "missing.ply"))


def test_wrong_values_of_the_inherited_keys_are_refused():
    for key, value in (("pixels_on", "disk"), ("mask_band", -1), ("gt_mesh", 1.5j)):
        with pytest.raises(ConfigError, match=rf"dataset\.{key}"):
            load("own", **{key: value})


def test_a_dataset_that_inherits_nothing_loads_with_the_defaults_and_a_line_that_says_what_to_inherit(caplog):
    with caplog.at_level(logging.WARNING):
        batch = draw(load("own"))
        assert caplog.messages == []
        assert torch.equal(draw(load("bare")).rgb, batch.rgb)
    (line,) = caplog.messages
    assert "`class BareConfig(DatasetConfig):`" in line
    assert "dataset.pixels_on, dataset.mask_band, dataset.gt_mesh" in line


def test_keys_that_a_dataset_did_not_inherit_are_refused():
    with pytest.raises(ConfigError, match=r"dataset\.mask_band: unknown key"):
        load("bare", mask_band=1)
