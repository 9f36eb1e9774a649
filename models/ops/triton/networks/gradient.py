"""The spatial gradient of an SDF on a GPU, from the Jacobian of its features: one pass over the samples."""

import triton
import triton.language as tl
from torch import Tensor

from models.ops.triton.networks.tiles import transposed

LAUNCH = {"BLOCK": 256, "num_warps": 4}  # two samples for each thread, whose slopes of 16 bits are one word


def spatial_gradient(cotangent: Tensor, jacobian: Tensor, extra: int) -> Tensor:
    """(S, 3) gradient of a distance by the points in [0, 1].

    cotangent: (extra + K, S) gradient of the distance by what the network reads, first the position, if extra is 3;
    jacobian: (S, K, 3) of the features."""
    S, K, _ = jacobian.shape
    gradient = cotangent.new_empty(S, 3)
    _spatial_gradient[(triton.cdiv(S, LAUNCH["BLOCK"]),)](
        cotangent, planes(jacobian), gradient, S, K=K, EXTRA=extra, **LAUNCH
    )
    return gradient


def planes(jacobian: Tensor) -> tuple:
    """Its three planes (S, K) as the kernels take them."""
    return tuple(transposed(plane) for plane in jacobian.unbind(-1))


@triton.jit
def _spatial_gradient(cotangent, jacobian, gradient, S, K: tl.constexpr, EXTRA: tl.constexpr, BLOCK: tl.constexpr):
    """Gradient (S, 3): the Jacobian of the features times d sdf / d features; a position is 2 points - 1."""
    samples = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = samples < S
    x = tl.zeros((BLOCK,), tl.float32)
    y, z = x, x
    for k in tl.static_range(K):
        slope = tl.load(cotangent + (EXTRA + k) * S + samples, mask=valid, other=0.0)
        x += slope * _of_feature(jacobian[0], k, samples, valid)
        y += slope * _of_feature(jacobian[1], k, samples, valid)
        z += slope * _of_feature(jacobian[2], k, samples, valid)
    if EXTRA:
        x += 2.0 * tl.load(cotangent + samples, mask=valid, other=0.0)
        y += 2.0 * tl.load(cotangent + S + samples, mask=valid, other=0.0)
        z += 2.0 * tl.load(cotangent + 2 * S + samples, mask=valid, other=0.0)
    tl.store(gradient + samples * 3, x, mask=valid)
    tl.store(gradient + samples * 3 + 1, y, mask=valid)
    tl.store(gradient + samples * 3 + 2, z, mask=valid)


@triton.jit
def _of_feature(plane, k, samples, valid):
    """Slopes of one feature along an axis, of which `plane` is the part of the Jacobian."""
    return tl.load(plane[0] + k * plane[1] + samples * plane[2], mask=valid, other=0.0).to(tl.float32)
