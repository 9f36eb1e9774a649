"""SDFs with their spatial gradient over a hash grid, on a CPU: torch multiplies the matrices, and what lies between two
products is one loop, forward and backward."""

import numpy as np
import torch
from numba import prange
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from models.ops.backends import Parts
from models.ops.grid import GridSpec
from models.ops.layers import SOFTPLUS_BETA, Layers
from models.ops.numba import hash as grids
from models.ops.numba.kernel import FAST, kernel, scalar

_BETA, _ZERO, _HALF, _ONE, _TWO = (np.float32(x) for x in (SOFTPLUS_BETA, 0.0, 0.5, 1.0, 2.0))
_LOWEST = np.float32(80.0)  # below exp(-80) nothing is left of 1 + exp(-x)
# ln 2 in two parts and the coefficients of exp around 0, as in Cephes (S. Moshier)
_PER_OCTAVE, _LN2_HIGH, _LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_E7, _E6, _E5, _E4, _E3, _E2 = (
    np.float32(x)
    for x in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)
_A3, _A5, _A7, _A9, _A11, _A13, _A15 = (np.float32(1.0 / n) for n in range(3, 16, 2))  # of artanh
_BLOCK = 512  # samples of a parallel task; sums have one order, whatever the threads do
encode_radiance = Parts("numba").encode_radiance  # no loop of its own


def encode_sdf(
    points: Tensor, table: Tensor, spec: GridSpec, active_levels: int | None, count: Tensor | None, layers: Layers
) -> tuple[Tensor, Tensor, Tensor]:
    """Distance, outputs and gradient as in `models.ops.encode_sdf`, padding included."""
    if not layers.softplus or len(layers.weights) != 2 or torch.is_autocast_enabled("cpu"):
        return Parts("numba").encode_sdf(points, table, spec, active_levels, count, layers)
    out, gradient = _EncodedSDF.apply(
        points, table, spec, spec.clip_levels(active_levels), *layers.weights, *layers.biases
    )
    return out[:, 0], out, gradient


