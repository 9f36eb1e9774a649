"""Samples that a gradient reaches, side by side: the others give exactly nothing to any sum of a backward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # samples of a program


@dataclass(frozen=True)
class Reached:
    """Which samples they are, in their order; entries from `count` on are not written."""

    places: Tensor  # (S,) int32
    points: Tensor  # (S, 3), theirs
    count: Tensor  # () int64


def reached(points: Tensor, count: Tensor, grads: Sequence[Tensor | None]) -> Reached:
    """Those of points (S, 3) in front of `count` () for which any of the gradients, each (S,) or (S, c), is not 0.

    Nothing is read on the host."""
    grads = tuple(grad.contiguous() for grad in grads if grad is not None)
    widths = tuple(tl.constexpr(grad.numel() // max(len(points), 1)) for grad in grads)
    S, points = len(points), points.contiguous()
    num = triton.cdiv(S, BLOCK)
    counts = torch.empty(num, dtype=torch.int32, device=points.device)
    found = Reached(counts.new_empty(S), torch.empty_like(points), torch.empty_like(count))
    _count[(num,)](grads=grads, count=count, S=S, counts=counts, widths=widths, BLOCK=BLOCK)
    _keep[(num,)](
        grads=grads,
        points=points,
        count=count,
        S=S,
        counts=counts,
        places=found.places,
        kept=found.points,
        total=found.count,
        widths=widths,
        BLOCK=BLOCK,
    )
    return found


@triton.jit
def _reached(grads, count, S, widths: tl.constexpr, BLOCK: tl.constexpr):
    """The samples of a program, and 1 for each that is reached; NaN reaches one."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    used = i < tl.minimum(tl.load(count), S)
    some = tl.zeros((BLOCK,), tl.int32)
    for index in tl.static_range(len(grads)):
        for column in tl.static_range(widths[index]):
            some |= (tl.load(grads[index] + i * widths[index] + column, mask=used, other=0.0) != 0.0).to(tl.int32)
    return i, some


@triton.jit
def _count(grads, count, S, counts, widths: tl.constexpr, BLOCK: tl.constexpr):
    _, some = _reached(grads, count, S, widths, BLOCK)
    tl.store(counts + tl.program_id(0), tl.sum(some, 0))


@triton.jit
def _keep(grads, points, count, S, counts, places, kept, total, widths: tl.constexpr, BLOCK: tl.constexpr):
    """Each program adds up for itself how many the ones in front of it keep."""
    i, some = _reached(grads, count, S, widths, BLOCK)
    before, first = tl.zeros((BLOCK,), tl.int32), 0
    while first < tl.program_id(0):
        program = first + tl.arange(0, BLOCK)
        before += tl.load(counts + program, mask=program < tl.program_id(0), other=0)
        first += BLOCK
    start = tl.sum(before, 0)
    place = start + tl.cumsum(some, 0) - 1
    tl.store(places + place, i, mask=some != 0)
    for axis in tl.static_range(3):
        tl.store(kept + place * 3 + axis, tl.load(points + i * 3 + axis, mask=some != 0, other=0.0), mask=some != 0)
    if tl.program_id(0) == tl.num_programs(0) - 1:
        tl.store(total, (start + tl.sum(some, 0)).to(tl.int64))
