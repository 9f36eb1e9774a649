"""Maps of all directions: light as a picture of the surroundings, what a matt surface gathers, what a gloss mirrors."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Taps:
    """Where a map is read: four texels for each of N directions, and their shares."""

    index: Tensor  # (N, 4) int64 into the texels of a map
    share: Tensor  # (N, 4), sums to 1

    def read(self, values: Tensor) -> Tensor:
        """(N, C) of a map (K, C), linear between the centres of its texels."""
        corners = F.embedding(self.index, values)  # whose gradient is quick on CPUs too
        return (corners * self.share[:, :, None]).sum(dim=1)

    def read_rows(self, rows: Tensor, row: Tensor) -> Tensor:
        """(N,) where each of R points has a map of its own, rows (R, K); row: (N,) whose."""
        return (rows[row[:, None], self.index] * self.share).sum(dim=1)


@lru_cache(maxsize=8)
def directions(height: int) -> Tensor:
    """(K, 3) float32 unit directions of the K = 2 H^2 texels, row by row from +z down, each from +y towards +x."""
    fall = (torch.arange(height, dtype=torch.float64) + 0.5) / height * math.pi
    turn = (torch.arange(2 * height, dtype=torch.float64) + 0.5) / height * math.pi
    ring = fall.sin()[:, None]
    found = [ring * turn.sin(), ring * turn.cos(), fall.cos()[:, None].expand(-1, 2 * height)]
    return torch.stack(found, dim=-1).reshape(-1, 3).float()


@lru_cache(maxsize=8)
def solid_angles(height: int) -> Tensor:
    """(K,) float32 steradians of the texels; their sum is 4 pi."""
    edges = torch.arange(height + 1, dtype=torch.float64) / height * math.pi
    rows = (edges[:-1].cos() - edges[1:].cos()) * math.pi / height
    return rows.repeat_interleave(2 * height).float()


def taps(toward: Tensor, height: int) -> Taps:
    """Where a map of H rows is read for directions (N, 3), unit length."""
    row = (toward[:, 2].clamp(-1.0, 1.0).acos() / math.pi * height - 0.5).clamp(0.0, height - 1.0)
    column = torch.atan2(toward[:, 0], toward[:, 1]) / math.pi * height - 0.5
    upper, left = row.floor().clamp(max=height - 2), column.floor()
    v, u = row - upper, column - left
    upper, left = upper.long(), left.long()
    near, far = left % (2 * height), (left + 1) % (2 * height)
    index = torch.stack([upper, upper, upper + 1, upper + 1], 1) * 2 * height + torch.stack([near, far, near, far], 1)
    return Taps(index, torch.stack([(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u], dim=1))


def shrink(light: Tensor, height: int) -> Tensor:
    """(K, 3) a map of H rows of the same light as a finer one (K', 3), whose rows are a multiple of H."""
    fine = math.isqrt(len(light) // 2)
    times = fine // height
    weighted = (light * solid_angles(fine).to(light)[:, None]).reshape(height, times, 2 * height, times, 3)
    return weighted.sum(dim=(1, 3)).reshape(-1, 3) / solid_angles(height).to(light)[:, None]


def cosines(normals: Tensor, height: int) -> Tensor:
    """(N, K) steradians times the cosine between normals (N, 3) and the directions of a map; 0 behind the surface."""
    return (normals @ directions(height).to(normals).T).clamp(min=0.0) * solid_angles(height).to(normals)


@lru_cache(maxsize=32)
def lobe(roughness: float, height: int, device: torch.device) -> Tensor:
    """(K, K) shares; it times a map is what a surface that faces each direction mirrors, seen from there.

    Karis 2013 ("Real shading in Unreal Engine 4"): light weighs D(h) n.l with n = v = r, D that of GGX (Walter et al.
    2007, eq. 33) at alpha = roughness^2, wider by the size of a texel, so that no light falls between them."""
    toward = directions(height)
    cosine = (toward @ toward.T).clamp(-1.0, 1.0)
    half = 0.5 * (1.0 + cosine)  # the squared cosine between n and the half vector
    alpha2 = roughness**4 + (0.25 * math.pi / height) ** 2
    weight = cosine.clamp(min=0.0) / (half * (alpha2 - 1.0) + 1.0) ** 2 * solid_angles(height)
    return (weight / weight.sum(dim=1, keepdim=True)).to(device)


@lru_cache(maxsize=32)
def mirrored_share(roughness: float, device: torch.device, count: int = 32, samples: int = 1024) -> Tensor:
    """(count, 2): what a surface under even light mirrors, as F0 * [:, 0] + [:, 1]; at cosines (0 .. count - 1 + 1/2)
    / count of the view.

    The second sum of Karis 2013, over half vectors drawn from GGX, with the shadowing of Smith (Heitz 2014, eq. 99)."""
    alpha = roughness**2
    order = (torch.arange(samples, dtype=torch.float64) + 0.5) / samples
    turn = 2.0 * math.pi * (torch.arange(samples, dtype=torch.float64) * 0.6180339887498949 % 1.0)
    rise2 = (1.0 - order) / (1.0 + (alpha**2 - 1.0) * order)
    ring = (1.0 - rise2).clamp(min=0.0).sqrt()
    half = torch.stack([ring * turn.cos(), ring * turn.sin(), rise2.sqrt()], dim=-1)
    nv = ((torch.arange(count, dtype=torch.float64) + 0.5) / count)[:, None]
    view = torch.cat([(1.0 - nv**2).sqrt(), torch.zeros_like(nv), nv], dim=1)
    vh = (view @ half.T).clamp(min=1e-6)
    nl = (2.0 * vh * half[:, 2] - nv).clamp(min=0.0)

    def smith(cosine: Tensor) -> Tensor:
        return 2.0 / (1.0 + (1.0 + alpha**2 * (1.0 / cosine.clamp(min=1e-6) ** 2 - 1.0)).sqrt())

    weight = torch.where(nl > 0.0, smith(nl) * smith(nv) * vh / (half[:, 2].clamp(min=1e-6) * nv), 0.0)
    fresnel = (1.0 - vh) ** 5
    return (
        torch.stack([((1.0 - fresnel) * weight).mean(dim=1), (fresnel * weight).mean(dim=1)], dim=1).float().to(device)
    )
