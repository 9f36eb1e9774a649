"""Opacity of samples of a density on a GPU: one kernel forward, one backward."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.refusals import backward_of
from models.ops.triton.networks.radiance_kernels import opacity
from utils.rays import RaySamples

BLOCK = 512  # samples of one program


def density_alpha(density: Tensor, packed: RaySamples) -> Tensor:
    """Opacity as in `models.ops.density_alpha`, float32."""
    return _DensityAlpha.apply(density, packed)


class _DensityAlpha(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, density: Tensor, packed: RaySamples) -> Tensor:
        density, t_starts, t_ends = density.contiguous(), packed.t_starts.contiguous(), packed.t_ends.contiguous()
        S = len(density)
        alpha = torch.empty(S, device=density.device)
        if S:
            _alpha[(triton.cdiv(S, BLOCK),)](
                density=density,
                t_starts=t_starts,
                t_ends=t_ends,
                count=packed.num_samples,
                S=S,
                alpha=alpha,
                BLOCK=BLOCK,
            )
        ctx.save_for_backward(density, t_starts, t_ends, packed.num_samples)
        return alpha

    @staticmethod
    @once_differentiable
    @backward_of("shading.density_alpha")
    def backward(ctx: FunctionCtx, grad_alpha: Tensor) -> tuple[Tensor | None, ...]:
        density, t_starts, t_ends, count = ctx.saved_tensors
        S, grad_density = len(density), torch.empty_like(density)
        if S:
            _alpha_backward[(triton.cdiv(S, BLOCK),)](
                density=density,
                t_starts=t_starts,
                t_ends=t_ends,
                count=count,
                S=S,
                grad_alpha=grad_alpha.contiguous(),
                grad_density=grad_density,
                BLOCK=BLOCK,
            )
        return grad_density, None


@triton.jit
def _samples(density, t_starts, t_ends, count, BLOCK: tl.constexpr):
    """Index, whether in use, density and length of a block of samples; density and length are 0 on padding."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    used = i < tl.load(count)
    dt = tl.load(t_ends + i, mask=used, other=0.0) - tl.load(t_starts + i, mask=used, other=0.0)
    return i, used, tl.load(density + i, mask=used, other=0.0).to(tl.float32), dt


@triton.jit
def _alpha(density, t_starts, t_ends, count, S, alpha, BLOCK: tl.constexpr):
    i, _, value, dt = _samples(density, t_starts, t_ends, count, BLOCK)
    tl.store(alpha + i, opacity(value * dt), mask=i < S)


@triton.jit
def _alpha_backward(density, t_starts, t_ends, count, S, grad_alpha, grad_density, BLOCK: tl.constexpr):
    i, used, value, dt = _samples(density, t_starts, t_ends, count, BLOCK)
    grad = tl.load(grad_alpha + i, mask=used, other=0.0) * dt * tl.exp(-value * dt)
    tl.store(grad_density + i, grad, mask=i < S)
