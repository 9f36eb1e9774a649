"""The Triton kernels of the hash grid; `models.ops.triton.hash` launches them."""

import triton
import triton.language as tl

from models.ops.grid import PRIMES

_PRIME_Y, _PRIME_Z = tl.constexpr(PRIMES[1]), tl.constexpr(PRIMES[2])
_MAX_FP16 = tl.constexpr(65504.0)


@triton.jit
def _locate(x, scale):
    """Cell, fraction within it and slope of one coordinate; NaN lands in the first cell."""
    inside = tl.where(x > 0.0, x, 0.0)
    inside = tl.where(inside < 1.0, inside, 1.0)
    position = inside * scale + 0.5
    cell = tl.floor(position)
    return cell.to(tl.int32).to(tl.uint32), position - cell, tl.where(x == inside, scale, 0.0)


@triton.jit
def _row(x, y, z, offset, size, dense):
    """Row of the table for one corner; a dense level wraps at its end, as the reference does."""
    index = x + y + z
    wrapped = tl.where(index >= size, index - size, index)
    return (tl.where(dense, wrapped, (x ^ y ^ z) & (size - 1)) + offset).to(tl.int32)


@triton.jit
def _pair(words, index, mask):
    """The two features of one word."""
    word = tl.load(words + index, mask, other=0)
    return word.to(tl.int32).to(tl.float32, bitcast=True), (word >> 32).to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def _blend(a0, a1, a2, a3, f, side):
    """Trilinear value of 8 corners, of which a lane holds the 4 on its side along x, y fastest, and its slopes per
    cell: all that both sides add to them."""
    d0, d1 = a1 - a0, a3 - a2
    b0, b1 = a0 + f[1] * d0, a2 + f[1] * d1
    value, slope_y, slope_z = b0 + f[2] * (b1 - b0), d0 + f[2] * (d1 - d0), b1 - b0
    weight = _weight(f[0], side)
    return weight * value, tl.where(side == 0, -value, value), weight * slope_y, weight * slope_z


@triton.jit
def _weight(fx, side):
    """That of a side along x."""
    return tl.where(side == 0, 1.0 - fx, fx)


@triton.jit
def _spread(g, gx, gy, gz, f, side):
    """What the 4 corners on a side along x receive for gradients of the value and of its slopes: `_blend` read
    backwards."""
    weight = _weight(f[0], side)
    value, slope_y = g * weight + tl.where(side == 0, -gx, gx), gy * weight
    b1 = value * f[2] + gz * weight
    d1 = slope_y * f[2]
    b0, d0 = value - b1, slope_y - d1
    a1, a3 = b0 * f[1] + d0, b1 * f[1] + d1
    return b0 - a1, a1, b1 - a3, a3


@triton.jit
def _add_pair(grad, index, low, high, mask, PACKED: tl.constexpr):
    """Adds two floats to a row of pairs."""
    target = grad + 2 * index.to(tl.int64)
    if PACKED:
        tl.inline_asm_elementwise(
            "{ .reg .pred p; setp.ne.s32 p, $4, 0; @p red.global.add.v2.f32 [$1], {$2, $3}; mov.u32 $0, 0; }",
            "=r,l,f,f,r",
            [target.to(tl.int64), low, high, mask.to(tl.int32)],
            dtype=tl.int32,
            is_pure=False,
            pack=1,
        )
    else:
        tl.atomic_add(target, low, mask, sem="relaxed")
        tl.atomic_add(target + 1, high, mask, sem="relaxed")


@triton.jit
def _layout(scales, layouts, level):
    """Scale, resolution, offset, size and density of a level."""
    row = layouts + 4 * level
    resolution, offset = tl.load(row).to(tl.uint32), tl.load(row + 1).to(tl.uint32)
    return tl.load(scales + level), resolution, offset, tl.load(row + 2).to(tl.uint32), tl.load(row + 3) != 0


@triton.jit
def _cell(points, s, valid, scale):
    """The cells of points, their fractions within them, and the slopes of those."""
    x, fx, sx = _locate(tl.load(points + 3 * s, valid, other=0.0), scale)
    y, fy, sy = _locate(tl.load(points + 3 * s + 1, valid, other=0.0), scale)
    z, fz, sz = _locate(tl.load(points + 3 * s + 2, valid, other=0.0), scale)
    return (x, y, z), (fx, fy, fz), (sx, sy, sz)


