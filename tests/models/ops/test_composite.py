"""Compositing and distortion against plain loops over rays, values and gradients."""

import pytest
import torch
from torch.testing import assert_close

from models.ops import composite, distortion
from utils.rays import RaySamples

COUNTS, CAPACITY = [3, 0, 17, 1, 70, 32, 0], 135


def naive_composite(alpha, values, packed: RaySamples):
    weights = torch.zeros_like(alpha)
    for start, count in zip(packed.ray_start.tolist(), packed.ray_count.tolist(), strict=True):
        transmittance = alpha.new_ones(())
        for i in range(start, start + count):
            index = torch.tensor([i], device=alpha.device)
            weights = weights.index_add(0, index, (transmittance * alpha[i])[None])
            transmittance = transmittance * (1.0 - alpha[i])
    rows = [slice(s, s + c) for s, c in zip(packed.ray_start.tolist(), packed.ray_count.tolist(), strict=True)]
    opacity = torch.stack([weights[row].sum() for row in rows])
    return weights, opacity, torch.stack([(weights[row, None] * values[row]).sum(0) for row in rows])


def naive_distortion(weights, packed: RaySamples):
    result = []
    for start, count in zip(packed.ray_start.tolist(), packed.ray_count.tolist(), strict=True):
        w, m = weights[start : start + count], packed.t_mids[start : start + count]
        dt = (packed.t_ends - packed.t_starts)[start : start + count]
        pairs = (w[:, None] * w[None, :] * (m[:, None] - m[None, :]).abs()).sum()
        result.append(pairs + (w.square() * dt).sum() / 3.0)
    return torch.stack(result)


def blend(alpha, values, packed, backend="auto"):
    """`composite` of values (S, 5) in parts of several shapes, as weights, opacity and one (R, 5)."""
    parts = values[:, :2], values[:, 2], values[:, 3:]
    weights, opacity, _, first, second, third = composite(alpha, parts, packed, backend=backend)
    return weights, opacity, torch.cat([first, second[:, None], third], dim=1)


def gradients(function, inputs, packed, upstream):
    outputs = function(*inputs, packed)
    return outputs, torch.autograd.grad(outputs, inputs, upstream)


def random_inputs(device, dtype, opaque: bool):
    alpha = 0.6 * torch.rand(CAPACITY, device=device)
    if opaque:
        alpha = torch.where(alpha < 0.15, 0.0, torch.where(alpha > 0.45, 1.0, alpha))
    values = torch.rand(CAPACITY, 5, device=device)
    upstream = [torch.randn(n, device=device) for n in ((CAPACITY,), (len(COUNTS),), (len(COUNTS), 5))]
    return [x.to(dtype).requires_grad_() for x in (alpha, values)], [x.to(dtype) for x in upstream]


@pytest.mark.parametrize("opaque", [False, True])
def test_composite_matches_a_loop_in_float64(backend, device, packed_from, opaque):
    packed = packed_from(COUNTS, CAPACITY)
    exact_inputs, exact_upstream = random_inputs(device, torch.float64, opaque)
    inputs = [x.detach().float().requires_grad_() for x in exact_inputs]
    upstream = [x.float() for x in exact_upstream]
    exact = gradients(naive_composite, exact_inputs, packed, exact_upstream)
    result = gradients(lambda *args: blend(*args, backend=backend), inputs, packed, upstream)
    for a, b in zip((*result[0], *result[1]), (*exact[0], *exact[1]), strict=True):
        assert_close(a.double(), b, atol=3e-6, rtol=1e-5)


