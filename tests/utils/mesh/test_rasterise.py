"""The z-buffer agrees with a slow per-pixel ray test; orbit views look where they say."""

from dataclasses import replace

import numpy as np
import pytest

from utils.mesh import Mesh
from utils.mesh.rasterise import orbit_views, six_sides, visible_faces


def slow_visible(pixels, faces, size):
    """Nearest face per pixel centre, by solving each triangle's plane equation at each pixel."""
    out = np.full(size[::-1], -1)
    for y, x in np.ndindex(*out.shape):
        nearest = np.inf
        for number, face in enumerate(faces):
            a, b, c = pixels[face]
            matrix = np.stack([b[:2] - a[:2], c[:2] - a[:2]], axis=1)
            s, t = np.linalg.solve(matrix, [x + 0.5 - a[0], y + 0.5 - a[1]])
            depth = 1.0 / ((1 - s - t) / a[2] + s / b[2] + t / c[2])
            if min(s, t, 1 - s - t) >= 0 and 0 < depth < nearest:
                nearest, out[y, x] = depth, number
    return out


def test_z_buffer_equals_the_slow_reference():
    rng = np.random.default_rng(0)
    pixels = rng.uniform([-4, -4, 1], [24, 20, 5], (30, 3))
    faces = np.arange(30).reshape(10, 3)
    face, weights = visible_faces(pixels, faces, (20, 16))
    np.testing.assert_array_equal(face, slow_visible(pixels, faces, (20, 16)))
    np.testing.assert_allclose(weights[face >= 0].sum(axis=1), 1.0, atol=1e-6)


def test_weights_are_perspective_correct():
    rng = np.random.default_rng(1)
    points = rng.uniform([-1, -1, 2], [1, 1, 6], (3, 3))
    pixels = np.column_stack([points[:, :2] / points[:, 2:] * 60 + 20, points[:, 2]])
    face, weights = visible_faces(pixels, np.array([[0, 1, 2]]), (40, 40))
    y, x = np.nonzero(face >= 0)
    hit = weights[y, x] @ points
    assert len(x) > 20
    np.testing.assert_allclose(hit[:, 0] / hit[:, 2] * 60 + 20, x + 0.5, atol=1e-3)
    np.testing.assert_allclose(hit[:, 1] / hit[:, 2] * 60 + 20, y + 0.5, atol=1e-3)


def test_neighbouring_faces_leave_no_gap():
    grid = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0), [2.0], indexing="ij"), axis=-1).reshape(-1, 3)
    grid[:, :2] *= 2.5  # edges run through pixel centres
    corner = np.add.outer(np.arange(8) * 9, np.arange(8)).ravel()[:, None]
    faces = np.concatenate([corner + np.array(offsets) for offsets in ([0, 9, 10], [0, 10, 1])])
    assert (visible_faces(grid, faces, (20, 20))[0] >= 0).all()


def cube():
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return Mesh(corners, np.array([f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))]))


@pytest.mark.parametrize(("up", "first", "second"), [("z", 0, 1), ("y", 2, 0)])
def test_views_look_from_where_they_say(up, first, second):
    views = orbit_views(cube(), 4, 64, "normal", up, smooth=False)
    for view, axis, value in zip(views, (first, second, first, second), (255, 255, 0, 0), strict=True):
        assert view.shape == (64, 64, 3)
        color = view[36, 32]
        assert color[axis] == value
        assert (np.delete(color, axis) == 128).all()
        assert (view[0] == 255).all()
    top = views[0][15, 32]  # from slightly above
    assert top["xyz".index(up)] == 255


def test_six_sides_are_each_seen_once_and_head_on():
    box = cube()
    sides = [(0, 255), (1, 255), (0, 0), (1, 0), (2, 255), (2, 0)]  # axis, and the colour of its sense
    colors = np.where(box.vertices > 0.5, 255, 0).astype(np.uint8)
    for view, (axis, value) in zip(six_sides(replace(box, colors=colors), 64, "vertex"), sides, strict=True):
        inside = view[16:48, 16:48]  # of a face all of which has one place along its axis
        assert (inside[..., axis] == value).all()
        assert (view[[0, -1]] == 255).all()


def test_picture_is_not_mirrored():
    flag = Mesh(np.array([[0, 0, 0], [0, 0, 1], [0, 1, 1.0]]), np.array([[0, 1, 2]]))
    dark = orbit_views(flag, 1, 64)[0].mean(axis=2) < 250
    # Seen from +x with z up, +y is on the right: the mast is on the left, the flag hangs from its top.
    assert dark[:, :32].sum() > dark[:, 32:].sum()
    assert dark[:32].sum() > dark[32:].sum()
