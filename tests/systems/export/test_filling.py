"""Cavities that no photograph looks into become solid, however they are joined; what photographs see stays."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic_shapes import camera_at, cameras_around
from scipy.spatial import cKDTree
from torch import Tensor

from systems.export.filling import Filling, fill_hidden
from systems.export.solid import Enclosure
from utils.cameras import Camera
from utils.mesh import Mesh
from utils.mesh.isosurface import extract_isosurface
from utils.mesh.topology import topology

RESOLUTION, RADIUS, BALL = 64, 0.65, 0.4
SPACING = 2.0 * RADIUS / (RESOLUTION - 1)
GROUND = np.array([0.0, 0.0, 1.0, -0.3])
TILTED = np.append(np.array([0.1, 0.05, 1.0]) / np.linalg.norm([0.1, 0.05, 1.0]), -0.2523)
ABOVE = [camera for camera in cameras_around(48, 3.0, size=120, angle=0.5) if camera.c2w[2, 3] > 0.3]
AXES = np.array([[1.0, 0.2, 0.6], [-0.5, 0.4, 0.8], [0.3, -0.2, -1.0], [-0.3, 0.1, -1.0]])  # of pinholes
AXES /= np.linalg.norm(AXES, axis=1, keepdims=True)
WEST = np.array([-0.7, 0.5, 0.2])
WEST /= np.linalg.norm(WEST)
Shape = Callable[[Tensor], Tensor]


def ball(points: Tensor) -> Tensor:
    return points.norm(dim=1) - BALL


def tube(points: Tensor, axis: list[float], radius: float) -> Tensor:
    """From the origin along a unit vector: a hole to be drilled."""
    unit = torch.tensor(axis)
    along = points @ unit
    return torch.maximum((points - along[:, None] * unit).norm(dim=1) - radius, -along)


def with_pinholes(points: Tensor) -> Tensor:
    """A hollow ball whose cavities join each other and the outside, through the side, the top and the bottom."""
    cavity = torch.minimum(points.norm(dim=1) - 0.25, (points - torch.tensor([0.1, 0.0, -0.25])).norm(dim=1) - 0.12)
    for axis in AXES.tolist():
        cavity = torch.minimum(cavity, tube(points, axis, 0.02))
    return torch.maximum(ball(points), -cavity)


def ring(points: Tensor) -> Tensor:
    """Upright, with its foot in the ground: a handle."""
    across = torch.stack([points[:, [0, 2]].norm(dim=1) - 0.25, points[:, 1]], dim=1)
    return across.norm(dim=1) - 0.1


def table(points: Tensor) -> Tensor:
    """A plate on one leg: from above no camera sees all of what is below it."""
    plate = torch.maximum(points[:, :2].norm(dim=1) - 0.35, (points[:, 2] + 0.1).abs() - 0.05)
    return torch.minimum(plate, torch.maximum(points[:, :2].norm(dim=1) - 0.1, points[:, 2] + 0.1))


def extracted(shape: Shape, ground: np.ndarray) -> Mesh:
    """The surface of a shape above a plane; nothing else is filled or cut."""
    normal, offset = torch.tensor(ground[:3]).float(), float(ground[3])

    def field(points: Tensor) -> Tensor:
        return torch.maximum(shape(points), offset - points @ normal)

    return extract_isosurface(field, RADIUS, RESOLUTION, 0.0, "below")


def gallery(points: Tensor) -> Tensor:
    """A ball with a hole that leads from its side to its middle: few cameras look into it."""
    return torch.maximum(ball(points), -tube(points, WEST.tolist(), 0.07))


def cup(points: Tensor) -> Tensor:
    """Upright on the ground, open above."""
    outside = torch.maximum(points[:, :2].norm(dim=1) - 0.3, points[:, 2] - 0.2)
    return torch.maximum(outside, -torch.maximum(points[:, :2].norm(dim=1) - 0.22, -0.2 - points[:, 2]))


def export(shape: Shape, ground: np.ndarray, cameras: Sequence[Camera] = ABOVE) -> tuple[Mesh, Mesh]:
    """The mesh as the field has it, and with what is filled."""
    before = extracted(shape, ground)
    filling = fill_hidden(lambda resolution: before, cameras, RADIUS, RESOLUTION, ground)
    after = extracted(lambda points: torch.minimum(shape(points), filling.height(points)), ground)
    enclosure = Enclosure(ground, RADIUS, SPACING)
    return enclosure.settle(before), enclosure.fill(after)[0]


def same_places(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    """(P,) bool: which points (P, 3) are vertices of a mesh, to the bit."""
    places = set(map(tuple, mesh.vertices.tolist()))
    return np.array([tuple(point) in places for point in points.tolist()])


@pytest.mark.parametrize("ground", [GROUND, TILTED], ids=["level", "tilted"])
def test_cavities_that_pinholes_join_to_the_outside_become_solid(ground: np.ndarray) -> None:
    hollow, solid = export(with_pinholes, ground)
    found = topology(solid)
    assert topology(hollow).euler < 0
    assert (found.components, found.watertight, found.euler) == (1, True, 2)
    missing = BALL + ground[3]  # height of the cap below the plane
    whole = 4.0 / 3.0 * np.pi * BALL**3 - np.pi * missing**2 * (BALL - missing / 3.0)
    assert found.volume == pytest.approx(whole, rel=5e-3)
    outside = hollow.vertices[np.abs(np.linalg.norm(hollow.vertices, axis=1) - BALL) < 1e-3]
    pinholes = np.min([np.linalg.norm(outside - BALL * axis, axis=1) for axis in AXES], axis=0)
    visible = (pinholes > 4.0 * SPACING) & (outside @ ground[:3] - ground[3] > 2.0 * SPACING)
    assert visible.mean() > 0.8
    assert same_places(outside[visible], solid).all()


def test_a_handle_keeps_its_hole_and_its_surface() -> None:
    before, after = export(ring, GROUND)
    found = topology(after)
    assert (found.components, found.watertight, found.euler) == (1, True, 0)
    assert same_places(before.vertices[before.vertices[:, 2] > -0.3 + 2.0 * SPACING], after).all()


def looking_in(count: int) -> list[Camera]:
    """Cameras that see the end of the gallery, side by side."""
    sideways = np.array([0.5, 0.7, 0.0])
    return [camera_at(tuple(3.0 * WEST + 0.04 * index * sideways), 120, 0.5) for index in range(count)]


@pytest.mark.parametrize("count", [2, 5])
def test_a_hole_stays_if_enough_of_the_photographs_look_into_it(count: int) -> None:
    before, after = export(gallery, GROUND, ABOVE + looking_in(count))
    end = before.vertices[np.linalg.norm(before.vertices, axis=1) < 0.2]
    assert len(end) > 20
    kept = same_places(end, after)
    assert kept.mean() > 0.9 if count > 0.1 * len(ABOVE + looking_in(count)) else kept.mean() < 0.3


def test_a_cup_keeps_its_inside_though_few_photographs_look_into_it() -> None:
    low = [camera for camera in cameras_around(240, 3.0, size=120, angle=0.5) if 0.1 < camera.c2w[2, 3] < 0.8]
    high = [camera_at((0.3 * side, 0.1, 3.0), 120, 0.5) for side in (-1.0, 1.0)]
    before, after = export(cup, GROUND, low + high)
    inside = before.vertices[(np.linalg.norm(before.vertices[:, :2], axis=1) < 0.2)]
    inside = inside[np.abs(inside[:, 2] + 0.2) < 0.01]
    assert len(low) > 9 * len(high)
    assert len(inside) > 20
    assert same_places(inside, after).mean() > 0.9


def test_the_space_below_a_table_that_no_camera_looks_into_is_no_cavity() -> None:
    before, after = export(table, GROUND)
    found = topology(after)
    assert (found.components, found.watertight, found.euler) == (1, True, 2)
    assert found.volume == pytest.approx(topology(before).volume, rel=1e-2)
    assert cKDTree(before.vertices).query(after.vertices)[0].max() < SPACING  # in the edges of the leg


def test_vertices_on_what_is_filled_do_not_follow_the_field() -> None:
    depth = torch.zeros(5, 5, 5)
    depth[1:4, 1:4, 1:4] = 1.0
    depth[2, 2, 2] = 2.0
    filling = Filling(depth, torch.full((3,), -2.0), torch.full((3,), 2.0), start=1.5)
    cut = Enclosure(None, 3.0, 0.1, filling)
    mesh = Mesh(np.array([[0.5, 0.0, 0.0], [0.0, 1.5, 0.0], [2.5, 0.0, 0.0]]), np.array([[0, 1, 2]]))
    np.testing.assert_allclose(filling.height(torch.tensor(mesh.vertices).float()), [0.0, 1.0, np.inf])
    moved = cut.restore_cuts(mesh, replace(mesh, vertices=mesh.vertices + 0.05))
    np.testing.assert_array_equal((moved.vertices != mesh.vertices).all(axis=1), [False, True, True])
