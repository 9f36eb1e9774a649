"""A region goes through its file unchanged, comes from the user's numbers or points, and sets the frame of a scene."""

import json

import numpy as np
import pytest
from capture_scenes import BALL, cameras, model_of_points, surface, table
from scenes_on_disk import random_image, ring_of_cameras, write_colmap, write_transforms

from datasets.capture.region.choose_region import choose_region
from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.geometry.normalise import OBJECT_RADIUS
from datasets.geometry.planes import Plane
from datasets.region import REGION_FILE, Region, parse_roi, read_region, write_region
from datasets.transforms import TransformsConfig, TransformsLoader
from utils.errors import ConfigError, DataError
from utils.mesh.ply import read_vertices, write_points

UP = np.array([0.0, 0.6, 0.8])
REGION = Region(np.array([0.3, -0.2, 0.1]), 0.4, UP, Plane(UP, -0.25), "by hand")
IMAGES = [random_image(i, 3) for i in range(9)]


@pytest.mark.parametrize("ground", [REGION.ground, None])
def test_file_round_trip(tmp_path, ground):
    region = Region(REGION.center, REGION.radius, UP, ground, "auto", 1.0)
    write_region(region, tmp_path / "new" / REGION_FILE)
    found = read_region(tmp_path / "new" / REGION_FILE)
    for name in ("center", "radius", "up", "method", "metres_per_unit"):
        np.testing.assert_array_equal(getattr(found, name), getattr(region, name))
    assert (found.ground is None) == (ground is None)
    if ground is not None:
        np.testing.assert_allclose([*found.ground.normal, found.ground.offset], [*UP, -0.25], rtol=1e-15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": 0}, "expected radius to be a length above 0, got 0"),
        ({"radius": "1"}, "expected radius to be a finite number, got '1'"),
        ({"center": [0, 1]}, r"expected center to be three numbers, got \[0, 1\]"),
        ({"up": [0, 0, 0]}, "expected up to be a direction"),
        ({"up": [0, None, 1]}, "expected up to be a finite number, got None"),
        ({"ground": {"normal": [0, 0, 0], "offset": 1}}, "expected ground to be null or a plane"),
        ({"ground": 3}, "expected ground to be null or a plane"),
        ({"metres_per_unit": 0}, "expected metres_per_unit to be null or a number above 0, got 0"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, change, message):
    values = {"center": [0, 0, 0], "radius": 1, "up": [0, 0, 2]}
    (tmp_path / REGION_FILE).write_text(json.dumps(values))
    np.testing.assert_array_equal(read_region(tmp_path / REGION_FILE).up, [0.0, 0.0, 1.0])
    (tmp_path / REGION_FILE).write_text(json.dumps(values | change))
    with pytest.raises(DataError, match=f"{REGION_FILE}: {message}"):
        read_region(tmp_path / REGION_FILE)


@pytest.mark.parametrize("text", ['{"center"', "[1, 2]", ""])
def test_a_file_that_is_no_region_is_refused(tmp_path, text):
    (tmp_path / REGION_FILE).write_text(text)
    with pytest.raises(DataError, match=f"{REGION_FILE}: expected"):
        read_region(tmp_path / REGION_FILE)


def test_the_text_of_a_sphere():
    center, radius = parse_roi(" 0.5, -1e-1,2 ,3")
    assert [*center, radius] == [0.5, -0.1, 2.0, 3.0]
    for text in ("", "1,2,3", "1,2,3,4,5", "1,2,3,x", "1,2,3,0", "1,2,3,-4", "nan,2,3,4", "1 2 3 4"):
        with pytest.raises(ConfigError, match=r"--roi: expected x,y,z,radius, .* got"):
            parse_roi(text)


def test_numbers_win_over_points_and_points_over_the_estimate(tmp_path, caplog):
    caplog.set_level("INFO")
    interest = tmp_path / "sparse_points_interest.ply"
    model = model_of_points(np.concatenate([surface(500), table()]), cameras())
    found = choose_region(model, interest=interest)
    assert found.method.startswith("auto")
    points = surface(50) * 0.5 + [1.0, 0.0, 0.0]
    write_points(points, np.zeros((50, 3), np.uint8), interest)
    np.testing.assert_allclose(read_vertices(interest), points, atol=1e-6)
    cleaned = choose_region(model, interest=interest)
    assert cleaned.contains(points).all()
    assert cleaned.radius < 0.65 * BALL
    np.testing.assert_array_equal(cleaned.up, found.up)
    named = choose_region(model, "1,2,3,4", interest)
    assert [*named.center, named.radius, named.method] == [1.0, 2.0, 3.0, 4.0, "by --roi"]
    assert "region of interest (by --roi): radius 4 around (1, 2, 3), with 1070 of 3500 points" in caplog.text
    few = choose_region(model_of_points(surface(5), cameras()), "0,0,0,1")
    assert few.ground is None
    assert few.up[2] > 0.98


def test_points_of_interest_that_are_none_are_refused(tmp_path):
    interest = tmp_path / "sparse_points_interest.ply"
    model = model_of_points(surface(500), cameras())
    write_points(np.zeros((0, 3)), np.zeros((0, 3), np.uint8), interest)
    with pytest.raises(DataError, match=r"expected the points of the object, at least two, got 0"):
        choose_region(model, interest=interest)
    interest.write_text("no ply")
    with pytest.raises(DataError, match=r"expected a PLY file"):
        choose_region(model, interest=interest)


@pytest.mark.parametrize("kind", ["colmap", "transforms"])
def test_loaders_put_the_sphere_upright_at_the_origin(tmp_path, kind, caplog):
    caplog.set_level("INFO")
    c2w = ring_of_cameras(9)
    if kind == "colmap":
        write_colmap(tmp_path, c2w, IMAGES, points=np.eye(3))
        make = lambda **keys: ColmapLoader(ColmapConfig(str(tmp_path), **keys))  # noqa: E731
    else:
        write_transforms(tmp_path, c2w, IMAGES)
        make = lambda **keys: TransformsLoader(TransformsConfig(str(tmp_path), **keys))  # noqa: E731
    without, unknown = make().load("train").world_from_scene, make().load("train").ground
    assert unknown is None
    write_region(REGION, tmp_path / REGION_FILE)
    loader = make()
    world = loader.load("train").world_from_scene
    assert loader.load("test").world_from_scene is world or (loader.load("test").world_from_scene == world).all()
    np.testing.assert_allclose(world[:3, 3], REGION.center, atol=1e-12)
    np.testing.assert_allclose(world[:3, :3] @ [0.0, 0.0, OBJECT_RADIUS], REGION.radius * UP, atol=1e-12)
    assert caplog.text.count("region.json: the object is the sphere of radius 0.4 around (0.3, -0.2, 0.1)") == 1
    ground, on_plane = loader.load("test").ground, REGION.ground.project(REGION.center)
    np.testing.assert_allclose(ground[:3], [0.0, 0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(ground[:3] @ np.linalg.inv(world)[:3] @ [*on_plane, 1.0], ground[3], atol=1e-12)
    wider = make(object_radius=0.8).load("train").world_from_scene
    np.testing.assert_allclose(wider[:3, :3], 2.0 * world[:3, :3], atol=1e-12)
    np.testing.assert_array_equal(make(region_file=None).load("train").world_from_scene, without)
    with pytest.raises(DataError, match=r"other\.json: expected the JSON of a region"):
        make(region_file="other.json").load("train")
