"""Bakes textures without light: albedo and roughness of every texel, from what its surface shows in several views."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from systems.export.materials.directions import directions
from systems.export.materials.occlusion import open_directions
from systems.export.materials.separation import BRIGHTEST, DARKEST, ROWS, Looks, Separation, separate
from systems.export.materials.shading import HIDING, mirrored, paper, roughness_shares, sights
from utils.images import linear_from_srgb, srgb_from_linear
from utils.mesh import Mesh
from utils.mesh.atlas import Texels

Toward = Callable[[np.ndarray, np.ndarray], np.ndarray]  # points (P, 3), normals (P, 3) -> unit directions to the eye
LoadViews = Callable[[Texels], Iterable[tuple[Toward, np.ndarray]]]  # with weight times sRGB, and weight, (T', 4)

SOLVED, LIT = 2000, 24_000  # points at which the light is found; at which that on the surface is computed
NEIGHBOURS = 6  # of a point of the first kind
MIXED = 4  # points of the second kind between which a texel lies
PER_POINT = 6  # looks at a point that are used, on average
FULL = 0.985  # sRGB from which on the surface may have been brighter than a photograph can be
GLINT = 0.03  # mirrored light at which a look counts half
ALIKE = 0.3  # of logarithms of albedos: what looks alike has the roughness of its neighbours
LEAST = 0.02  # of what white would show where hardly any light comes


@dataclass(frozen=True)
class Baked:
    """What the texels are made of."""

    albedo: np.ndarray  # (T', 3) sRGB in [0, 1]
    roughness: np.ndarray  # (T',) in [0, 1], of glTF
    found: Separation  # with the light


def bake(mesh: Mesh, texels: Texels, views: LoadViews, device: torch.device) -> Baked:
    """Albedo and roughness of texels of a mesh; the views, which are gone through twice, show all of them."""
    some = _spread(texels, SOLVED, 0)
    lit = _spread(texels, LIT, 1)
    opened = [_tensor(_open(mesh, part), device) for part in (some, lit)]
    normals = [_tensor(part.normals, device) for part in (some, lit)]
    near = cKDTree(_places(some, mesh)).query(_places(some, mesh), k=min(NEIGHBOURS + 1, len(some.row)))[1][:, 1:]
    looks = _looks(some, normals[0], opened[0], views)
    found = separate(
        paper(normals[0], opened[0]), torch.from_numpy(near).to(device), looks, _tensor(some.points, device)
    )
    known = found.roughness.cpu().numpy()
    share, between = _between(_places(lit, mesh), _places(texels, mesh))
    beside, nearby = _between(_places(some, mesh), _places(lit, mesh))
    shares = roughness_shares(_tensor((known[nearby] * beside).sum(axis=1), device))
    coat = np.zeros((len(lit.row), 3), np.float32)
    sums = np.zeros((len(texels.row), 4), np.float32)
    for toward, weighed in views(texels):
        at = np.flatnonzero(weighed[:, 3])
        used = np.unique(between[at])
        row, eye = torch.from_numpy(used).to(device), toward(lit.points[used], lit.normals[used])
        seen = sights(row, _tensor(eye, device), normals[1], opened[1], ROWS)
        coat[used] = mirrored(found.surroundings, seen, shares[row], found.bounce).cpu().numpy()
        srgb = weighed[at, :3] / weighed[at, 3:]
        glint = (coat[between[at]] * share[at, :, None]).sum(axis=1)
        weight = weighed[at, 3] / (1.0 + (glint.max(axis=1) / GLINT) ** 2)
        weight = np.where((srgb > FULL).any(axis=1), 1e-3 * weight, weight)
        sums[at, :3] += weight[:, None] * (linear_from_srgb(srgb) - glint)
        sums[at, 3] += weight
    white = paper(normals[1], opened[1]).shows(found.surroundings, found.bounce).clamp(min=LEAST).cpu().numpy()
    matt = sums[:, :3] / sums[:, 3:]
    albedo = (matt / (white[between] * share[:, :, None]).sum(axis=1)).clip(DARKEST, BRIGHTEST)
    beside, nearby = _between(_places(some, mesh), _places(texels, mesh))
    apart = np.log(albedo)[:, None] - found.albedo.clamp(DARKEST, BRIGHTEST).log().cpu().numpy()[nearby]
    beside = beside * np.exp(-0.5 * (apart**2).sum(axis=2) / ALIKE**2) + 1e-6 * beside
    roughness = (known[nearby] * beside).sum(axis=1) / beside.sum(axis=1)
    return Baked(srgb_from_linear(albedo), roughness, found)


def _spread(texels: Texels, count: int, seed: int) -> Texels:
    """About `count` of the texels, at random, so that equal areas have equally many."""
    generator = np.random.default_rng(seed)
    pick = np.sort(generator.choice(len(texels.row), min(count, len(texels.row)), replace=False))
    return Texels(texels.row[pick], texels.column[pick], texels.points[pick], texels.normals[pick])


def _open(mesh: Mesh, texels: Texels) -> np.ndarray:
    return open_directions(mesh, texels.points, texels.normals, directions(HIDING).double().numpy())


def _tensor(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)


def _places(texels: Texels, mesh: Mesh) -> np.ndarray:
    """(T', 6) where points that lie close look the same way too: two sides of a sheet are far apart."""
    size = float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    return np.hstack([texels.points, 0.05 * size * texels.normals])


def _between(places: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares (N, MIXED) float32 and indices of the places nearest to each of N others, the closer the more."""
    distance, index = cKDTree(places).query(others, k=min(MIXED, len(places)), workers=-1)
    weight = 1.0 / (distance**2 + 1e-3 * distance[:, -1:] ** 2 + 1e-12)
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32), index


def _looks(texels: Texels, normals: Tensor, opened: Tensor, views: LoadViews) -> Looks:
    """What the views show of some texels."""
    rows, eyes, colors = [], [], []
    for toward, weighed in views(texels):
        at = np.flatnonzero(weighed[:, 3])
        rows.append(at)
        eyes.append(toward(texels.points[at], texels.normals[at]))
        colors.append(weighed[at, :3] / weighed[at, 3:])
    row, eye, srgb = np.concatenate(rows), np.concatenate(eyes), np.concatenate(colors)
    most = PER_POINT * len(texels.row)
    if len(row) > most:
        keep = np.random.default_rng(2).choice(len(row), most, replace=False)
        row, eye, srgb = row[keep], eye[keep], srgb[keep]
    device = normals.device
    seen = sights(torch.from_numpy(row).to(device), _tensor(eye, device), normals, opened, ROWS)
    return Looks(seen, _tensor(linear_from_srgb(srgb), device), torch.from_numpy(srgb > FULL).to(device))
