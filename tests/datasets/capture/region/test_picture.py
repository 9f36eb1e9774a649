"""The picture and the clouds show the region: sizes, colours where they belong, outlines that agree with projection."""

import numpy as np
import pytest
from capture_scenes import SIZE, cameras, model_of_points, room, surface, table

from datasets.capture.region.estimate_region import estimate_region
from datasets.capture.region.picture import INSIDE, SPHERE, spread_views, write_region_cloud, write_region_picture
from datasets.capture.region.shapes import ground_cut, outline, sphere_lines, sphere_outline
from datasets.region import Region
from utils.images import read_image, write_png

MODEL = model_of_points(np.concatenate([surface(400), table(), room()]), cameras())
REGION = estimate_region(MODEL)


def share_of(image: np.ndarray, color: tuple[int, int, int]) -> float:
    return float((np.abs(image.astype(int) - color).max(axis=-1) < 12).mean())


def test_the_picture_is_written_and_shows_points_and_sphere(tmp_path):
    for name in MODEL.names:
        write_png(tmp_path / "images" / name, np.full((SIZE[1], SIZE[0], 3), 120, np.uint8))
    write_region_picture(REGION, MODEL, tmp_path / "images", tmp_path / "region.png")
    picture = read_image(tmp_path / "region.png")
    assert 800 < picture.shape[0] < 1500
    assert 1600 < picture.shape[1] < 2400
    assert share_of(picture, INSIDE) > 0.002
    assert share_of(picture, SPHERE) > 0.002
    photos = picture[-300:]
    assert share_of(photos, (120, 120, 120)) > 0.05  # within the sphere as they are
    assert share_of(photos, (42, 42, 42)) > 0.3  # outside dark


def test_photographs_of_all_shapes_and_cameras_turned_away_are_drawn(tmp_path):
    model = model_of_points(surface(400), cameras(3))
    model.c2w[0, :, [0, 2]] *= -1.0
    for name, size in zip(model.names, ((90, 120), (120, 90), (50, 200)), strict=True):
        write_png(tmp_path / name, np.full((*size, 3), 120, np.uint8))
    write_region_picture(REGION, model, tmp_path, tmp_path / "region.png")
    assert (tmp_path / "region.png").is_file()


def test_views_are_spread():
    chosen = spread_views(REGION, MODEL, 4)
    assert len(set(chosen)) == 4
    directions = MODEL.c2w[chosen, :, 3] / np.linalg.norm(MODEL.c2w[chosen, :, 3], axis=1, keepdims=True)
    assert (directions @ directions.T - 2.0 * np.eye(4)).max() < 0.6
    assert spread_views(REGION, model_of_points(surface(9), cameras(2)), 4) == [0, 1]


def test_the_outline_of_the_sphere_touches_its_projection():
    points = REGION.center + REGION.radius * surface(20000) / np.linalg.norm(surface(20000), axis=1, keepdims=True)
    for view in (0, 7):
        pixels, _ = MODEL.project(view, points)
        around = sphere_outline(REGION, MODEL, view)
        np.testing.assert_allclose(around.min(axis=0), pixels.min(axis=0), atol=2.0)
        np.testing.assert_allclose(around.max(axis=0), pixels.max(axis=0), atol=2.0)
    at_camera = Region(MODEL.c2w[0, :, 3], 0.1, REGION.up, None, "")
    assert sphere_outline(at_camera, MODEL, 0) is None


def test_outlines_are_cut_in_front_of_the_camera():
    c2w = MODEL.c2w[0]
    ahead, behind = c2w[:, 3] + 2.0 * c2w[:, 2], c2w[:, 3] - 2.0 * c2w[:, 2] + 4.0 * c2w[:, 0]
    around = outline(MODEL, 0, np.stack([ahead, behind]), 0.01)
    assert around[:, 0].max() > 10 * SIZE[0]  # to the right, without end
    assert around[:, 0].min() == pytest.approx(SIZE[0] / 2, abs=1e-3)
    assert outline(MODEL, 0, behind[None], 0.01) is None


def test_lines_lie_on_the_sphere_and_the_ground():
    np.testing.assert_allclose(np.linalg.norm(sphere_lines(REGION) - REGION.center, axis=1), REGION.radius)
    np.testing.assert_allclose(REGION.ground.height(ground_cut(REGION)), 0.0, atol=1e-9)
    assert ground_cut(Region(REGION.center + 9.0, 1.0, REGION.up, REGION.ground, "")) is None


def test_the_cloud_holds_points_in_two_colours_sphere_and_cameras(tmp_path):
    write_region_cloud(REGION, MODEL, tmp_path / "region.ply")
    import trimesh

    ply = trimesh.load(tmp_path / "region.ply")
    num = len(MODEL.points)
    np.testing.assert_allclose(ply.vertices[:num], MODEL.points, atol=1e-5)
    inside = (ply.colors[:num, :3] == INSIDE).all(axis=1)
    np.testing.assert_array_equal(inside, REGION.contains(MODEL.points))
    assert len(ply.vertices) == num + len(sphere_lines(REGION)) + len(MODEL.names) * 8 * 16
