"""An SDF over a hash grid: plain PyTorch against autograd in float64, and every backend against that."""

from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from models.ops import GridSpec, Layers, encode_sdf, hash_encode, mlp, refusals, sdf_mlp_with_gradient
from models.ops.reference import hash as reference_hash

SPEC = GridSpec(num_levels=3, features_per_level=2, log2_hashmap_size=9, base_resolution=4, per_level_scale=1.6)
LOSSES = {"all": (0, 1, 2), "distance": (0,), "outputs": (1,), "gradient": (2,)}


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three points in a row for each lane of the scatter on a CPU: Triton's interpreter takes its time for each."""
    if not torch.cuda.is_available() and find_spec("triton"):
        monkeypatch.setitem(import_module("models.ops.triton.hash").BACKWARD, "RUN", 3)


def random_table(spec: GridSpec, device: torch.device) -> Tensor:
    return (0.1 * torch.randn(spec.num_entries, spec.features_per_level, device=device)).requires_grad_()


def network(device: torch.device, dims: Iterable[int] = (9, 32, 5), bias: bool = True, softplus: bool = True) -> Layers:
    dims = list(dims)
    weights = tuple((torch.randn(b, a, device=device) / a**0.5).requires_grad_() for a, b in pairwise(dims))
    biases = tuple(torch.randn(b, device=device).requires_grad_() if bias else None for b in dims[1:])
    return Layers(weights, biases, softplus)


def points_within_cells(num_points: int, device: torch.device) -> Tensor:
    """In and around the cube, off the faces of cells, where the slope jumps with the rounding."""
    points = 1.1 * torch.rand(2 * num_points, 3, device=device) - 0.05
    scales = torch.tensor([level.scale for level in SPEC.levels], device=device)
    fraction = (points.clamp(0.0, 1.0)[..., None] * scales + 0.5).frac()
    return points[((fraction - 0.5).abs() < 0.4999).flatten(1).all(-1)][:num_points].requires_grad_()


def tensors(layers: Layers) -> list[Tensor]:
    return [t for t in (*layers.weights, *layers.biases) if t is not None]


def double(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.detach().double().requires_grad_(x.requires_grad)


def in_float64(layers: Layers) -> Layers:
    return replace(layers, weights=tuple(map(double, layers.weights)), biases=tuple(map(double, layers.biases)))


def gradients(outputs: tuple[Tensor, ...], leaves: list[Tensor], seed: int = 0) -> tuple[Tensor, ...]:
    """Those of the leaves for random gradients of the outputs, the same for any type."""
    generator = torch.Generator().manual_seed(seed)
    upstream = [torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out) for out in outputs]
    return torch.autograd.grad(outputs, leaves, upstream, retain_graph=True, materialize_grads=True)


def assert_near(actual: Tensor, expected: Tensor, share: float = 1e-5) -> None:
    """Equal up to rounding, that of TF32 on a GPU."""
    share = max(share, 5e-3) if actual.is_cuda else share
    assert_close(actual.double(), expected, rtol=0.0, atol=share * max(expected.abs().max().item(), 1e-3))


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("extra", [3, 0])
def test_the_reference_is_what_autograd_finds(device, extra, softplus, levels):
    points, table = double(points_within_cells(40, device)), double(random_table(SPEC, device))
    layers = in_float64(network(device, (extra + 6, 16, 5), softplus=softplus))
    outputs = encode_sdf(points, table, SPEC, layers, levels, backend="reference")

    features = reference_hash.hash_features(points, table, SPEC, levels)
    x = torch.cat([points * 2.0 - 1.0, features], dim=-1) if extra else features
    out = mlp(x, layers, backend="reference")
    (gradient,) = torch.autograd.grad(out[:, 0].sum(), points, create_graph=True)
    expected, leaves = (out[:, 0], out, gradient), [table, *tensors(layers)]
    for a, b in zip(outputs, expected, strict=True):
        assert_close(a, b)
    for a, b in zip(gradients(outputs, leaves), gradients(expected, leaves), strict=True):
        assert_close(a, b)
    # the points follow value and feature, and not what moves the gradient
    assert_close(gradients(outputs[:2], [points]), gradients(expected[:2], [points]))


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize(
    ("extra", "bias", "softplus", "levels"), [(3, True, True, None), (0, False, False, 2), (3, True, True, 0)]
)
def test_values_and_gradients_match_float64(backend, device, extra, bias, softplus, levels, losses):
    points, table = points_within_cells(75, device), random_table(SPEC, device)
    layers = network(device, (extra + 6, 32, 5), bias, softplus)
    twins, twin = [double(points), double(table)], in_float64(layers)
    outputs = encode_sdf(points, table, SPEC, layers, levels, backend=backend)
    expected = encode_sdf(twins[0], twins[1], SPEC, twin, levels, backend="reference")
    for a, b in zip(outputs, expected, strict=True):
        assert a.dtype == torch.float32
        assert_near(a, b)
    outputs, expected = (tuple(found[i] for i in losses) for found in (outputs, expected))
    found = gradients(outputs, [points, table, *tensors(layers)])
    for a, b in zip(found, gradients(expected, [*twins, *tensors(twin)]), strict=True):
        assert_near(a, b, 1e-4)  # the slopes of a fine level are large


