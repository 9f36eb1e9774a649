"""What lies outside of the region: a density field in contracted space, seen in front of the foreground and behind it.

Space is contracted into a ball (mip-NeRF 360, arXiv:2111.12077, eq. 10), and the last sample of each ray is opaque (as
the last interval in NeRF++, arXiv:2010.07492, is infinite): nothing shines through a background."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models import ops
from models.background_configs import ColorBackgroundConfig, LearnedBackgroundConfig, NoBackgroundConfig
from models.marching import MIN_TRANSMITTANCE, draw_jitter, without_padding
from models.occupancy import OccupancyGrid
from utils.rays import Rays, RaySamples
from utils.registry import build


@dataclass(frozen=True)
class BackgroundOutput:
    """What rays see of a learned background and of the foreground amid it."""

    rgb: Tensor  # (R, 3) in [0, 1], of background and foreground together
    front_transmittance: Tensor  # (R,) in [0, 1], the light that comes through what lies in front of the region
    within_budget: Tensor  # (R,) bool, False for rays beyond the sample budget of the background
    rays: Rays
    region: Rays  # near and far are where a ray enters and leaves the region; equal where it misses it
    packed: RaySamples  # one interval of a ray is the region
    weights: Tensor  # (S,) in [0, 1], of the background alone: 0 for the region
    radius: float  # of the region

    @property
    def normalized_samples(self) -> RaySamples:
        """The samples with normalised inverse distances from the region, in [-1, 1], in place of distances; see
        `ops.normalized_distances`."""
        return ops.normalized_distances(self.rays, self.region, self.packed, self.radius)


def no_field(
    config: NoBackgroundConfig | ColorBackgroundConfig, radius: float, num_rays: int, backend: str = "auto"
) -> None:
    """No module: behind the region lies the colour that the system renders over."""
    return


class LearnedBackground(nn.Module):
    """Density and colour of contracted space, with an occupancy grid of its own."""

    def __init__(self, config: LearnedBackgroundConfig, radius: float, num_rays: int, backend: str = "auto") -> None:
        """radius: of the region, a ball; num_rays: drawn for a training step."""
        super().__init__()
        self.radius, self.backend = radius, backend
        self.num_samples = config.num_samples_in_front, config.num_samples_per_ray
        self.samples_per_ray = sum(self.num_samples) + 1
        self.capacity = min(config.train_num_rays, num_rays) * self.samples_per_ray
        self.geometry = build(config.geometry, backend)
        self.texture = build(config.texture, config.geometry.feature_dim, backend)
        self.occupancy = OccupancyGrid(2.0, config.grid_resolution, config.grid_prune_occ_thre)

    def forward(
        self,
        rays: Rays,
        rgb: Tensor,
        opacity: Tensor,
        within_budget: Tensor,
        color: Tensor,
        generator: torch.Generator | None,
        jittered: bool,
    ) -> BackgroundOutput:
        """What rays see, given the foreground's rgb (R, 3) over black and its opacity (R,).

        within_budget: (R,) bool, of the foreground; the other rays get no samples here either. generator: given in
        training, when the samples must fit the budget. color: (3,), behind rays that end in the region or get no
        samples. Differentiable in rgb, opacity and the parameters."""
        region = self.clip_to_region(rays)
        light_passes = 1.0 - opacity.detach() > MIN_TRANSMITTANCE
        packed = self.march(rays, region, within_budget, light_passes, generator, jittered)
        if packed.t_starts.shape[0] == 0:
            front_transmittance = torch.ones_like(opacity)
            rgb = rgb + (1.0 - opacity)[:, None] * color
            return BackgroundOutput(
                rgb, front_transmittance, packed.within_budget, rays, region, packed, packed.t_starts, self.radius
            )
        behind, inside = self.locate(region, packed)
        alpha, colors = self.shade(rays, packed)
        alpha = _put(self.end_opaque(alpha, behind, packed), inside, opacity, packed)
        in_front = ~(inside | behind)
        values = torch.where(inside[:, None], 0.0, colors), in_front.float()
        weights, blocked, _, seen, before = ops.composite(alpha, values, packed, backend=self.backend)
        front_transmittance = 1.0 - before
        rgb = seen + front_transmittance[:, None] * rgb + (1.0 - blocked)[:, None] * color
        weights = torch.where(inside, 0.0, weights)
        return BackgroundOutput(
            rgb, front_transmittance, packed.within_budget, rays, region, packed, weights, self.radius
        )

    def clip_to_region(self, rays: Rays) -> Rays:
        """The rays from where they enter the region to where they leave it; empty, at near, where they miss it."""
        return ops.clip_rays_to_ball(rays, self.radius, backend=self.backend)

    def march(
        self,
        rays: Rays,
        region: Rays,
        ray_mask: Tensor,
        behind_mask: Tensor,
        generator: torch.Generator | None,
        jittered: bool,
    ) -> RaySamples:
        """Samples of the rays in ray_mask (R,) bool, behind the region only of those in behind_mask (R,) bool."""
        jitter = draw_jitter(rays, generator if jittered else None)
        limits = jitter, ray_mask, behind_mask, self.capacity if generator is not None else None
        occupied = self.occupancy.occupied
        packed = ops.march_unbounded(
            rays, region, occupied, self.radius, self.num_samples, *limits, backend=self.backend
        )
        return without_padding(packed)

    @staticmethod
    def locate(region: Rays, packed: RaySamples) -> tuple[Tensor, Tensor]:
        """Two masks (S,) bool: the samples that lie behind the region, and those that stand for the region itself."""
        behind = packed.t_mids > region.far[packed.ray_indices]
        return behind, ~behind & (packed.t_mids > region.near[packed.ray_indices])

    def shade(self, rays: Rays, packed: RaySamples) -> tuple[Tensor, Tensor]:
        """Opacity (S,) and colour (S, 3) of samples; meaningless for those that stand for the region."""
        points = ops.sample_points(rays, packed, backend=self.backend)
        near = _nearness(rays, packed)
        points = points / self.radius
        density, feature = self.field(ops.contract(points), packed.num_samples)
        # The field gives density per contracted length along the radius; 1 / |x|^2 of it is the density in space. So
        # distant intervals are not opaque at the start of training merely because they are long.
        density = _scale_gradient(density, near) / (self.radius * points.square().sum(-1).clamp(min=1.0))
        alpha = ops.density_alpha(density, packed, backend=self.backend)
        return alpha, _scale_gradient(self.texture(rays.directions, packed, feature), near[:, None])

    @staticmethod
    def end_opaque(alpha: Tensor, behind: Tensor, packed: RaySamples) -> Tensor:
        """alpha (S,), but 1 for the last sample of each ray if it lies behind the region; no host read."""
        S = alpha.shape[0]
        last = torch.where(packed.ray_count > 0, packed.ray_start + packed.ray_count - 1, S)
        is_last = torch.zeros(S + 1, dtype=torch.bool, device=alpha.device).index_fill(0, last, True)
        return torch.where(is_last[:S] & behind, 1.0, alpha)

    def field(self, points: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Density (S,) by contracted length and feature (S, feature_dim) at contracted points (S, 3)."""
        return self.geometry(points * (0.5 * self.geometry.radius), count)

    def occupancy_value(self, points: Tensor) -> Tensor:
        """(N,) opacity of one interval at contracted points (N, 3), 0 where no ray takes samples."""
        density, _ = self.field(points)
        # from one cell within the region on, since rays take samples in cells on its border
        border, norm = 1.0 - 4.0 / self.occupancy.resolution, points.norm(dim=-1)
        sampled = (norm > border) & (norm < 2.0)
        return ops.alpha_from_density(density, 1.0 / self.num_samples[1]) * sampled

    def limit_to_covered(self, count_views: Callable[[Tensor, Tensor, int], Tensor], min_views: int) -> None:
        """Keeps cells empty that fewer than `min_views` cameras have in frame; see VolumeModel.limit_to_covered."""

        def framed(contracted: Tensor) -> Tensor:
            inside = contracted * (1.999 / contracted.norm(dim=-1, keepdim=True).clamp(min=1.999))
            points = ops.uncontract(inside)
            # a cell grows at most with |x|^2, along the radius
            reach = self.occupancy.half_diagonal * points.square().sum(-1).clamp(min=1.0)
            return count_views(points * self.radius, reach * self.radius, min_views) >= min_views

        self.occupancy.restrict(framed)

    def update_occupancy(self, generator: torch.Generator, every_cell: bool) -> None:
        """Refreshes the occupancy grid: all of it, or a sample of its cells."""
        self.occupancy.update(self.occupancy_value, generator, every_cell)


