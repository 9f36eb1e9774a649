"""Intervals along rays around a region of unbounded space on a GPU: one warp per ray, which walks it twice."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.ops.contraction import FARTHEST
from models.ops.triton.lanes import CLEARED
from models.ops.triton.rays import EXACT, cell_of, fields, fitting, num_clearing, store_kept, store_padding
from utils.rays import Rays, RaySamples

BLOCK = 128  # intervals of a ray at a time


def march_unbounded(
    rays: Rays,
    region: Rays,
    occupied: Tensor,
    radius: float,
    num: tuple[int, int],
    jitter: Tensor,
    ray_mask: Tensor,
    behind_mask: Tensor,
    capacity: int | None,
) -> RaySamples:
    """Intervals as in `models.ops.march_unbounded`: rays are walked twice, to mark and to fill."""
    R, words = len(rays), triton.cdiv(sum(num) + 1, 32)
    per_ray = {
        "origins": rays.origins,
        "directions": rays.directions,
        "near": rays.near,
        "far": rays.far,
        "enter": region.near,
        "leave": region.far,
        "jitter": jitter,
    }
    rays_and_sizes = {name: tensor.contiguous() for name, tensor in per_ray.items()}
    rays_and_sizes |= {"radius": radius, "farthest": FARTHEST * radius, "in_front": num[0], "num": num[1]}
    marks = torch.empty(R, words, dtype=torch.int32, device=jitter.device)
    counts = torch.empty(R, dtype=torch.int64, device=jitter.device)
    _mark[(R,)](
        **rays_and_sizes,
        ray_mask=ray_mask.contiguous().view(torch.uint8),
        behind_mask=behind_mask.contiguous().view(torch.uint8),
        occupied=occupied.contiguous().view(torch.uint8),
        G=occupied.shape[0],
        words=words,
        marks=marks,
        counts=counts,
        ROWS=BLOCK // 32,
        **EXACT,
    )
    packed = fitting(counts, capacity, jitter.dtype)
    _fill[(R + num_clearing(packed),)](
        **rays_and_sizes,
        words=words,
        marks=marks,
        packed=fields(packed),
        R=R,
        BLOCK=BLOCK,
        CLEARED=CLEARED,
        **EXACT,
    )
    return packed


@triton.jit
def _distance(x0, y0, z0, dx, dy, dz, t, radius):
    """Of the point at t from the origin, at least the radius."""
    x, y, z = x0 + t * dx, y0 + t * dy, z0 + t * dz
    return tl.maximum(tl.sqrt(x * x + y * y + z * z), radius)


@triton.jit
def _reach(length, distance, share):
    """How far along a stretch 1 / (distance + x) has fallen by a share of all that it falls from x = 0 to length."""
    return distance * length * share / (distance + length * (1.0 - share))


@triton.jit
def _share(k, num, shift):
    """Edge k of num intervals that tile [0, 1]."""
    inner = (k > 0) & (k < num)
    return (k.to(tl.float32) + tl.where(inner, shift, 0.0)) / tl.maximum(num, 1).to(tl.float32)


@triton.jit
def _interval(k, near, far, enters, leaves, before, behind, shift, farthest, in_front, num):
    """Start and end of interval k of a ray: in_front of them come before that of the region, num behind it."""
    length = tl.maximum(enters - near, 0.0)
    rest = tl.minimum(tl.maximum(far - leaves, 0.0), farthest)
    j = k - in_front - 1
    first = enters - _reach(length, before, 1.0 - _share(k, in_front, shift))
    second = enters - _reach(length, before, 1.0 - _share(k + 1, in_front, shift))
    start = tl.where(k < in_front, first, tl.where(j < 0, enters, leaves + _reach(rest, behind, _share(j, num, shift))))
    end = tl.where(k < in_front, second, leaves + tl.where(j < 0, 0.0, _reach(rest, behind, _share(j + 1, num, shift))))
    return start, end


@triton.jit
def _read(ray, origins, directions, near, far, enter, leave, jitter, radius):
    """Origin and direction of a ray, near and far, where it enters and leaves the region, how far from the origin of
    the scene it does both, and the shift of its intervals."""
    x0, y0, z0 = tl.load(origins + 3 * ray), tl.load(origins + 3 * ray + 1), tl.load(origins + 3 * ray + 2)
    dx, dy, dz = tl.load(directions + 3 * ray), tl.load(directions + 3 * ray + 1), tl.load(directions + 3 * ray + 2)
    enters, leaves, shift = tl.load(enter + ray), tl.load(leave + ray), tl.load(jitter + ray) - 0.5
    before = _distance(x0, y0, z0, dx, dy, dz, enters, radius)
    behind = _distance(x0, y0, z0, dx, dy, dz, leaves, radius)
    return x0, y0, z0, dx, dy, dz, tl.load(near + ray), tl.load(far + ray), enters, leaves, before, behind, shift


@triton.jit
def _mark(
    origins,
    directions,
    near,
    far,
    enter,
    leave,
    jitter,
    radius,
    farthest,
    in_front,
    num,
    ray_mask,
    behind_mask,
    occupied,
    G: tl.constexpr,
    words,
    marks,
    counts,
    ROWS: tl.constexpr,
):
    """Sets the bits of the intervals that a ray keeps, 32 to a word, and counts them."""
    ray = tl.program_id(0).to(tl.int64)
    x0, y0, z0, dx, dy, dz, ray_near, ray_far, enters, leaves, before, behind, shift = _read(
        ray, origins, directions, near, far, enter, leave, jitter, radius
    )
    last = in_front + num
    last_kept = tl.where(tl.load(behind_mask + ray) != 0, last, in_front)
    last_kept = tl.where(tl.load(ray_mask + ray) != 0, last_kept, -1)
    row, bit = tl.arange(0, ROWS), tl.arange(0, 32)[None, :]
    kept = tl.zeros((ROWS,), tl.int32)
    first = 0
    while first <= last:
        k = first + 32 * row[:, None] + bit
        start, end = _interval(k, ray_near, ray_far, enters, leaves, before, behind, shift, farthest, in_front, num)
        mid = 0.5 * (start + end)
        x, y, z = (x0 + dx * mid) / radius, (y0 + dy * mid) / radius, (z0 + dz * mid) / radius
        norm = tl.maximum(tl.sqrt(x * x + y * y + z * z), 1.0)
        factor = (2.0 - 1.0 / norm) / norm
        i = (cell_of(x * factor, 0.25 * G, G) * G + cell_of(y * factor, 0.25 * G, G)) * G + cell_of(
            z * factor, 0.25 * G, G
        )
        there = (end > start) & (k <= last_kept)
        full = tl.load(occupied + i, mask=there, other=0) != 0
        keep = (there & (full | (k == in_front) | (k == last))).to(tl.int32)
        word = first // 32 + row
        tl.store(marks + ray * words + word, tl.sum(keep << bit, 1), mask=word < words)
        kept += tl.sum(keep, 1)
        first += 32 * ROWS
    tl.store(counts + ray, tl.sum(kept, 0).to(tl.int64))


@triton.jit
def _fill(
    origins,
    directions,
    near,
    far,
    enter,
    leave,
    jitter,
    radius,
    farthest,
    in_front,
    num,
    words,
    marks,
    packed,
    R,
    BLOCK: tl.constexpr,
    CLEARED: tl.constexpr,
):
    """Writes the marked intervals of a ray that fits the capacity."""
    ray = tl.program_id(0).to(tl.int64)
    if ray >= R:
        store_padding(ray - R, packed, CLEARED)
        return
    _, _, _, _, _, _, ray_near, ray_far, enters, leaves, before, behind, shift = _read(
        ray, origins, directions, near, far, enter, leave, jitter, radius
    )
    slot, first = tl.load(packed[5] + ray), 0
    last_kept = tl.where(tl.load(packed[6] + ray) > 0, in_front + num, -1)
    while first <= last_kept:
        k = first + tl.arange(0, BLOCK)
        word = tl.load(marks + ray * words + k // 32, mask=k <= last_kept, other=0)
        start, end = _interval(k, ray_near, ray_far, enters, leaves, before, behind, shift, farthest, in_front, num)
        slot = store_kept(packed, slot, (word >> (k % 32)) & 1, ray, start, end)
        first += BLOCK
