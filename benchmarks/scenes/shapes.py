"""Shapes that are hard to reconstruct, as meshes within the unit ball: a cage of thin wires, and the bundled cow."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from utils.mesh import Mesh
from utils.mesh.files import read_mesh
from utils.mesh.isosurface import extract_isosurface
from utils.registry import ROOT

COW = ROOT / "load" / "spot" / "gt_mesh.ply"
REGION = 1.1  # half the edge of the cube that holds the cage
WIRES = 12
WIRE = 0.014  # radius: 2.3 pixels of a photograph of 400
FLOOR, WAIST, TOP, WIDTH = -0.75, -0.25, 0.78, 0.7  # heights where the wires begin, bend and end; radius below the bend
RINGS = ((FLOOR, 0.03), (WAIST, 0.02), (0.25, 0.02), (0.6, 0.02))  # height and radius of the tube
LEAF = (0.22, 0.1, 0.012)  # half axes
LEAVES = 5


def cow() -> Mesh:
    """Spot by Keenan Crane (CC0), from the bundled scene, its farthest vertex at a distance of 1."""
    mesh = read_mesh(COW)
    places = mesh.vertices - 0.5 * (mesh.vertices.min(0) + mesh.vertices.max(0))
    return Mesh(places / np.linalg.norm(places, axis=1).max(), mesh.faces)


def cage(resolution: int) -> Mesh:
    """Wires, rings, leaves on stems and a knot on a plate, one surface; resolution: lattice points along an edge."""
    return extract_isosurface(distance_to_cage, REGION, resolution, 0.0, "below")


def distance_to_cage(points: Tensor) -> Tensor:
    """(P,) signed distance of points (P, 3), exact but at the leaves, where it is an estimate."""
    flat, height = points[:, :2].norm(dim=-1), points[:, 2]
    folded = _folded(points)
    parts = [_tube(folded, _wire(), WIRE), _tube(points, _knot(), 0.045), _plate(flat, height)]
    parts += [torch.hypot(flat - _radius_at(at), height - at) - thick for at, thick in RINGS]
    for number in range(LEAVES):
        turn = 2.0 * math.pi * number / LEAVES
        tip = (0.5 * math.cos(turn), 0.5 * math.sin(turn), 0.05 * number - 0.1)
        foot = (0.3 * math.cos(turn), 0.3 * math.sin(turn), FLOOR)
        parts += [_tube(points, [foot, tip], WIRE), _leaf(points, tip, turn)]
    return torch.stack(parts).amin(0)


def knot(resolution: int) -> Mesh:
    """A thick trefoil, whose parts hide and light one another; resolution: as for `cage`."""
    return extract_isosurface(
        lambda points: _tube(points / 2.1, _knot(), 0.065) * 2.1, REGION, resolution, 0.0, "below"
    )


def cup(resolution: int) -> Mesh:
    """An open cup with a handle; resolution: as for `cage`."""
    return extract_isosurface(distance_to_cup, REGION, resolution, 0.0, "below")


def distance_to_cup(points: Tensor) -> Tensor:
    """(P,) about the signed distance of points (P, 3): a round wall on a round floor, and half a ring."""
    flat, height = points[:, :2].norm(dim=-1), points[:, 2]
    path = flat.new_tensor([[0.0, -0.6], [0.35, -0.6], [0.5, -0.45], [0.55, 0.0], [0.6, 0.65]])
    wall = torch.full_like(flat, torch.inf)
    at = torch.stack([flat, height], dim=-1)
    for start, end in pairwise(path):
        along = end - start
        share = (((at - start) @ along) / along.dot(along)).clamp(0.0, 1.0)
        wall = torch.minimum(wall, (at - start - share[:, None] * along).norm(dim=-1))
    ring = torch.hypot(points[:, 0] - 0.55, height) - 0.3
    handle = torch.hypot(ring, points[:, 1]) - 0.06
    handle = torch.maximum(handle, 0.55 + 0.1 * height - flat)  # outside of the wall
    return torch.minimum(wall - 0.05, handle)


def _folded(points: Tensor) -> Tensor:
    """Points turned around the axis into the sector of the first wire."""
    sector = 2.0 * math.pi / WIRES
    turn = torch.atan2(points[:, 1], points[:, 0])
    turn = turn - sector * (turn / sector).round()
    flat = points[:, :2].norm(dim=-1)
    return torch.stack([flat * turn.cos(), flat * turn.sin(), points[:, 2]], dim=-1)


def _radius_at(height: float) -> float:
    """Of the cage: a cylinder, and half an ellipsoid above the waist."""
    rise = max(height - WAIST, 0.0) / 1.1
    return WIDTH * math.sqrt(1.0 - rise**2)


def _wire() -> list[tuple[float, float, float]]:
    heights = [FLOOR, *np.linspace(WAIST, TOP, 16).tolist()]
    return [(_radius_at(height), 0.0, height) for height in heights]


def _knot() -> list[tuple[float, float, float]]:
    """A trefoil, closed."""
    turns = np.linspace(0.0, 2.0 * np.pi, 97)
    around = 0.11 * (2.0 + np.cos(3.0 * turns))
    path = np.stack([around * np.cos(2.0 * turns), around * np.sin(2.0 * turns), 0.11 * np.sin(3.0 * turns) - 0.2], 1)
    return [tuple(place) for place in path.tolist()]


def _tube(points: Tensor, path: Sequence[tuple[float, float, float]], radius: float) -> Tensor:
    """Distance to a tube of a radius around a polyline."""
    corners = points.new_tensor(path)
    nearest = torch.full_like(points[:, 0], torch.inf)
    for start, end in pairwise(corners):
        along = end - start
        share = (((points - start) @ along) / along.dot(along)).clamp(0.0, 1.0)
        nearest = torch.minimum(nearest, (points - start - share[:, None] * along).norm(dim=-1))
    return nearest - radius


def _plate(flat: Tensor, height: Tensor) -> Tensor:
    """Distance to a disc of thickness 0.04 with round edges."""
    beyond = (flat - WIDTH).clamp(min=0.0)
    return torch.hypot(beyond, height - FLOOR) - 0.02


def _leaf(points: Tensor, centre: tuple[float, float, float], turn: float) -> Tensor:
    """About the distance to an ellipsoid that leans outward: value over gradient of |p / axes|, first order."""
    cos, sin, lean = math.cos(turn), math.sin(turn), 0.5
    outward = (cos * math.cos(lean), sin * math.cos(lean), -math.sin(lean))
    aside, up = (-sin, cos, 0.0), (cos * math.sin(lean), sin * math.sin(lean), math.cos(lean))
    axes = points.new_tensor(LEAF)
    local = (points - points.new_tensor(centre)) @ points.new_tensor([outward, aside, up]).T
    value, slope = (local / axes).norm(dim=-1), (local / axes**2).norm(dim=-1)
    return value * (value - 1.0) / slope.clamp(min=1e-9)
