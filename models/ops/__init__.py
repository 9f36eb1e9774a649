"""The only entry to the numerical operations: each function here picks the backend that fits its tensors.

`backend` is "auto" (Triton for float32 on a GPU, Numba for float32 on a CPU, otherwise plain PyTorch), "reference",
"numba", "triton" or "tinycudann"; where a backend has no kernel of its own for an operation, the reference serves.
Given a capacity, no operation reads a value on the host, and no shape depends on data."""

from torch import Tensor

from models.ops.backends import BACKENDS, module, uses_triton
from models.ops.contraction import clip_rays_to_ball, contract, normalized_distances, uncontract
from models.ops.grid import GridSpec
from models.ops.layers import Layers, RadianceHeads
from models.ops.losses import RayTargets, ray_losses, sample_losses
from models.ops.mirrors import MirrorSpec
from models.ops.optimiser import AdamStep, adam_where_touched
from models.ops.patches import PatchSpec, compare_patches
from models.ops.reference import mlp as reference_mlp
from models.ops.reference import rays as reference_rays
from models.ops.shading import (
    alpha_from_density,
    density_alpha,
    density_from_raw,
    encode_radiance,
    neus_alpha,
    reflected_columns,
    sharpness,
    spherical_harmonics,
)
from utils.rays import Photographs, RayBatch, Rays, RaySamples

__all__ = [
    "BACKENDS",
    "AdamStep",
    "GridSpec",
    "Layers",
    "MirrorSpec",
    "PatchSpec",
    "RadianceHeads",
    "RayTargets",
    "adam_where_touched",
    "alpha_from_density",
    "clip_rays_to_ball",
    "clip_rays_to_box",
    "compare_patches",
    "composite",
    "concat_columns",
    "contract",
    "density_alpha",
    "density_from_raw",
    "distortion",
    "encode_radiance",
    "encode_sdf",
    "follow_points",
    "hash_encode",
    "hash_features",
    "march",
    "march_unbounded",
    "mlp",
    "module",
    "neus_alpha",
    "normalized_distances",
    "over_background",
    "ray_losses",
    "rays_of_pixels",
    "reflected_columns",
    "sample_losses",
    "sample_points",
    "sdf_mlp_with_gradient",
    "sharpness",
    "spherical_harmonics",
    "uncontract",
    "uses_triton",
]


def rays_of_pixels(
    photographs: Photographs,
    pixel: Tensor,
    image: Tensor,
    background: Tensor,
    shift: Tensor | None = None,
    *,
    backend: str = "auto",
) -> RayBatch:
    """Rays through the centres of pixels, and their colours over a background; near and far are the scene's.

    pixel: (R,) int64, rows of `photographs.pixels`; image: (R,) int64, the image that each lies in; background: (3,)
    sRGB in [0, 1]; shift: (R, 2) float32, pixels to the right and down from the centres."""
    return module("pixels", backend, photographs.c2w).rays_of_pixels(photographs, pixel, image, background, shift)


