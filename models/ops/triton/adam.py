"""Adam on a GPU for tables of which a step touches a part: what has no gradient is neither read nor written."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.ops.optimiser import AdamStep

LAUNCH = {"BLOCK": 1024, "num_warps": 4}


def adam_where_touched(parameter: Tensor, gradient: Tensor, moments: tuple[Tensor, Tensor], step: AdamStep) -> None:
    """In place, as in `models.ops.adam_where_touched`."""
    rate = step.rate if isinstance(step.rate, Tensor) else torch.tensor(step.rate, device=parameter.device)
    size = parameter.numel()
    _adam[(triton.cdiv(size, LAUNCH["BLOCK"]),)](
        parameter=parameter,
        gradient=gradient.contiguous(),
        mean=moments[0],
        square=moments[1],
        step=step.number,
        rate=rate,
        beta1=step.betas[0],
        beta2=step.betas[1],
        eps=step.eps,
        decay=step.decay,
        size=size,
        DECOUPLED=step.decoupled,
        **LAUNCH,
    )


@triton.jit
def _adam(
    parameter,
    gradient,
    mean,
    square,
    step,
    rate,
    beta1,
    beta2,
    eps,
    decay,
    size,
    DECOUPLED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    g = tl.load(gradient + at, mask=at < size, other=0.0)
    touched = g != 0.0
    count, lr = tl.load(step), tl.load(rate)
    old = tl.load(parameter + at, mask=touched, other=0.0)
    if DECOUPLED:
        kept = old * (1.0 - lr * decay)
    else:
        kept = old
        g += decay * old
    first = beta1 * tl.load(mean + at, mask=touched, other=0.0) + (1.0 - beta1) * g
    second = beta2 * tl.load(square + at, mask=touched, other=0.0) + (1.0 - beta2) * g * g
    # 1 - beta^t, whose power loses nothing that counts: beta is far from 1 against the rounding of 32 bits
    rate1, rate2 = 1.0 - tl.exp(count * tl.log(beta1)), 1.0 - tl.exp(count * tl.log(beta2))
    moved = kept - lr * (first / rate1) / (tl.sqrt(second / rate2) + eps)
    tl.store(parameter + at, moved, mask=touched)
    tl.store(mean + at, first, mask=touched)
    tl.store(square + at, second, mask=touched)
