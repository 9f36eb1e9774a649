"""Meshes are coloured by their distance, cut so that colours show it, and drawn from six sides with the scale."""

import numpy as np
import pytest
from PIL import Image
from shapes import ball, grid

from benchmarks.truth.errors import FARTHEST, by_distance, colours_of, draw_errors, halved
from utils.mesh import Mesh, submesh
from utils.mesh.files import read_mesh
from utils.mesh.measures import face_areas


def test_colours_say_how_far_the_other_mesh_is():
    sheet = Mesh(0.25 * grid(4).vertices, grid(4).faces)
    steps = np.where(sheet.vertices[:, 0] < 0.5, 0.0, 0.5 * FARTHEST)
    found = by_distance(Mesh(sheet.vertices + steps[:, None] * [0.0, 0.0, 1.0], sheet.faces), sheet, 1.0)
    near, far = found.vertices[:, 0] < 0.24, found.vertices[:, 0] > 0.51
    scale = colours_of(np.linspace(0.0, 1.0, 101)).astype(float)
    share = np.abs(found.colors[:, None].astype(float) - scale).sum(axis=2).argmin(axis=1) / 100.0
    assert share[near].max() < 0.3
    np.testing.assert_allclose(share[far], 0.5, atol=0.05)


def test_the_scale_is_fixed_and_ends():
    assert len(np.unique(colours_of(np.linspace(0.0, 1.0, 64)), axis=0)) == 64
    np.testing.assert_array_equal(colours_of(np.array([1.0, 7.0]))[0], colours_of(np.array([1.0, 7.0]))[1])


def test_edges_are_halved_until_they_are_short_and_the_surface_stays():
    sheet = grid(1)
    found = halved(sheet, 0.1)
    edges = found.vertices[found.faces] - found.vertices[np.roll(found.faces, -1, axis=1)]
    assert np.linalg.norm(edges, axis=2).max() <= 0.1
    assert face_areas(found).sum() == pytest.approx(1.0)
    assert len(halved(ball(), 9.0).faces) == len(ball().faces)


def test_the_picture_shows_a_hole_below_in_the_truth_alone(tmp_path):
    whole = ball(1.0, 4)
    open_below = submesh(whole, whole.vertices[whole.faces][:, :, 2].mean(axis=1) > -0.8)
    paths = draw_errors(open_below, whole, tmp_path / "pictures" / "ball", size=60)
    assert [path.name for path in paths] == ["ball-mesh.ply", "ball-truth.ply", "ball.png"]
    mesh, truth = map(read_mesh, paths[:2])
    worst = colours_of(np.ones(1))[0]
    assert (truth.colors[truth.vertices[:, 2] < -0.95] == worst).all()
    assert not (truth.colors[truth.vertices[:, 2] > 0.0] == worst).all(axis=1).any()
    assert not (mesh.colors == worst).all(axis=1).any()
    picture = np.asarray(Image.open(paths[2]))
    rows = np.split(picture[: 3 * 86], 3)  # each with its line of text
    sides = [[row[26:, 64 * k : 64 * k + 60] for k in range(6)] for row in rows]
    red = [[int((side == worst).all(axis=2).sum()) for side in row] for row in sides]
    assert red[2][5] > 200  # the truth, from below
    assert red[2][4] == red[1][4] == 0
    assert (picture[-1, [0, -1]] == colours_of(np.array([0.0, 1.0]))).all()
