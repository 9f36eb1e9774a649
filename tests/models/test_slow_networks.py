"""What does not fit the fused kernels is said once, with the key, where Triton's kernels serve the device."""

import logging
from pathlib import Path

import pytest
import torch

from models import ops, slow_networks
from models.base import VolumeModel
from models.slow_networks import unsupported_settings, warn_of_slow_networks
from systems.configs import read_experiment
from utils import registry

SMALL = ["model.grid_resolution=16", "model.geometry.xyz_encoding_config.log2_hashmap_size=8"]
GEOMETRY, TEXTURE = "model.geometry", "model.texture"
NETWORK = f"{GEOMETRY}.mlp_network_config"
GIVEN = [f"{TEXTURE}.input_feature_dim=${{add:${{{GEOMETRY}.feature_dim}},3}}"]


def build(*overrides: str, config: str = "neus-demo") -> VolumeModel:
    return registry.build(read_experiment([f"configs/{config}.yaml"], [*SMALL, *overrides]).model)


@pytest.mark.parametrize("path", sorted(Path("configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_all_shipped_configs_fit(path: Path) -> None:
    sources = ["dataset.scene=x"] if "blender" in path.stem else []
    sources += ["dataset.root_dir=x"] if "demo" not in path.stem else []
    assert list(unsupported_settings(build(*sources, config=path.stem))) == []


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([f"{NETWORK}.n_neurons=96"], [f"{NETWORK}.n_neurons=96 (16, 32, 64, 128 fit)"]),
        ([f"{NETWORK}.n_hidden_layers=2"], [f"{NETWORK}.n_hidden_layers=2 (1 fit)"]),
        ([f"{GEOMETRY}.feature_dim=17", *GIVEN], [f"{GEOMETRY}.feature_dim=17 (1 to 16 fit)"]),
        (
            [f"{GEOMETRY}.xyz_encoding_config.n_levels=17", f"{GEOMETRY}.xyz_encoding_config.n_features_per_level=4"],
            [f"{GEOMETRY}.xyz_encoding_config, which makes for inputs: 68 (1 to 64 fit)"],
        ),
        (
            [f"{GEOMETRY}.xyz_encoding_config.n_features_per_level=1"],
            [f"{GEOMETRY}.xyz_encoding_config.n_features_per_level=1 (an even number fits)"],
        ),
        (
            [f"{TEXTURE}.mlp_network_config.n_neurons=128", f"{TEXTURE}.mlp_network_config.n_hidden_layers=2"],
            [f"{TEXTURE}.mlp_network_config.n_neurons=128 (16, 32, 64 fit)"],
        ),
        (
            [f"{TEXTURE}.dir_encoding_config.degree=8"],
            [f"{TEXTURE}.dir_encoding_config, which makes for inputs: 80 (1 to 64 fit)"],
        ),
        (
            ["model.background={name: learned, geometry: {name: volume-density, feature_dim: 8, isosurface: null, "
             "xyz_encoding_config: {otype: HashGrid, n_levels: 4}, mlp_network_config: {otype: VanillaMLP, "
             "n_hidden_layers: 3}}}"],
            ["model.background.geometry.mlp_network_config.n_hidden_layers=3 (1 to 2 fit)"],
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_what_would(overrides: list[str], expected: list[str]) -> None:
    assert list(unsupported_settings(build(*overrides))) == expected


def test_two_layers_fit_where_no_gradient_is_asked_of_the_network() -> None:
    layers = f"{NETWORK}.n_hidden_layers=2"
    assert list(unsupported_settings(build(layers, f"{GEOMETRY}.grad_type=finite_difference"))) == []


@pytest.mark.parametrize("on_gpu", [True, False])
def test_it_is_said_once_and_on_a_gpu_alone(
    on_gpu: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = build(f"{NETWORK}.n_neurons=96")
    monkeypatch.setattr(ops, "uses_triton", lambda backend, tensor: on_gpu)
    slow_networks._warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        warn_of_slow_networks(model)
        warn_of_slow_networks(model)
    assert len(caplog.messages) == on_gpu
    assert all("many times slower" in message and "n_neurons=96" in message for message in caplog.messages)


@pytest.mark.parametrize("width", [64, 96])
def test_the_kernels_decide_by_the_same_rule(width: int) -> None:
    tiles = pytest.importorskip("models.ops.triton.networks.tiles")
    model = build(f"{TEXTURE}.mlp_network_config.n_neurons={width}")
    network = model.texture.network
    supported = tiles.is_supported(network.parameters_as_layers(), ops.fused.MLP, torch.empty(4, network.dim_in))
    assert supported == (width == 64) == (not list(unsupported_settings(model)))
