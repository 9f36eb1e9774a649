"""A field becomes a solid that stands flat on its plane: closed, without caves below it or voids within."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from systems.export.solid import Enclosure
from utils.mesh import Mesh
from utils.mesh.isosurface import extract_isosurface
from utils.mesh.measures import area_vectors
from utils.mesh.topology import topology

RESOLUTION, RADIUS, BALL = 64, 0.65, 0.4
SPACING = 2.0 * RADIUS / (RESOLUTION - 1)
HALF_EDGE = RADIUS - 1.5 * SPACING
TILTED = np.array([0.1, 0.05, 1.0]) / np.linalg.norm([0.1, 0.05, 1.0])
GROUNDS = [np.append(TILTED, -0.2123), np.array([0.0, 0.0, 1.0, -0.3])]
Shape = Callable[[Tensor], Tensor]


def ball(points: Tensor) -> Tensor:
    return points.norm(dim=1) - BALL


def box(points: Tensor) -> Tensor:
    return (points.abs() - torch.tensor([0.2, 0.3, 0.25])).amax(dim=1)


def hollow_below(points: Tensor) -> Tensor:
    return torch.maximum(ball(points), 0.2 - (points - torch.tensor([0.0, 0.0, -0.35])).norm(dim=1))


def with_a_pillar_in_the_cave(points: Tensor) -> Tensor:
    pillar = torch.maximum(points[:, :2].norm(dim=1) - 0.05, ball(points))
    return torch.minimum(pillar, hollow_below(points))


def with_a_void(points: Tensor) -> Tensor:
    return torch.maximum(ball(points), 0.1 - (points - torch.tensor([0.0, 0.0, 0.1])).norm(dim=1))


def solid(shape: Shape, ground: np.ndarray | None) -> tuple[Mesh, int, Enclosure]:
    enclosure = Enclosure(ground, HALF_EDGE, SPACING)
    mesh = extract_isosurface(enclosure.cut(shape, 0.0, 2**16, torch.device("cpu")), RADIUS, RESOLUTION, 0.0, "below")
    return *enclosure.fill(mesh), enclosure


@pytest.mark.parametrize("ground", GROUNDS, ids=["tilted", "level"])
@pytest.mark.parametrize("shape", [ball, box])
def test_it_ends_flat_on_the_plane_and_is_closed(shape: Shape, ground: np.ndarray) -> None:
    mesh, num_hollows, enclosure = solid(shape, ground)
    found = topology(mesh)
    assert (num_hollows, found.components, found.watertight, found.euler) == (0, 1, True, 2)
    height = enclosure.height(mesh.vertices)
    lowest = max(0.0, -ground[3] - 0.25) if shape is box and ground[2] == 1.0 else 0.0
    assert abs(height.min() - lowest) < (1e-6 if lowest == 0.0 else SPACING)
    if lowest == 0.0:
        bottom = area_vectors(mesh)[enclosure.on_ground(mesh.vertices)[mesh.faces].all(axis=1)]
        np.testing.assert_allclose(bottom.sum(axis=0) / np.linalg.norm(bottom, axis=1).sum(), -ground[:3], atol=1e-6)
        opened = topology(enclosure.without_bottom(mesh))
        assert (opened.watertight, opened.holes) == (False, 1)


@pytest.mark.parametrize("ground", GROUNDS, ids=["tilted", "level"])
@pytest.mark.parametrize("shape", [hollow_below, with_a_pillar_in_the_cave, with_a_void])
def test_caves_that_open_onto_the_plane_and_voids_are_filled(shape: Shape, ground: np.ndarray) -> None:
    whole = topology(solid(ball, ground)[0])
    mesh, _, _ = solid(shape, ground)
    found = topology(mesh)
    assert (found.components, found.watertight) == (1, True)
    assert found.volume == pytest.approx(whole.volume, rel=1e-3)


def test_a_cave_too_small_for_a_cell_is_filled_too() -> None:
    def pitted(points: Tensor) -> Tensor:
        return torch.maximum(ball(points), 1.2 * SPACING - (points - torch.tensor([0.0, 0.0, -0.3])).norm(dim=1))

    mesh, num_hollows, _ = solid(pitted, GROUNDS[1])
    assert (num_hollows, topology(mesh).euler) == (1, 2)


@pytest.mark.parametrize("ground", GROUNDS, ids=["tilted", "level"])
def test_a_hollow_shell_that_hardly_touches_the_plane_is_filled_and_stands_on_it(ground: np.ndarray) -> None:
    slit = torch.from_numpy(ground).float() + torch.tensor([0.0, 0.0, 0.0, 0.4 * SPACING])

    def shell(points: Tensor) -> Tensor:
        rim = slit[3] - points @ slit[:3]  # ends a little above the plane
        return torch.maximum(torch.maximum(ball(points), 0.33 - points.norm(dim=1)), rim)

    mesh, _, enclosure = solid(shell, ground)
    found = topology(mesh)
    assert (found.components, found.watertight) == (1, True)
    assert found.volume == pytest.approx(topology(solid(ball, ground)[0]).volume, rel=0.01)
    assert abs(enclosure.height(mesh.vertices).min()) < 1e-6
    assert ball(torch.from_numpy(mesh.vertices)).max() < 0.1 * SPACING


def test_what_air_reaches_is_not_filled() -> None:
    def arch(points: Tensor) -> Tensor:
        return torch.maximum(ball(points), 0.15 - points[:, [0, 2]].sub(torch.tensor([0.0, -0.3])).norm(dim=1))

    mesh, num_hollows, _ = solid(arch, GROUNDS[1])
    assert num_hollows == 0
    assert topology(mesh).volume < 0.92 * topology(solid(ball, GROUNDS[1])[0]).volume


def test_a_ring_on_the_plane_keeps_its_hole() -> None:
    def ring(points: Tensor) -> Tensor:
        across = torch.stack([points[:, :2].norm(dim=1) - 0.35, points[:, 2] + 0.3], dim=1)
        return across.norm(dim=1) - 0.1

    mesh, num_hollows, _ = solid(ring, GROUNDS[1])
    found = topology(mesh)
    assert (num_hollows, found.components, found.watertight, found.euler) == (0, 1, True, 0)


def test_without_a_plane_voids_are_filled_and_the_end_of_the_region_is_closed() -> None:
    mesh, num_hollows, _ = solid(with_a_void, None)
    assert (num_hollows, topology(mesh).components) == (1, 1)
    beyond, _, _ = solid(lambda points: points[:, :2].norm(dim=1) - 0.3, None)  # a pole through the region
    assert topology(beyond).watertight
    assert np.abs(beyond.vertices).max() == pytest.approx(HALF_EDGE, abs=1e-6)


def test_vertices_on_the_cuts_stay_when_the_others_move_and_none_goes_below() -> None:
    mesh, _, enclosure = solid(box, GROUNDS[0])
    moved = Mesh(mesh.vertices - 0.01 * TILTED, mesh.faces)
    after = enclosure.restore_cuts(mesh, moved)
    on_ground = enclosure.on_ground(mesh.vertices)
    np.testing.assert_allclose(after.vertices[on_ground], mesh.vertices[on_ground], atol=1e-12)
    assert enclosure.height(after.vertices).min() > -1e-12
    free = enclosure.height(mesh.vertices) > 0.02
    np.testing.assert_array_equal(after.vertices[free], moved.vertices[free])