@pytest.mark.parametrize("used", [0, 1, 2])
def test_each_output_alone_gives_its_gradients(backend, device, packed_from, used):
    packed = packed_from(COUNTS, CAPACITY)
    exact_inputs, exact_upstream = random_inputs(device, torch.float64, False)
    inputs = [x.detach().float().requires_grad_() for x in exact_inputs]
    exact = torch.autograd.grad(
        naive_composite(*exact_inputs, packed)[used], exact_inputs, exact_upstream[used], materialize_grads=True
    )
    output = blend(*inputs, packed, backend=backend)[used]
    result = torch.autograd.grad(output, inputs, exact_upstream[used].float(), materialize_grads=True)
    for a, b in zip(result, exact, strict=True):
        assert_close(a.double(), b, atol=3e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_faint_samples_get_no_gradient_and_change_no_other(backend, device, packed_from, dtype):
    if dtype == torch.float64 and backend != "reference":
        pytest.skip("the others compute in 32 bits")
    packed, faint = packed_from(COUNTS, CAPACITY), 1e-3
    inputs, upstream = random_inputs(device, dtype, False)

    def cut(alpha, values, packed):
        parts = values[:, :2], values[:, 2], values[:, 3:]
        weights, opacity, _, first, second, third = composite(alpha, parts, packed, faint, backend=backend)
        return weights, opacity, torch.cat([first, second[:, None], third], dim=1)

    whole = gradients(lambda *args: blend(*args, backend=backend), inputs, packed, upstream)
    result = gradients(cut, inputs, packed, upstream)
    in_any_order = device.type == "cuda" and backend == "reference"  # PyTorch sums by atomic additions there
    near = {"atol": 1e-5, "rtol": 1e-5} if in_any_order else {"atol": 0.0, "rtol": 0.0}
    for a, b in zip(result[0], whole[0], strict=True):
        assert_close(a, b, **near)
    weights, alpha = naive_composite(*(x.detach() for x in inputs), packed)[0], inputs[0].detach()
    seen = packed.valid & (weights / alpha >= faint)  # by more than rounding, in the samples that were drawn
    assert 0.3 < seen[packed.valid].float().mean() < 0.8
    for a, b in zip(result[1], whole[1], strict=True):
        assert_close(a[seen], b[seen], **near)
        assert not a[~seen].any()


def test_the_distance_is_that_of_the_middles(backend, device, packed_from):
    packed = packed_from(COUNTS, CAPACITY)
    alpha = torch.where(packed.valid, 0.6 * torch.rand(CAPACITY, device=device), 0.0).requires_grad_()
    exact = alpha.detach().double().requires_grad_()
    values, upstream = torch.rand(2, CAPACITY, device=device)
    far = naive_composite(exact, packed.t_mids.double()[:, None], packed)[2][:, 0]
    distance = composite(alpha, (values,), packed, backend=backend)[2]
    assert_close(distance.double(), far, atol=3e-6, rtol=1e-5)
    upstream = upstream[: len(COUNTS)]
    (grad,) = torch.autograd.grad((distance * upstream).sum(), alpha)
    assert_close(grad.double(), *torch.autograd.grad((far * upstream).sum(), exact), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", ["reference", "triton"], indirect=True)
def test_a_value_that_is_data_gets_no_gradient(backend, device, packed_from):
    packed = packed_from(COUNTS, CAPACITY)
    (alpha, values), _ = random_inputs(device, torch.float32, False)
    colour, data = values[:, :3], values[:, 3:].detach()
    (_, _, _, *sums) = composite(alpha, (data, colour), packed, backend=backend)
    mine = torch.autograd.grad(sum(x.sum() for x in sums), (alpha, values))
    for a, b in zip(mine, torch.autograd.grad(blend(alpha, values, packed)[2].sum(), (alpha, values)), strict=True):
        assert_close(a[..., :3], b[..., :3], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", ["reference", "triton"], indirect=True)
def test_half_precision_values_are_summed_in_single_precision(backend, device, packed_from):
    packed = packed_from(COUNTS, CAPACITY)
    (alpha, values), upstream = random_inputs(device, torch.float32, False)
    half = values.detach().half().requires_grad_()
    outputs, grads = gradients(lambda *args: blend(*args, backend=backend), (alpha, half), packed, upstream)
    exact, exact_grads = gradients(blend, (alpha, half.detach().float().requires_grad_()), packed, upstream)
    for a, b in zip(outputs, exact, strict=True):
        assert_close(a, b, atol=3e-6, rtol=1e-5)
    assert_close(grads[0], exact_grads[0], atol=1e-5, rtol=1e-5)
    assert_close(grads[1], exact_grads[1].half())


@pytest.mark.parametrize("opaque", [False, True])
def test_the_reference_is_exact_in_float64(device, packed_from, opaque):
    packed = packed_from(COUNTS, CAPACITY)
    inputs, upstream = random_inputs(device, torch.float64, opaque)
    exact = gradients(naive_composite, inputs, packed, upstream)
    result = gradients(blend, inputs, packed, upstream)
    for a, b in zip((*result[0], *result[1]), (*exact[0], *exact[1]), strict=True):
        assert_close(a, b, atol=1e-12, rtol=1e-9)


def test_weights_and_what_passes_add_up_to_one(backend, device, packed_from):
    packed = packed_from(COUNTS, CAPACITY)
    alpha = torch.rand(CAPACITY, device=device)
    _, opacity, _, accumulated = composite(alpha, (torch.ones(CAPACITY, device=device),), packed, backend=backend)
    rest = torch.stack([(1 - alpha[s : s + c]).prod() for s, c in zip(packed.ray_start, packed.ray_count, strict=True)])
    assert_close(opacity, 1.0 - rest)
    assert_close(accumulated, opacity)


def test_padding_neither_gives_nor_receives(backend, device, packed_from):
    packed = packed_from(COUNTS, CAPACITY)
    padding = ~packed.valid
    alpha = torch.where(padding, float("nan"), torch.rand(CAPACITY, device=device)).requires_grad_()
    values = torch.where(padding, float("nan"), torch.rand(CAPACITY, device=device)).requires_grad_()
    outputs = composite(alpha, (values,), packed, backend=backend)
    sum(x.sum() for x in outputs).backward()
    assert not outputs[0][padding].any()
    for x in (*outputs, alpha.grad, values.grad):
        assert x.isfinite().all()
    assert not alpha.grad[padding].any()
    assert not values.grad[padding].any()


@pytest.mark.parametrize("capacity", [0, 16])
def test_no_samples(backend, device, packed_from, capacity):
    packed = packed_from([0, 0, 0], capacity)
    alpha = torch.rand(capacity, device=device, requires_grad=True)
    values = torch.rand(capacity, 3, device=device, requires_grad=True)
    outputs = composite(alpha, (values,), packed, backend=backend)
    loss = sum(x.sum() for x in outputs) + distortion(outputs[0], packed).sum()
    loss.backward()
    assert outputs[3].shape == (3, 3)
    assert loss == 0
    assert not alpha.grad.any()
    assert not values.grad.any()


@pytest.mark.parametrize("backend", ["numba", "triton"], indirect=True)
def test_fast_backends_repeat_to_the_bit(backend, device, packed_from):
    packed = packed_from(COUNTS, CAPACITY)
    inputs, upstream = random_inputs(device, torch.float32, False)
    runs = [gradients(lambda *args: blend(*args, backend=backend), inputs, packed, upstream) for _ in range(2)]
    for a, b in zip((*runs[0][0], *runs[0][1]), (*runs[1][0], *runs[1][1]), strict=True):
        assert torch.equal(a, b)


def test_distortion_is_the_double_sum(device, packed_from):
    packed = packed_from(COUNTS, CAPACITY, torch.float64)
    weights = torch.rand(CAPACITY, device=device, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(len(COUNTS), device=device, dtype=torch.float64)
    result, exact = distortion(weights, packed), naive_distortion(weights, packed)
    assert_close(result, exact)
    for a, b in zip(
        torch.autograd.grad(result, weights, upstream), torch.autograd.grad(exact, weights, upstream), strict=True
    ):
        assert_close(a, b)


def test_distortion_of_one_interval_is_a_third_of_its_length(device, packed_from):
    packed = packed_from([1], 4)
    length = (packed.t_ends - packed.t_starts)[:1]
    assert_close(distortion(torch.ones(4, device=device), packed), length / 3.0)