@triton.jit
def _rows(cell, layout, side):
    """Rows of the table for the 4 corners of cells on a side along x, y fastest."""
    _, resolution, offset, size, dense = layout
    y_stride = tl.where(dense, resolution, _PRIME_Y)
    z_stride = tl.where(dense, resolution * resolution, _PRIME_Z)
    x, y0, z0 = cell[0] + side.to(tl.uint32), cell[1] * y_stride, cell[2] * z_stride
    return (
        _row(x, y0, z0, offset, size, dense),
        _row(x, y0 + y_stride, z0, offset, size, dense),
        _row(x, y0, z0 + z_stride, offset, size, dense),
        _row(x, y0 + y_stride, z0 + z_stride, offset, size, dense),
    )


@triton.jit
def _of_both(value):
    """The sums of what the two lanes of a point hold."""
    return tl.sum(tl.reshape(value, (value.shape[0] // 2, 2)), 1)


@triton.jit
def _store_slope(target, value, mask):
    """Writes a slope, the sum of what both sides add to it; where it is kept as float16, one that is larger than that
    holds is cut off. A NaN stays one."""
    value = _of_both(value)
    if target.dtype.element_ty == tl.float16:
        value = tl.where(value > _MAX_FP16, _MAX_FP16, tl.where(value < -_MAX_FP16, -_MAX_FP16, value))
    tl.store(target, value, mask)


@triton.jit
def gather_kernel(
    points,
    words,
    scales,
    layouts,
    features,
    jacobian,
    count,
    S,
    LF,
    PAIRS: tl.constexpr,
    COUNTED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Two lanes for each point, one for either side of its cells along x: what they read of the table mostly lies side
    by side, and so is read once."""
    level = tl.program_id(1)
    layout = _layout(scales, layouts, level)
    first, lane = tl.program_id(0).to(tl.int64) * BLOCK, tl.arange(0, 2 * BLOCK)
    both, side, s = first + lane // 2, lane % 2, first + tl.arange(0, BLOCK)
    inside = s < S
    valid = both < (tl.minimum(S, tl.load(count)) if COUNTED else S)
    cell, f, slope = _cell(points, both, valid, layout[0])
    rows = _rows(cell, layout, side)
    slope_x, slope_y, slope_z = slope
    for pair in tl.static_range(PAIRS):
        # Beyond `count` the words read as 0, and so do the features: padding holds no garbage.
        a0, b0 = _pair(words, rows[0] * PAIRS + pair, valid)
        a1, b1 = _pair(words, rows[1] * PAIRS + pair, valid)
        a2, b2 = _pair(words, rows[2] * PAIRS + pair, valid)
        a3, b3 = _pair(words, rows[3] * PAIRS + pair, valid)
        low, low_x, low_y, low_z = _blend(a0, a1, a2, a3, f, side)
        high, high_x, high_y, high_z = _blend(b0, b1, b2, b3, f, side)
        k = ((level * PAIRS + pair) * 2).to(tl.int64)
        tl.store(features + k * S + s, _of_both(low), inside)
        tl.store(features + (k + 1) * S + s, _of_both(high), inside)
        if jacobian is not None:
            plane = LF.to(tl.int64) * S
            near = jacobian + k * S + s
            _store_slope(near, low_x * slope_x, inside)
            _store_slope(near + S, high_x * slope_x, inside)
            _store_slope(near + plane, low_y * slope_y, inside)
            _store_slope(near + plane + S, high_y * slope_y, inside)
            _store_slope(near + 2 * plane, low_z * slope_z, inside)
            _store_slope(near + 2 * plane + S, high_z * slope_z, inside)


@triton.jit
def _upstream(value, slope, direction, k, s, factors, valid):
    """Gradients of one feature and of its slopes per cell."""
    g = tl.zeros_like(factors[0])
    gx, gy, gz = g, g, g
    if value is not None:
        g = tl.load(value[0] + k * value[1] + s * value[2], valid, other=0.0).to(tl.float32)
    if slope is not None:
        base = slope[0] + k * slope[1] + s * slope[2]
        gx = tl.load(base, valid, other=0.0).to(tl.float32)
        gy, gz = gx, gx
        if direction is None:
            gy = tl.load(base + slope[3], valid, other=0.0).to(tl.float32)
            gz = tl.load(base + 2 * slope[3], valid, other=0.0).to(tl.float32)
        gx, gy, gz = gx * factors[0], gy * factors[1], gz * factors[2]
    return g, gx, gy, gz


@triton.jit
def _received(points, value, slope, direction, k, s, side, end, scale):
    """Cells of points, whether they count, and what the 4 corners on a side of them receive for two features."""
    valid = s < end
    cell, f, factors = _cell(points, s, valid, scale)
    if direction is not None:
        toward = direction[0] + s * direction[2]
        factors = (
            factors[0] * tl.load(toward, valid, other=0.0),
            factors[1] * tl.load(toward + direction[1], valid, other=0.0),
            factors[2] * tl.load(toward + 2 * direction[1], valid, other=0.0),
        )
    g, gx, gy, gz = _upstream(value, slope, direction, k, s, factors, valid)
    low = _spread(g, gx, gy, gz, f, side)
    g, gx, gy, gz = _upstream(value, slope, direction, k + 1, s, factors, valid)
    return cell, valid, low, _spread(g, gx, gy, gz, f, side)


@triton.jit
def _flush(grad_table, cell, side, layout, low, high, mask, pair, PAIRS: tl.constexpr, PACKED: tl.constexpr):
    """Adds what was gathered for the 4 corners on a side of cells."""
    rows = _rows(cell, layout, side)
    for corner in tl.static_range(4):
        _add_pair(grad_table, rows[corner] * PAIRS + pair, low[corner], high[corner], mask, PACKED)


@triton.jit
def _gathered(own, more, fresh):
    """The sums of 4 corners: begun anew where `fresh`, otherwise continued."""
    return (
        tl.where(fresh, 0.0, own[0]) + more[0],
        tl.where(fresh, 0.0, own[1]) + more[1],
        tl.where(fresh, 0.0, own[2]) + more[2],
        tl.where(fresh, 0.0, own[3]) + more[3],
    )


@triton.jit
def scatter_kernel(
    points,
    value,
    slope,
    direction,
    scales,
    layouts,
    grad_table,
    count,
    S,
    PAIRS: tl.constexpr,
    COUNTED: tl.constexpr,
    PACKED: tl.constexpr,
    RUN: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Two lanes take RUN points in a row, one lane the corners on either side of their cells along x: what the two add
    to the table mostly lies side by side, and travels as one. Neighbours along a ray mostly share a coarse cell: what
    they add to it is summed in registers and leaves for memory when the cell changes.

    value: (pointer, strides of features and points); slope: the same and the stride of axes; with a direction
    (pointer, strides of axes and points) the same without, and the slope along an axis is its product with that."""
    pair = tl.program_id(1) % PAIRS
    layout = _layout(scales, layouts, tl.program_id(1) // PAIRS)
    lane = tl.arange(0, 2 * BLOCK)
    first, side = tl.program_id(0).to(tl.int64) * BLOCK * RUN + lane // 2 * RUN, lane % 2
    end = tl.minimum(S, tl.load(count)) if COUNTED else S
    k = (tl.program_id(1) * 2).to(tl.int64)
    cell, pending, low, high = _received(points, value, slope, direction, k, first, side, end, layout[0])
    for step in tl.static_range(1, RUN):
        upstream = _received(points, value, slope, direction, k, first + step, side, end, layout[0])
        own = upstream[0]
        moved = (own[0] != cell[0]) | (own[1] != cell[1]) | (own[2] != cell[2]) | ~upstream[1]
        _flush(grad_table, cell, side, layout, low, high, moved & pending, pair, PAIRS, PACKED)
        cell, pending = own, upstream[1]
        low, high = _gathered(low, upstream[2], moved), _gathered(high, upstream[3], moved)
    _flush(grad_table, cell, side, layout, low, high, pending, pair, PAIRS, PACKED)