def _put(alpha: Tensor, inside: Tensor, opacity: Tensor, packed: RaySamples) -> Tensor:
    """alpha (S,), but the opacity (R,) of the ray for the sample of each ray that is inside; no host read.

    A ray has at most one such sample, so the backward pass fetches one gradient per ray; that of opacity[ray_indices]
    would be a sum."""
    S, R = alpha.shape[0], opacity.shape[0]
    index = torch.arange(S, device=alpha.device)
    slot = torch.full((R + 1,), S, device=alpha.device)
    slot = slot.scatter(0, torch.where(inside, packed.ray_indices, R), index)[:R]
    return torch.cat([alpha, alpha.new_zeros(1)]).index_copy(0, slot, opacity)[:S]


def _nearness(rays: Rays, packed: RaySamples) -> Tensor:
    """(S,) in [0, 1]: squared distance of samples from their camera, by that of the camera from the origin, at most 1.

    It scales gradients: space close to a camera is seen by few other cameras and densely sampled by this one, so
    without the scale it would explain that photograph alone (arXiv:2305.02756)."""
    away = rays.origins.square().sum(-1).clamp(min=1e-6)[packed.ray_indices]
    return (packed.t_mids.square() / away).clamp(max=1.0)


def _scale_gradient(x: Tensor, factor: Tensor) -> Tensor:
    """x, whose gradient is multiplied by a factor."""
    return x.detach() + factor * (x - x.detach())
