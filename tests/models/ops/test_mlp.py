"""The fused networks: values and gradients against plain PyTorch in float64."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from models.ops import Layers, cards, fused, mlp, sdf_mlp_with_gradient
from models.ops.backends import INTERPRETING
from models.ops.reference import mlp as reference_mlp

triton_tiles = pytest.importorskip("models.ops.triton.networks.tiles")


@pytest.fixture(autouse=True)
def _kernels_run(device: torch.device) -> None:
    if device.type == "cpu" and not INTERPRETING:
        pytest.skip("beside a GPU, Triton's kernels do not run on the CPU")


def lattice(*shape: int, step: float, device: torch.device) -> Tensor:
    """Random multiples of `step` up to 8 of them: tensor cores multiply and add these without rounding."""
    return torch.randint(-8, 9, shape, device=device) * step


def network(dims: list[int], softplus: bool, bias: bool, device: torch.device) -> Layers:
    weights = [lattice(b, a, step=1 / 16, device=device).requires_grad_() for a, b in pairwise(dims)]
    biases = [lattice(b, step=1 / 16, device=device).requires_grad_() if bias else None for b in dims[1:]]
    return Layers(tuple(weights), tuple(biases), softplus)


def inputs(shape: tuple[int, ...], device: torch.device, transposed: bool = False, half: bool = False) -> Tensor:
    """Random inputs, rows in memory one after the other, or columns if `transposed`."""
    order = tuple(reversed(range(len(shape))))
    x = lattice(*(shape[::-1] if transposed else shape), step=1 / 8, device=device)
    return (x.half() if half else x).permute(order if transposed else order[::-1]).requires_grad_()


def tensors(layers: Layers) -> list[Tensor]:
    return [t for t in (*layers.weights, *layers.biases) if t is not None]


def double(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.detach().double().requires_grad_(x.requires_grad)


def in_float64(layers: Layers) -> Layers:
    weights, biases = tuple(map(double, layers.weights)), tuple(map(double, layers.biases))
    return replace(layers, weights=weights, biases=biases)


def assert_near(actual: Tensor, expected: Tensor) -> None:
    """Equal up to rounding: of float32 or float16, or of the TF32 in which the tensor cores of a GPU multiply."""
    share = 5e-3 if actual.is_cuda else 1e-3 if actual.dtype == torch.float16 else 1e-5
    assert_close(actual.double(), expected, rtol=0.0, atol=share * max(expected.abs().max().item(), 1e-3))


def assert_matches(outputs: tuple, expected: tuple, leaves: list[Tensor], twins: list[Tensor]) -> None:
    """Values, and the gradients of all leaves for random gradients of the outputs, as those of their twins."""
    for a, b in zip(outputs, expected, strict=True):
        assert a.dtype == torch.float32
        assert_near(a, b)
    grads = [torch.randn_like(a) for a in outputs]
    torch.autograd.backward(outputs, grads)
    torch.autograd.backward(expected, [g.double() for g in grads])
    for leaf, twin in zip(leaves, twins, strict=True):
        assert leaf.grad.dtype == leaf.dtype
        assert_near(leaf.grad, torch.zeros_like(twin) if twin.grad is None else twin.grad)


def check_mlp(x: Tensor, layers: Layers) -> None:
    twin_x, twin = double(x), in_float64(layers)
    out, expected = mlp(x, layers, backend="triton"), mlp(twin_x, twin, backend="reference")
    assert_matches((out,), (expected,), [x, *tensors(layers)], [twin_x, *tensors(twin)])


def check_head(
    points: Tensor, features: Tensor, jacobian: Tensor, layers: Layers, outputs: slice = slice(None)
) -> None:
    twins, twin = [double(t) for t in (points, features, jacobian)], in_float64(layers)
    out = sdf_mlp_with_gradient(points, features, jacobian, layers, backend="triton")[outputs]
    expected = sdf_mlp_with_gradient(*twins, twin, backend="reference")[outputs]
    inputs = slice(0, 3) if outputs.stop in (None, 3) else slice(0, 2)  # the Jacobian makes the gradient alone
    leaves = [*(points, features, jacobian)[inputs], *tensors(layers)]
    twin_leaves = [*twins[inputs], *tensors(twin)]
    assert_matches(out, expected, leaves, twin_leaves)


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("hidden", [[32], [32, 32]])
def test_mlp_matches_float64(device, hidden, bias, softplus):
    check_mlp(inputs((75, 35), device), network([35, *hidden, 13], softplus, bias, device))


@pytest.mark.parametrize(
    ("S", "dims"), [(1, [1, 16, 1]), (64, [64, 64, 64, 16]), (40, [64, 128, 16]), (33, [16, 64, 3])]
)
@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("half", [True, False])
def test_mlp_of_any_size_layout_and_dtype(device, S, dims, transposed, half):
    check_mlp(inputs((S, dims[0]), device, transposed, half), network(dims, False, True, device))


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("hidden", [[64], [64, 64]])
def test_exact_products_are_those_of_float32(device, hidden, softplus):
    dims = [35, *hidden, 13]
    weights = tuple(torch.randn(b, a, device=device) / a**0.5 for a, b in pairwise(dims))
    layers = Layers(weights, (None,) * len(weights), softplus, full_fp32=True)
    x = torch.rand(75, 35, device=device)
    expected = mlp(x.double(), in_float64(layers), backend="reference")
    assert_close(mlp(x, layers, backend="triton").double(), expected, rtol=0.0, atol=5e-6)


@pytest.mark.parametrize("hidden", [[32], [32, 32]])
def test_outputs_between_zero_and_one(device, hidden):
    """A colour network's; rows of padding have no gradient."""
    layers, x = network([19, *hidden, 3], False, True, device), inputs((75, 19), device)
    check_mlp(x, replace(layers, squash=True))
    used = mlp(x, replace(layers, squash=True), torch.tensor(9, device=device), backend="triton")[:9]
    assert ((used >= 0.0) & (used <= 1.0)).all()


