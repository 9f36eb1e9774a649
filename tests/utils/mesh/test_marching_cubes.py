"""The table of cases, and boxes of random values, against PyMCubes where it has a wheel."""

from collections import Counter

import numpy as np
import pytest
import torch

from utils.mesh.cell_cases import CORNERS, EDGES, rings, triangles_of
from utils.mesh.marching_cubes import MARGIN, case_table, triangles


def rings_around(faces: list[tuple[int, int, int]]) -> set[tuple[int, ...]]:
    """The closed lines that bound some triangles, each from its smallest corner on."""
    sides = Counter((a, b) for face in faces for a, b in zip(face, (*face[1:], face[0]), strict=True))
    following = {a: b for a, b in sides if (b, a) not in sides}
    found = set()
    while following:
        ring = [min(following)]
        while (corner := following.pop(ring[-1])) != ring[0]:
            ring.append(corner)
        found.add(tuple(ring))
    return found


def test_each_case_has_the_rings_and_the_number_of_triangles_of_pymcubes():
    mcubes = pytest.importorskip("mcubes", reason="PyMCubes has no wheel for this Python")
    middles = np.array([np.add(corner, 0.5 * np.eye(3)[axis]) for corner, axis in EDGES])
    for case in range(1, 255):
        cell = np.ones((2, 2, 2))
        for bit, corner in enumerate(CORNERS):
            cell[corner] = -1.0 if case >> bit & 1 else 1.0
        vertices, faces = mcubes.marching_cubes(cell, 0.0)
        edge = np.abs(vertices[:, None] - middles).sum(-1).argmin(1)
        expected = [tuple(face) for face in edge[faces[:, ::-1].astype(int)].tolist()]  # it winds inward
        assert len(triangles_of(case)) == len(expected)
        assert rings_around(triangles_of(case)) == rings_around(expected) == set(map(tuple, rings(case)))
    assert triangles_of(0) == triangles_of(255) == []


def test_no_diagonal_lies_on_a_face_of_the_cell():
    middles = [np.add(corner, 0.5 * np.eye(3)[axis]) for corner, axis in EDGES]
    for case in range(256):
        sides = {frozenset((a, b)) for ring in rings(case) for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)}
        for face in triangles_of(case):
            for a, b in zip(face, (*face[1:], face[0]), strict=True):
                on_face = any(middles[a][i] == middles[b][i] in (0.0, 1.0) for i in range(3))
                assert on_face == (frozenset((a, b)) in sides)


def test_random_values_give_a_closed_surface_that_winds_outward():
    values = torch.nn.functional.pad(torch.randn(9, 9, 9, dtype=torch.float64), [1] * 6, value=1.0)
    _, vertices, faces = triangles(values[None], torch.zeros(1, 3, dtype=torch.int64), 10)
    sides = Counter((a, b) for face in faces.tolist() for a, b in zip(face, [*face[1:], face[0]], strict=True))
    assert set(sides.values()) == {1}
    assert all((b, a) in sides for a, b in sides)
    a, b, c = vertices[faces].unbind(1)
    assert (torch.linalg.cross(a, b) * c).sum() > 0.0


def test_triangles_use_just_the_edges_that_change_sign():
    found = case_table(torch.device("cpu"))
    for case in range(256):
        inside = {corner for bit, corner in enumerate(CORNERS) if case >> bit & 1}
        crossed = set()
        for edge, (base, axis) in enumerate(zip(found.base.tolist(), found.axis.tolist(), strict=True)):
            end = tuple(b + (a == axis) for a, b in enumerate(base))
            if (tuple(base) in inside) != (end in inside):
                crossed.add(edge)
        assert set(found.edges[case, : found.count[case]].flatten().tolist()) == crossed


def test_a_random_box_is_meshed_as_by_pymcubes():
    mcubes = pytest.importorskip("mcubes", reason="PyMCubes has no wheel for this Python")
    values = torch.randn(1, 9, 9, 9, dtype=torch.float64)
    keys, vertices, faces = triangles(values, torch.zeros(1, 3, dtype=torch.int64), 8)
    expected, expected_faces = mcubes.marching_cubes(values[0].numpy(), 0.0)
    assert len(keys) == len(vertices) == len(expected)
    assert len(faces) == len(expected_faces)
    order, expected_order = (np.lexsort(v.round(9).T) for v in (vertices.numpy(), expected))
    np.testing.assert_allclose(vertices.numpy()[order], expected[expected_order], atol=MARGIN)


def test_boxes_agree_on_the_keys_of_what_they_share():
    lattice = torch.randn(9, 5, 5)
    whole = triangles(lattice[None, :5], torch.tensor([[0, 0, 0]]), 8)
    parts = triangles(torch.stack([lattice[:5], lattice[4:]]), torch.tensor([[0, 0, 0], [4, 0, 0]]), 8)
    assert set(whole[0].tolist()) < set(parts[0].tolist())
    assert len(set(parts[0].tolist())) == len(parts[0])


def test_cells_beyond_the_lattice_are_left_out():
    values = torch.randn(1, 5, 5, 5)
    origins = torch.zeros(1, 3, dtype=torch.int64)
    _, vertices, faces = triangles(values, origins, 3)
    assert vertices.max() <= 3.0
    assert len(faces) == len(triangles(values[:, :4, :4, :4], origins, 3)[2])