def test_padding_changes_nothing(backend, device):
    points, table, layers = points_within_cells(75, device), random_table(SPEC, device), network(device)
    leaves, count = [table, *tensors(layers)], torch.tensor(40, device=device)
    part = encode_sdf(points[:40], table, SPEC, layers, backend=backend)
    whole = encode_sdf(points, table, SPEC, layers, None, count, backend=backend)
    assert all(out.isfinite().all() for out in whole)
    cut = tuple(out[:40] for out in whole)  # whose backward gives padding zeros
    for a, b in zip((*cut, *gradients(cut, leaves)), (*part, *gradients(part, leaves)), strict=True):
        assert_near(a, b.double())


def test_a_loss_with_one_gradient_for_all_samples(backend, device):
    """It comes as an expanded tensor, without strides."""
    points, table, layers = points_within_cells(40, device), random_table(SPEC, device), network(device)
    gradient = encode_sdf(points, table, SPEC, layers, backend=backend)[2]
    found = torch.autograd.grad(gradient.sum(), [table, layers.weights[0]], retain_graph=True)
    expected = torch.autograd.grad(gradient, [table, layers.weights[0]], torch.ones_like(gradient))
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b)


def test_what_is_frozen_receives_no_gradient(backend, device):
    points, table, layers = points_within_cells(40, device), random_table(SPEC, device), network(device)
    leaves = tensors(layers)
    expected = gradients(encode_sdf(points, table, SPEC, layers, backend=backend), leaves)
    outputs = encode_sdf(points.detach(), table.detach(), SPEC, layers, backend=backend)
    for a, b in zip(gradients(outputs, leaves), expected, strict=True):
        assert_close(a, b)
    frozen = replace(
        layers, weights=tuple(w.detach() for w in layers.weights), biases=tuple(b.detach() for b in layers.biases)
    )
    assert encode_sdf(points, table, SPEC, frozen, backend=backend)[1].requires_grad
    with torch.no_grad():
        assert not encode_sdf(points, table, SPEC, layers, backend=backend)[1].requires_grad


def test_no_points(backend, device):
    points, table, layers = torch.zeros(0, 3, device=device), random_table(SPEC, device), network(device)
    outputs = encode_sdf(points, table, SPEC, layers, backend=backend)
    assert [out.shape for out in outputs] == [(0,), (0, 5), (0, 3)]
    assert not any(g.any() for g in gradients(outputs, [table, *tensors(layers)]))


