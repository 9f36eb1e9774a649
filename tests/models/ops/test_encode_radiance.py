"""Density and colour over a hash grid: every backend against plain PyTorch in float64, whose parts are tested."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from models.ops import GridSpec, Layers, RadianceHeads, encode_radiance, refusals
from models.ops.reference.hash import hash_features
from utils.rays import RaySamples

SPEC = GridSpec(num_levels=3, features_per_level=2, log2_hashmap_size=9, base_resolution=4, per_level_scale=1.6)
COUNTS, CAPACITY = [30, 0, 50, 12], 110  # of rays; the rest is padding
LOSSES = {"both": (0, 1), "opacity": (0,), "colour": (1,)}


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three points in a row for each lane of the scatter on a CPU: Triton's interpreter takes its time for each."""
    if not torch.cuda.is_available() and find_spec("triton"):
        monkeypatch.setitem(import_module("models.ops.triton.hash").BACKWARD, "RUN", 3)


def network(device: torch.device, dims: tuple[int, ...], squash: bool = False, bias: bool = False) -> Layers:
    pairs = list(pairwise(dims))
    weights = tuple((1.5 * torch.randn(b, a, device=device) / a**0.5).requires_grad_() for a, b in pairs)
    biases = tuple(torch.randn(b, device=device).requires_grad_() if bias else None for b in dims[1:])
    return Layers(weights, biases, False, squash=squash)


def heads_of(
    device: torch.device, activation: str = "trunc_exp", squash: bool = True, outputs: int = 5
) -> RadianceHeads:
    color = network(device, (outputs + 9, 16, 16, 3), squash)
    return RadianceHeads(network(device, (6, 32, outputs)), color, activation, -1.0)


def leaves_of(table: Tensor, heads: RadianceHeads) -> list[Tensor]:
    layers = *heads.density.weights, *heads.color.weights, *heads.density.biases, *heads.color.biases
    return [table, *(x for x in layers if x is not None)]


def in_float64(heads: RadianceHeads) -> RadianceHeads:
    def twin(layers: Layers) -> Layers:
        return replace(
            layers,
            weights=tuple(w.detach().double().requires_grad_() for w in layers.weights),
            biases=tuple(None if b is None else b.detach().double().requires_grad_() for b in layers.biases),
        )

    return replace(heads, density=twin(heads.density), color=twin(heads.color))


def inputs(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Points, table, harmonics."""
    table = torch.randn(SPEC.num_entries, 2, device=device).requires_grad_()
    return torch.rand(CAPACITY, 3, device=device), table, torch.randn(len(COUNTS), 9, device=device)


def gradients(outputs: tuple[Tensor, ...], leaves: list[Tensor], used: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Those of the leaves for random gradients of the outputs, as compositing leaves them: zero on padding."""
    generator = torch.Generator().manual_seed(seed)
    upstream = [torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out) for out in outputs]
    for gradient in upstream:
        gradient[used:] = 0.0
    return torch.autograd.grad(outputs, leaves, upstream, materialize_grads=True)


def assert_near(actual: Tensor, expected: Tensor, share: float = 1e-5) -> None:
    share = max(share, 1e-2) if actual.is_cuda else share  # TF32
    assert_close(actual.double(), expected, rtol=0.0, atol=share * max(expected.abs().max().item(), 1e-3))


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize(
    ("activation", "squash", "levels"), [("trunc_exp", True, None), ("softplus", False, 2), ("trunc_exp", True, 0)]
)
def test_values_and_gradients_match_float64(
    backend: str,
    device: torch.device,
    packed_from: Callable[..., RaySamples],
    activation: str,
    squash: bool,
    levels: int | None,
    losses: tuple[int, ...],
) -> None:
    points, table, harmonics = inputs(device)
    packed, heads = packed_from(COUNTS, CAPACITY), heads_of(device, activation, squash)
    twins, twin = table.detach().double().requires_grad_(), in_float64(heads)
    outputs = encode_radiance(points, table, SPEC, heads, harmonics, packed, levels, backend=backend)
    doubled = replace(packed, t_starts=packed.t_starts.double(), t_ends=packed.t_ends.double())
    expected = encode_radiance(
        points.double(), twins, SPEC, twin, harmonics.double(), doubled, levels, backend="reference"
    )
    used = sum(COUNTS)
    for a, b in zip(outputs, expected, strict=True):
        assert a.dtype == torch.float32
        assert a.isfinite().all()
        assert_near(a[:used], b[:used])
    assert not outputs[0][used:].any()
    outputs, expected = (tuple(found[i] for i in losses) for found in (outputs, expected))
    found = gradients(outputs, leaves_of(table, heads), used)
    for a, b in zip(found, gradients(expected, leaves_of(twins, twin), used), strict=True):
        assert_near(a, b, 1e-4)


