"""The optional backend tinycudann: its choice, and its hash grid, against a stand-in for the package."""

import importlib
import logging
import sys
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import get_args, get_type_hints

import pytest
import torch
from tinycudann_stand_in import ROWS
from torch.testing import assert_close

from models.configs import NeuSConfig
from models.ops import GridSpec, backends, uses_triton
from models.ops.reference import hash as reference_hash
from models.ops.tinycudann import hash as tinycudann_hash
from models.ops.tinycudann import mlp as tinycudann_mlp
from models.ops.tinycudann import package as tinycudann_package
from models.ops.tinycudann.hash import hash_encode, hash_features
from utils.errors import ConfigError

SPEC = GridSpec(num_levels=5, features_per_level=2, log2_hashmap_size=9, base_resolution=4, per_level_scale=1.6)


def random_table(spec: GridSpec, device: torch.device) -> torch.Tensor:
    return torch.randn(spec.num_entries, spec.features_per_level, device=device, requires_grad=True)


def on_gpu(dtype: torch.dtype = torch.float32) -> SimpleNamespace:
    """As much of a tensor on a GPU as the choice of a backend looks at."""
    return SimpleNamespace(device=torch.device("cuda"), dtype=dtype)


@pytest.mark.parametrize("num_points", [1, 300, 512])
@pytest.mark.parametrize("features_per_level", [1, 2, 4])
@pytest.mark.parametrize("active_levels", [None, 3, 0])
@pytest.mark.usefixtures("package")
def test_values_and_gradients_match_the_reference(device, num_points, features_per_level, active_levels):
    spec = replace(SPEC, features_per_level=features_per_level)
    points, table = 1.2 * torch.rand(num_points, 3, device=device) - 0.1, random_table(spec, device)
    results = []
    for implementation in (tinycudann_hash, reference_hash):
        features, jacobian = implementation.hash_encode(points, table, spec, active_levels)
        alone = implementation.hash_features(points, table, spec, active_levels)
        weights = torch.linspace(-1.0, 1.0, features.numel(), device=device).view_as(features)
        loss = (features * weights).sum() + (jacobian.sum(-1) * weights).sum() + (alone * weights).square().sum()
        results.append((features, jacobian, alone, torch.autograd.grad(loss, table)[0]))
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.usefixtures("package")
def test_a_gradient_that_is_stored_by_feature_arrives_in_order(device):
    points, table = torch.rand(2 * ROWS, 3, device=device), random_table(SPEC, device)
    upstream = torch.randn(SPEC.output_dim, 2 * ROWS, device=device).t()
    (found,) = torch.autograd.grad(hash_features(points, table, SPEC, None), table, upstream)
    (expected,) = torch.autograd.grad(reference_hash.hash_features(points, table, SPEC, None), table, upstream)
    assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("package")
def test_no_points_give_empty_results_that_depend_on_the_table(device):
    table = random_table(SPEC, device)
    features, jacobian = hash_encode(torch.zeros(0, 3, device=device), table, SPEC, None)
    assert features.shape == (0, 10)
    assert jacobian.shape == (0, 10, 3)
    features.sum().backward()
    assert table.grad.shape == table.shape
    assert not table.grad.any()


@pytest.mark.parametrize("spoilt_by", [[float("nan"), 0.0, 0.0], [0.0, float("inf"), -float("inf")]])
def test_gradients_that_are_not_finite_become_zeros_with_one_warning(package, device, caplog, spoilt_by):
    points, table = torch.rand(300, 3, device=device), random_table(SPEC, device)

    def gradient() -> torch.Tensor:
        (found,) = torch.autograd.grad(hash_features(points, table, SPEC, None).square().sum(), table)
        if device.type == "cuda":
            torch.cuda.synchronize()  # the host looks without waiting
        return found.flatten()

    expected = gradient()
    assert not caplog.records
    package.spoilt_by = spoilt_by
    with caplog.at_level(logging.WARNING):
        found = [gradient() for _ in range(4)]
    bad = ~torch.tensor(spoilt_by, device=device).isfinite()
    for value in found:
        assert_close(value[3:], expected[3:])
        assert_close(value[:3], torch.where(bad, 0.0, expected[:3]))
    assert ["NaN or infinite" in record.message for record in caplog.records] == [True]


@pytest.mark.usefixtures("package")
def test_a_grid_first_used_in_a_test_pass_serves_training(device):
    points, table = torch.rand(300, 3, device=device), random_table(SPEC, device)
    with torch.inference_mode():
        tested = hash_features(points, table, SPEC, None).clone()
    trained = hash_features(points, table, SPEC, None)
    trained.sum().backward()
    assert_close(trained, tested, atol=0.0, rtol=0.0)
    assert table.grad.any()


