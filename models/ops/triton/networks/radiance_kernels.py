"""The kernels of density and colour; `models.ops.triton.networks.radiance` launches them."""

import triton
import triton.language as tl

from models.ops.triton.networks.tiles import (
    OUTPUTS,
    activate,
    linear,
    load_tile,
    multiply,
    multiply_add,
    num_valid,
    store_tile,
)

MAX_EXPONENT = tl.constexpr(15.0)  # see `models.ops.reference.shading.density_from_raw`
SERIES = tl.constexpr(0.1)  # below it 1 - exp(-x) is summed as a series, above it nothing is cancelled


@triton.jit
def opacity(x):
    """1 - exp(-x)."""
    series = x * (1.0 - x * (1.0 / 2 - x * (1.0 / 6 - x * (1.0 / 24 - x / 120))))
    return tl.where(x < SERIES, series, 1.0 - tl.exp(-x))


@triton.jit
def _of_rays(harmonics, ray_indices, samples, end, H: tl.constexpr):
    """Harmonics (OUTPUTS, BLOCK) of the rays of samples."""
    columns = tl.arange(0, OUTPUTS)[:, None]
    used = samples < end
    ray = tl.load(ray_indices + samples, mask=used, other=0)
    return tl.load(harmonics + ray[None, :] * H + columns, mask=used[None, :] & (columns < H), other=0.0)


@triton.jit
def _lengths(t_starts, t_ends, samples, end):
    """Of the intervals; 0 on padding."""
    used = samples < end
    return tl.load(t_ends + samples, mask=used, other=0.0) - tl.load(t_starts + samples, mask=used, other=0.0)


@triton.jit
def _density(raw, EXPONENTIAL: tl.constexpr):
    """Density, and its slope: see `models.ops.reference.shading.density_from_raw`."""
    if EXPONENTIAL:
        value, slope = tl.exp(raw), tl.exp(tl.where(raw > MAX_EXPONENT, MAX_EXPONENT, raw))
    else:
        value = tl.where(raw < 0.0, 0.0, raw) + tl.log(1.0 + tl.exp(-tl.abs(raw)))
        slope = tl.sigmoid(raw)
    return value, slope


@triton.jit
def _first_of_color(weight, out, of_rays, D: tl.constexpr, H: tl.constexpr, WIDTH: tl.constexpr, TYPE: tl.constexpr):
    """Its hidden units before they are activated, and the weights of features and of harmonics."""
    units, outputs = tl.arange(0, WIDTH), tl.arange(0, OUTPUTS)
    of_features = load_tile((weight, D + H, 1), units, outputs, WIDTH, D)
    of_harmonics = load_tile((weight + D, D + H, 1), units, outputs, WIDTH, H)
    return multiply_add(of_harmonics, of_rays, multiply(of_features, out, TYPE), TYPE), of_features