def test_the_reference_is_what_autograd_finds(device: torch.device, packed_from: Callable[..., RaySamples]) -> None:
    points, table, harmonics = (x.detach().double() for x in inputs(device))
    heads, packed = in_float64(heads_of(device)), packed_from(COUNTS, CAPACITY, torch.float64)
    leaves = leaves_of(table.requires_grad_(), heads)
    outputs = encode_radiance(points, table, SPEC, heads, harmonics, packed, backend="reference")

    (w1, w2), (v1, v2, v3) = heads.density.weights, heads.color.weights
    out = (hash_features(points, table, SPEC, None) @ w1.T).relu() @ w2.T
    density = torch.exp(out[:, 0] - 1.0)
    alpha = torch.where(packed.valid, 1.0 - torch.exp(-density * (packed.t_ends - packed.t_starts)), 0.0)
    columns = torch.cat([out, harmonics[packed.ray_indices]], dim=-1)
    expected = alpha, torch.sigmoid(((columns @ v1.T).relu() @ v2.T).relu() @ v3.T)
    for a, b in zip(outputs, expected, strict=True):
        assert_close(a, b)
    used = sum(COUNTS)
    for a, b in zip(gradients(outputs, leaves, used), gradients(expected, leaves, used), strict=True):
        assert_close(a, b)


def test_numbers_of_16_bits_are_near_those_of_32(device: torch.device, packed_from: Callable[..., RaySamples]) -> None:
    pytest.importorskip("triton")
    points, table, harmonics = inputs(device)
    packed, heads = packed_from(COUNTS, CAPACITY), heads_of(device)
    half = replace(heads, density=replace(heads.density, allow_fp16=True), color=replace(heads.color, allow_fp16=True))
    leaves, used = leaves_of(table, heads), sum(COUNTS)
    outputs = encode_radiance(points, table, SPEC, half, harmonics, packed, backend="triton")
    expected = encode_radiance(points, table, SPEC, heads, harmonics, packed, backend="reference")
    for a, b in zip(outputs, expected, strict=True):
        assert 1e-6 < (a[:used] - b[:used]).abs().max() < 5e-3
    for a, b in zip(gradients(outputs, leaves, used), gradients(expected, leaves, used), strict=True):
        assert (a - b).norm() < 0.05 * b.norm()  # Triton's interpreter cuts bfloat16 off where a GPU rounds


def test_one_bad_sample_cannot_blow_up_a_step(
    backend: str, device: torch.device, packed_from: Callable[..., RaySamples]
) -> None:
    """The gradient of the density is cut off at exp(15), which the length of an interval makes up for."""
    points, table, harmonics = inputs(device)
    packed, heads = packed_from(COUNTS, CAPACITY), replace(heads_of(device), bias=40.0)
    packed = replace(packed, t_starts=0.0 * packed.t_starts, t_ends=0.0 * packed.t_starts + 1e-18)
    alpha, _ = encode_radiance(points, table, SPEC, heads, harmonics, packed, backend=backend)
    (gradient,) = torch.autograd.grad(alpha[: sum(COUNTS)].sum(), [table])
    assert gradient.any()
    assert gradient.abs().max() < 1e-18 * 3.3e6 * 110 * 100


def test_what_is_frozen_receives_no_gradient(
    backend: str, device: torch.device, packed_from: Callable[..., RaySamples]
) -> None:
    points, table, harmonics = inputs(device)
    packed, heads, used = packed_from(COUNTS, CAPACITY), heads_of(device), sum(COUNTS)
    leaves = leaves_of(table, heads)
    expected = gradients(encode_radiance(points, table, SPEC, heads, harmonics, packed, backend=backend), leaves, used)
    outputs = encode_radiance(points, table.detach(), SPEC, heads, harmonics, packed, backend=backend)
    for a, b in zip(gradients(outputs, leaves[1:], used), expected[1:], strict=True):
        assert_close(a, b)
    with torch.no_grad():
        outputs = encode_radiance(points, table, SPEC, heads, harmonics, packed, backend=backend)
    assert not any(out.requires_grad for out in outputs)


