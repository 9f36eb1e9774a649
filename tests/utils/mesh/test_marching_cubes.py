"""The table of cases, and boxes of random values against PyMCubes."""

import mcubes
import numpy as np
import torch

from utils.mesh.marching_cubes import CORNERS, MARGIN, case_table, triangles


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
