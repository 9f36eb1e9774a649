"""What samples show: opacity, harmonics of directions, columns of a surface that mirrors."""

from torch import Tensor

from models.ops.backends import module
from models.ops.grid import GridSpec
from models.ops.layers import RadianceHeads
from models.ops.mirrors import MirrorSpec
from models.ops.reference import shading as reference_shading
from utils.rays import RaySamples


def neus_alpha(
    sdf: Tensor,
    gradient: Tensor,
    directions: Tensor,
    packed: RaySamples,
    inv_s: Tensor,
    anneal: Tensor,
    *,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Opacity (S,) in [0, 1] and unit normal (S, 3) of samples of an SDF (NeuS, arXiv:2106.10689, eq. 13).

    sdf: (S,) at the middles of the intervals and gradient: (S, 3) there, in scene units; directions: (R, 3), unit
    length; inv_s: () > 0; anneal: () in [0, 1], see `reference_shading.annealed_cosine`. The opacity of padding is 0.
    Differentiable, once, in sdf, gradient, directions and inv_s, through both outputs."""
    return module("shading", backend, sdf).neus_alpha(sdf, gradient, directions, packed, inv_s, anneal)


def sharpness(raw: Tensor, *, backend: str = "auto") -> Tensor:
    """inv_s = exp(10 raw) of a NeuS, () in [1e-6, 1e6] 1 / scene unit, of a learned number (). Differentiable, once."""
    return module("shading", backend, raw).sharpness(raw)


def density_alpha(density: Tensor, packed: RaySamples, *, backend: str = "auto") -> Tensor:
    """Opacity (S,) in [0, 1] of samples of a density (S,) >= 0 per scene unit: `alpha_from_density` of the intervals.

    The opacity of padding is 0, whatever lies there. Differentiable, once, in the density."""
    return module("shading", backend, density).density_alpha(density, packed)


def encode_radiance(
    points: Tensor,
    table: Tensor,
    spec: GridSpec,
    heads: RadianceHeads,
    harmonics: Tensor,
    packed: RaySamples,
    active_levels: int | None = None,
    *,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Opacity (S,) in [0, 1] and colour (S, 3) of samples of a radiance field over a hash grid, at one go: what
    `hash_features`, `mlp`, `density_from_raw`, `density_alpha`, `concat_columns` and `mlp` make of them.

    points: (S, 3) in [0, 1]; table, spec and active_levels as in `hash_encode`; harmonics: (R, H) of the rays'
    directions, which no gradient reaches. The opacity of padding is 0. With `allow_fp16` of both networks a backend may
    keep features to 11 bits, as their products have them, and the gradients of features to 8.
    Differentiable, once, in table and layers, through both outputs; not in the points."""
    fields = module("fields", backend, table)
    return fields.encode_radiance(points.detach(), table, spec, active_levels, heads, harmonics.detach(), packed)


def spherical_harmonics(directions: Tensor, degree: int, *, backend: str = "auto") -> Tensor:
    """Real spherical harmonics of all orders below `degree`, orthonormal on the sphere.

    directions: (S, 3), unit length; not normalised here. Returns (S, degree^2), column l^2 + l + m, with the
    Condon-Shortley sign (-1)^m: 0.282, -0.489 y, 0.489 z, -0.489 x, 1.093 xy, ... as NeRF codes use it.
    Differentiable, once."""
    return module("shading", backend, directions).spherical_harmonics(directions, degree)


def reflected_columns(
    feature: Tensor,
    normal: Tensor,
    directions: Tensor,
    packed: RaySamples | None,
    spec: MirrorSpec,
    *,
    backend: str = "auto",
) -> Tensor:
    """What a colour network reads of a surface that mirrors: features, normal, its cosine with the way back, and
    harmonics of the reflected view (Ref-NeRF, arXiv:2112.03907, eq. 4 and 8), or of it and the way back, mixed.

    feature: (S, F), the last being a share and no column if `spec` has an offset; normal: (S, 3), unit length;
    directions: (R, 3), unit length, one for the samples of each ray; (S, 3) where packed is None. Returns
    (S, F + 4 + degree^2) float32, or one column less. Differentiable, once, in feature, normal and directions."""
    return module("reflection", backend, normal).reflected_columns(feature, normal, directions, packed, spec)


def density_from_raw(raw: Tensor, activation: str) -> Tensor:
    """Density (S,) >= 0 of what a network says of it (S,): by "trunc_exp", exp whose gradient is cut off at exp(15), or
    "softplus". One implementation."""
    return reference_shading.density_from_raw(raw, activation)


def alpha_from_density(density: Tensor, dt: Tensor | float) -> Tensor:
    """Opacity 1 - exp(-density dt) of intervals (NeRF, arXiv:2003.08934, eq. 3); all (S,). One implementation."""
    return reference_shading.alpha_from_density(density, dt)
