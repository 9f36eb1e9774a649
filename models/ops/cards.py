"""The cards that the Triton kernels are compiled for: what they are told of the one that they run on."""

import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache

import torch

from utils.errors import ConfigError

SWITCH = "PHOTOSURF_CARD"  # an environment variable: tiles and types of another card, such as sm_75, for tests


@dataclass(frozen=True)
class Card:
    """A graphics card as a compiler sees it."""

    target: str  # "sm_75": compute capability 7.5; "gfx942": an AMD card
    shared_memory: int  # bytes that one program may take
    multiprocessors: int

    @property
    def is_amd(self) -> bool:
        """Whether its kernels are compiled by ROCm."""
        return self.target.startswith("gfx")

    @property
    def tiles(self) -> "Tiles":
        """How networks are launched on it."""
        return next((tiles for tiles in TILES if tiles.serve(self)), TILES[-1])

    @property
    def capability(self) -> int:
        """Ten times the compute capability of an NVIDIA card; 0 for others."""
        return 0 if self.is_amd else int(self.target.removeprefix("sm_"))


@dataclass(frozen=True)
class Tiles:
    """How the kernels of networks are launched on a kind of card: what a program takes at once, and its warps.

    Stages are Triton's own: none of their loops is pipelined. Other kernels hardly spill, and are launched alike."""

    cards: Callable[[Card], bool] = field(repr=False)
    forward: tuple[int, int]  # samples, and warps; of wide layers more warps, see `models.ops.triton.networks.tiles`
    backward: tuple[int, int]
    # bytes that a program takes of the shared memory, at most: with layers of up to 64 units, with one of 128
    shared_memory: tuple[int, int]
    # what is multiplied in place of what was asked for: fp32 knows no tensor cores
    forward_types: Mapping[str, str] = field(default_factory=dict)
    backward_types: Mapping[str, str] = field(default_factory=dict)

    def serve(self, card: Card) -> bool:
        """Whether they are those of a card."""
        return self.cards(card) and self.shared_memory[0] <= card.shared_memory

    def fits(self, width: int, card: Card) -> bool:
        """Whether a network with layers of a width fits a card's shared memory."""
        return self.shared_memory[width > 64] <= card.shared_memory


_WORDS = {"fp16": "float16", "bf16": "bfloat16", "tf32": "tf32", "fp32": "float32 without tensor cores"}


def describe(device: torch.device, half: bool) -> str:
    """What the kernels of networks do on a device, in words; half: numbers of 16 bits are asked for."""
    card, forced = card_of(device), os.environ.get(SWITCH)
    tiles = card.tiles
    wanted = ("fp16", "bf16") if half else ("tf32", "tf32")
    types = tiles.forward_types.get(wanted[0], wanted[0]), tiles.backward_types.get(wanted[1], wanted[1])
    forward, backward = (_WORDS[name] for name in types)
    told = forward if forward == backward else f"{forward} forward and {backward} backward"
    whose = f"tiles and types of {forced}, by {SWITCH}" if forced else f"compiled for {card.target}"
    return (
        f"Triton's, {whose}: networks take {tiles.forward[0]} samples at once forward and {tiles.backward[0]} "
        f"backward, and multiply {told}"
    )


