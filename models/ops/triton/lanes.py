"""Vectors in kernels that have one sample, or one direction, per lane."""

import triton
import triton.language as tl

SAMPLES_BLOCK = 128  # of one program, a lane each: with more, loads and stores would differ in layout


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
