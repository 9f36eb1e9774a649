"""Numbers of other conventions: coordinates of a map, coefficients and names of lenses, negative focal lengths."""

import numpy as np
import pycolmap
import pytest
from scenes_on_disk import (
    FOCAL,
    HEIGHT,
    WIDTH,
    pixels_of,
    random_image,
    ring_of_cameras,
    write_colmap,
    write_dtu,
    write_transforms,
)

from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.files.lens_models import distortion, lens_kind
from datasets.files.neus_cameras import read_neus_cameras
from datasets.files.transforms_json import read_lens
from datasets.geometry.axes import focus_point
from datasets.geometry.eighth_order import EIGHTH_ORDER, distort, undistort_points
from datasets.transforms import TransformsConfig, TransformsLoader
from utils.errors import DataError

MAP = np.array([512_345.25, 5_412_345.5, 312.0])  # of UTM, metres
POINTS = np.random.default_rng(0).uniform(-0.5, 0.5, (40, 3))
IMAGES = [random_image(i, 3) for i in range(9)]


@pytest.fixture
def cameras():
    return ring_of_cameras(9)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_focus_moves_with_the_cameras(cameras, scale):
    cameras[:, :, 3] = scale * cameras[:, :, 3] + MAP
    np.testing.assert_allclose(focus_point(cameras), MAP, rtol=0, atol=1e-4 * scale + 1e-8)


def test_parallel_cameras_far_from_the_origin_look_ahead_of_themselves():
    down = np.repeat(np.diag([1.0, -1.0, -1.0, 1.0])[None, :3], 4, axis=0)
    down[:, :, 3] = MAP + np.array([[0, 0, 50], [10, 0, 50], [0, 10, 50], [10, 10, 50]])
    below = down[:, :, 3].mean(axis=0) - focus_point(down)
    np.testing.assert_allclose(below, [0.0, 0.0, np.sqrt(50.0)], atol=1e-6)


@pytest.mark.parametrize("kind", ["colmap", "transforms"])
@pytest.mark.parametrize("offset", [MAP, [1e7, -1e7, 1e7]])
def test_a_scene_is_the_same_wherever_its_origin_is(tmp_path, cameras, kind, offset):
    scenes = []
    for shift in (np.zeros(3), np.array(offset)):
        moved = cameras + np.pad(shift[:, None], ((0, 0), (3, 0)))
        root = tmp_path / str(shift[0])
        if kind == "colmap":
            write_colmap(root, moved, IMAGES, points=POINTS + shift)
            scenes.append(ColmapLoader(ColmapConfig(str(root), holdout=0)).load("train"))
        else:
            write_transforms(root, moved, IMAGES)
            scenes.append(TransformsLoader(TransformsConfig(str(root), holdout=0)).load("train"))
        expected = np.einsum("nji,nkj->nki", cameras[:, :, :3], POINTS - cameras[:, None, :, 3])
        expected = expected[..., :2] / expected[..., 2:] * FOCAL + [WIDTH / 2, HEIGHT / 2]
        np.testing.assert_allclose(pixels_of(scenes[-1], POINTS + shift), expected, atol=1e-3)
    near, far = scenes
    np.testing.assert_allclose(far.c2w, near.c2w, atol=1e-5)
    np.testing.assert_allclose(far.world_from_scene[:3, 3] - near.world_from_scene[:3, 3], offset, atol=1e-5)
    if kind == "colmap":
        np.testing.assert_allclose(far.points, near.points, atol=1e-5)


def test_a_small_applied_scale_is_not_singular(tmp_path, cameras):
    write_transforms(tmp_path, cameras, IMAGES, applied_scale=1e-5)
    scene = TransformsLoader(TransformsConfig(str(tmp_path), holdout=0)).load("train")
    positions = scene.c2w[:, :, 3] @ scene.world_from_scene[:3, :3].T + scene.world_from_scene[:3, 3]
    np.testing.assert_allclose(positions, 1e5 * cameras[:, :, 3], rtol=1e-5, atol=1.0)


