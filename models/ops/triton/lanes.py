"""What kernels share that have one sample, ray or direction per lane: vectors, and means over all of them."""

import torch
import triton
import triton.language as tl
from torch import Tensor

SAMPLES_BLOCK = 128  # of one program, a lane each: with more, loads and stores would differ in layout
ROWS = 128  # of sums that are added up at a time


@triton.jit
def vector(pointer, row, mask, row_stride, column_stride):
    """The three components of rows (BLOCK,) of a matrix, zero where masked."""
    x = pointer + row * row_stride
    y = x + column_stride
    z = y + column_stride
    return (
        tl.load(x, mask=mask, other=0.0).to(tl.float32),
        tl.load(y, mask=mask, other=0.0).to(tl.float32),
        tl.load(z, mask=mask, other=0.0).to(tl.float32),
    )


@triton.jit
def store_vector(pointer, row, mask, x, y, z):
    """Writes rows (BLOCK,) of a contiguous (., 3)."""
    tl.store(pointer + row * 3, x, mask=mask)
    tl.store(pointer + row * 3 + 1, y, mask=mask)
    tl.store(pointer + row * 3 + 2, z, mask=mask)


def partial_sums(num_programs: int, names: tuple[str, ...], device: torch.device) -> Tensor:
    """(2, n, P) uninitialised: sums of each program, and how many they are of."""
    return torch.empty(2, len(names), num_programs, device=device)


def add_up(partial: Tensor) -> tuple[Tensor, Tensor]:
    """The means (n,), and what each of the values that count adds to its mean, (n,)."""
    _, n, P = partial.shape
    means, shares = partial.new_empty(2, n)
    _means[(n,)](partial=partial, means=means, shares=shares, n=n, P=P, ROWS=ROWS)
    return means, shares


@triton.jit
def _means(partial, means, shares, n, P, ROWS: tl.constexpr):
    """Of one loss each."""
    own, row = tl.program_id(0), tl.arange(0, ROWS)
    total, count = tl.zeros((ROWS,), tl.float32), tl.zeros((ROWS,), tl.float32)
    first = 0
    while first < P:
        there = first + row < P
        total += tl.load(partial + own * P + first + row, there, other=0.0)
        count += tl.load(partial + (n + own) * P + first + row, there, other=0.0)
        first += ROWS
    share = 1.0 / tl.maximum(tl.sum(count, 0), 1.0)
    tl.store(means + own, tl.sum(total, 0) * share)
    tl.store(shares + own, share)