@triton.jit
def forward_kernel(
    features,
    harmonics,
    weights,
    samples_of,
    alpha,
    color,
    raw,
    kept,
    S,
    K: tl.constexpr,
    INPUTS: tl.constexpr,
    HIDDEN: tl.constexpr,
    D: tl.constexpr,
    WIDTH: tl.constexpr,
    H: tl.constexpr,
    COLORS: tl.constexpr,
    BIAS: tl.constexpr,
    EXPONENTIAL: tl.constexpr,
    SQUASH: tl.constexpr,
    FORWARD: tl.constexpr,
    BACKWARD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    ray_indices, t_starts, t_ends, count = samples_of
    samples, outputs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, OUTPUTS)
    units, wide, end = tl.arange(0, HIDDEN), tl.arange(0, WIDTH), num_valid(count, S)
    shown, value = tl.zeros((OUTPUTS, BLOCK), tl.float32), tl.zeros((OUTPUTS, BLOCK), tl.float32)
    own = value
    if tl.program_id(0) * BLOCK < end:
        first = load_tile((weights[0], K, 1), units, tl.arange(0, INPUTS), HIDDEN, K)
        x = load_tile(features, tl.arange(0, INPUTS), samples, K, S)
        hidden, _ = activate(linear(x, first, None, FORWARD), False)
        out = multiply(load_tile((weights[1], HIDDEN, 1), outputs, units, D, HIDDEN), hidden, FORWARD)
        own = out + BIAS
        if kept is not None:
            store_tile(kept, out, outputs, samples, D, end)
        density, _ = _density(own, EXPONENTIAL)
        value = opacity(density * _lengths(t_starts, t_ends, samples, end)[None, :])
        of_rays = _of_rays(harmonics, ray_indices, samples, end, H)
        pre, _ = _first_of_color(weights[2], out, of_rays, D, H, WIDTH, FORWARD)
        hidden, _ = activate(pre, False)
        middle = load_tile((weights[3], WIDTH, 1), wide, wide, WIDTH, WIDTH)
        hidden, _ = activate(linear(hidden, middle, None, FORWARD), False)
        shown = multiply(load_tile((weights[4], WIDTH, 1), outputs, wide, COLORS, WIDTH), hidden, FORWARD)
        if SQUASH:
            shown = tl.sigmoid(shown)
    # the density is the first output: other rows of these tiles go nowhere
    store_tile((alpha, 0, 1), tl.where(samples[None, :] < end, value, 0.0), outputs, samples, 1, S)
    store_tile((raw, 0, 1), own, outputs, samples, 1, S)
    store_tile((color, 1, COLORS), shown, outputs, samples, COLORS, S)


@triton.jit
def _to_raw(grad_alpha, raw, t_starts, t_ends, samples, end, EXPONENTIAL: tl.constexpr):
    """Gradient (BLOCK,) of what the density is the activation of, from that of the opacity."""
    used, dt = samples < end, _lengths(t_starts, t_ends, samples, end)
    density, slope = _density(tl.load(raw + samples, mask=used, other=0.0), EXPONENTIAL)
    return tl.load(grad_alpha + samples, mask=used, other=0.0) * dt * tl.exp(-density * dt) * slope


@triton.jit
def _to_colors(grad_color, color, samples, end, COLORS: tl.constexpr, SQUASH: tl.constexpr):
    """Gradient (OUTPUTS, BLOCK) of the last layer."""
    g = load_tile((grad_color, 1, COLORS), tl.arange(0, OUTPUTS), samples, COLORS, end)
    if SQUASH:
        value = load_tile((color, 1, COLORS), tl.arange(0, OUTPUTS), samples, COLORS, end)
        g *= value * (1.0 - value)
    return g


@triton.jit
def _next(places, start, end, S, BLOCK: tl.constexpr):
    """Where the next of the samples that a gradient reaches are written, and which they are: S for none."""
    place = start + tl.arange(0, BLOCK)
    return place, tl.load(places + place, mask=place < end, other=S)