def test_the_eighth_order_comes_back_and_has_the_formula():
    coefficients = np.array([0.1, -0.2, 1e-3, -2e-3, 0.05, -0.3])
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (200, 2))
    x, y = points.T
    square = x**2 + y**2
    radial = 1.0 + 0.1 * square - 0.2 * square**2 + 0.05 * square**3 - 0.3 * square**4
    seen = distort(points, coefficients)
    np.testing.assert_allclose(seen[:, 0], x * radial + 2e-3 * x * y - 2e-3 * (square + 2 * x**2), atol=1e-12)
    np.testing.assert_allclose(undistort_points(seen, coefficients), points, atol=1e-9)


def test_without_k4_the_eighth_order_agrees_with_colmap():
    points = np.random.default_rng(1).uniform(-0.4, 0.4, (50, 2))
    lens = pycolmap.Camera(
        model="FULL_OPENCV", width=2, height=2, params=[1, 1, 0, 0, 0.1, -0.2, 1e-3, -2e-3, 0.05, 0, 0, 0]
    )
    expected = lens.img_from_cam(np.pad(points, ((0, 0), (0, 1)), constant_values=1.0))
    np.testing.assert_allclose(distort(points, np.array([0.1, -0.2, 1e-3, -2e-3, 0.05, 0.0])), expected, atol=1e-12)


def test_k4_of_a_perspective_lens_moves_pixels_as_r_to_the_eighth():
    size = 200, 160
    values = {"fl_x": 150.0, "fl_y": 150.0, "w": 200, "h": 160, "k1": 0.02, "k4": 0.4}
    lens = read_lens(values, {}, "here", size)
    y, x = np.mgrid[: size[1], : size[0]]
    image = np.dstack([x, y, 0 * x]).astype(np.uint8)  # each pixel tells where it was
    seen, (fx, fy, cx, cy) = lens.undistort(image, "here")
    row, column = np.mgrid[: seen.shape[0], : seen.shape[1]] + 0.5
    plane = np.stack([(column - cx) / fx, (row - cy) / fy], axis=-1)
    square = np.square(plane).sum(axis=-1, keepdims=True)
    expected = plane * (1.0 + 0.02 * square + 0.4 * square**4) * 150.0 + [100.0, 80.0] - 0.5
    inside = ((expected >= 0.0) & (expected <= [size[0] - 1, size[1] - 1])).all(axis=-1)
    assert inside.mean() > 0.97
    np.testing.assert_allclose(seen[..., :2][inside], expected[inside], atol=0.6)
    assert min(seen.shape[:2]) > 140
    assert lens.undistort(np.zeros((80, 100, 3), np.uint8), "here")[1][0] == 75.0


def test_a_lens_that_folds_at_its_centre_is_refused():
    lens = read_lens({"fl_x": 100.0, "w": 200, "h": 160, "k1": -1e5, "k4": 1.0}, {}, "here", (200, 160))
    with pytest.raises(DataError, match="fold the picture over"):
        lens.undistort(np.zeros((160, 200, 3), np.uint8), "here")


NAMES = [name for name in pycolmap.CameraModelId.__members__ if name not in ("INVALID", "EQUIRECTANGULAR")]


@pytest.mark.parametrize("name", NAMES)
def test_all_lens_names_of_colmap_are_read(name):
    camera = pycolmap.Camera.create_from_model_name(1, name, 100.0, 200, 160)
    names = [part.strip() for part in camera.params_info.split(",")]
    keys = [{"f": "fl_x", "fx": "fl_x", "fy": "fl_y"}.get(key, key) for key in names]
    pinhole = ("fl_x", "fl_y", "cx", "cy")
    params = [camera.params[i] if key in pinhole else 0.01 * (i + 1) for i, key in enumerate(keys)]
    camera.params = params
    values = {"camera_model": name, "w": 200, "h": 160, **dict(zip(keys, params, strict=True))}
    lens = read_lens(values, {}, "here", (200, 160))
    points = np.random.default_rng(0).uniform([-0.2, -0.2, 0.8], [0.2, 0.2, 1.2], (20, 3))
    np.testing.assert_allclose(lens.camera().img_from_cam(points), camera.img_from_cam(points), atol=1e-9)


