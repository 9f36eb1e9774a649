"""Inputs of the operations as a training step has them: rays of random pixels, and their samples around a sphere."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets.poses import look_at
from models import ops
from utils.cameras import camera_rays
from utils.rays import Rays, RaySamples

RADIUS = 1.5  # of the region, as in configs/neus-blender.yaml
STEP = 2.0 * math.sqrt(3.0) * RADIUS / 1024
SPHERE = 1.0  # radius of the surface
BAND = 0.049  # half the thickness of the occupied shell: 8192 rays then just fill 2^18 samples
SAMPLES_PER_RAY = 32  # on average, over rays that hit and rays that miss
DISTANCE, ANGLE, SIZE = 4.0, 0.69, 400  # of the cameras: from the origin, field of view in radians, pixels


@dataclass(frozen=True)
class Inputs:
    """One set of inputs; `capacity` samples, of which `packed.count` are in use."""

    rays: Rays  # cut to the region
    jitter: Tensor  # (R,)
    occupied: Tensor  # (128, 128, 128) bool
    packed: RaySamples
    directions: Tensor  # (S, 3) of the samples
    points: Tensor  # (S, 3) of the samples, in [0, 1]
    scattered: Tensor  # (S, 3) even in [0, 1]
    table: Tensor  # (entries, F) of the hash grid, a leaf
    sdf: Tensor  # (S,) scene units
    gradient: Tensor  # (S, 3)
    generator: torch.Generator  # on the device, for whatever else is drawn


def make_inputs(samples: int, spec: ops.GridSpec, device: torch.device, seed: int) -> Inputs:
    """Random inputs of `samples` samples and an according number of rays; equal for equal seeds on one device."""
    generator = torch.Generator(device).manual_seed(seed)
    rays = ops.clip_rays_to_box(_rays(max(1, samples // SAMPLES_PER_RAY), generator), RADIUS)
    jitter = torch.rand(len(rays), generator=generator, device=device)
    occupied = _shell(device)
    packed = ops.march(rays, occupied, RADIUS, STEP, jitter, samples)
    directions = rays.directions[packed.ray_indices]
    points = rays.origins[packed.ray_indices] + packed.t_mids[:, None] * directions
    noise = torch.randn(points.shape, generator=generator, device=device)
    table = torch.empty(spec.num_entries, spec.features_per_level, device=device)
    return Inputs(
        rays,
        jitter,
        occupied,
        packed,
        directions,
        points * (0.5 / RADIUS) + 0.5,
        torch.rand(points.shape, generator=generator, device=device),
        table.normal_(0.0, 0.1, generator=generator).requires_grad_(),
        points.norm(dim=-1) - SPHERE + 0.01 * noise[:, 0],
        points / points.norm(dim=-1, keepdim=True).clamp(min=1e-6) + 0.1 * noise,
        generator,
    )


def _rays(num: int, generator: torch.Generator) -> Rays:
    """Rays of random pixels of 64 cameras that look at the origin from all sides, as a training step draws them."""
    device = generator.device
    angles = 2.4 * np.arange(64)
    heights = 1.0 - (np.arange(64) + 0.5) / 32.0
    rings = np.sqrt(1.0 - heights**2)
    positions = DISTANCE * np.stack([rings * np.cos(angles), rings * np.sin(angles), heights], axis=1)
    cameras = np.stack([look_at(position, np.zeros(3), np.array([0.0, 0.0, 1.0])) for position in positions])
    c2w = torch.from_numpy(cameras.astype(np.float32)).to(device)
    focal = 0.5 * SIZE / math.tan(0.5 * ANGLE)
    intrinsics = torch.tensor([focal, focal, 0.5 * SIZE, 0.5 * SIZE], device=device)
    xy = torch.rand(num, 2, generator=generator, device=device) * SIZE
    origins, directions = camera_rays(
        xy, c2w[torch.randint(64, (num,), generator=generator, device=device)], intrinsics
    )
    near = torch.zeros(num, device=device)
    return Rays(origins.contiguous(), directions, near, torch.full_like(near, math.inf))


def _shell(device: torch.device) -> Tensor:
    """(128, 128, 128) bool: the cells whose middle lies within BAND of the sphere."""
    middle = ((torch.arange(128, device=device) + 0.5) * (2.0 / 128) - 1.0) * RADIUS
    distance = (middle[:, None, None] ** 2 + middle[:, None] ** 2 + middle**2).sqrt()
    return (distance - SPHERE).abs() < BAND
