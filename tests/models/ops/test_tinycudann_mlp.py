"""Networks of the optional backend tinycudann, against a stand-in for the package."""

import logging
import sys
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tinycudann_stand_in import ROWS
from torch.testing import assert_close

from models.mlp import MLP
from models.network_configs import FullyFusedMLPConfig
from models.ops import Layers, backends
from models.ops.reference import mlp as reference_mlp
from models.ops.tinycudann import mlp as tinycudann_mlp
from models.ops.tinycudann import package as tinycudann_package
from utils.errors import ConfigError

DIMS = (19, 32, 32, 5)


def lattice(*shape: int, step: float, device: torch.device) -> torch.Tensor:
    """Random multiples of `step` up to 8 of them: few of their sums are rounded, and take a unit across its kink."""
    return torch.randint(-8, 9, shape, device=device) * step


def network(dims: tuple[int, ...], device: torch.device, bias: bool = False) -> Layers:
    weights = [lattice(b, a, step=1 / 16, device=device) for a, b in pairwise(dims)]
    biases = [torch.zeros(b, device=device, requires_grad=True) if bias else None for b in dims[1:]]
    return Layers(tuple(w.requires_grad_() for w in weights), tuple(biases), softplus=False, allow_fp16=True)


def inputs(num: int, dims: tuple[int, ...], device: torch.device) -> torch.Tensor:
    return lattice(num, dims[0], step=1 / 8, device=device).requires_grad_()


def results(implementation, x: torch.Tensor, layers: Layers, upstream: torch.Tensor) -> list[torch.Tensor]:
    """Outputs, and the gradients of inputs and weights."""
    out = implementation.mlp(x, layers)
    return [out, *torch.autograd.grad(out, (x, *layers.weights), upstream)]


def assert_near(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    """Equal but for the rounding of float16."""
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        assert a.shape == b.shape
        assert (a - b).norm() <= 0.02 * b.norm()


@pytest.mark.parametrize("padding", [0.0, 1.0])
@pytest.mark.parametrize("num_rows", [1, 300, 512])
@pytest.mark.parametrize(
    ("dims", "kind"),
    [
        ((16, 16, 16), "FullyFusedMLP"),
        ((32, 64, 13), "FullyFusedMLP"),
        ((31, 64, 64, 64, 3), "FullyFusedMLP"),
        ((35, 50, 50, 17), "FullyFusedMLP"),
        ((8, 40, 40, 1), "CutlassMLP"),
        ((8, 256, 3), "CutlassMLP"),
        ((8, 16, 64, 1), "FullyFusedMLP"),
    ],
)
def test_values_and_gradients_match_the_reference(package, device, dims, kind, num_rows, padding):
    package.padding = padding
    x, layers = inputs(num_rows, dims, device), network(dims, device)
    upstream = torch.randn(num_rows, dims[-1], device=device)
    found = results(tinycudann_mlp, x, layers, upstream)
    assert_near(found, results(reference_mlp, x, layers, upstream))
    assert [config["otype"] for config in package.networks] == [kind]


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1e6])
@pytest.mark.usefixtures("package")
def test_gradients_of_any_size_survive_float16(device, caplog, size):
    x, layers = inputs(2 * ROWS, DIMS, device), network(DIMS, device)
    upstream = size * torch.rand(2 * ROWS, DIMS[-1], device=device)
    found = results(tinycudann_mlp, x, layers, upstream)
    assert_near(found, results(reference_mlp, x, layers, upstream))
    assert not caplog.records


@pytest.mark.usefixtures("package")
def test_no_gradient_gives_none(device):
    x, layers = inputs(ROWS, DIMS, device), network(DIMS, device)
    for value in results(tinycudann_mlp, x, layers, torch.zeros(ROWS, DIMS[-1], device=device))[1:]:
        assert not value.any()


@pytest.mark.usefixtures("package")
def test_a_gradient_that_is_stored_by_column_arrives_in_order(device):
    dims = (16, 16, 16)
    x, layers = inputs(2 * ROWS, dims, device), network(dims, device)
    upstream = torch.randn(16, 2 * ROWS, device=device).t()
    assert_near(results(tinycudann_mlp, x, layers, upstream), results(reference_mlp, x, layers, upstream))


@pytest.mark.parametrize("of_inputs", [True, False])
@pytest.mark.usefixtures("package")
def test_a_gradient_may_be_asked_of_inputs_or_weights_alone(device, of_inputs):
    x, layers = inputs(300, DIMS, device), network(DIMS, device)
    expected = torch.autograd.grad(reference_mlp.mlp(x, layers).sum(), x if of_inputs else layers.weights)
    for tensor in layers.weights if of_inputs else [x]:
        tensor.requires_grad_(False)
    found = torch.autograd.grad(tinycudann_mlp.mlp(x, layers).sum(), x if of_inputs else layers.weights)
    assert_near(found, expected)