@pytest.mark.usefixtures("package")
def test_the_first_use_draws_no_random_numbers_of_the_training(device):
    points, table = torch.rand(300, 3, device=device), random_table(SPEC, device)
    torch.manual_seed(1)
    expected = torch.rand(4, device=device)
    torch.manual_seed(1)
    hash_features(points, table, SPEC, None)
    assert torch.equal(torch.rand(4, device=device), expected)


@pytest.mark.usefixtures("package")
def test_the_package_keeps_no_second_table(device):
    points, table = torch.rand(300, 3, device=device), random_table(SPEC, device)
    hash_features(points, table, SPEC, None)
    assert sum(value.numel() for value in tinycudann_hash._grid(SPEC, table.device).encoding.parameters()) == 0


def test_a_grid_with_other_resolutions_is_refused(package, device):
    package.growth = 1.1
    with pytest.raises(ConfigError, match=r"expected \d+ parameters for GridSpec.*use model\.backend=auto"):
        hash_features(torch.rand(1, 3, device=device), random_table(SPEC, device), SPEC, None)


def test_a_grid_with_other_rows_is_refused(package, device):
    package.other_rows = True
    with pytest.raises(ConfigError, match="on level 0 of GridSpec"):
        hash_features(torch.rand(1, 3, device=device), random_table(SPEC, device), SPEC, None)


@pytest.mark.usefixtures("package")
def test_a_grid_that_the_package_does_not_have_is_refused(device):
    spec = replace(SPEC, features_per_level=3)
    with pytest.raises(ConfigError, match="must be 1, 2, 4, or 8"):
        hash_features(torch.rand(1, 3, device=device), random_table(spec, device), spec, None)


def test_a_package_that_does_not_load_is_said_so(monkeypatch, device):
    monkeypatch.setitem(sys.modules, "tinycudann", None)  # makes the import fail
    tinycudann_hash._grid.cache_clear()
    with pytest.raises(ConfigError, match="does not load"):
        hash_features(torch.rand(1, 3, device=device), random_table(SPEC, device), SPEC, None)


@pytest.mark.usefixtures("package")
def test_a_cuda_graph_is_refused(monkeypatch, device):
    points, table = torch.rand(1, 3, device=device), random_table(SPEC, device)
    hash_features(points, table, SPEC, None)
    if device.type == "cuda":
        recording = torch.cuda.graph(torch.cuda.CUDAGraph(), capture_error_mode="thread_local")
    else:
        monkeypatch.setattr(tinycudann_package, "_recording", lambda device: True)
        recording = nullcontext()
    with pytest.raises(ConfigError, match=r"trainer\.cuda_graph=false"), recording:
        hash_features(points, table, SPEC, None)


@pytest.mark.usefixtures("package")
def test_the_hash_grid_and_networks_are_computed_by_the_package():
    for dtype in (torch.float32, torch.float16):
        assert backends.module("hash", "tinycudann", on_gpu(dtype)) is tinycudann_hash
        assert backends.module("mlp", "tinycudann", on_gpu(dtype)) is tinycudann_mlp
    for family in ("rays", "samples", "shading"):
        for dtype in (torch.float32, torch.float16, torch.float64):
            chosen = backends.module(family, "tinycudann", on_gpu(dtype))
            assert chosen is backends.module(family, "auto", on_gpu(dtype))
    assert uses_triton("tinycudann", on_gpu()) == uses_triton("auto", on_gpu())


@pytest.mark.parametrize("family", ["hash", "mlp"])
@pytest.mark.usefixtures("package")
def test_double_precision_is_refused(family):
    with pytest.raises(ConfigError, match="float32"):
        backends.module(family, "tinycudann", on_gpu(torch.float64))


@pytest.mark.parametrize("family", ["hash", "rays"])
def test_without_the_package_the_error_says_how_to_install_it(monkeypatch, family):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tinycudann" else found(name))
    with pytest.raises(ConfigError, match=r"not installed\. Install it from source"):
        backends.module(family, "tinycudann", on_gpu())


@pytest.mark.usefixtures("package")
def test_a_cpu_is_refused():
    with pytest.raises(ConfigError, match="expected a GPU, got tensors on cpu"):
        backends.module("hash", "tinycudann", torch.zeros(1))


def test_a_config_may_name_every_backend_and_no_other():
    assert set(get_args(get_type_hints(NeuSConfig)["backend"])) == set(backends.BACKENDS)