def hash_encode(
    points: Tensor,
    table: Tensor,
    spec: GridSpec,
    active_levels: int | None = None,
    count: Tensor | None = None,
    *,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Features of a hash grid and their Jacobian, in one pass.

    points: (S, 3) in [0, 1], clamped beyond; table: (spec.num_entries, F). Levels from `active_levels` on give zeros.
    count: () int64 on the device; points from there on are padding, whose features a backend may leave at zero.
    Returns features (S, L*F) and d feature / d point (S, L*F, 3), strided as suits the backend. The latter is zero
    along an axis on which the point was clamped. Differentiable, once, in the table, through both outputs; not in the
    points."""
    return module("hash", backend, table).hash_encode(points.detach(), table, spec, active_levels, count)


def hash_features(
    points: Tensor,
    table: Tensor,
    spec: GridSpec,
    active_levels: int | None = None,
    count: Tensor | None = None,
    *,
    backend: str = "auto",
) -> Tensor:
    """Features (S, L*F) of a hash grid as in `hash_encode`, without the Jacobian. Differentiable in the table only."""
    return module("hash", backend, table).hash_features(points.detach(), table, spec, active_levels, count)


def clip_rays_to_box(rays: Rays, radius: float, *, backend: str = "auto") -> Rays:
    """The rays with `near` and `far` cut to the cube [-radius, radius]^3; near >= far where a ray misses it.

    Reads nothing on the host. A ray parallel to a face is handled as the limit of its neighbours."""
    return module("samples", backend, rays.near).clip_rays_to_box(rays, radius)


def march(
    rays: Rays,
    occupied: Tensor,
    radius: float,
    step: float,
    jitter: Tensor,
    capacity: int | None,
    *,
    backend: str = "auto",
) -> RaySamples:
    """Intervals along the rays whose middles lie in occupied cells of the cube [-radius, radius]^3, packed by ray.

    rays: already cut to the cube, near >= far for an empty one; occupied: (G, G, G) bool, indexed [x, y, z];
    jitter: (R,) in [0, 1). Interval k covers near + (k + jitter - 1 ... k + jitter) * step, cut to [near, far]: the
    intervals of a ray tile [near, far] without a gap, and the jitter shifts them by up to one step.
    capacity: size S of the result. The rays that fit, counted from the first, are kept whole; the others hold no
    samples, and `within_budget` is False for them. None gives the exact size and costs one host read. Not
    differentiable."""
    return module("rays", backend, rays.origins).march(rays, occupied, radius, step, jitter, capacity)


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
    *,
    backend: str = "auto",
) -> RaySamples:
    """Intervals along rays around a region of unbounded space: num[0] in front of the region, the region itself as one,
    num[1] behind it.

    region: the same rays, near and far where they enter and leave it; near = far where a ray misses it, and all that
    follows counts as behind. In each of the two stretches 1 / x changes by the same amount in every interval, where x
    is the distance from the region plus the distance of the region from the origin, at least the radius. rays.far may
    be infinite; the march ends 1000 radii behind the region at the latest.
    ray_mask: (R,) bool, False for rays that get no samples. behind_mask: (R,) bool, False for rays that get none behind
    the region. Of the others, an interval is kept where its middle lies in an occupied cell of contracted space; the
    region, and the last interval behind it, are always kept, and no interval without length is.
    jitter: (R,) in [0, 1) moves the edges between two intervals by up to half an interval; 0.5 leaves them. occupied:
    (G, G, G) bool over [-2, 2]^3 of `contract(points / radius)`, indexed [x, y, z]. Capacity, result and the rest as in
    `march`."""
    limits = num, jitter, ray_mask, behind_mask, capacity
    return module("unbounded", backend, rays.origins).march_unbounded(rays, region, occupied, radius, *limits)


def sample_points(rays: Rays, packed: RaySamples, *, backend: str = "auto") -> Tensor:
    """(S, 3) middles of the intervals in scene units; padding lies on the first ray.

    Differentiable in origins and directions; distances along the rays are constants."""
    return module("samples", backend, packed.t_starts).sample_points(rays, packed)


def concat_columns(
    parts: tuple[Tensor, ...], per_ray: Tensor | None, packed: RaySamples | None, *, backend: str = "auto"
) -> Tensor:
    """(S, C) float32: the columns of parts (S, c) or (S,), one after the other, followed by those of `per_ray`.

    per_ray: (R, c), each sample takes the row of its ray; (S, c) if packed is None. Differentiable in all."""
    return module("samples", backend, parts[0]).concat_columns(parts, per_ray, packed)


def composite(
    alpha: Tensor, values: tuple[Tensor, ...], packed: RaySamples, faint: float = 0.0, *, backend: str = "auto"
) -> tuple[Tensor, ...]:
    """Front-to-back blending along each ray.

    alpha: (S,) in [0, 1], both ends included; values: each (S, c) or (S,). Returns weights (S,) = transmittance *
    alpha, zero on padding; the weighted sums over each ray of 1, its opacity (R,), of the distances (R,) along it, in
    scene units, and of each of the values, (R, c) or (R,). Differentiable, once, in alpha and values, through all.
    faint: samples that less transmittance than this reaches get no gradient, as if their alpha and values were data."""
    return module("rays", backend, alpha).composite(alpha, values, packed, faint)


def over_background(rgb: Tensor, opacity: Tensor, background: Tensor, *, backend: str = "auto") -> Tensor:
    """(R, 3) colours of rays, given over black (R, 3) with their opacity (R,), over a background (3,) or (R, 3).

    Differentiable, once, in rgb and opacity."""
    return module("pixels", backend, rgb).over_background(rgb, opacity, background)


def distortion(weights: Tensor, packed: RaySamples) -> Tensor:
    """Spread of the weights along each ray, (R,), in scene units (mip-NeRF 360, arXiv:2111.12077, eq. 15).

    weights: (S,). Linear in the number of samples; differentiable in the weights. One implementation for all
    backends."""
    return reference_rays.distortion(weights, packed)


def mlp(x: Tensor, layers: Layers, count: Tensor | None = None, *, backend: str = "auto") -> Tensor:
    """(S, dim_out) outputs of a small network for inputs (S, dim_in). Differentiable, once, in inputs and layers.

    count: () int64 on the device; rows from there on are padding, which a backend may leave at zero, gradients too."""
    return module("mlp", backend, x).mlp(x, layers, count)


def sdf_mlp_with_gradient(
    points: Tensor, features: Tensor, jacobian: Tensor, layers: Layers, *, backend: str = "auto"
) -> tuple[Tensor, Tensor, Tensor]:
    """Output 0 (S,) of a network over encoded points, all its outputs (S, dim_out), the gradient (S, 3) of output 0.

    points: (S, 3) in [0, 1], with respect to which the gradient is taken; features: (S, K) of them; jacobian:
    (S, K, 3), d feature / d point. The network reads the features; if it takes K + 3 inputs, first the position
    2 points - 1.
    Differentiable, once, in features, jacobian and layers, through all three; in the points too, as if the features
    followed these by the Jacobian, but the Jacobian did not: so cameras that the points come from are moved by what is
    seen, and neither by normals nor by the length of the gradient through second derivatives of the encoding."""
    return module("mlp", backend, features).sdf_mlp_with_gradient(points, features, jacobian, layers)


def encode_sdf(
    points: Tensor,
    table: Tensor,
    spec: GridSpec,
    layers: Layers,
    active_levels: int | None = None,
    count: Tensor | None = None,
    *,
    backend: str = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    """Output 0 (S,) of a network over a hash grid, all its outputs (S, dim_out), the gradient (S, 3) of output 0: what
    `sdf_mlp_with_gradient` makes of `hash_encode`, at one go.

    points: (S, 3) in [0, 1]; table, active_levels and count as in `hash_encode`; layers as in `sdf_mlp_with_gradient`.
    With `layers.allow_fp16` a backend may keep the Jacobian of the features, and so the gradient, to 11 bits.
    Differentiable, once, in points, as there, table and layers, through all three."""
    return module("fields", backend, table).encode_sdf(points, table, spec, active_levels, count, layers)


def follow_points(features: Tensor, points: Tensor, jacobian: Tensor) -> Tensor:
    """Features (S, K) of points (S, 3), differentiable in these too, by the Jacobian (S, K, 3), which does not follow
    them. One implementation for all backends."""
    return reference_mlp.follow_points(features, points, jacobian)
