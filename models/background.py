"""What lies outside of the region: a density field in contracted space, seen where a ray has passed the foreground.

Space is contracted into a ball (mip-NeRF 360, arXiv:2111.12077, eq. 10), and the last sample of each ray is opaque (as
the last interval in NeRF++, arXiv:2010.07492, is infinite): nothing shines through a background."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from models import ops
from models.background_configs import ColorBackgroundConfig, LearnedBackgroundConfig, NoBackgroundConfig
from models.marching import draw_jitter, without_padding
from models.occupancy import OccupancyGrid
from utils.rays import Packed, Rays
from utils.registry import build


@dataclass(frozen=True)
class Backdrop:
    """What rays see of a learned background, behind the foreground."""

    rgb: Tensor  # (R, 3) in [0, 1]
    alive: Tensor  # (R,) bool, False for rays beyond the sample budget of the background
    rays: Rays  # near is where the background begins
    packed: Packed
    weights: Tensor  # (S,) in [0, 1], of the background alone
    radius: float  # of the region

    @property
    def shares(self) -> Packed:
        """The samples by inverse distance in place of distance, in [0, 1]; see `ops.inverse_shares`."""
        return ops.inverse_shares(self.rays, self.packed, self.radius)


def no_field(
    config: NoBackgroundConfig | ColorBackgroundConfig, radius: float, num_rays: int, backend: str = "auto"
) -> None:
    """No module: behind the region lies the colour that the system renders over."""
    return


class LearnedBackground(nn.Module):
    """Density and colour of contracted space, with an occupancy grid of its own."""

    def __init__(self, config: LearnedBackgroundConfig, radius: float, num_rays: int, backend: str = "auto") -> None:
        """radius: half the edge of the region; num_rays: drawn for a training step."""
        super().__init__()
        self.radius, self.backend = radius, backend
        self.num_samples = config.num_samples_per_ray
        self.capacity = min(config.train_num_rays, num_rays) * config.num_samples_per_ray
        self.geometry = build(config.geometry, backend)
        self.texture = build(config.texture, config.geometry.feature_dim, backend)
        self.occupancy = OccupancyGrid(2.0, config.grid_resolution, config.grid_prune_occ_thre)

    def forward(
        self, rays: Rays, wanted: Tensor, color: Tensor, generator: torch.Generator | None, jittered: bool
    ) -> Backdrop:
        """What lies behind the region on the rays that are wanted (R,) bool; with a generator, within the budget.

        color: (3,), seen on rays that are not wanted, that do not fit, or whose far lies in the region."""
        rays = self.beyond_region(rays)
        packed = self.march(rays, wanted, generator, jittered)
        if packed.t_starts.shape[0] == 0:
            return Backdrop(color.expand(len(rays), 3), packed.alive, rays, packed, packed.t_starts, self.radius)
        points = ops.sample_points(rays, packed, backend=self.backend) / self.radius
        density, feature = self.field(ops.contract(points), packed.count)
        # The field's density is by contracted length along the radius, and thus 1 / |x|^2 of that in space: what is far
        # is not opaque for the mere length of its intervals when training begins.
        density = density / (self.radius * points.square().sum(-1).clamp(min=1.0))
        alpha = _end_opaque(ops.density_alpha(density, packed, backend=self.backend), packed)
        colors = self.texture(rays.directions, packed, feature)
        weights, opacity, rgb = ops.composite(alpha, colors, packed, backend=self.backend)
        rgb = rgb + (1.0 - opacity)[:, None] * color
        return Backdrop(rgb, packed.alive, rays, packed, weights, self.radius)

    def beyond_region(self, rays: Rays) -> Rays:
        """The rays from where they leave the region, or from near where they miss it; near >= far for an empty one."""
        inside = ops.clip_rays_to_box(rays, self.radius, backend=self.backend)
        return replace(rays, near=torch.where(inside.far > inside.near, inside.far, rays.near))

    def march(self, rays: Rays, wanted: Tensor, generator: torch.Generator | None, jittered: bool) -> Packed:
        """Samples of rays, cut by `beyond_region`, that are wanted (R,) bool."""
        jitter = draw_jitter(rays, generator if jittered else None)
        capacity = self.capacity if generator is not None else None
        packed = ops.march_unbounded(
            rays, self.occupancy.occupied, self.radius, self.num_samples, jitter, wanted, capacity
        )
        return without_padding(packed)

    def field(self, points: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Density (S,) by contracted length and feature (S, feature_dim) at contracted points (S, 3)."""
        return self.geometry(points * (0.5 * self.geometry.radius), count)

    def occupancy_value(self, points: Tensor) -> Tensor:
        """(N,) opacity of one interval at contracted points (N, 3), 0 where no ray takes samples."""
        density, _ = self.field(points)
        # up to a cell inside of the region, since cells on its border are sampled
        border = 1.0 - 4.0 / self.occupancy.resolution
        sampled = (points.abs().amax(-1) > border) & (points.norm(dim=-1) < 2.0)
        return ops.alpha_from_density(density, 1.0 / self.num_samples) * sampled

    def update_occupancy(self, generator: torch.Generator, every_cell: bool) -> None:
        """Refreshes the occupancy grid: all of it, or a sample of its cells."""
        self.occupancy.update(self.occupancy_value, generator, every_cell)


def _end_opaque(alpha: Tensor, packed: Packed) -> Tensor:
    """alpha (S,) with 1 in the place of the last of each ray; no host read."""
    S = alpha.shape[0]
    last = torch.where(packed.ray_count > 0, packed.ray_start + packed.ray_count - 1, S)
    is_last = torch.zeros(S + 1, dtype=torch.bool, device=alpha.device).index_fill(0, last, True)
    return torch.where(is_last[:S], 1.0, alpha)