def points_in_cube(num_points: int, device: torch.device) -> Tensor:
    return torch.rand(num_points, 3, device=device, requires_grad=True)


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("extra", [0, 3])
def test_sdf_network_matches_float64(device, extra, bias, softplus):
    features, jacobian = inputs((75, 10), device, transposed=True), inputs((75, 10, 3), device, transposed=True)
    layers = network([extra + 10, 32, 13], softplus, bias, device)
    check_head(points_in_cube(75, device), features, jacobian, layers)


@pytest.mark.parametrize(("S", "K", "hidden", "D"), [(1, 1, 16, 1), (40, 64, 128, 16), (64, 32, 64, 13)])
@pytest.mark.parametrize(("transposed", "half"), [(True, True), (False, False), (False, True)])
def test_sdf_network_of_any_size_layout_and_dtype(device, S, K, hidden, D, transposed, half):
    features, jacobian = (inputs(shape, device, transposed, half) for shape in ((S, K), (S, K, 3)))
    check_head(points_in_cube(S, device), features, jacobian, network([K + 3, hidden, D], True, True, device))
    assert features.grad.stride() == features.stride()
    assert jacobian.grad.stride() == jacobian.stride()


@pytest.mark.parametrize("outputs", [slice(0, 1), slice(1, 2), slice(2, 3)], ids=["sdf", "value", "gradient"])
@pytest.mark.parametrize("softplus", [True, False])
def test_sdf_network_with_a_loss_on_one_output_only(device, outputs, softplus):
    features, jacobian = inputs((75, 10), device), inputs((75, 10, 3), device)
    check_head(points_in_cube(75, device), features, jacobian, network([13, 32, 13], softplus, True, device), outputs)


