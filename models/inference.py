"""Rendering outside training: marches many rays at once and evaluates them from the front until nothing shines through.

It shades a window of samples along each ray as if nothing else were there, and blends windows front to back as samples
are blended (NeRF, arXiv:2003.08934, eq. 3), with the opacity of a window in place of alpha."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from models import ops
from models.base import MIN_OPACITY, RenderOutput, VolumeModel
from models.marching import MIN_TRANSMITTANCE
from utils.cameras import spread_in_pixel
from utils.memory import HalvingChunks, in_rows
from utils.rays import Rays, RaySamples

# The rays (R,) of pixels (R,), counted row by row, at shifts (R, 2) or (2,) from their centres, in pixels.
RaysAt = Callable[[Tensor, Tensor], Rays]
MIN_CHUNK = 64  # rays: with fewer a view would take hours
MIN_RAYS_PER_PIXEL = 16  # of a view, if a training step has several rays per pixel
# A pixel is an edge where a second difference to neighbours across from each other is larger: of colours and opacity in
# [0, 1], and of the depth as a share of it. What is smooth has the colour of its centre, to a 24th of that difference.
COLOUR_EDGE, DEPTH_EDGE = 0.01, 0.02
RAYS_AT_ONCE = 2**18  # of several in a pixel; they take their places in memory before they are marched in chunks


@dataclass(frozen=True)
class BatchSizes:
    """How much is rendered at a time."""

    chunks: int  # of `ray_chunk` rays are marched together
    window: int  # samples of a ray that are evaluated first; later windows grow, see `next_width`
    few: int = 0  # samples that take no longer to evaluate than to launch: so few may be wasted


ON_CPU = BatchSizes(chunks=1, window=8)
ON_GPU = BatchSizes(chunks=40, window=12, few=2**18)  # few rays leave kernels idle; the host reads each window's size
ON_GPU_SPARSE = replace(ON_GPU, chunks=160)  # a view of 800 x 800 at once
SPARSE = 0.125  # share of occupied cells, below which four times as many rays keep no more samples than before


def render_pixels(model: VolumeModel, rays_at: RaysAt, background: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """As `render_rays`, for all pixels of a view, size = (W, H), row by row; one ray each if model.rays_per_pixel is 1.

    Otherwise pixels are means over several rays, evenly spread: at least MIN_RAYS_PER_PIXEL, since in training many
    steps make up for few rays in each, and a view has one chance. With model.view_rays=edges that is so where the view
    through the centres of the pixels has edges, see `edges_of`; other pixels keep that one ray."""
    device, each = background.device, model.config.rays_per_pixel
    num, images = size[0] * size[1], {}
    places = torch.arange(num, device=device)
    if each == 1 or model.config.view_rays == "edges":
        rays = rays_at(_in_rows(places), torch.zeros(2, device=device))
        images = {name: x[:num] for name, x in render_rays(model, rays, background).items()}
        places = places[:0] if each == 1 else edges_of(images, size).flatten().nonzero()[:, 0]
        if not len(places):
            return images
    num, places = len(places), _in_rows(places)
    shifts = spread_in_pixel(max(MIN_RAYS_PER_PIXEL, each), device)
    sums: dict[str, Tensor] = {}
    for some in shifts.split(max(1, RAYS_AT_ONCE // len(places))):
        rays = rays_at(places.repeat(len(some)), some.repeat_interleave(len(places), 0))
        more = {
            name: x.unflatten(0, (len(some), -1)).sum(0) for name, x in render_rays(model, rays, background).items()
        }
        sums = {name: x + sums[name] if sums else x for name, x in more.items()}
    means = {name: x[:num] / len(shifts) for name, x in sums.items()}
    return {name: images[name].index_copy(0, places[:num], x) for name, x in means.items()} if images else means


def _in_rows(places: Tensor) -> Tensor:
    """(R,) with the last one again and again behind them, as `in_rows` has it."""
    return torch.cat([places, places[-1:].expand(in_rows(len(places), places.device) - len(places))])


def edges_of(images: dict[str, Tensor], size: tuple[int, int]) -> Tensor:
    """(H, W) bool: pixels of a view, size = (W, H), at which its colours, opacity or depths bend, see COLOUR_EDGE.

    images: as `render_rays` returns them. Straight slopes, such as shading and a plane seen aslant, are no edges; lines
    of a pixel's width and steps are, on both of their sides."""
    width, height = size
    opacity = images["opacity"].view(1, height, width)
    solid = images["depth"].view(1, height, width) * opacity
    layers = torch.cat([images["rgb"].view(height, width, 3).permute(2, 0, 1), opacity, solid]).float()
    around = F.pad(layers[None], (1, 1, 1, 1), mode="replicate")[0]
    bend = torch.zeros_like(layers)
    for row, column in ((0, 1), (1, 0), (1, 1), (1, -1)):
        before = around[:, 1 - row : 1 - row + height, 1 - column : 1 - column + width]
        after = around[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]
        bend = torch.maximum(bend, (before - 2.0 * layers + after).abs())
    return (bend[:4].amax(0) > COLOUR_EDGE) | (bend[4] > DEPTH_EDGE * solid[0].clamp(min=MIN_OPACITY))