class _EncodedSDF(torch.autograd.Function):
    """First order in points, table and layers: outputs (S, N) and spatial gradient (S, 3) of a hidden layer with
    softplus. The points follow the outputs, and not the gradient."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        points: Tensor,
        table: Tensor,
        spec: GridSpec,
        active: int,
        weight: Tensor,
        last: Tensor,
        bias: Tensor | None,
        last_bias: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        features, jacobian = grids.evaluate(points, table, spec, active, True)
        first = weight.shape[1] - features.shape[1]  # column of the features, behind the position if there is one
        x = torch.cat([points * 2.0 - 1.0, features], dim=1) if first else features
        pre = F.linear(x, weight, bias)
        hidden, slope, cotangent = torch.empty_like(pre), torch.empty_like(pre), torch.empty_like(pre)
        _activate(*map(_array, (pre, last[0], hidden, slope, cotangent)))
        cotangent = cotangent @ weight  # of the distance, by x
        ctx.save_for_backward(points, x, jacobian, hidden, slope, cotangent, weight, last)
        ctx.set_materialize_grads(False)
        ctx.spec, ctx.active, ctx.table_shape, ctx.first = spec, active, table.shape, first
        return F.linear(hidden, last, last_bias), _follow(cotangent, jacobian, first)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor | None, grad_gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        points, x, jacobian, hidden, slope, cotangent, weight, last = ctx.saved_tensors
        S, first = len(x), ctx.first
        grad_out = x.new_zeros(S, len(last)) if grad_out is None else grad_out
        by_last, grad_jacobian = grad_out.T @ hidden, None
        if grad_gradient is None:
            by_cotangent, by_weight = torch.zeros_like(slope), 0.0
        else:
            by_x, grad_jacobian = torch.empty_like(cotangent), torch.empty_like(jacobian)
            _split(*map(_array, (grad_gradient, jacobian, cotangent, by_x, grad_jacobian)))
            by_cotangent = by_x @ weight.T
            by_weight = last[0][:, None] * (slope.T @ by_x)
        grad_pre = grad_out @ last
        sums = slope.new_empty(-(-S // _BLOCK), 2, slope.shape[1])  # of each block, for the last layer and the bias
        _differentiate(*map(_array, (by_cotangent, slope, last[0], grad_pre, sums)))
        by_distance, by_bias = sums.sum(0)
        by_last[0] += by_distance
        grad_x = grad_pre @ weight
        by_points = _follow(grad_x, jacobian, first) if ctx.needs_input_grad[0] else None
        by_table = None
        if ctx.needs_input_grad[1]:
            grads = grad_x[:, first:], grad_jacobian
            by_table = grids.differentiate(points, *grads, ctx.spec, ctx.active, ctx.table_shape)
        biases = [by if ctx.needs_input_grad[6 + i] else None for i, by in enumerate((by_bias, grad_out.sum(0)))]
        return by_points, by_table, None, None, by_weight + grad_pre.T @ x, by_last, *biases


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _follow(by_x: Tensor, jacobian: Tensor, first: int) -> Tensor:
    """(S, 3): gradients (S, C) by the inputs of the network as gradients by the point that these are of."""
    out = by_x.new_empty(len(by_x), 3)
    _contract(_array(by_x), _array(jacobian), first, _array(out))
    return out


@scalar
def _exp_of_negative(x: np.float32) -> np.float32:
    """exp of -80 to 0 to the last bit but one, and NaN of NaN; without a call, so that several are computed at once."""
    octaves = np.floor(x * _PER_OCTAVE + _HALF)
    r = x - octaves * _LN2_HIGH - octaves * _LN2_LOW
    p = ((((_E7 * r + _E6) * r + _E5) * r + _E4) * r + _E3) * r + _E2
    power = np.int32((np.int32(octaves) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (p * r * r + r + _ONE) * power


@kernel(FAST)
def _activate(pre, last, hidden, slope, cotangent):
    """Softplus of `SOFTPLUS_BETA`, its slope, and that times the weights of the first output."""
    for block in prange((pre.shape[0] + _BLOCK - 1) // _BLOCK):
        for s in range(block * _BLOCK, min(pre.shape[0], (block + 1) * _BLOCK)):
            for j in range(pre.shape[1]):
                z = pre[s, j] * _BETA
                size = abs(z)
                e = _exp_of_negative(-(_LOWEST if size > _LOWEST else size))
                # log(1 + e) = 2 artanh(e / (2 + e)), whose argument is at most a third
                t = e / (_TWO + e)
                q = t * t
                rest = (((((_A15 * q + _A13) * q + _A11) * q + _A9) * q + _A7) * q + _A5) * q + _A3
                hidden[s, j] = ((z if z > _ZERO else _ZERO) + _TWO * (t + t * q * rest)) / _BETA
                share = _ONE / (_ONE + e)
                share = share if z > _ZERO else e * share
                slope[s, j], cotangent[s, j] = share, share * last[j]


@kernel(FAST)
def _contract(by_x, jacobian, first, out):
    for s in prange(out.shape[0]):
        for axis in range(3):
            total = _ZERO
            for k in range(jacobian.shape[2]):
                total += by_x[s, first + k] * jacobian[s, axis, k]
            out[s, axis] = total + _TWO * by_x[s, axis] if first else total


@kernel(FAST)
def _split(grad, jacobian, cotangent, by_x, by_jacobian):
    """Backward of `_contract`: what the two factors of the spatial gradient receive."""
    first = by_x.shape[1] - jacobian.shape[2]
    for s in prange(grad.shape[0]):
        x, y, z = grad[s, 0], grad[s, 1], grad[s, 2]
        if first:
            by_x[s, 0], by_x[s, 1], by_x[s, 2] = _TWO * x, _TWO * y, _TWO * z
        for k in range(jacobian.shape[2]):
            by_x[s, first + k] = x * jacobian[s, 0, k] + y * jacobian[s, 1, k] + z * jacobian[s, 2, k]
            along = cotangent[s, first + k]
            by_jacobian[s, 0, k], by_jacobian[s, 1, k], by_jacobian[s, 2, k] = x * along, y * along, z * along


@kernel(FAST)
def _differentiate(by_cotangent, slope, last, grad, sums):
    """Backward of `_activate`: `grad` by the hidden layer becomes that by what was before its activation."""
    for block in prange(sums.shape[0]):
        sums[block] = _ZERO
        for s in range(block * _BLOCK, min(grad.shape[0], (block + 1) * _BLOCK)):
            for j in range(grad.shape[1]):
                share, by = slope[s, j], by_cotangent[s, j]
                value = grad[s, j] * share + by * last[j] * _BETA * share * (_ONE - share)
                grad[s, j] = value
                sums[block, 0, j] += by * share
                sums[block, 1, j] += value
