"""What systems know of a model: rays and a background go in, a `RenderOutput` comes out."""

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from models import ops
from models.background import BackgroundOutput
from models.configs import VolumeModelConfig, is_sdf
from models.marching import draw_jitter, without_padding
from models.occupancy import OccupancyGrid
from utils.rays import Rays, RaySamples
from utils.registry import build

log = logging.getLogger(__name__)
MIN_OPACITY = 1e-6  # below it, the depth of a ray fades to 0 instead of being blown up


@dataclass(frozen=True)
class SampleValues:
    """What losses may read of the samples; padding has weight 0, and `packed.valid` masks it out."""

    packed: RaySamples
    points: Tensor  # (S, 3) scene units
    weights: Tensor  # (S,) in [0, 1]
    sdf: Tensor | None = None  # (S,) scene units; None for a density
    gradient: Tensor | None = None  # (S, 3) of the sdf
    # (S,) >= 0, only if a loss asked for it: |Laplacian| in 1 / scene unit if gradients are finite differences,
    # otherwise 1 - n . n' of two close normals, see NeuS
    curvature: Tensor | None = None


@dataclass(frozen=True)
class RenderOutput:
    """A rendered batch of rays."""

    rgb: Tensor  # (R, 3) in [0, 1], over the background; over black where `shade` returns it
    # (R,) in [0, 1], of the foreground as the camera sees it, like what follows; samples are the foreground's alone
    opacity: Tensor
    distance: Tensor  # (R,) expected distance along the ray, times opacity
    normal: Tensor | None  # (R, 3) expected normal, weighted by opacity, not of unit length; None for a density
    within_budget: Tensor  # (R,) bool, False for rays beyond a sample budget, of the foreground or of the background
    samples: SampleValues
    inv_s: Tensor | None = None  # () sharpness of a NeuS
    rgb_variance: Tensor | None = None  # (R, 3) >= 0 of rgb where it is a mean over rays of a pixel, see `by_pixel`
    background: BackgroundOutput | None = None  # of a learned background; None: one colour lies behind the foreground
    field: Callable[[Tensor], Tensor] | None = None  # the sdf (K,) of more points (K, 3); None for a density

    @property
    def depth(self) -> Tensor:
        """(R,) expected distance along the ray, 0 where nothing is hit."""
        return self.distance / self.opacity.clamp(min=MIN_OPACITY)

    @property
    def ray_count(self) -> Tensor:
        """(R,) int64, samples of the foreground of a ray, or of those of a pixel."""
        count = self.samples.packed.ray_count
        return count if len(count) == len(self.rgb) else count.view(len(self.rgb), -1).sum(-1)

    def by_pixel(self, num: int) -> "RenderOutput":
        """The means over `num` rays in a row; samples and background stay those of the rays.

        `rgb_variance` estimates the variance of their mean from the difference of the two halves, without bias if the
        halves are independent."""
        means = {name: getattr(self, name) for name in ("rgb", "opacity", "distance", "normal")}
        grouped = {name: x.unflatten(0, (-1, num)).mean(1) for name, x in means.items() if x is not None}
        first, second = self.rgb.unflatten(0, (-1, 2, num // 2)).mean(2).unbind(1)
        variance = (0.5 * (first - second)).square()
        return replace(self, **grouped, rgb_variance=variance, within_budget=self.within_budget.view(-1, num).all(1))


class VolumeModel(nn.Module):
    """Samples, occupancy grid and composition, shared by NeuS and NeRF; a subclass evaluates its field."""

    def __init__(self, config: VolumeModelConfig) -> None:
        super().__init__()
        self.config = config
        self.geometry = build(config.geometry, config.backend)
        self.occupancy = OccupancyGrid(
            config.radius, config.grid_resolution, config.grid_prune_occ_thre, config.grid_decay
        )
        self.background = build(config.background, config.radius, self.num_rays, config.backend)
        self.step_length = 2.0 * 3.0**0.5 * config.radius / config.num_samples_per_ray

    @property
    def is_sdf(self) -> bool:
        """Whether the field is a signed distance, and samples have normals; otherwise it is a density."""
        return is_sdf(self.config.geometry)

    @property
    def num_lightings(self) -> int:
        """In how many lightings the photographs were taken of an object that was moved; 0: it was not."""
        return 0

    @property
    def num_rays(self) -> int:
        """Rays to draw for a training step; `within_budget` tells which of them fit the sample budget."""
        return self.config.max_train_num_rays if self.config.dynamic_ray_sampling else self.config.train_num_rays

    @property
    def capacity(self) -> int:
        """Samples of a training step."""
        return self.config.train_num_rays * self.config.num_samples_per_ray

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by the names that `system.optimizer.params` uses."""
        children = dict(self.named_children())
        behind = children.pop("background", nn.Module())
        children |= {f"{name}_bg": child for name, child in behind.named_children()}
        by_name = {name: list(child.parameters()) for name, child in children.items()}
        return {name: parameters for name, parameters in by_name.items() if parameters}

    def on_step(self, step: int) -> None:
        """Sets whatever depends on the training step."""
        for geometry in self._geometries():
            geometry.on_step(step)

    @property
    def graph_key(self) -> Hashable:
        """Equal for steps that launch the same work."""
        return tuple(geometry.encoding.active_levels for geometry in self._geometries())

    def _geometries(self) -> list[nn.Module]:
        return [self.geometry] if self.background is None else [self.geometry, self.background.geometry]

    def occupancy_due(self, step: int) -> bool | None:
        """Whether a refresh of the occupancy grid at this step takes every cell; None where none is due."""
        if not self.config.grid_prune or step % self.config.grid_update_every:
            return None
        return step < self.config.grid_warmup_steps

    def update_occupancy(self, generator: torch.Generator, every_cell: bool) -> None:
        """Refreshes the occupancy grids: all of them, or a sample of their cells."""
        if self.background is None:
            self.occupancy.update(self.occupancy_value, generator, every_cell)
            return
        reach = self.config.radius + self.occupancy.half_diagonal

        def within_ball(points: Tensor) -> Tensor:
            return self.occupancy_value(points) * (points.norm(dim=-1) < reach)

        self.occupancy.update(within_ball, generator, every_cell)
        self.background.update_occupancy(generator, every_cell)

    def limit_to_covered(self, count_views: Callable[[Tensor, Tensor, int], Tensor]) -> None:
        """Keeps cells empty, from now on, that fewer than grid_min_views training cameras have in frame, those of the
        background too: no photograph says what is there, and a new view would show it.

        count_views: scene points (N, 3), the radii (N,) of balls around them, and how far to count -> (N,) cameras."""

        def framed(points: Tensor) -> Tensor:
            reach = torch.full_like(points[:, 0], self.occupancy.half_diagonal)
            return count_views(points, reach, self.config.grid_min_views) >= self.config.grid_min_views

        self.occupancy.restrict(framed)
        if self.background is not None:
            self.background.limit_to_covered(count_views, self.config.grid_min_views)

    def set_lamp_axes(self, axes: Tensor) -> None:
        """Tells, before training, how the lightings of the photographs (G) go around the object.

        axes: (G, 3), unit length in the scene frame, of the turn that lamps and camera make around the object together;
        0 for lamps that stand still in the scene. Raises ConfigError if the model has another number of lightings."""
        log.info(
            "lighting.json is not used, since model.lightings is 0: lamps are taken to stand still in the scene, though"
            " the object was moved between photographs"
        )

    def occupancy_value(self, points: Tensor) -> Tensor:
        """(N,) opacity of one step around points (N, 3), for the occupancy grid."""
        raise NotImplementedError

    def render(
        self,
        rays: Rays,
        background: Tensor,
        generator: torch.Generator | None = None,
        needs: frozenset[str] = frozenset(),
    ) -> RenderOutput:
        """Renders rays over a background (3,), amid a learned background if there is one.

        generator: given in training; then samples are jittered and limited to the budget. needs: see `shade`.
        Differentiable in origins and directions as far as the foreground goes: where samples lie along a ray, and what
        a background shows, moves no camera."""
        out = self.shade(rays, self.march(rays.detached(), generator), generator, needs)
        if self.background is None:
            rgb = ops.over_background(out.rgb, out.opacity, background, backend=self.config.backend)
            return replace(out, rgb=rgb)
        seen = self.background(
            rays.detached(), out.rgb, out.opacity, out.within_budget, background, generator, self.config.randomized
        )
        parts = {"opacity": out.opacity, "distance": out.distance, "normal": out.normal}
        visible = {name: _times(part, seen.front_transmittance) for name, part in parts.items()}
        within_budget = out.within_budget & seen.within_budget
        return replace(out, **visible, rgb=seen.rgb, within_budget=within_budget, background=seen)

    def shade(
        self,
        rays: Rays,
        packed: RaySamples,
        generator: torch.Generator | None = None,
        needs: frozenset[str] = frozenset(),
    ) -> RenderOutput:
        """Renders the given samples of rays over black, without what lies outside of the region.

        needs: names of the losses of this step, for values that only one of them reads; the generator draws what is
        random in those."""
        raise NotImplementedError

    def field_value(self, points: Tensor) -> Tensor:
        """(N,) the scalar whose level set is the surface."""
        raise NotImplementedError

    def color(self, points: Tensor, outward: Tensor) -> Tensor:
        """(N, 3) rgb of surface points (N, 3) seen from where `outward` (N, 3), of unit length, points to; as `shade`
        has it, in [0, 1] only once it is shown."""
        raise NotImplementedError

    def clip_to_region(self, rays: Rays) -> Rays:
        """The rays cut to the cube [-radius, radius]^3, or to the ball of that radius where a background is learned."""
        if self.background is None:
            return ops.clip_rays_to_box(rays, self.config.radius, backend=self.config.backend)
        return self.background.clip_to_region(rays)

    def march(self, rays: Rays, generator: torch.Generator | None) -> RaySamples:
        """Samples of rays in occupied cells: within the budget with a generator, all of them without."""
        rays = self.clip_to_region(rays)
        jitter = draw_jitter(rays, generator if self.config.randomized else None)
        capacity = self.capacity if generator is not None else None
        packed = ops.march(
            rays,
            self.occupancy.occupied,
            self.config.radius,
            self.step_length,
            jitter,
            capacity,
            backend=self.config.backend,
        )
        return without_padding(packed)


def _times(part: Tensor | None, share: Tensor) -> Tensor | None:
    """Values (R,) or (R, C) of rays, times a share (R,)."""
    return None if part is None else part * (share if part.ndim == 1 else share[:, None])