def render_rays(model: VolumeModel, rays: Rays, background: Tensor) -> dict[str, Tensor]:
    """rgb (R, 3) over the background, (3,) or learned, opacity (R,), depth (R,) and, for an SDF, normal (R, 3) of any
    number of rays: the values of `VolumeModel.render`, up to the light that MIN_TRANSMITTANCE cuts off. Not
    differentiable.

    If memory runs out, this halves `ray_chunk` in the model's config and tries again."""
    # Large chunks are for the kernels only: plain PyTorch marches over all intervals of all rays at once.
    fast = rays.near.device.type != "cpu" and ops.uses_triton(model.config.backend, rays.near)
    sizes = sizes_on_gpu(model) if fast else ON_CPU

    def render(ray_chunk: int) -> dict[str, Tensor]:
        model.config = replace(model.config, ray_chunk=ray_chunk)  # for later views too, if memory ran out
        size = sizes.chunks * ray_chunk
        starts = range(0, max(len(rays), 1), size)  # no rays make one empty chunk
        parts = [_render_chunk(model, rays[start : start + size], background, sizes) for start in starts]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    with torch.no_grad():
        return HalvingChunks("model.ray_chunk", model.config.ray_chunk, MIN_CHUNK).run(render)


def sizes_on_gpu(model: VolumeModel) -> BatchSizes:
    """Those that suit the share of occupied cells, which the host reads."""
    return ON_GPU_SPARSE if float(model.occupancy.occupied.float().mean()) < SPARSE else ON_GPU


def _render_chunk(model: VolumeModel, rays: Rays, background: Tensor, sizes: BatchSizes) -> dict[str, Tensor]:
    """What `render_rays` returns, for rays that are marched together."""
    packed, offset, width = model.march(rays, None), 0, sizes.window // 2
    # Without this bound windows would grow in fog until one holds all rays in full length, but `ray_chunk` promises
    # memory for one chunk of them only.
    budget = model.config.ray_chunk * model.config.num_samples_per_ray
    sums = rays.near.new_zeros(len(rays), 8 if model.is_sdf else 5)
    transmittance = torch.ones_like(rays.near)
    while True:
        left = torch.where(transmittance > MIN_TRANSMITTANCE, packed.ray_count - offset, 0)
        width, S = next_width(left, max(width, 1), budget, sizes.few)
        if S == 0:
            break
        out = model.shade(rays, _window(packed, offset, left.clamp(0, width), S))
        sums += transmittance[:, None] * _sums(out)
        transmittance *= 1.0 - out.opacity
        offset += width
    opacity, normal = sums[:, 3], sums[:, 5:]
    depth = sums[:, 4] / opacity.clamp(min=MIN_OPACITY)
    if model.background is None:
        rgb = ops.over_background(sums[:, :3], opacity, background, backend=model.config.backend)
    else:
        rgb, front_transmittance = _amid_background(model, rays, sums[:, :3], opacity, background)
        opacity, normal = opacity * front_transmittance, normal * front_transmittance[:, None]
    return {"rgb": rgb, "opacity": opacity, "depth": depth} | ({"normal": normal} if model.is_sdf else {})


def _amid_background(
    model: VolumeModel, rays: Rays, rgb: Tensor, opacity: Tensor, color: Tensor
) -> tuple[Tensor, Tensor]:
    """Colours (R, 3) of the foreground's rgb (R, 3) and opacity (R,) amid the learned background, and the light (R,)
    that comes through what lies in front."""
    size = max(1, model.config.ray_chunk * model.config.num_samples_per_ray // model.background.samples_per_ray)
    within_budget, parts = torch.ones_like(opacity, dtype=torch.bool), []
    for start in range(0, max(len(rays), 1), size):
        part = slice(start, start + size)
        seen = model.background(rays[part], rgb[part], opacity[part], within_budget[part], color, None, False)
        parts.append((seen.rgb, seen.front_transmittance))
    return torch.cat([seen for seen, _ in parts]), torch.cat([front_transmittance for _, front_transmittance in parts])


def next_width(left: Tensor, width: int, budget: int, few: int) -> tuple[int, int]:
    """Samples of a ray in the next window, and how many it holds in all; the host reads that. It is twice as wide as
    the one before, four times where that is no more than `few` samples, and narrower where the budget asks for it.

    left: (R,) int64, samples that rays still have, 0 or less where nothing is to be seen of them; budget: samples."""
    widths = (1, width, 2 * width, 4 * width)
    rays, same, twice, fourfold = torch.stack([left.clamp(0, some).sum() for some in widths]).tolist()
    if fourfold <= few:
        return 4 * width, fourfold
    if twice <= budget:
        return 2 * width, twice
    if same <= budget:
        return width, same
    width = max(1, budget // rays)
    return width, int(left.clamp(0, width).sum())


def _window(packed: RaySamples, offset: int, ray_count: Tensor, num: int) -> RaySamples:
    """The next ray_count (R,) samples of each ray from sample `offset` on, `num` in all, and padding behind them."""
    end = ray_count.cumsum(0)
    ray_start = end - ray_count
    ray_indices = F.pad(torch.repeat_interleave(ray_count, output_size=num), (0, in_rows(num, ray_count.device) - num))
    index = torch.arange(len(ray_indices), device=ray_indices.device)
    source = (index + (packed.ray_start + offset - ray_start)[ray_indices]).clamp(max=len(packed.t_starts) - 1)
    return RaySamples(
        ray_indices,
        packed.t_starts[source],
        packed.t_ends[source],
        ray_start,
        ray_count,
        packed.within_budget,
        ray_count.sum(),
    )


def _sums(out: RenderOutput) -> Tensor:
    """(R, 8) weighted sums over the samples of each ray: rgb, 1, distance, normal; (R, 5) without normals."""
    normal = [] if out.normal is None else [out.normal]
    return torch.cat([out.rgb, out.opacity[:, None], out.distance[:, None], *normal], dim=-1)
