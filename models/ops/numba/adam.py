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
    numbers = np.array([float(step.number), float(step.rate), *step.betas, step.eps, step.decay])
    _adam(*arrays, numbers, step.decoupled)


@kernel()
def _adam(parameter, gradient, mean, square, numbers, decoupled):
    step, rate, beta1, beta2, eps, decay = numbers
    shrink = 1.0 - rate * decay if decoupled else 1.0
    slope1, slope2 = rate / (1.0 - beta1**step), 1.0 / (1.0 - beta2**step)
    for i in prange(parameter.size):
        g = gradient[i]
        if g != 0.0:
            if not decoupled:
                g += decay * parameter[i]
            mean[i] = beta1 * mean[i] + (1.0 - beta1) * g
            square[i] = beta2 * square[i] + (1.0 - beta2) * g * g
            parameter[i] = parameter[i] * shrink - slope1 * mean[i] / (np.sqrt(square[i] * slope2) + eps)
