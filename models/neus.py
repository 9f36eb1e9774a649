"""NeuS: volume rendering of a signed distance field (Wang et al. 2021, arXiv:2106.10689)."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from models import ops
from models.base import RenderOutput, SampleValues, VolumeModel
from models.configs import NeuSConfig
from models.texture import Lighting
from models.variance import Variance
from utils.errors import ConfigError
from utils.rays import Rays, RaySamples
from utils.registry import build

CURVATURE_STEP = 0.01  # distance of the second gradient, as a share of the radius


class NeuS(VolumeModel):
    """SDF geometry, colour network with normals, learned inv_s, annealed cosine."""

    def __init__(self, config: NeuSConfig) -> None:
        super().__init__(config)
        self.texture = build(config.texture, config.geometry.feature_dim + 3, config.backend)
        self.lighting = Lighting(config.lightings, config.geometry.feature_dim) if config.lightings else None
        self.variance = Variance(config.variance, config.backend)
        self.register_buffer("anneal", torch.tensor(1.0), persistent=False)  # on the device: part of a captured step

    @property
    def num_lightings(self) -> int:
        """See VolumeModel.num_lightings."""
        return self.config.lightings

    def on_step(self, step: int) -> None:
        """Sets the open levels of the grids and the cosine annealing."""
        super().on_step(step)
        end = self.config.cos_anneal_end
        self.anneal.fill_(1.0 if end <= 0 else min(1.0, step / end))

    def occupancy_value(self, points: Tensor) -> Tensor:
        """Opacity that a step could have anywhere in the cell around each point (N, 3), since the SDF may be lower
        there than at the point. The inside of the object counts as empty."""
        # It may be lower by up to half a diagonal for a point in the middle. But points are drawn anew each time and a
        # cell remembers its largest value, so half of that margin keeps the surface, in a narrower band.
        margin = 0.5 * self.occupancy.half_diagonal
        distance = F.relu(self.geometry.sdf(points).abs() - margin)
        inv_s, half = self.variance(), 0.5 * self.step_length
        return torch.sigmoid((distance + half) * inv_s) - torch.sigmoid((distance - half) * inv_s)

    def shade(
        self,
        rays: Rays,
        packed: RaySamples,
        generator: torch.Generator | None = None,
        needs: frozenset[str] = frozenset(),
    ) -> RenderOutput:
        """See VolumeModel.shade; needs: {"curvature"} adds what the curvature loss reads."""
        points = ops.sample_points(rays, packed, backend=self.config.backend)
        sdf, gradient, feature, laplacian = self.geometry(points, packed.num_samples, generator)
        inv_s = self.variance()
        alpha, normal = ops.neus_alpha(
            sdf, gradient, rays.directions, packed, inv_s, self.anneal, backend=self.config.backend
        )
        rgb = self._colors(rays, packed, feature, normal)
        values = rgb, normal
        weights, opacity, distance, rgb, mean_normal = ops.composite(alpha, values, packed, backend=self.config.backend)
        curvature = None
        if "curvature" in needs:
            curvature = self._tangent_curvature(points, normal, generator) if laplacian is None else laplacian.abs()
            curvature = curvature * packed.valid
        return RenderOutput(
            rgb=rgb,
            opacity=opacity,
            distance=distance,
            normal=mean_normal,
            within_budget=packed.within_budget,
            samples=SampleValues(packed, points, weights, sdf, gradient, curvature),
            inv_s=inv_s,
            field=self.field_value,
        )

    def _tangent_curvature(self, points: Tensor, normal: Tensor, generator: torch.Generator | None) -> Tensor:
        """(S,) 1 - n . n' with the normal n' a small step along a random tangent (PermutoSDF, arXiv:2211.12562)."""
        random = torch.randn(points.shape, generator=generator, device=points.device, dtype=points.dtype)
        tangent = F.normalize(torch.cross(normal, random, dim=-1), dim=-1, eps=1e-6).detach()
        moved = points + CURVATURE_STEP * self.config.radius * tangent
        _, gradient, *_ = self.geometry(moved.clamp(-self.config.radius, self.config.radius))
        return 1.0 - (normal * F.normalize(gradient, dim=-1, eps=1e-6)).sum(-1)

    def field_value(self, points: Tensor) -> Tensor:
        """(N,) signed distance."""
        return self.geometry.sdf(points)

    def color(self, points: Tensor, outward: Tensor) -> Tensor:
        """See VolumeModel.color."""
        _, gradient, feature, _ = self.geometry(points)
        normal = F.normalize(gradient, dim=-1, eps=1e-6)
        rays = Rays(points + outward, -outward, *torch.zeros_like(points[:, :2]).unbind(1))
        number = torch.zeros_like(rays.near, dtype=torch.int64)
        seen = [replace(rays, lighting=number + i) for i in range(max(self.num_lightings, 1))]
        return torch.stack([self._colors(one, None, feature, normal) for one in seen]).mean(0)

    def _colors(self, rays: Rays, packed: RaySamples | None, feature: Tensor, normal: Tensor) -> Tensor:
        """(S, 3) rgb of samples with a feature (S, F) and a unit normal (S, 3), each ray in its lighting."""
        directions = rays.directions
        if self.lighting is not None:
            directions, feature, normal = self.lighting(rays, packed, feature, normal)
        return self.texture(directions, packed, feature, normal)

    def set_lamp_axes(self, axes: Tensor) -> None:
        """See VolumeModel.set_lamp_axes."""
        if self.lighting is None:
            super().set_lamp_axes(axes)
        elif len(axes) != len(self.lighting):
            raise ConfigError(
                f"model.lightings: expected {len(axes)}, as many as the photographs were taken in, got "
                f"{len(self.lighting)}. Set it so, or to 0 for lamps that stand still in the scene."
            )
        else:
            self.lighting.axes.copy_(axes)