@pytest.mark.parametrize(("spec", "dims"), [(replace(SPEC, features_per_level=1), (6, 16, 5)), (SPEC, (9, 48, 5))])
def test_what_the_kernels_do_not_fit_is_computed_by_parts(device, spec, dims):
    pytest.importorskip("triton")
    points, table, layers = points_within_cells(40, device), random_table(spec, device), network(device, dims)
    outputs = encode_sdf(points, table, spec, layers, backend="triton")
    features, jacobian = hash_encode(points, table, spec, backend="triton")
    expected = sdf_mlp_with_gradient(points, features, jacobian, layers, backend="triton")
    assert all(torch.equal(a, b) for a, b in zip(outputs, expected, strict=True))


def test_normals_of_16_bits_are_those_of_32_within_a_thousandth(device):
    """The Jacobian has 11 bits then, as many as the products of the network; the distance has all of them."""
    pytest.importorskip("triton")
    points, table, layers = points_within_cells(120, device), random_table(SPEC, device), network(device)
    half = replace(layers, allow_fp16=True)
    twins, twin = [double(points), double(table)], in_float64(layers)
    leaves, twin_leaves = [table, *tensors(layers)], [twins[1], *tensors(twin)]
    outputs = encode_sdf(points, table, SPEC, half, backend="triton")
    expected = encode_sdf(twins[0], twins[1], SPEC, twin, backend="reference")
    angle = (F.normalize(outputs[2].double(), dim=-1) - F.normalize(expected[2], dim=-1)).norm(dim=-1)
    assert 1e-6 < angle.square().mean().sqrt() < 1e-3
    for a, b in zip(gradients(outputs, leaves), gradients(expected, twin_leaves), strict=True):
        assert (a - b).norm() < 0.02 * b.norm()


def test_a_slope_beyond_float16_stays_finite_and_nan_visible(device):
    pytest.importorskip("triton")
    points, layers = points_within_cells(40, device).detach(), replace(network(device), allow_fp16=True)
    for entry, finite in ((1.5e4, True), (float("nan"), False)):  # the features themselves fit
        table = entry * (2.0 * torch.rand(SPEC.num_entries, 2, device=device) - 1.0)
        assert encode_sdf(points, table, SPEC, layers, backend="triton")[2].isfinite().all() == finite


@pytest.mark.parametrize("kernel", ["networks.sdf._backward", "hash_kernels.scatter_kernel", "networks.sdf._forward"])
def test_a_kernel_that_does_not_compile_gives_way_to_the_parts(device, monkeypatch, caplog, kernel):
    errors = pytest.importorskip("triton.runtime.errors")
    points, table, layers = points_within_cells(40, device), random_table(SPEC, device), network(device)
    leaves = [table, *tensors(layers)]
    expected = gradients(encode_sdf(points, table, SPEC, layers, backend="reference"), leaves)

    class Refusing:
        def __getitem__(self, grid: tuple[int, ...]) -> "Refusing":
            return self

        def __call__(self, **arguments: object) -> None:
            raise errors.OutOfResources(94_208, 65_536, "shared memory")

    file, _, name = kernel.rpartition(".")
    monkeypatch.setattr(import_module(f"models.ops.triton.{file}"), name, Refusing())
    monkeypatch.setattr(refusals, "REFUSED", set())
    tries = 0
    while True:  # a training takes a step again where a backward pass was refused
        tries += 1
        try:
            found = gradients(encode_sdf(points, table, SPEC, layers, backend="triton"), leaves)
            break
        except refusals.KernelRefusedError:
            assert tries < 3
    for a, b in zip(found, expected, strict=True):
        assert_near(a, b.double(), 1e-3)
    assert "fields.encode_sdf does not compile for this card: its parts are computed one by one" in caplog.text
    part = "hash.hash_encode" if file == "hash_kernels" else "mlp.sdf_mlp_with_gradient"
    assert {"fields.encode_sdf", part} <= refusals.REFUSED <= {"fields.encode_sdf", part, "hash.hash_features"}


def test_what_is_not_finite_stays_visible(backend, device):
    points, table, layers = points_within_cells(40, device).detach(), random_table(SPEC, device), network(device)
    with torch.no_grad():
        layers.biases[0][3] = torch.nan
    for found in encode_sdf(points, table, SPEC, layers, backend=backend):
        assert found.isnan().any(-1).all()
