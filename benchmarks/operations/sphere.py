"""Inputs of the operations as a training step has them: rays of random pixels, and their samples around a sphere."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets.geometry.neighbours import views_around
from datasets.poses import look_at
from models import ops
from utils.cameras import camera_rays
from utils.rays import Photographs, Rays, RaySamples, SourceViews

RADIUS = 1.5  # of the region, as in configs/neus-blender.yaml
STEP = 2.0 * math.sqrt(3.0) * RADIUS / 1024
SPHERE = 1.0  # radius of the surface
BAND = 0.049  # half the thickness of the occupied shell: 8192 rays then just fill 2^18 samples
NUM_IMAGES = 64
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
    sources: SourceViews  # the photographs that the rays belong to: of noise, since that takes the same time
    image: Tensor  # (R,) int64, of each ray
    pixel: Tensor  # (R,) int64
    generator: torch.Generator  # on the device, for whatever else is drawn


def make_inputs(samples: int, spec: ops.GridSpec, device: torch.device, seed: int) -> Inputs:
    """Random inputs of `samples` samples and an according number of rays; equal for equal seeds on one device."""
    generator = torch.Generator(device).manual_seed(seed)
    sources = _photographs(device)
    rays, image, pixel = _rays(max(1, samples // SAMPLES_PER_RAY), sources.photographs, generator)
    rays = ops.clip_rays_to_box(rays, RADIUS)
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
        sources,
        image,
        pixel,
        generator,
    )


def _photographs(device: torch.device) -> SourceViews:
    """Grey photographs of NUM_IMAGES cameras that look at the origin from all sides, with four neighbours of each."""
    angles = 2.4 * np.arange(NUM_IMAGES)
    heights = 1.0 - (np.arange(NUM_IMAGES) + 0.5) * (2.0 / NUM_IMAGES)
    rings = np.sqrt(1.0 - heights**2)
    positions = DISTANCE * np.stack([rings * np.cos(angles), rings * np.sin(angles), heights], axis=1)
    cameras = np.stack([look_at(position, np.zeros(3), np.array([0.0, 0.0, 1.0])) for position in positions])
    focal, sizes = 0.5 * SIZE / math.tan(0.5 * ANGLE), torch.full((NUM_IMAGES,), SIZE, device=device)
    grey = torch.randint(1, 255, (NUM_IMAGES * SIZE**2,), dtype=torch.uint8, device=device)
    photographs = Photographs(
        grey[:, None].expand(-1, 3),
        torch.arange(NUM_IMAGES, device=device) * SIZE**2,
        sizes,
        torch.from_numpy(cameras.astype(np.float32)).to(device),
        torch.tensor([focal, focal, 0.5 * SIZE, 0.5 * SIZE], device=device).repeat(NUM_IMAGES, 1),
        0.0,
        math.inf,
    )
    neighbours = torch.from_numpy(views_around(cameras, 4)).to(device)
    return SourceViews(photographs, sizes, neighbours, grey, torch.full((NUM_IMAGES,), 0.005, device=device))


def _rays(num: int, photographs: Photographs, generator: torch.Generator) -> tuple[Rays, Tensor, Tensor]:
    """Rays of random places in random photographs, as a training step draws them; the photograph and pixel of each."""
    xy = torch.rand(num, 2, generator=generator, device=generator.device) * SIZE
    image = torch.randint(NUM_IMAGES, (num,), generator=generator, device=generator.device)
    origins, directions = camera_rays(xy, photographs.c2w[image], photographs.intrinsics[image])
    near = torch.zeros(num, device=generator.device)
    rays = Rays(origins.contiguous(), directions, near, torch.full_like(near, photographs.far))
    column, row = xy.long().clamp(max=SIZE - 1).unbind(-1)
    return rays, image, photographs.starts[image] + row * SIZE + column


def _shell(device: torch.device) -> Tensor:
    """(128, 128, 128) bool: the cells whose middle lies within BAND of the sphere."""
    middle = ((torch.arange(128, device=device) + 0.5) * (2.0 / 128) - 1.0) * RADIUS
    distance = (middle[:, None, None] ** 2 + middle[:, None] ** 2 + middle**2).sqrt()
    return (distance - SPHERE).abs() < BAND
