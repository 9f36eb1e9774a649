"""How alike patches are in two photographs, on a GPU: one program for each pair of a patch and a photograph, which
computes the derivative in the same pass."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops import patches
from models.ops.patches import PatchSpec
from utils.rays import SourceViews

MIN_SHARE, MIN_KEPT = tl.constexpr(patches.MIN_SHARE), tl.constexpr(patches.MIN_KEPT)
MIN_DEPTH, SOFTENING = tl.constexpr(patches.MIN_DEPTH), tl.constexpr(patches.SOFTENING)
HIGH = tl.constexpr(patches.MAX_SCALE**2)
LOW = tl.constexpr(patches.MAX_SCALE**-2)


def compare_patches(
    homography: Tensor, pixel: Tensor, image: Tensor, others: Tensor, sources: SourceViews, spec: PatchSpec
) -> tuple[Tensor, Tensor, Tensor]:
    """Score, variance and whether these mean something, as in `models.ops.compare_patches`."""
    return _ComparePatches.apply(homography, pixel, image, others, sources, spec)


class _ComparePatches(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        homography: Tensor,
        pixel: Tensor,
        image: Tensor,
        others: Tensor,
        sources: SourceViews,
        spec: PatchSpec,
    ) -> tuple[Tensor, Tensor, Tensor]:
        n, K = others.shape
        score, variance = torch.empty(2, n, K, device=homography.device)
        comparable = torch.empty(n, K, dtype=torch.bool, device=homography.device)
        slope = torch.empty(n, K, 3, 3, device=homography.device)
        photographs, pixels = sources.photographs, spec.side**2
        if n * K:
            _compare_patches[(n * K,)](
                homography=homography.contiguous(),
                pixel=pixel.contiguous(),
                image=image.contiguous(),
                others=others.contiguous(),
                grey=sources.grey,
                starts=photographs.starts,
                widths=photographs.widths,
                heights=sources.heights,
                intrinsics=photographs.intrinsics,
                score=score,
                variance=variance,
                comparable=comparable.view(torch.uint8),
                slope=slope,
                K=K,
                SIDE=spec.side,
                STRIDE=spec.stride,
                FIRST=spec.first,
                BLOCK=triton.next_power_of_2(pixels),
                num_warps=max(1, min(4, triton.next_power_of_2(pixels) // 64)),
            )
        ctx.save_for_backward(slope)
        ctx.mark_non_differentiable(variance, comparable)
        ctx.set_materialize_grads(False)
        return score, variance, comparable

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_score: Tensor | None, grad_variance: None, grad_comparable: None
    ) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        grad = None if grad_score is None else grad_score[..., None, None] * slope
        return grad, None, None, None, None, None


@triton.jit
def _four(pointer, row):
    """Four numbers of a row of a matrix of four columns: of intrinsics fx, fy, cx, cy."""
    row = pointer + 4 * row
    return tl.load(row), tl.load(row + 1), tl.load(row + 2), tl.load(row + 3)


@triton.jit
def _three(pointer):
    """Three numbers in a row."""
    return tl.load(pointer), tl.load(pointer + 1), tl.load(pointer + 2)


@triton.jit
def _row(pointer, x, y):
    """Three numbers in a row times (x, y, 1)."""
    a, b, c = _three(pointer)
    return a * x + b * y + c


@triton.jit
def _code(grey, start, width, height, column, row, mask):
    """Codes of grey, 0 beyond the edge of the image."""
    inside = mask & (column >= 0) & (row >= 0) & (column < width) & (row < height)
    return tl.load(grey + start + row * width + column, inside, other=0).to(tl.float32)


@triton.jit
def _between(grey, start, width, height, x, y, mask):
    """Grey from 0 to 255 between four pixels, its derivatives along x and y, and whether all four count; x and y: from
    the centre of the first pixel."""
    left, top = tl.floor(x), tl.floor(y)
    share_x, share_y = x - left, y - top
    # a position far away is beyond the edge too
    column = tl.minimum(tl.maximum(left, -2.0), 1048576.0).to(tl.int64)
    row = tl.minimum(tl.maximum(top, -2.0), 1048576.0).to(tl.int64)
    g00 = _code(grey, start, width, height, column, row, mask)
    g10 = _code(grey, start, width, height, column + 1, row, mask)
    g01 = _code(grey, start, width, height, column, row + 1, mask)
    g11 = _code(grey, start, width, height, column + 1, row + 1, mask)
    upper, lower = g00 + (g10 - g00) * share_x, g01 + (g11 - g01) * share_x
    by_x = (g10 - g00) + ((g11 - g01) - (g10 - g00)) * share_y
    counted = (g00 > 0.0) & (g10 > 0.0) & (g01 > 0.0) & (g11 > 0.0)
    return upper + (lower - upper) * share_y, by_x, lower - upper, counted


@triton.jit
def _correlate(a, b, weight):
    """Normalised cross-correlation, the variance of a, and the derivative of the former by b; weights sum to 1."""
    a, b = a - tl.sum(weight * a, 0), b - tl.sum(weight * b, 0)
    spread_a, spread_b = tl.sum(weight * a * a, 0), tl.sum(weight * b * b, 0)
    shorten = 1.0 / tl.sqrt((spread_a + SOFTENING) * (spread_b + SOFTENING))
    found = tl.sum(weight * a * b, 0) * shorten
    return found, spread_a, weight * (a * shorten - found * b / (spread_b + SOFTENING))


@triton.jit
def _keeps_scale(x, y, matrix, fx, fy, far_fx, far_fy):
    """Whether a homography neither mirrors nor changes the size by more than MAX_SCALE at a point of the plane z = 1,
    as in the reference."""
    h00, h01, _ = _three(matrix)
    h10, h11, _ = _three(matrix + 3)
    h20, h21, _ = _three(matrix + 6)
    depth = _row(matrix + 6, x, y)
    near = 1.0 / tl.maximum(depth, MIN_DEPTH)
    u, v = _row(matrix, x, y) * near, _row(matrix + 3, x, y) * near
    j00, j01 = (h00 - u * h20) * near * far_fx / fx, (h01 - u * h21) * near * far_fx / fy
    j10, j11 = (h10 - v * h20) * near * far_fy / fx, (h11 - v * h21) * near * far_fy / fy
    squares = j00 * j00 + j01 * j01 + j10 * j10 + j11 * j11
    turn = j00 * j11 - j01 * j10
    holds = (squares <= 2.0 * HIGH) & (turn * turn - squares * HIGH + HIGH * HIGH >= 0.0)
    holds = holds & (squares >= 2.0 * LOW) & (turn * turn - squares * LOW + LOW * LOW >= 0.0)
    return holds & (turn > 0.0) & (depth > MIN_DEPTH)


@triton.jit
def _store_outer(target, by_x, by_y, by_z, x, y):
    """Sums over the lanes of (by_x, by_y, by_z) times (x, y, 1), a 3 x 3 matrix."""
    tl.store(target, tl.sum(by_x * x, 0))
    tl.store(target + 1, tl.sum(by_x * y, 0))
    tl.store(target + 2, tl.sum(by_x, 0))
    tl.store(target + 3, tl.sum(by_y * x, 0))
    tl.store(target + 4, tl.sum(by_y * y, 0))
    tl.store(target + 5, tl.sum(by_y, 0))
    tl.store(target + 6, tl.sum(by_z * x, 0))
    tl.store(target + 7, tl.sum(by_z * y, 0))
    tl.store(target + 8, tl.sum(by_z, 0))


@triton.jit
def _compare_patches(
    homography,
    pixel,
    image,
    others,
    grey,
    starts,
    widths,
    heights,
    intrinsics,
    score,
    variance,
    comparable,
    slope,
    K,
    SIDE: tl.constexpr,
    STRIDE: tl.constexpr,
    FIRST: tl.constexpr,
    BLOCK: tl.constexpr,
):
    pair = tl.program_id(0).to(tl.int64)
    matrix = homography + 9 * pair
    n, other = tl.load(image + pair // K), tl.load(others + pair)
    start, width, height = tl.load(starts + n), tl.load(widths + n), tl.load(heights + n)
    within = tl.load(pixel + pair // K) - start
    middle_x, middle_y = within % width, within // width
    fx, fy, cx, cy = _four(intrinsics, n)
    far_fx, far_fy, far_cx, far_cy = _four(intrinsics, other)

    lane = tl.arange(0, BLOCK)
    mask = lane < SIDE * SIDE
    column = middle_x + (lane % SIDE) * STRIDE + FIRST
    row = middle_y + (lane // SIDE) * STRIDE + FIRST
    own = _code(grey, start, width, height, column, row, mask)
    x, y = (column.to(tl.float32) + 0.5 - cx) / fx, (row.to(tl.float32) + 0.5 - cy) / fy
    moved_x, moved_y, depth = _row(matrix, x, y), _row(matrix + 3, x, y), _row(matrix + 6, x, y)
    ahead = depth > MIN_DEPTH
    nearness = 1.0 / tl.where(ahead, depth, 1.0)
    far_x, far_y = moved_x * nearness * far_fx + far_cx - 0.5, moved_y * nearness * far_fy + far_cy - 0.5
    far = tl.load(starts + other)
    b, by_x, by_y, counted = _between(grey, far, tl.load(widths + other), tl.load(heights + other), far_x, far_y, mask)
    counts = mask & (own > 0.0)
    both = counts & ahead & counted
    num = tl.sum(both.to(tl.float32), 0)
    weight = tl.where(both, 1.0 / tl.maximum(num, 1.0), 0.0)

    found, spread, by_grey = _correlate(own / 255.0, tl.where(both, b, 0.0) / 255.0, weight)
    place = (middle_x.to(tl.float32) + 0.5 - cx) / fx, (middle_y.to(tl.float32) + 0.5 - cy) / fy
    enough = (num >= MIN_SHARE * SIDE * SIDE) & (num >= tl.sum(counts.to(tl.float32), 0) * MIN_KEPT)
    shown = tl.load(grey + start + within) > 0
    valid = _keeps_scale(place[0], place[1], matrix, fx, fy, far_fx, far_fy) & enough & shown & (other != n)
    tl.store(score + pair, tl.where(valid, found, 0.0))
    tl.store(variance + pair, tl.where(valid, spread, 0.0))
    tl.store(comparable + pair, valid.to(tl.uint8))
    # d score / d grey, d grey / d position, d position / d (moved, depth), and so on to the homography
    by_grey = tl.where(valid, by_grey / 255.0, 0.0)
    by_x, by_y = by_grey * by_x * far_fx * nearness, by_grey * by_y * far_fy * nearness
    by_depth = -(by_x * moved_x + by_y * moved_y) * nearness
    _store_outer(slope + 9 * pair, by_x, by_y, by_depth, x, y)
