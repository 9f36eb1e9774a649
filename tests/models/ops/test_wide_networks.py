"""Networks of all widths at real sizes, where numbers of 16 bits may be multiplied."""

from itertools import pairwise

import pytest
import torch
from torch.testing import assert_close

from models.ops import Layers, cards, mlp
from models.ops.backends import INTERPRETING

triton_tiles = pytest.importorskip("models.ops.triton.networks.tiles")


@pytest.mark.parametrize("dims", [[32, 64, 64, 3], [33, 64, 64, 3], [64, 64, 64, 13], [64, 128, 16]], ids=str)
def test_gradients_of_many_samples_are_right_however_wide_the_network(device, dims):
    """Of 16 bits where that is asked for and safe; errors are those of rounding, also in blocks after the first."""
    if device.type == "cpu" and not INTERPRETING:
        pytest.skip("beside a GPU, Triton's kernels do not run on the CPU")
    x = torch.randn(2**17 if device.type == "cuda" else 300, dims[0], device=device, requires_grad=True)
    weights = [(torch.randn(b, a, device=device) / a**0.5).requires_grad_() for a, b in pairwise(dims)]
    leaves, twins = [x, *weights], [t.detach().double().requires_grad_() for t in (x, *weights)]
    out = mlp(x, Layers(tuple(weights), (None,) * len(weights), False, allow_fp16=True), backend="triton")
    expected = mlp(twins[0], Layers(tuple(twins[1:]), (None,) * len(weights), False), backend="reference")
    grad = torch.randn_like(out)
    found, true = torch.autograd.grad(out, leaves, grad), torch.autograd.grad(expected, twins, grad.double())
    for a, b in zip((out, *found), (expected, *true), strict=True):
        assert (a - b).norm() < 0.05 * b.norm()


@pytest.mark.parametrize(("inputs", "hidden", "narrow"), [(32, 64, True), (33, 64, False), (32, 128, False)])
def test_only_networks_of_the_usual_width_are_multiplied_in_16_bits(inputs, hidden, narrow):
    shape = triton_tiles.tile_shape(inputs, [torch.empty(hidden, inputs), torch.empty(3, hidden)])
    hopper = cards.KNOWN["sm_90"]
    assert triton_tiles.operand_precision(hopper, True, shape)["FORWARD"] == ("fp16" if narrow else "tf32")
    assert triton_tiles.operand_precision(hopper, False, shape)["FORWARD"] == "tf32"


def test_softplus_is_exact_where_it_is_next_to_nothing(device):
    if device.type == "cpu" and not INTERPRETING:
        pytest.skip("beside a GPU, Triton's kernels do not run on the CPU")
    x = torch.linspace(-0.15, 0.01, 101, device=device)[:, None]
    weights = (torch.eye(16, 1, device=device), torch.eye(1, 16, device=device))
    out = mlp(x, Layers(weights, (None, None), True, full_fp32=True), backend="triton")
    assert_close(out.double(), torch.nn.functional.softplus(x.double(), 100.0), rtol=5e-6, atol=0.0)
