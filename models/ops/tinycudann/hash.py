"""The hash grid by tiny-cuda-nn (https://github.com/NVlabs/tiny-cuda-nn), an optional package, on our own table.

This module has been tested against a stand-in in plain PyTorch only, never against a build of the package. The table
stays the parameter, in our layout, so that a checkpoint serves every backend; the first use of a grid compares the
package's features with the reference. Everything is float32: in half precision the package's gradients overflow."""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from models.ops.backends import module
from models.ops.grid import GridSpec
from models.ops.reference import hash as reference_hash
from models.ops.tinycudann.package import Finite, load, refuse_recording, without_parameters
from utils.errors import ConfigError

# Mean difference of features of a table of size 1: rounding gives 0.0015 at a resolution of 4096, other rows give 0.6.
TOLERANCE = 0.1
WAY_OUT = "Change model.geometry.xyz_encoding_config, or use model.backend=auto."


def hash_encode(
    points: Tensor, table: Tensor, spec: GridSpec, active_levels: int | None, count: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Features and Jacobian as in `models.ops.hash_encode`: features by the package, the Jacobian by "auto".

    The package gives products with the Jacobian only, so that all of it would take L*F backward passes, and its
    gradient in the table a double backward pass: the part of the package that is known to give NaN. Where every
    point needs its Jacobian, backend "auto" alone is therefore faster.
    Raises ConfigError as `hash_features`."""
    jacobian = module("hash", "auto", table).hash_encode(points, table, spec, active_levels, count)[1]
    return hash_features(points, table, spec, active_levels, count), jacobian


def hash_features(
    points: Tensor, table: Tensor, spec: GridSpec, active_levels: int | None, count: Tensor | None = None
) -> Tensor:
    """Features as in `models.ops.hash_features`, padding included; a gradient of the table that is not finite is 0.

    Raises ConfigError where the package does not load or indexes this grid otherwise, and while a CUDA graph is
    recorded."""
    width = spec.clip_levels(active_levels) * spec.features_per_level
    if points.shape[0] == 0 or width == 0:  # the package fails on no rows
        return reference_hash.hash_features(points, table, spec, active_levels)
    refuse_recording(points.device)
    features = _grid(spec, table.device).features(points, table)[:, :width]
    return F.pad(features, (0, spec.output_dim - width)) if width < spec.output_dim else features


class _Grid:
    """The package's encoding for one layout on one device, without a table of its own."""

    def __init__(self, spec: GridSpec, device: torch.device) -> None:
        self.encoding = without_parameters(_encoding(spec), device)
        self.finite = Finite("the hash grid", device)

    def features(self, points: Tensor, table: Tensor) -> Tensor:
        """(S, L*F) or wider, of S > 0 points; differentiable, once, in the table."""
        params = table.reshape(-1)
        inside = points.clamp(0.0, 1.0)  # beyond the cube the package goes on with other entries
        features = functional_call(self.encoding, {"params": params}, (inside,))
        if features.requires_grad:
            params.register_hook(self.finite)
            features.register_hook(Tensor.contiguous)  # the package reads memory row by row, whatever the strides
        return features


@lru_cache(maxsize=16)
def _grid(spec: GridSpec, device: torch.device) -> _Grid:
    """The grid of a layout, compared with the reference. Raises ConfigError where they differ."""
    with torch.inference_mode(False), torch.no_grad():  # a grid that is made in a test pass serves training too
        grid = _Grid(spec, device)
        generator = torch.Generator(device).manual_seed(0)
        points = torch.rand(256, 3, generator=generator, device=device)
        table = torch.randn(spec.num_entries, spec.features_per_level, generator=generator, device=device)
        difference = grid.features(points, table)[:, : spec.output_dim]
        difference = difference - reference_hash.hash_features(points, table, spec, None)
        by_level = difference.abs().unflatten(1, (spec.num_levels, -1)).mean(dim=(0, 2))
    for level, value in enumerate(by_level.tolist()):
        if not value < TOLERANCE:
            raise ConfigError(
                f"model.backend=tinycudann: expected the features of the reference, got others on level {level} of "
                f"{spec} (mean difference {value:.2g}): tiny-cuda-nn lays this grid out otherwise. {WAY_OUT}"
            )
    return grid


def _encoding(spec: GridSpec) -> nn.Module:
    """The package's encoding. Raises ConfigError if it does not load, or has no such grid."""
    config = {
        "otype": "HashGrid",
        "n_levels": spec.num_levels,
        "n_features_per_level": spec.features_per_level,
        "log2_hashmap_size": spec.log2_hashmap_size,
        "base_resolution": spec.base_resolution,
        "per_level_scale": spec.per_level_scale,
    }
    try:
        encoding = load().Encoding(3, config, dtype=torch.float32)
    except RuntimeError as error:
        raise ConfigError(f"model.backend=tinycudann: tiny-cuda-nn refuses {spec}: {error}. {WAY_OUT}") from error
    expected, found = spec.num_entries * spec.features_per_level, encoding.params.numel()
    if found != expected:  # it rounds the resolution of a level otherwise
        raise ConfigError(
            f"model.backend=tinycudann: expected {expected} parameters for {spec}, got {found}: tiny-cuda-nn lays "
            f"this grid out otherwise. {WAY_OUT}"
        )
    return encoding