def test_programs_that_handle_several_blocks(device, monkeypatch):
    monkeypatch.setattr(triton_tiles, "most_programs", lambda card: 2)
    check_mlp(inputs((230, 10), device, transposed=True), network([10, 32, 32, 5], False, True, device))
    features, jacobian = inputs((230, 10), device, transposed=True), inputs((230, 10, 3), device, transposed=True)
    check_head(points_in_cube(230, device), features, jacobian, network([13, 32, 5], True, True, device))


def test_frozen_inputs_receive_no_gradient(device):
    layers = network([13, 16, 4], True, True, device)
    features, jacobian = inputs((40, 10), device).detach(), inputs((40, 10, 3), device).detach()
    out = sdf_mlp_with_gradient(points_in_cube(40, device), features, jacobian, layers, backend="triton")
    sum(o.sum() for o in out).backward()
    mlp(inputs((40, 13), device).detach(), layers, backend="triton").sum().backward()
    assert features.grad is None
    assert all(t.grad.any() for t in tensors(layers))


def test_memory_beyond_the_samples_is_never_used(device):
    layers = network([13, 32, 5], True, True, device)
    points = torch.full((60, 3), torch.nan, device=device)
    wide = torch.full((4, 10, 60), torch.nan, device=device)
    points[:40], wide[..., :40] = points_in_cube(40, device), lattice(4, 10, 40, step=1 / 8, device=device)
    results = []
    for clean in (False, True):
        part = (wide[..., :40].clone() if clean else wide[..., :40]).permute(2, 1, 0).requires_grad_()
        _, value, gradient = sdf_mlp_with_gradient(points[:40], part[..., 0], part[..., 1:], layers, backend="triton")
        loss = value.square().sum() + gradient.square().sum()
        results.append((value, gradient, *torch.autograd.grad(loss, [part, *tensors(layers)])))
    for dirty, clean in zip(*results, strict=True):
        assert_near(dirty, clean.double())


def test_a_nan_stays_visible_in_its_own_sample(device):
    x = inputs((40, 13), device).detach()
    x[7, 2] = torch.nan
    for softplus in (True, False):
        out = mlp(x, network([13, 32, 32, 5], softplus, True, device), backend="triton")
        assert out[7].isnan().all()
        assert out.isnan().any(-1).sum() == 1


def test_mlp_and_sdf_head_agree(device):
    points, features = points_in_cube(50, device), inputs((50, 10), device)
    layers = network([13, 64, 5], True, True, device)
    _, value, _ = sdf_mlp_with_gradient(points, features, inputs((50, 10, 3), device), layers, backend="triton")
    assert_near(mlp(torch.cat([points * 2.0 - 1.0, features], dim=-1), layers, backend="triton"), value.double())


def test_softplus_is_linear_far_from_zero(device):
    weights = [torch.eye(*shape, device=device, requires_grad=True) for shape in ((16, 1), (1, 16))]
    layers = Layers(tuple(weights), (None, None), True)
    x = torch.tensor([[-40.0], [-0.21], [-0.19], [0.0], [0.19], [0.21], [40.0]], device=device, requires_grad=True)
    check_mlp(x, layers)