_EXACT = {"tf32": "fp32", "tf32x3": "fp32"}
# The first row that serves a card counts. Registers decide: a thread has at most 255, and what they do not hold goes to
# memory and comes back. docs/dev/cards.md has the figures of all kernels, without and with these tiles.
TILES = (
    # Hopper and data-centre Blackwell: found by timing steps on H100 and H200, whose tensor cores read the weights from
    # the shared memory and leave registers for 128 samples. Others were not timed, only compiled.
    Tiles(lambda card: card.capability in (90, 100, 103), (128, 4), (32, 4), (70_000, 78_000)),
    # Ampere, Ada, and Blackwell for consumers: operands lie in registers, of which 128 and 32 samples take too many
    # (the SDF spills 260 and 316 bytes a thread); these spill 0 and 24.
    Tiles(lambda card: card.capability >= 80, (32, 4), (16, 4), (32_768, 32_768)),
    # Turing: neither bfloat16 nor tf32. Forward, float16 is multiplied where 16 bits were asked for; all else is
    # float32, whose range gradients need. Triton 3.7 writes no tensor-core products for it, of float16 neither. By four
    # warps the SDF spills 13 136 and 8 440 bytes a thread; by eight, for fewer samples, 0 and 376. Triton 3.8 and 3.9
    # take no more shared memory; where one does, see `models.ops.refusals`.
    Tiles(lambda card: card.capability > 0, (32, 8), (16, 8), (46_000, 42_000), _EXACT, _EXACT | {"bf16": "fp32"}),
    # CDNA: warps of 64 lanes, and registers for two; no tf32.
    Tiles(lambda card: card.target.startswith("gfx9"), (32, 4), (16, 4), (16_384, 16_384), _EXACT, _EXACT),
    # RDNA: no tf32. The SDF spills with any; by four warps more than by eight.
    Tiles(lambda card: True, (32, 8), (16, 8), (16_384, 32_768), _EXACT, _EXACT),
)
PROGRAMS = 4  # of a backward pass on each multiprocessor: each sums its blocks in registers

KNOWN = {
    card.target: card
    for card in (
        Card("sm_75", 65_536, 40),  # T4; RTX 20
        Card("sm_80", 166_912, 108),  # A100
        Card("sm_86", 101_376, 28),  # RTX 3060; RTX 30, A10, A40
        Card("sm_89", 101_376, 24),  # RTX 4060; RTX 40, L4, L40
        Card("sm_90", 232_448, 132),  # H100, H200
        Card("sm_100", 232_448, 148),  # B200
        Card("sm_120", 101_376, 48),  # RTX 5070; RTX 50
        Card("gfx942", 65_536, 304),  # MI300X
        Card("gfx1030", 65_536, 40),  # RX 6800; counted as pairs of compute units
        Card("gfx1100", 65_536, 48),  # RX 7900 XTX
    )
}
DEFAULT = KNOWN["sm_90"]  # of a device that is no card: Triton's interpreter
# the card that the CPU stands in for on this thread, while `models.ops.launches` notes what would run there
STOOD_IN: ContextVar[Card | None] = ContextVar("stood_in", default=None)


def card_of(device: torch.device) -> Card:
    """The card of a device, or the one that SWITCH names. Raises ConfigError if that one is not known."""
    forced = os.environ.get(SWITCH)
    return _named(forced) if forced else own_card(device)


def own_card(device: torch.device) -> Card:
    """The card of a device, whatever SWITCH says; for a CPU that stands in for one, that one."""
    stood_in = STOOD_IN.get() if device.type == "cpu" else None
    return stood_in or _found(device)


def adds_pairs(device: torch.device) -> bool:
    """Whether two floats are added to memory in one instruction (red.v2.f32): a card must have it, whatever it is told
    to be."""
    return min(card_of(device).capability, own_card(device).capability) >= 90


def _named(target: str) -> Card:
    if target not in KNOWN:
        raise ConfigError(f"{SWITCH}={target}: expected one of {', '.join(KNOWN)}. Give one of these, or unset it.")
    return KNOWN[target]


@cache
def _found(device: torch.device) -> Card:
    if device.type != "cuda":
        return DEFAULT
    properties = torch.cuda.get_device_properties(device)
    if torch.version.hip is not None:
        target, shared_memory = properties.gcnArchName.partition(":")[0], properties.shared_memory_per_block
    else:
        target, shared_memory = f"sm_{properties.major}{properties.minor}", properties.shared_memory_per_block_optin
    return Card(target, shared_memory, properties.multi_processor_count)