@triton.jit
def backward_color_kernel(
    out,
    harmonics,
    weights,
    ray_indices,
    reached,
    color,
    grad_color,
    grad_out,
    partial,
    total,
    S,
    D: tl.constexpr,
    WIDTH: tl.constexpr,
    H: tl.constexpr,
    COLORS: tl.constexpr,
    SQUASH: tl.constexpr,
    FORWARD: tl.constexpr,
    BACKWARD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """From the gradient of the colour to that of the density's outputs, which are written side by side, for samples
    that a gradient reaches. What lies behind these adds exactly nothing to any sum."""
    places, count = reached
    wide, outputs, end = tl.arange(0, WIDTH), tl.arange(0, OUTPUTS), num_valid(count, S)
    middle = load_tile((weights[1], WIDTH, 1), wide, wide, WIDTH, WIDTH)
    last = load_tile((weights[2], 1, WIDTH), wide, outputs, WIDTH, COLORS)
    sum_features, sum_harmonics = tl.zeros((WIDTH, OUTPUTS), tl.float32), tl.zeros((WIDTH, OUTPUTS), tl.float32)
    sum_middle, sum_last = tl.zeros((WIDTH, WIDTH), tl.float32), tl.zeros((WIDTH, OUTPUTS), tl.float32)
    start = tl.program_id(0) * BLOCK
    while start < end:
        place, samples = _next(places, start, end, S, BLOCK)
        feature, of_rays = load_tile(out, outputs, samples, D, S), _of_rays(harmonics, ray_indices, samples, S, H)
        pre, of_features = _first_of_color(weights[0], feature, of_rays, D, H, WIDTH, FORWARD)
        lower, lower_slope = activate(pre, False)
        upper, upper_slope = activate(linear(lower, middle, None, FORWARD), False)
        g = _to_colors(grad_color, color, samples, S, COLORS, SQUASH)
        sum_last = multiply_add(upper, tl.trans(g), sum_last, BACKWARD)
        g = upper_slope * multiply(last, g, BACKWARD)
        sum_middle = multiply_add(g, tl.trans(lower), sum_middle, BACKWARD)
        g = lower_slope * multiply(tl.trans(middle), g, BACKWARD)
        sum_features = multiply_add(g, tl.trans(feature), sum_features, BACKWARD)
        sum_harmonics = multiply_add(g, tl.trans(of_rays), sum_harmonics, BACKWARD)
        store_tile(grad_out, multiply(tl.trans(of_features), g, BACKWARD), outputs, place, D, S)
        start += tl.num_programs(0) * BLOCK
    row = partial + tl.program_id(0) * total
    store_tile((row, D + H, 1), sum_features, wide, outputs, WIDTH, D)
    store_tile((row + D, D + H, 1), sum_harmonics, wide, outputs, WIDTH, H)
    row += WIDTH * (D + H)
    store_tile((row, WIDTH, 1), sum_middle, wide, wide, WIDTH, WIDTH)
    store_tile((row + WIDTH * WIDTH, 1, WIDTH), sum_last, wide, outputs, WIDTH, COLORS)


@triton.jit
def backward_density_kernel(
    features,
    weights,
    t_starts,
    t_ends,
    reached,
    raw,
    grad_alpha,
    grad_out,
    grad_features,
    partial,
    total,
    S,
    K: tl.constexpr,
    INPUTS: tl.constexpr,
    HIDDEN: tl.constexpr,
    D: tl.constexpr,
    EXPONENTIAL: tl.constexpr,
    FORWARD: tl.constexpr,
    BACKWARD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """From the gradients of opacity and outputs, either of which may be None, to that of the features, which is written
    side by side as that of the outputs is."""
    places, count = reached
    units, columns, outputs = tl.arange(0, HIDDEN), tl.arange(0, INPUTS), tl.arange(0, OUTPUTS)
    end = num_valid(count, S)
    first = load_tile((weights[0], K, 1), units, columns, HIDDEN, K)
    second = load_tile((weights[1], 1, HIDDEN), units, outputs, HIDDEN, D)
    sum_first, sum_second = tl.zeros((HIDDEN, INPUTS), tl.float32), tl.zeros((HIDDEN, OUTPUTS), tl.float32)
    start = tl.program_id(0) * BLOCK
    while start < end:
        place, samples = _next(places, start, end, S, BLOCK)
        x, g = load_tile(features, columns, samples, K, S), tl.zeros((OUTPUTS, BLOCK), tl.float32)
        if grad_out is not None:
            g += load_tile(grad_out, outputs, place, D, end)
        if grad_alpha is not None:
            to_raw = _to_raw(grad_alpha, raw, t_starts, t_ends, samples, S, EXPONENTIAL)
            g += tl.where(outputs[:, None] == 0, to_raw[None, :], 0.0)
        hidden, slope = activate(linear(x, first, None, FORWARD), False)
        sum_second = multiply_add(hidden, tl.trans(g), sum_second, BACKWARD)
        g = slope * multiply(second, g, BACKWARD)
        sum_first = multiply_add(g, tl.trans(x), sum_first, BACKWARD)
        store_tile(grad_features, multiply(tl.trans(first), g, BACKWARD), columns, place, K, S)
        start += tl.num_programs(0) * BLOCK
    row = partial + tl.program_id(0) * total
    store_tile((row, K, 1), sum_first, units, columns, HIDDEN, K)
    store_tile((row + HIDDEN * K, 1, HIDDEN), sum_second, units, outputs, HIDDEN, D)