@pytest.mark.parametrize("case", ["bias", "width", "no points", "wide output"])
def test_what_the_kernels_do_not_fit_is_computed_by_parts(
    device: torch.device, packed_from: Callable[..., RaySamples], case: str
) -> None:
    pytest.importorskip("triton")
    points, table, harmonics = inputs(device)
    packed, heads = packed_from(COUNTS, CAPACITY), heads_of(device, outputs=17 if case == "wide output" else 5)
    if case == "bias":
        heads = replace(heads, density=network(device, (6, 32, 5), bias=True))
    if case == "width":
        heads = replace(heads, density=network(device, (6, 48, 5)))
    if case == "no points":
        points, packed = points[:0], packed_from([0, 0, 0, 0], 0)
    used = int(packed.num_samples)
    found = encode_radiance(points, table, SPEC, heads, harmonics, packed, backend="triton")
    expected = encode_radiance(points, table, SPEC, heads, harmonics, packed, backend="reference")
    for a, b in zip(found, expected, strict=True):
        near = 3e-3 if device.type == "cuda" else 1e-4  # a GPU multiplies float32 as tf32, with 10 bits
        assert_close(a[:used], b[:used], atol=near, rtol=near)


@pytest.mark.parametrize("kernel", ["forward_kernel", "backward_color_kernel", "backward_density_kernel"])
def test_a_kernel_that_does_not_compile_gives_way_to_the_parts(
    device: torch.device, packed_from: Callable[..., RaySamples], monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    errors = pytest.importorskip("triton.runtime.errors")

    class Refusing:
        def __getitem__(self, grid: tuple[int, ...]) -> "Refusing":
            return self

        def __call__(self, **arguments: object) -> None:
            raise errors.OutOfResources(1, 0, "shared memory")

    monkeypatch.setattr(import_module("models.ops.triton.networks.radiance_kernels"), kernel, Refusing())
    monkeypatch.setattr(refusals, "REFUSED", set())
    points, table, harmonics = inputs(device)
    packed, heads, used = packed_from(COUNTS, CAPACITY), heads_of(device), sum(COUNTS)
    leaves = leaves_of(table, heads)

    def found(backend: str) -> tuple[Tensor, ...]:
        outputs = encode_radiance(points, table, SPEC, heads, harmonics, packed, backend=backend)
        return *(out[:used] for out in outputs), *gradients(outputs, leaves, used)

    if kernel != "forward_kernel":
        with pytest.raises(refusals.KernelRefusedError):
            found("triton")
    for a, b in zip(found("triton"), found("reference"), strict=True):
        assert_near(a, b.double(), 1e-4)
    assert {"fields.encode_radiance"} == refusals.REFUSED


@pytest.mark.parametrize("size", [5, 1024, 2348])
def test_those_with_any_gradient_are_kept_in_their_order(device: torch.device, size: int) -> None:
    pytest.importorskip("triton")
    generator = torch.Generator().manual_seed(size)
    points, count = torch.rand(size, 3, generator=generator), size - size // 10
    grads = torch.zeros(size), torch.zeros(size, 3)
    for grad in grads:
        some = torch.rand(size, generator=generator) < 0.2
        grad[some] = torch.randn(grad[some].shape, generator=generator)
    grads[1][2:3, 1] = torch.nan  # which must stay visible
    grads[0][3:4] = 1e-40
    any_of_them = (grads[0] != 0.0) | (grads[1] != 0.0).any(-1)
    any_of_them[count:] = False
    expected = any_of_them.nonzero()[:, 0]

    found = import_module("models.ops.triton.reached").reached(
        points.to(device), torch.tensor(count, device=device), [grad.to(device) for grad in grads]
    )
    num = int(found.count)
    assert num == len(expected)
    assert torch.equal(found.places[:num].cpu().long(), expected)
    assert torch.equal(found.points[:num].cpu(), points[expected])


def test_an_output_without_gradient_reaches_none(device: torch.device) -> None:
    pytest.importorskip("triton")
    points, alone = torch.rand(10, 3, device=device), torch.zeros(10, 3, device=device)
    alone[4] = 1.0
    found = import_module("models.ops.triton.reached").reached(points, torch.tensor(10, device=device), (None, alone))
    assert found.places[: int(found.count)].tolist() == [4]
