"""Rays and colours of pixels on a GPU: one kernel instead of two dozen small ones."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.reference import pixels as reference_pixels
from models.ops.refusals import backward_of
from utils.rays import Photographs, RayBatch, Rays

BLOCK = 128  # pixels of a program


def rays_of_pixels(
    photographs: Photographs, pixel: Tensor, image: Tensor, background: Tensor, shift: Tensor | None = None
) -> RayBatch:
    """Rays and colours as in `models.ops.rays_of_pixels`."""
    if not photographs.readable:
        return reference_pixels.rays_of_pixels(photographs, pixel, image, background, shift)
    R, channels = len(pixel), photographs.pixels.shape[1]
    origins, directions, rgb = torch.empty(3, R, 3, device=pixel.device)
    near, far, mask = torch.empty(3, R, device=pixel.device)
    if R:
        _rays_of_pixels[(triton.cdiv(R, BLOCK),)](
            pixel=pixel,
            image=image.contiguous(),
            shift=background if shift is None else shift.contiguous(),
            pixels=photographs.pixels,
            starts=photographs.starts,
            widths=photographs.widths,
            c2w=photographs.c2w,
            intrinsics=photographs.intrinsics,
            background=background,
            origins=origins,
            directions=directions,
            rgb=rgb,
            near=near,
            far=far,
            mask=mask,
            near_plane=photographs.near,
            far_plane=photographs.far,
            R=R,
            C=channels,
            SHIFTED=shift is not None,
            BLOCK=BLOCK,
        )
    rays = Rays(origins, directions, near, far)
    return RayBatch(rays, rgb, mask if channels == 4 else None, background, image, pixel)


def over_background(rgb: Tensor, opacity: Tensor, background: Tensor) -> Tensor:
    """Colours as in `models.ops.over_background`."""
    return _OverBackground.apply(rgb, opacity, background)


class _OverBackground(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, rgb: Tensor, opacity: Tensor, background: Tensor) -> Tensor:
        ctx.save_for_backward(background)
        seen = torch.empty(rgb.shape, device=rgb.device)
        _blend(rgb.contiguous(), opacity.contiguous(), background, seen)
        return seen

    @staticmethod
    @once_differentiable
    @backward_of("pixels.over_background")
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (background,), grad_opacity = ctx.saved_tensors, torch.empty(len(grad), device=grad.device)
        _blend(grad.contiguous(), grad_opacity, background, None)
        return grad, grad_opacity, None


def _blend(colors: Tensor, opacity: Tensor, background: Tensor, seen: Tensor | None) -> None:
    """Fills `seen` from colours and opacity; where it is None, the gradient of the opacity from that of the colours."""
    R = len(colors)
    if R:
        _over_background[(triton.cdiv(R, BLOCK),)](
            colors=colors,
            opacity=opacity,
            background=background.contiguous(),
            row_stride=background.stride(0) if background.ndim == 2 else 0,
            seen=seen,
            R=R,
            BLOCK=BLOCK,
        )


@triton.jit
def _over_background(colors, opacity, background, row_stride, seen, R, BLOCK: tl.constexpr):
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = ray < R
    passes = tl.zeros((BLOCK,), tl.float32)
    if seen is not None:
        passes = 1.0 - tl.load(opacity + ray, inside, other=0.0)
    grad = tl.zeros((BLOCK,), tl.float32)
    for channel in tl.static_range(3):
        color = tl.load(colors + 3 * ray + channel, inside, other=0.0)
        behind = tl.load(background + row_stride * ray + channel, inside, other=0.0)
        if seen is not None:
            tl.store(seen + 3 * ray + channel, color + passes * behind, inside)
        grad -= color * behind
    if seen is None:
        tl.store(opacity + ray, grad, inside)


@triton.jit
def _rays_of_pixels(
    pixel,
    image,
    shift,
    pixels,
    starts,
    widths,
    c2w,
    intrinsics,
    background,
    origins,
    directions,
    rgb,
    near,
    far,
    mask,
    near_plane,
    far_plane,
    R,
    C: tl.constexpr,
    SHIFTED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = ray < R
    row_of_pixel, n = tl.load(pixel + ray, inside, other=0), tl.load(image + ray, inside, other=0)
    within, width = row_of_pixel - tl.load(starts + n), tl.load(widths + n)
    column, row = (within % width).to(tl.float32) + 0.5, (within // width).to(tl.float32) + 0.5
    if SHIFTED:
        column += tl.load(shift + 2 * ray, inside, other=0.0)
        row += tl.load(shift + 2 * ray + 1, inside, other=0.0)
    x = (column - tl.load(intrinsics + 4 * n + 2)) / tl.load(intrinsics + 4 * n)
    y = (row - tl.load(intrinsics + 4 * n + 3)) / tl.load(intrinsics + 4 * n + 1)
    shorten = 1.0 / tl.sqrt(x * x + y * y + 1.0)
    alpha = tl.full((BLOCK,), 1.0, tl.float32)
    if C == 4:
        alpha = tl.load(pixels + 4 * row_of_pixel + 3, inside, other=0).to(tl.float32) / 255.0
        tl.store(mask + ray, alpha, inside)
    for axis in tl.static_range(3):
        matrix = c2w + 12 * n + 4 * axis
        direction = (tl.load(matrix) * x + tl.load(matrix + 1) * y + tl.load(matrix + 2)) * shorten
        tl.store(directions + 3 * ray + axis, direction, inside)
        tl.store(origins + 3 * ray + axis, tl.load(matrix + 3), inside)
        colour = tl.load(pixels + C * row_of_pixel + axis, inside, other=0).to(tl.float32) / 255.0
        blended = colour * alpha + tl.load(background + axis) * (1.0 - alpha)
        tl.store(rgb + 3 * ray + axis, blended, inside)
    tl.store(near + ray, tl.zeros((BLOCK,), tl.float32) + near_plane, inside)
    tl.store(far + ray, tl.zeros((BLOCK,), tl.float32) + far_plane, inside)