def test_gradients_repeat_to_the_bit(device):
    x, layers = inputs((300, 10), device), network([10, 32, 5], True, True, device)
    runs = [torch.autograd.grad(mlp(x, layers, backend="triton").square().sum(), tensors(layers)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_no_samples(device):
    layers = network([13, 16, 4], True, True, device)
    x, features, jacobian = (inputs(shape, device) for shape in ((0, 13), (0, 10), (0, 10, 3)))
    out = mlp(x, layers, backend="triton")
    _, value, gradient = sdf_mlp_with_gradient(points_in_cube(0, device), features, jacobian, layers, backend="triton")
    assert (out.shape, value.shape, gradient.shape) == ((0, 4), (0, 4), (0, 3))
    (out.sum() + value.sum() + gradient.sum()).backward()
    assert not any(t.grad.any() for t in tensors(layers))


UNFIT = [[10, 5], [10, 16, 16, 16, 5], [10, 16, 32, 5], [10, 48, 5], [65, 16, 5], [10, 16, 17]]


@pytest.mark.parametrize("dims", UNFIT, ids=str)
def test_networks_that_do_not_fit_are_left_to_the_reference(device, dims):
    x, layers = inputs((20, dims[0]), device), network(dims, False, True, device)
    assert torch.equal(mlp(x, layers, backend="triton"), reference_mlp.mlp(x, layers))
    points, jacobian = points_in_cube(20, device), inputs((20, dims[0], 3), device)
    results = [
        sdf_mlp_with_gradient(points, x, jacobian, layers, backend=backend) for backend in ("triton", "reference")
    ]
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_the_limits_of_the_kernels_are_known(device):
    layers, x = network([10, 32, 32, 5], False, True, device), inputs((4, 10), device)
    assert triton_tiles.is_supported(layers, fused.MLP, x)
    assert not triton_tiles.is_supported(layers, fused.NetworkKernel(1, (0,)), x)
    assert not triton_tiles.is_supported(layers, fused.NetworkKernel(2, (3,)), x)
    assert not triton_tiles.is_supported(replace(layers, biases=(None, *layers.biases[1:])), fused.MLP, x)
    assert not triton_tiles.is_supported(in_float64(layers), fused.MLP, x)
    far = torch.empty_strided((4, 10), (2**30, 1), device="meta")
    assert not triton_tiles.is_supported(layers, fused.MLP, far)


@pytest.mark.parametrize("softplus", [True, False])
def test_products_of_16_bits_stay_near(device, softplus):
    """Small gradients do not vanish either: those of a backward pass have the range of 32 bits."""
    layers = replace(network([13, 64, 5], softplus, True, device), allow_fp16=True)
    points = points_in_cube(200, device)
    features, jacobian = inputs((200, 10), device), inputs((200, 10, 3), device)
    twins, twin = [double(t) for t in (points, features, jacobian)], in_float64(layers)
    out = sdf_mlp_with_gradient(points, features, jacobian, layers, backend="triton")
    expected = sdf_mlp_with_gradient(*twins, twin, backend="reference")
    grads = [torch.randn_like(o) * 1e-9 for o in out]
    leaves, twin_leaves = [features, jacobian, *tensors(layers)], [*twins[1:], *tensors(twin)]
    pairs = zip(
        (*out, *torch.autograd.grad(out, leaves, grads)),
        (*expected, *torch.autograd.grad(expected, twin_leaves, [g.double() for g in grads])),
        strict=True,
    )
    for a, b in pairs:
        assert (a - b).norm() < 0.02 * b.norm()


@pytest.mark.parametrize("count", [0, 64, 100, 150])
def test_blocks_of_padding_are_left_out_as_zeros(device, monkeypatch, count):
    monkeypatch.setattr(triton_tiles, "most_programs", lambda card: 2)
    layers, x = network([10, 32, 32, 5], False, True, device), inputs((150, 10), device)
    out = mlp(x, layers, torch.tensor(count, device=device), backend="triton")
    expected = mlp(x, layers, backend="triton")
    assert torch.equal(out[:count], expected[:count])
    block = cards.card_of(device).tiles.forward[0]
    assert not out[-(-count // block) * block :].any()
    grad = torch.randn_like(out)
    grad[count:] = 0.0
    leaves = [x, *tensors(layers)]
    pairs = zip(torch.autograd.grad(out, leaves, grad), torch.autograd.grad(expected, leaves, grad), strict=True)
    for a, b in pairs:
        assert_near(a, b.double())


def test_a_network_that_does_not_fit_keeps_its_gradients_under_autocast(device):
    """Without loss scaling, 16-bit gradients as small as these would come back as zeros."""
    layers, x = network([10, 48, 5], False, True, device), inputs((40, 10), device)
    with torch.autocast(device.type, torch.float16):
        out = mlp(x, layers, backend="triton")
    assert out.dtype == torch.float32
    (grad,) = torch.autograd.grad(out, x, torch.full_like(out, 1e-9))
    assert grad.abs().max() > 1e-10
