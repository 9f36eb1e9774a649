"""How a surface looks under light: a matt base below a clear coat of GGX, seen against what a mesh hides."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from systems.export.materials.directions import Taps, cosines, lobe, mirrored_share, shrink, taps

ROUGHNESSES = (0.15, 0.35, 0.5, 0.7, 1.0)  # what mirrors is computed for these and mixed; the first is clear
MIRRORED = 0.04  # F0 of glTF's materials that are no metal
HIDING = 12  # rows of the maps of light that rough coats mirror, and of those that tell which directions are open


def rows_of(maps: Tensor) -> int:
    """Of maps (P, K)."""
    return math.isqrt(maps.shape[1] // 2)


@dataclass(frozen=True)
class Paper:
    """What white paper at P points shows, whatever the light is."""

    near: Tensor  # (P, K) shares of the directions that are open, cosine times steradians over pi
    rest: Tensor  # (P, 1) share of all that faces hide

    def shows(self, light: Tensor, bounce: Tensor) -> Tensor:
        """(P, 3) radiance, of what is open and of the surface itself elsewhere.

        light: (K', 3) radiance, of a multiple of the rows of `near`; bounce: (3,) mean radiance of the surface."""
        return self.near @ shrink(light, rows_of(self.near)) + self.rest * bounce


def paper(normals: Tensor, opened: Tensor) -> Paper:
    """White paper with normals (P, 3); opened: (P, K) 1 where a direction is open, else 0, a map each."""
    weight = cosines(normals, rows_of(opened)) / math.pi
    return Paper(weight * opened, (weight * (1.0 - opened)).sum(dim=1, keepdim=True))


@dataclass(frozen=True)
class Sights:
    """O looks at points from somewhere: what of them does not depend on the light."""

    row: Tensor  # (O,) int64: at which point
    coat: Tensor  # (O, L) share of even light that is mirrored at each of ROUGHNESSES
    mirror: tuple[Taps, Taps]  # of maps of light in the direction that a mirror would show: fine, and of HIDING rows
    opened: Tensor  # (O, 1) share of that direction that no face hides


def sights(row: Tensor, toward: Tensor, normals: Tensor, opened: Tensor, height: int) -> Sights:
    """Looks at points `row` (O,) from unit directions `toward` (O, 3).

    normals: (P, 3) of all points; opened: (P, K) as for `paper`; height: rows of the map of light."""
    normal = normals[row]
    facing = (toward * normal).sum(dim=1, keepdim=True)
    mirror = 2.0 * facing * normal - toward
    is_open = taps(mirror, rows_of(opened)).read_rows(opened, row)[:, None]
    coat = torch.stack([_coat(roughness, facing[:, 0].clamp(1e-3, 1.0)) for roughness in ROUGHNESSES], dim=1)
    return Sights(row, coat, (taps(mirror, height), taps(mirror, HIDING)), is_open)


def mirrored(light: Tensor, seen: Sights, shares: Tensor, bounce: Tensor) -> Tensor:
    """(O, 3) radiance that the coat mirrors (Karis 2013, split sum); light and bounce as for `Paper.shows`.

    shares: (L,) or (O, L), how much each of ROUGHNESSES counts."""
    coarse, weight = shrink(light, HIDING), shares * seen.coat
    blurred = torch.cat([lobe(roughness, HIDING, light.device) @ coarse for roughness in ROUGHNESSES[1:]], dim=1)
    clear, rough = (where.read(values) for where, values in zip(seen.mirror, (light, blurred), strict=True))
    around = torch.cat([clear, rough], dim=1).reshape(len(weight), -1, 3)
    around = (around * weight[:, :, None]).sum(dim=1)
    return around * seen.opened + bounce * (1.0 - seen.opened) * weight.sum(dim=1, keepdim=True)


def _coat(roughness: float, facing: Tensor) -> Tensor:
    """(O,) share of even light that the coat mirrors at cosines (O,)."""
    table = mirrored_share(roughness, facing.device)
    at = (facing * len(table) - 0.5).clamp(0.0, len(table) - 1.0)
    left = at.floor().clamp(max=len(table) - 2).long()
    found = table[left] + (table[left + 1] - table[left]) * (at - left)[:, None]
    return found[:, 0] * MIRRORED + found[:, 1]


def roughness_shares(roughness: Tensor) -> Tensor:
    """(O, L): how much each of ROUGHNESSES counts for a roughness (O,): the two beside it, linearly."""
    levels = torch.tensor(ROUGHNESSES, device=roughness.device)
    right = torch.bucketize(roughness, levels).clamp(1, len(levels) - 1)
    share = ((roughness - levels[right - 1]) / (levels[right] - levels[right - 1])).clamp(0.0, 1.0)[:, None]
    found = torch.zeros(len(roughness), len(levels), device=roughness.device)
    return found.scatter(1, right[:, None] - 1, 1.0 - share).scatter(1, right[:, None], share)
