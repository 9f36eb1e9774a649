"""An atlas holds each face once, its texels lie on the surface, and no gap is left between charts."""

import numpy as np
import pytest
from analytic_shapes import color_of, sphere_mesh

from utils.mesh import Mesh, Texture, atlas
from utils.mesh.atlas import PADDING, paint, texels_of, unwrap

SIZE = 256


@pytest.fixture(scope="module", params=[atlas.PART_FACES, 700], ids=["at once", "in parts"])
def unwrapped(request: pytest.FixtureRequest):
    mesh = sphere_mesh(4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atlas, "PART_FACES", request.param)
        return mesh, *unwrap(mesh, SIZE)


def test_parts_hold_each_face_once_and_lie_together():
    middles = np.random.default_rng(0).random((1000, 3)) * [1.0, 8.0, 1.0]
    parts = atlas._parts(middles)
    assert [list(part) for part in parts] == [list(range(1000))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atlas, "PART_FACES", 130)
        parts = atlas._parts(middles)
    assert sorted(np.concatenate(parts)) == list(range(1000))
    assert [len(part) for part in parts] == [125] * 8
    assert max(np.ptp(middles[part], axis=0).max() for part in parts) < 1.3


def test_charts_lie_in_the_picture_and_no_face_is_lost(unwrapped):
    mesh, places, corners = unwrapped
    assert places.min() >= 0.0
    assert places.max() <= 1.0
    assert corners.shape == mesh.faces.shape
    a, b, c = (places[corners[:, k]] for k in range(3))
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    assert area.min() > 0.0
    assert 0.3 < area.sum() < 1.0


def test_no_texel_belongs_to_two_faces(unwrapped):
    mesh, places, corners = unwrapped
    texels = texels_of(mesh, places, corners, SIZE)
    backwards = texels_of(Mesh(mesh.vertices, mesh.faces[::-1], mesh.normals), places, corners[::-1], SIZE)
    apart = np.linalg.norm(texels.points - backwards.points, axis=1)
    assert apart.max() < 1e-4  # up to the edges, which two faces share


def test_texels_lie_on_the_surface_with_its_normals(unwrapped):
    mesh, places, corners = unwrapped
    texels = texels_of(mesh, places, corners, SIZE)
    assert len(texels.row) > 0.4 * SIZE**2
    np.testing.assert_allclose(np.linalg.norm(texels.points, axis=1), 1.0, atol=5e-3)
    np.testing.assert_allclose(texels.normals, texels.points, atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(texels.normals, axis=1), 1.0, atol=1e-6)


def test_gaps_are_filled_with_the_nearest_colour(unwrapped):
    mesh, places, corners = unwrapped
    texels = texels_of(mesh, places, corners, SIZE)
    image = paint(texels, color_of(texels.points), SIZE)
    np.testing.assert_array_equal(image[texels.row, texels.column], np.rint(color_of(texels.points) * 255))
    assert image.min() >= 25  # the darkest colour that there is: nothing stayed black
    red = paint(texels, np.tile([1.0, 0.0, 0.0], (len(texels.row), 1)), SIZE)
    assert (red == [255, 0, 0]).all()
    assert PADDING >= 2  # so that a reader who looks between texels meets no other chart


def test_a_texture_is_linear_between_texels():
    image = np.zeros((2, 4, 3), np.uint8)
    image[0] = [[0, 0, 0], [100, 0, 0], [200, 0, 0], [255, 0, 0]]
    texture = Texture(image, np.zeros((3, 2)), np.array([[0, 1, 2]]))
    places = np.array([[0.5 / 4, 0.25], [1.0 / 4, 0.25], [1.5 / 4, 0.25], [1.5 / 4, 0.5], [0.99, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(texture.sample(places)[:, 0] * 255, [0, 50, 100, 50, 255, 0], atol=1e-9)
