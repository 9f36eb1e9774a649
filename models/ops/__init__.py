"""The one door to the numerical operations: each function here picks the backend that fits its tensors.

`backend` is "auto" (Numba for float32 on a CPU, otherwise plain PyTorch), "reference" or "numba". Given a capacity, no
operation reads a value on the host, and no shape depends on data."""

import importlib
import importlib.util
import logging
from functools import cache
from types import ModuleType

from torch import Tensor, float32

from models.ops import reference_rays
from models.ops.geometry import clip_rays_to_box, spherical_harmonics
from models.ops.grid import GridSpec
from utils.rays import Packed, Rays

__all__ = [
    "GridSpec",
    "clip_rays_to_box",
    "composite",
    "distortion",
    "hash_encode",
    "hash_features",
    "march",
    "spherical_harmonics",
]

BACKENDS = ("auto", "reference", "numba")
log = logging.getLogger(__name__)


def hash_encode(
    points: Tensor, table: Tensor, spec: GridSpec, active_levels: int | None = None, *, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """Features of a hash grid and their Jacobian, in one pass.

    points: (S, 3) in [0, 1], clamped beyond; table: (spec.num_entries, F). Levels from `active_levels` on give zeros.
    Returns features (S, L*F) and d feature / d point (S, L*F, 3); the latter is a view of a contiguous (S, 3, L*F),
    the layout in which contracting it with a gradient of the features is fastest. It is zero along an axis on which
    the point was clamped. Differentiable, once, in the table, through both outputs; not in the points."""
    return _module("hash", backend, table).hash_encode(points.detach(), table, spec, active_levels)


def hash_features(
    points: Tensor, table: Tensor, spec: GridSpec, active_levels: int | None = None, *, backend: str = "auto"
) -> Tensor:
    """Features (S, L*F) of a hash grid as in `hash_encode`, without the Jacobian. Differentiable in the table only."""
    return _module("hash", backend, table).hash_features(points.detach(), table, spec, active_levels)


def march(
    rays: Rays,
    occupied: Tensor,
    radius: float,
    step: float,
    jitter: Tensor,
    capacity: int | None,
    *,
    backend: str = "auto",
) -> Packed:
    """Intervals along the rays whose middles lie in occupied cells of the cube [-radius, radius]^3, packed by ray.

    rays: already cut to the cube, near >= far for an empty one; occupied: (G, G, G) bool, indexed [x, y, z];
    jitter: (R,) in [0, 1). Interval k covers near + (k + jitter - 1 ... k + jitter) * step, cut to [near, far]: the
    intervals of a ray tile [near, far] without a gap, and the jitter shifts them by up to one step.
    capacity: size S of the result. The rays that fit, counted from the first, are kept whole; the others hold no
    samples and are not alive. None gives the exact size and costs one host read. Not differentiable."""
    return _module("rays", backend, rays.origins).march(rays, occupied, radius, step, jitter, capacity)


def composite(alpha: Tensor, values: Tensor, packed: Packed, *, backend: str = "auto") -> tuple[Tensor, Tensor, Tensor]:
    """Front-to-back blending along each ray.

    alpha: (S,) in [0, 1], both ends included; values: (S, C). Returns weights (S,) = transmittance * alpha, zero on
    padding; opacity (R,), the sum of a ray's weights; accumulated (R, C), the weighted sum of its values.
    Differentiable, once, in alpha and values, through all three."""
    return _module("rays", backend, alpha).composite(alpha, values, packed)


def distortion(weights: Tensor, packed: Packed) -> Tensor:
    """Spread of the weights along each ray, (R,), in scene units (mip-NeRF 360, arXiv:2111.12077, eq. 15).

    weights: (S,). Linear in the number of samples; differentiable in the weights. One implementation for all
    backends."""
    return reference_rays.distortion(weights, packed)


def _module(family: str, backend: str, tensor: Tensor) -> ModuleType:
    """The module that implements a family of operations; fast backends are imported only when they are used."""
    if backend not in BACKENDS:
        raise ValueError(f"Expected backend to be one of {', '.join(BACKENDS)}. Got '{backend}'.")
    on_cpu = tensor.device.type == "cpu" and tensor.dtype == float32
    if backend == "numba" and not on_cpu:
        raise ValueError(f"Expected float32 tensors on a CPU for backend 'numba'. Got {tensor.dtype}, {tensor.device}.")
    if backend == "auto":
        backend = "numba" if on_cpu and _has_numba() else "reference"
    return importlib.import_module(f"models.ops.{backend}_{family}")


@cache
def _has_numba() -> bool:
    found = importlib.util.find_spec("numba") is not None
    if not found:
        log.warning("numba is not installed: plain PyTorch is used on the CPU, several times slower. pip install numba")
    return found
