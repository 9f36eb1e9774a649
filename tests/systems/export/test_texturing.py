"""Baked textures show what they were baked from, through the files and an independent reader too."""

import numpy as np
import pytest
from analytic_shapes import camera_at, cameras_around, color_of, joined, photograph, sphere_mesh

from systems.export.glb import write_glb
from systems.export.obj_ply import write_obj
from systems.export.texturing import bake_texture, blend_views
from utils.mesh import Mesh
from utils.mesh.atlas import texels_of, unwrap
from utils.mesh.files import read_mesh
from utils.mesh.rasterise import visible_faces

SIZE = 512


def reprojected_psnr(mesh: Mesh) -> float:
    """dB of the textured unit sphere in pictures from around it, against the colours that it was given."""
    errors = []
    for camera in cameras_around(4, 4.0, size=160, angle=0.5):
        face, weights = visible_faces(camera.project(mesh.vertices), mesh.faces, camera.size)
        hit = face >= 0
        weights = weights[hit][:, :, None]
        places = (mesh.texture.places[mesh.texture.corners[face[hit]]] * weights).sum(axis=1)
        points = (mesh.vertices[mesh.faces[face[hit]]] * weights).sum(axis=1)
        errors.append(mesh.texture.sample(places) - color_of(points))
    return -10.0 * np.log10((np.concatenate(errors) ** 2).mean())


@pytest.fixture(scope="module")
def baked() -> Mesh:
    return bake_texture(sphere_mesh(4), SIZE, color_of)


def test_a_baked_field_reprojects(baked: Mesh):
    assert reprojected_psnr(baked) > 45.0


@pytest.mark.parametrize("suffix", ["obj", "glb"])
def test_it_does_so_from_its_file(baked: Mesh, suffix: str, tmp_path):
    {"obj": write_obj, "glb": write_glb}[suffix](baked, tmp_path / f"ball.{suffix}")
    assert reprojected_psnr(read_mesh(tmp_path / f"ball.{suffix}")) > 45.0


def test_photographs_reproject():
    cameras = cameras_around(20, 3.0, size=200)
    photos = ((camera, photograph(camera)) for camera in cameras)
    mesh = bake_texture(sphere_mesh(4), SIZE, lambda points, normals: np.zeros_like(points), photos)
    assert reprojected_psnr(mesh) > 35.0


def test_what_no_photograph_shows_comes_from_the_model():
    mesh = sphere_mesh(3)
    texels = texels_of(mesh, *unwrap(mesh, 128), 128)
    above = camera_at((0.3, 0.0, 4.0), size=200)
    rgb, seen = blend_views(mesh, texels, [(above, photograph(above))])
    assert 0.25 < seen.mean() < 0.5
    assert texels.points[seen, 2].min() > 0.2  # the rim is seen too obliquely
    assert texels.points[~seen, 2].max() < 0.7
    np.testing.assert_allclose(rgb[seen], color_of(texels.points[seen]), atol=0.1)
    blue = [0.0, 0.0, 1.0]
    whole = bake_texture(mesh, 128, lambda p, n: np.tile(blue, (len(p), 1)), [(above, photograph(above))])
    assert ((whole.texture.image == [0, 0, 255]).all(axis=2)).mean() > 0.3


def test_what_stands_in_front_is_not_painted_on_what_is_behind():
    ball, screen = sphere_mesh(4, 1.0), sphere_mesh(4, 0.4, (2.0, 0.0, 0.0))
    both = joined(ball, screen)
    texels = texels_of(both, *unwrap(both, 256), 256)
    camera = camera_at((5.0, 0.0, 0.0), size=200)
    red = np.zeros((200, 200, 3), np.uint8)
    red[..., 0] = 255
    _, seen = blend_views(both, texels, [(camera, red)])
    on_ball = np.linalg.norm(texels.points, axis=1) < 1.1
    # The screen's shadow on the ball, as the camera sees it.
    angle = np.hypot(*texels.points[:, 1:].T) / (5.0 - texels.points[:, 0])
    shadow = on_ball & (angle < 0.4 / np.sqrt(3.0**2 - 0.4**2) - 0.01)
    assert not seen[shadow].any()
    assert seen[on_ball & ~shadow & (texels.points[:, 0] > 0.6) & (angle > 0.17)].all()
    assert seen[~on_ball & (texels.points[:, 0] > 2.2)].all()


def test_pixels_at_the_rim_of_a_mask_are_left_out():
    mesh = sphere_mesh(4)
    texels = texels_of(mesh, *unwrap(mesh, 256), 256)
    cameras = cameras_around(8, 3.0, size=100)
    photos = []
    for camera in cameras:
        image = photograph(camera)
        image[image[..., 3] == 0, :3] = 255  # white behind the mask
        photos.append((camera, image))
    rgb, seen = blend_views(mesh, texels, photos)
    assert np.abs(rgb[seen] - color_of(texels.points[seen])).max() < 0.12
