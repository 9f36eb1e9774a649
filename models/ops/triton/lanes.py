"""What kernels share that have one sample, ray or direction per lane: vectors, columns, padding, means over all."""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

SAMPLES_BLOCK = 128  # of one program, a lane each: with more, loads and stores would differ in layout
CLEARED = 256  # samples of a program that looks for padding
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


@triton.jit
def clear(matrix, width: tl.constexpr, first, used, S, BLOCK: tl.constexpr):
    """Zeros in those of BLOCK rows of a contiguous (S, width), from `first` on, that are padding: from `used` on."""
    row = first + tl.arange(0, BLOCK)
    for column in tl.static_range(width):
        tl.store(matrix + row * width + column, tl.zeros((BLOCK,), tl.float32), mask=(row >= used) & (row < S))


def column_widths(parts: Sequence[Tensor]) -> list[int]:
    """How many columns parts (S, c) and (S,) have."""
    return [part.shape[1] if part.ndim == 2 else 1 for part in parts]


def strided(parts: Sequence[Tensor]) -> tuple:
    """Parts (S, c) and (S,) as `joined` takes them, with the strides of rows and columns."""
    return tuple((part, part.stride(0), part.stride(1) if part.ndim == 2 else 0) for part in parts)


@triton.jit
def joined(parts, widths: tl.constexpr, row, column, mask):
    """A tile of the parts side by side: each fills its columns and adds zero to the others.

    row: (N, 1); column: (1, C), from 0 on; mask: (N, 1) or (N, C)."""
    tile = tl.zeros((row.shape[0], column.shape[1]), tl.float32)
    start: tl.constexpr = 0
    for index in tl.static_range(len(parts)):
        pointer, row_stride, column_stride = parts[index]
        own = column - start
        there = mask & (own >= 0) & (own < widths[index])
        tile += tl.load(pointer + row * row_stride + own * column_stride, there, other=0.0).to(tl.float32)
        start += widths[index]
    return tile


def partial_sums(num_programs: int, names: tuple[str, ...], device: torch.device) -> Tensor:
    """(2, n, P) uninitialised: sums of each program, and how many they are of."""
    return torch.empty(2, len(names), num_programs, device=device)


def add_up(partial: Tensor) -> tuple[Tensor, Tensor]:
    """The means (n,), and what each of the values that count adds to its mean, (n,)."""
    _, n, P = partial.shape
    means, shares = partial.new_empty(2, n)
    _means[(n,)](partial=partial, means=means, shares=shares, n=n, P=P, ROWS=ROWS)
    return means, shares


@triton.jit(do_not_specialize=["n", "P"])  # one program has few rows, and is compiled as many are
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