@pytest.mark.usefixtures("package")
def test_no_rows_give_empty_outputs_that_depend_on_the_weights(device):
    x, layers = inputs(0, DIMS, device), network(DIMS, device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        out, *gradients = results(tinycudann_mlp, x, layers, torch.zeros(0, DIMS[-1], device=device))
    assert out.shape == (0, DIMS[-1])
    assert out.dtype == torch.float32
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("change", ["bias", "softplus", "full fp32", "full precision", "no hidden layer"])
def test_other_networks_are_computed_as_under_auto(package, device, change):
    layers = network(DIMS[::3] if change == "no hidden layer" else DIMS, device, bias=change in ("bias", "softplus"))
    changes = {
        "softplus": {"softplus": True},
        "full fp32": {"full_fp32": True},
        "full precision": {"allow_fp16": False},
    }
    layers = replace(layers, **changes.get(change, {}))
    x = inputs(300, DIMS, device)
    expected = backends.module("mlp", "auto", x).mlp(x, layers)
    assert_close(tinycudann_mlp.mlp(x, layers), expected, atol=0.0, rtol=0.0)
    assert not package.networks


def test_the_head_of_an_sdf_is_computed_as_under_auto(package, device):
    dims = (DIMS[0], 32, DIMS[-1])
    layers, points = network(dims, device), torch.rand(300, 3, device=device)
    features, jacobian = torch.rand(300, 16, device=device), torch.rand(300, 16, 3, device=device)
    expected = backends.module("mlp", "auto", features).sdf_mlp_with_gradient(points, features, jacobian, layers)
    for a, b in zip(tinycudann_mlp.sdf_mlp_with_gradient(points, features, jacobian, layers), expected, strict=True):
        assert_close(a, b, atol=0.0, rtol=0.0)
    assert not package.networks


@pytest.mark.parametrize("spoilt_by", [[float("nan"), 0.0, 0.0], [0.0, float("inf"), -float("inf")]])
def test_gradients_that_are_not_finite_become_zeros_with_one_warning(package, device, caplog, spoilt_by):
    x, layers = inputs(300, DIMS, device), network(DIMS, device)

    def gradient() -> torch.Tensor:
        (found,) = torch.autograd.grad(tinycudann_mlp.mlp(x, layers).square().sum(), layers.weights[0])
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
    assert ["a network had NaN or infinite" in record.message for record in caplog.records] == [True]


@pytest.mark.usefixtures("package")
def test_a_network_first_used_in_a_test_pass_serves_training(device):
    x, layers = inputs(300, DIMS, device), network(DIMS, device)
    with torch.inference_mode():
        tested = tinycudann_mlp.mlp(x, layers).clone()
    trained = tinycudann_mlp.mlp(x, layers)
    trained.sum().backward()
    assert_close(trained, tested, atol=0.0, rtol=0.0)
    assert layers.weights[0].grad.any()


@pytest.mark.usefixtures("package")
def test_two_networks_of_one_shape_keep_their_weights_and_scales(device):
    x, both = inputs(300, DIMS, device), [network(DIMS, device) for _ in range(2)]
    upstream = [torch.randn(300, DIMS[-1], device=device), 1e-9 * torch.randn(300, DIMS[-1], device=device)]
    outs = [tinycudann_mlp.mlp(x, layers) for layers in both]
    torch.autograd.backward(outs, upstream)
    for layers, gradient in zip(both, upstream, strict=True):
        expected = results(reference_mlp, x, layers, gradient)[2:]
        assert_near([weight.grad for weight in layers.weights], expected)


@pytest.mark.usefixtures("package")
def test_the_first_use_draws_no_random_numbers_of_the_training_and_keeps_no_weights(device):
    x, layers = inputs(300, DIMS, device), network(DIMS, device)
    torch.manual_seed(1)
    expected = torch.rand(4, device=device)
    torch.manual_seed(1)
    tinycudann_mlp.mlp(x, layers)
    assert torch.equal(torch.rand(4, device=device), expected)
    kept = tinycudann_mlp._network(DIMS, x.device).network
    assert sum(value.numel() for value in kept.parameters()) == 0


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"alignment": 8}, r"expected \d+ parameters for a network 19-32-32-5, got \d+"),
        ({"other_rows": True}, r"got others in column 0 of a network 19-32-32-5"),
        ({"memory": 1}, r"refuses a network 19-32-32-5: .*insufficient shared memory"),
        ({"has_networks": False}, r"refuses a network 19-32-32-5: .*without networks"),
    ],
)
def test_another_network_is_refused(package, device, fault, message):
    vars(package).update(fault)
    with pytest.raises(ConfigError, match=message + r".*use model\.backend=auto"):
        tinycudann_mlp.mlp(inputs(1, DIMS, device), network(DIMS, device))


def test_a_package_that_does_not_load_is_said_so(monkeypatch, device):
    monkeypatch.setitem(sys.modules, "tinycudann", None)  # makes the import fail
    tinycudann_mlp._network.cache_clear()
    with pytest.raises(ConfigError, match="does not load"):
        tinycudann_mlp.mlp(inputs(1, DIMS, device), network(DIMS, device))


@pytest.mark.usefixtures("package")
def test_a_cuda_graph_is_refused(monkeypatch, device):
    x, layers = inputs(1, DIMS, device), network(DIMS, device)
    tinycudann_mlp.mlp(x, layers)
    if device.type == "cuda":
        recording = torch.cuda.graph(torch.cuda.CUDAGraph(), capture_error_mode="thread_local")
    else:
        monkeypatch.setattr(tinycudann_package, "_recording", lambda device: True)
        recording = nullcontext()
    with pytest.raises(ConfigError, match=r"trainer\.cuda_graph=false"), recording:
        tinycudann_mlp.mlp(x, layers)


def test_one_checkpoint_serves_this_backend_and_the_reference(package, monkeypatch, device):
    monkeypatch.setattr(backends, "_require_tinycudann", lambda tensor: None)  # it would refuse the CPU
    config = FullyFusedMLPConfig(n_neurons=32, n_hidden_layers=2, output_activation="sigmoid")
    ours, theirs = (MLP(config, 19, 3, backend).to(device) for backend in ("reference", "tinycudann"))
    theirs.load_state_dict(ours.state_dict())
    x = inputs(300, DIMS, device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        found = theirs(x)
    expected = ours(x)
    assert_near([found], [expected])
    for out in (found, expected):
        out.square().sum().backward()
    assert_near([p.grad for p in theirs.parameters()], [p.grad for p in ours.parameters()])
    assert len(package.networks) == 1
