"""Adam for tables of which a step touches a part, against torch's own."""

import pytest
import torch
from torch.testing import assert_close

from models.ops import AdamStep, adam_where_touched

SIZE = 3000


@pytest.mark.parametrize("decoupled", [True, False])
@pytest.mark.parametrize("on_device", [True, False])
def test_what_is_touched_moves_as_with_torch_and_the_rest_stays(backend, device, decoupled, on_device):
    """With a gradient in every step it is torch's optimiser to the rounding."""
    start = torch.randn(SIZE, 2, device=device)
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    whole = torch.nn.Parameter(start[::3].double())
    optimizer = kind([whole], lr=0.01, betas=(0.9, 0.99), eps=1e-15, weight_decay=0.1)
    parameter, moments = start.clone(), (torch.zeros_like(start), torch.zeros_like(start))
    for step in range(1, 8):
        gradient = torch.zeros_like(start)
        gradient[::3] = 10.0 ** torch.randint(-12, 3, (SIZE // 3, 2), device=device) * torch.randn(
            SIZE // 3, 2, device=device
        )
        whole.grad = gradient[::3].double()
        optimizer.step()
        rate = torch.tensor(0.01, device=device) if on_device else 0.01
        number = torch.tensor(float(step), device=device)
        how = AdamStep(number, rate, (0.9, 0.99), 1e-15, 0.1, decoupled)
        adam_where_touched(parameter, gradient, moments, how, backend=backend)
    assert_close(parameter[::3].double(), whole.detach(), atol=2e-6, rtol=2e-5)
    untouched = torch.ones(SIZE, dtype=torch.bool, device=device)
    untouched[::3] = False
    assert torch.equal(parameter[untouched], start[untouched])
    assert not moments[0][untouched].any()
    assert not moments[1][untouched].any()


def test_one_entry_of_a_pair_may_rest(backend, device):
    parameter = torch.ones(10, 2, device=device)
    moments, gradient = (torch.full_like(parameter, 0.5), torch.full_like(parameter, 0.25)), torch.zeros_like(parameter)
    gradient[4, 1] = -1.0
    step = AdamStep(torch.ones((), device=device), 0.1, (0.9, 0.99), 1e-8, 0.0, True)
    adam_where_touched(parameter, gradient, moments, step, backend=backend)
    moved = (parameter != 1.0).nonzero().tolist()
    assert moved == [[4, 1]]
    assert (moments[0] != 0.5).nonzero().tolist() == [[4, 1]]
