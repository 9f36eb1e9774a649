"""Adam on a CPU for tables of which a step touches a part: one loop over the entries, in parallel."""

import numpy as np
from numba import prange
from torch import Tensor

from models.ops.numba.kernel import kernel
from models.ops.optimiser import AdamStep


def adam_where_touched(parameter: Tensor, gradient: Tensor, moments: tuple[Tensor, Tensor], step: AdamStep) -> None:
    """In place, as in `models.ops.adam_where_touched`."""
    tensors = (parameter, gradient.contiguous(), *moments)
    arrays = [tensor.detach().view(-1).numpy() for tensor in tensors]
    rate, (beta1, beta2), number = float(step.rate), step.betas, float(step.number)
    shrink = 1.0 - rate * step.decay if step.decoupled else 1.0
    slopes = rate / (1.0 - beta1**number), 1.0 / (1.0 - beta2**number)
    numbers = np.array([beta1, beta2, *slopes, step.eps, shrink, 0.0 if step.decoupled else step.decay], np.float32)
    _adam(*arrays, numbers)


@kernel()
def _adam(parameter, gradient, mean, square, numbers):
    beta1, beta2, slope1, slope2, eps, shrink, decay = numbers
    rest1, rest2 = np.float32(1.0) - beta1, np.float32(1.0) - beta2
    for i in prange(parameter.size):
        # Without a branch, so that entries are computed side by side: those that are not touched get what they had.
        touched, p = gradient[i] != 0.0, parameter[i]
        g = gradient[i] + decay * p
        m, q = beta1 * mean[i] + rest1 * g, beta2 * square[i] + rest2 * g * g
        moved = p * shrink - slope1 * m / (np.sqrt(q * slope2) + eps)
        mean[i], square[i] = m if touched else mean[i], q if touched else square[i]
        parameter[i] = moved if touched else p
