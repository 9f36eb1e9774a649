"""Networks are launched as suits the card: its tiles, its types and its shared memory."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from models.ops import Layers, cards, fused, mlp, sdf_mlp_with_gradient
from models.ops.backends import INTERPRETING
from utils.errors import ConfigError

tiles = pytest.importorskip("models.ops.triton.networks.tiles")
SHAPES = (70, 10), (70, 10), (70, 10, 3)
SHAPE = {"K": 32, "INPUTS": 32, "HIDDEN": 64, "D": 16}
ON_SM_90 = ((128, 4), (32, 4), 528)
CPU = torch.device("cpu")


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch):
    """Makes the CPU count as a card."""
    return lambda target: monkeypatch.setenv(cards.SWITCH, target)


@pytest.mark.parametrize(
    ("target", "forward", "backward"),
    [
        ("sm_75", (32, 8), (16, 8)),
        *[(target, (32, 4), (16, 4)) for target in ("sm_80", "sm_86", "sm_89", "sm_120", "gfx942")],
        *[(target, (128, 4), (32, 4)) for target in ("sm_90", "sm_100")],
        *[(target, (32, 8), (16, 8)) for target in ("gfx1030", "gfx1100")],
    ],
)
def test_tiles_are_those_of_the_card(on, target, forward, backward):
    on(target)
    card = cards.card_of(CPU)
    assert (card.target, card.tiles.forward, card.tiles.backward) == (target, forward, backward)
    assert tiles.launch_options(forward, 64) == {"BLOCK": forward[0], "num_warps": forward[1]}
    assert tiles.launch_options(forward, 128)["num_warps"] == 8


def test_an_h200_launches_what_it_was_tuned_for(on):
    card, layers = cards.card_of(CPU), [torch.zeros(64, 32)]
    assert (card.tiles.forward, card.tiles.backward, len(tiles.partial_gradients(2**18, layers))) == ON_SM_90
    assert len(tiles.partial_gradients(100, layers)) == 4
    on("sm_75")
    assert len(tiles.partial_gradients(2**18, layers)) == 160  # a T4 has 40 multiprocessors


@pytest.mark.parametrize(
    ("target", "half", "full"),
    [
        ("sm_90", ("fp16", "bf16"), ("tf32", "tf32")),
        ("sm_86", ("fp16", "bf16"), ("tf32", "tf32")),
        ("sm_75", ("fp16", "fp32"), ("fp32", "fp32")),
        ("gfx942", ("fp16", "bf16"), ("fp32", "fp32")),
    ],
)
def test_only_types_that_the_card_has_are_multiplied(target, half, full):
    card = cards.KNOWN[target]
    for allow_fp16, expected in ((True, half), (False, full)):
        found = tiles.operand_precision(card, allow_fp16, SHAPE)
        assert (found["FORWARD"], found["BACKWARD"]) == expected
        assert found["FIRST"] == expected[0]
    exact = "tf32x3" if target.startswith("sm_") and target != "sm_75" else "fp32"
    found = tiles.operand_precision(card, True, SHAPE, exact_inputs=True)
    assert (found["FIRST"], found["FORWARD"]) == (exact, half[0])
    assert tiles.operand_precision(card, True, SHAPE, full_fp32=True)["FORWARD"] == exact


def test_a_card_with_little_shared_memory_takes_the_tiles_and_widths_that_fit(monkeypatch):
    small = replace(cards.KNOWN["sm_86"], shared_memory=30_000)
    assert small.tiles.forward == (32, 8)
    layers = Layers((torch.zeros(128, 32), torch.zeros(3, 128)), (None, None), softplus=False)
    assert fused.network_misfits(layers, 32, fused.MLP) == []
    own = replace(small.tiles, shared_memory=(1, 30_001))
    monkeypatch.setattr(cards, "TILES", (own,))
    monkeypatch.setattr(fused, "card_of", lambda device: small)
    (misfit,) = fused.network_misfits(layers, 32, fused.MLP)
    assert (misfit.what, misfit.given, misfit.fits) == ("width", "128", "16, 32, 64")


def test_an_unknown_card_is_named_with_those_that_are_known(on):
    on("sm_42")
    with pytest.raises(ConfigError, match=r"PHOTOSURF_CARD=sm_42: expected one of sm_75, .*gfx1100"):
        cards.card_of(CPU)


def test_pairs_are_added_only_where_the_card_can_whatever_it_is_told_to_be(on, monkeypatch):
    assert cards.adds_pairs(CPU)
    on("sm_86")
    assert not cards.adds_pairs(CPU)
    on("sm_90")
    monkeypatch.setattr(cards, "_found", lambda device: cards.KNOWN["sm_86"])
    assert not cards.adds_pairs(CPU)


@pytest.mark.parametrize(
    ("hip", "expected"),
    [(None, cards.Card("sm_86", 101_376, 28)), ("6.4", cards.Card("gfx942", 65_536, 28))],
)
def test_a_card_is_asked_what_it_is(monkeypatch, hip, expected):
    class Properties:
        major, minor, multi_processor_count, gcnArchName = 8, 6, 28, "gfx942:sramecc+:xnack-"  # noqa: N815
        shared_memory_per_block, shared_memory_per_block_optin = 65_536, 101_376

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    monkeypatch.setattr(torch.version, "hip", hip)
    assert cards._found.__wrapped__(torch.device("cuda", 0)) == expected


@pytest.mark.parametrize(
    ("target", "half", "told"),
    [
        (
            "sm_75",
            True,
            "32 samples at once forward and 16 backward, and multiply float16 forward and float32 without",
        ),
        ("sm_75", False, "and multiply float32 without tensor cores"),
        ("sm_90", True, "128 samples at once forward and 32 backward, and multiply float16 forward and bfloat16 backw"),
        ("sm_86", False, "and multiply tf32"),
    ],
)
def test_what_a_card_will_do_is_told_in_words(on, target, half, told):
    assert "compiled for sm_90" in cards.describe(CPU, half)
    on(target)
    found = cards.describe(CPU, half)
    assert told in found
    assert f"tiles and types of {target}, by PHOTOSURF_CARD" in found


def network(*dims: int, softplus: bool, allow_fp16: bool, device: torch.device) -> Layers:
    """Random layers with biases, that require gradients."""
    weights = tuple((torch.randn(b, a, device=device) / a**0.5).requires_grad_() for a, b in pairwise(dims))
    biases = tuple(torch.randn(b, device=device, requires_grad=True) for b in dims[1:])
    return Layers(weights, biases, softplus, allow_fp16)


@pytest.mark.parametrize("target", ["sm_75", "sm_86", "sm_90", "gfx942"])
@pytest.mark.parametrize("allow_fp16", [True, False])
def test_networks_are_the_same_with_the_tiles_and_types_of_any_card(device, on, target, allow_fp16):
    if device.type == "cpu" and not INTERPRETING:
        pytest.skip("beside a GPU, Triton's kernels do not run on the CPU")
    on(target)
    x, features, jacobian = (torch.randn(*shape, device=device).requires_grad_() for shape in SHAPES)
    points = torch.rand(70, 3, device=device, requires_grad=True)
    layers = network(10, 32, 32, 5, softplus=False, allow_fp16=allow_fp16, device=device)
    head = network(13, 32, 5, softplus=True, allow_fp16=allow_fp16, device=device)
    leaves = [x, features, jacobian, points, *layers.weights, *layers.biases, *head.weights, *head.biases]

    def run(backend: str) -> list[torch.Tensor]:
        out = mlp(x, layers, backend=backend), *sdf_mlp_with_gradient(points, features, jacobian, head, backend=backend)
        return [*out, *torch.autograd.grad(sum(part.square().sum() for part in out), leaves)]

    # of few bits some units end on the other side of the ReLU's bend, which is all of a sample's gradient; the others
    # tell how exact the products are: a GPU multiplies float32 as tf32, with 10 bits
    few_bits = allow_fp16 or device.type == "cuda"
    for found, expected in zip(run("triton"), run("reference"), strict=True):
        assert (found - expected).norm() < (0.1 if few_bits else 0.001) * expected.norm()
        if not allow_fp16:
            assert (found - expected).abs().median() < (0.02 if few_bits else 0.005) * expected.abs().median()
