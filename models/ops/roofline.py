"""What a training step should take on a card that nobody measured, by what it moves and computes (a roofline model).

Five costs are added: reads of the hash grid and additions to it, by the cycles of all multiprocessors or by the bytes
that the cache lacks; networks by cycles; the optimiser by bytes; and what each kernel costs however small it is. The
constants come from profiles of a NeuS and a NeRF on an H200 (benchmarks/results/train-*-blender-lego-step-after.json).
How its steps grow with samples and levels comes out within 15 %; what comes out for other cards is an estimate."""

from dataclasses import dataclass
from functools import cache

import torch

from models.ops.grid import GridSpec

CORNERS_READ, CORNERS_ADDED = 1.43, 0.77  # of grid cells, for each cycle of a multiprocessor
SDF_CYCLES, FLOP_CYCLES = 220.0, 0.0068  # of a multiprocessor: for an SDF's sample, for an operation of other networks
KERNEL_MICROSECONDS = 3.5  # of each kernel of a recorded step
SMALL_BYTES = 8  # that a small kernel reads and writes for each sample
OPTIMISER_BYTES = 27  # for each parameter: gradient, weight and two moments, read and written, where it has a gradient
ATOMICS = 1.7  # as long for additions one by one as for pairs
LEVEL_BYTES = 4 * 2**20  # of a hashed level, which is read as a whole before the next one
SECTOR = 32  # bytes that one read from memory brings
REFRESH, SLOPES = 1.13, 0.37  # reads of the grid for each sample of a step, and of its occupancy; for an SDF's gradient
REACHED_BY_LIGHT = 0.67  # of the samples of a density: the others add nothing to the grid
FMA_SHARE = 0.5  # of the peak of a card without the types that tensor cores multiply
REACHED = 0.9  # of the bytes a second that makers state


@dataclass(frozen=True)
class Specs:
    """What makers state of a card."""

    name: str
    multiprocessors: int
    ghz: float  # boost
    gb_per_s: float  # of its memory, as copies reach it
    cache_mib: float  # L2
    lanes: int = 128  # for float32, of a multiprocessor
    capability: int = 86

    @property
    def cycles(self) -> float:
        """Of all multiprocessors in a microsecond."""
        return self.multiprocessors * self.ghz * 1e3


H200 = Specs("H200", 132, 1.98, 4277.0, 50.0, capability=90)  # the memory as measured by copies
CARDS = (
    H200,
    Specs("H100 (SXM)", 132, 1.98, 3000.0, 50.0, capability=90),
    Specs("A100 (40 GB)", 108, 1.41, 1400.0, 40.0, 64, 80),
    Specs("RTX 5090", 170, 2.41, 1600.0, 96.0, capability=120),
    Specs("RTX 4090", 128, 2.52, 920.0, 72.0, capability=89),
    Specs("RTX 3090", 82, 1.70, 850.0, 6.0),
    Specs("RTX 4060", 24, 2.46, 250.0, 24.0, capability=89),
    Specs("RTX 3060", 28, 1.78, 330.0, 3.0),
    Specs("T4", 40, 1.20, 280.0, 4.0, 64, 75),  # 70 W do not last for its boost
)


@dataclass(frozen=True)
class Step:
    """What a training step does."""

    grid: GridSpec
    is_sdf: bool
    kernels: float  # that it launches
    samples: int = 2**18

    @property
    def operations(self) -> float:
        """Of the networks for a sample, forward; those of an SDF apart."""
        colour = 2 * (32 * 64 + 64 * 64 + 64 * 16)
        return colour if self.is_sdf else colour + 2 * (32 * 64 + 64 * 16)


@cache
def specs_of(device: torch.device) -> Specs | None:
    """Of the card of a device: those in the table, or what its driver tells; None for a CPU, for AMD, and where the
    driver does not tell."""
    if device.type != "cuda" or torch.version.hip is not None:
        return None
    asked = torch.cuda.get_device_properties(device)
    for card in CARDS:  # NVIDIA GeForce RTX 3060; one of the same name for laptops has another number or more words
        if asked.name.endswith(f" {card.name}") and asked.multi_processor_count == card.multiprocessors:
            return card
    clocks = [getattr(asked, name, 0) for name in ("clock_rate", "memory_clock_rate", "memory_bus_width")]
    if not all(clocks):
        return None
    clock, memory, bits = clocks  # kHz, kHz, and bits that each edge of the memory's clock brings
    capability = 10 * asked.major + asked.minor
    return Specs(
        asked.name,
        asked.multi_processor_count,
        clock / 1e6,
        REACHED * 2 * memory * bits / 8 / 1e6,
        asked.L2_cache_size / 2**20,
        64 if capability in (70, 72, 75, 80) else 128,
        capability,
    )


def milliseconds(step: Step, card: Specs) -> float:
    """Of a step on a card."""
    corners = 8 * step.grid.num_levels * step.samples
    missed = max(0.0, 1.0 - 0.7 * card.cache_mib * 2**20 / LEVEL_BYTES)  # of the cache: the rest holds the points
    per_us = card.gb_per_s * 1e3  # bytes
    reads = corners * (REFRESH + SLOPES if step.is_sdf else REFRESH)
    read = max(reads / (CORNERS_READ * card.cycles), reads * missed * SECTOR / per_us)
    singly = ATOMICS if card.capability < 90 else 1.0
    adds = corners if step.is_sdf else corners * REACHED_BY_LIGHT
    added = max(adds * singly / (CORNERS_ADDED * card.cycles), 2 * adds * missed * SECTOR / per_us)
    cycles = step.operations * FLOP_CYCLES + (SDF_CYCLES if step.is_sdf else 0.0)
    networks = step.samples * cycles / card.cycles
    if card.capability < 80:  # there is no product by tensor cores, in the backward pass twice as many
        operations = 3 * step.operations + (2 * (35 + 16 + 32 + 7 * 32) * 64 if step.is_sdf else 0)
        networks += step.samples * operations / (FMA_SHARE * 2 * card.lanes * card.cycles)
    optimiser = 2 * step.grid.num_entries * OPTIMISER_BYTES / per_us
    small = step.kernels * max(KERNEL_MICROSECONDS, step.samples * SMALL_BYTES / per_us)
    return (read + added + networks + optimiser + small) / 1e3