def kind_and_params(**values):
    number = lambda key, default: values.get(key, default)  # noqa: E731
    return distortion(lens_kind(values, "here"), values, number, "here")


def test_the_meaning_of_k4_depends_on_the_lens():
    assert kind_and_params(k1=0.1, k4=0.2) == (EIGHTH_ORDER, (0.1, 0.0, 0.0, 0.0, 0.0, 0.2))
    assert kind_and_params(camera_model="FULL_OPENCV", k1=0.1, k4=0.2)[0] == "FULL_OPENCV"
    assert kind_and_params(is_fisheye=True, k1=0.1, k4=0.2) == ("OPENCV_FISHEYE", (0.1, 0.0, 0.0, 0.2))
    assert kind_and_params(camera_model="pinhole", k4=0.0) == ("PINHOLE", ())
    assert kind_and_params(camera_model="SIMPLE_RADIAL", k1=0.1) == kind_and_params(camera_model="SIMPLE_RADIAL", k=0.1)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"camera_model": "EQUIRECTANGULAR"}, "pinhole images"),
        ({"camera_model": "ORTHOPHOTO"}, "one of PINHOLE, .*Undistort"),
        ({"camera_model": "OPENCV", "is_fisheye": True}, "contradict"),
        ({"camera_model": "OPENCV", "k5": 0.1}, "no k5"),
        ({"camera_model": "OPENCV", "k": 0.1}, "no k"),
        ({"camera_model": "FOV"}, "expected omega"),
    ],
)
def test_a_lens_that_cannot_be_read_is_refused_by_name(values, told):
    with pytest.raises(DataError, match=told):
        kind_and_params(**values)


def test_negative_focal_lengths_are_refused_with_what_to_do(tmp_path, cameras):
    write_transforms(tmp_path, cameras, IMAGES, fl_y=-FOCAL)
    with pytest.raises(DataError, match=r"above 0.*without the minus sign.*mirrored"):
        TransformsLoader(TransformsConfig(str(tmp_path))).load("train")
    write_colmap(tmp_path, cameras, IMAGES, text=True)
    path = tmp_path / "sparse/0/cameras.txt"
    path.write_text(path.read_text().replace("40 40", "-40 -40"))
    with pytest.raises(DataError, match=r"camera 1: .*turned by 180 degrees"):
        ColmapLoader(ColmapConfig(str(tmp_path))).load("train")


def test_neus_matrices_with_one_negative_focal_length_are_refused(tmp_path):
    write_dtu(tmp_path)
    path = tmp_path / "cameras_sphere.npz"
    arrays = dict(np.load(path))
    assert len(read_neus_cameras(path).c2w) == 9
    flip = np.diag([1.0, -1.0, 1.0, 1.0])
    mirrored = {name: flip @ value if "world" in name else value for name, value in arrays.items()}
    np.savez(path, **mirrored)
    with pytest.raises(DataError, match="behind 9 of 9: a negative focal length"):
        read_neus_cameras(path)


def test_neus_cameras_may_be_far_from_the_origin(tmp_path):
    expected = write_dtu(tmp_path)
    path = tmp_path / "cameras_sphere.npz"
    arrays = dict(np.load(path))
    shift = np.eye(4)
    shift[:3, 3] = MAP
    for name, value in arrays.items():
        arrays[name] = value @ np.linalg.inv(shift) if "world" in name else shift @ value
    np.savez(path, **arrays)
    np.testing.assert_allclose(read_neus_cameras(path).c2w, expected, atol=1e-6)
    np.savez(path, **{name: value.astype(np.float32) for name, value in arrays.items()})
    with pytest.raises(DataError, match="single precision"):
        read_neus_cameras(path)
