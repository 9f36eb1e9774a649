"""COLMAP folders: models of every kind, what they leave out, lenses, masks, the scene frame, and bad input."""

import numpy as np
import pycolmap
import pytest
from scenes_on_disk import FOCAL, HEIGHT, WIDTH, disc, random_image, ring_of_cameras, write_colmap

from datasets.colmap import ColmapConfig, ColmapLoader
from utils.errors import ConfigError, DataError
from utils.images import write_png

CAMERAS = ring_of_cameras(9)
IMAGES = [random_image(i, 3) for i in range(9)]
BALL = np.random.default_rng(0).normal(size=(60, 3)) * 0.2


def load(root, split="train", **options):
    return ColmapLoader(ColmapConfig(str(root), **options)).load(split)


def world_cameras(scene) -> np.ndarray:
    """(N, 3, 4) the cameras of a scene in the coordinates of its files."""
    scale = np.cbrt(np.linalg.det(scene.world_from_scene[:3, :3]))
    position = scene.c2w[:, :, 3] @ scene.world_from_scene[:3, :3].T + scene.world_from_scene[:3, 3]
    return np.concatenate([scene.world_from_scene[:3, :3] / scale @ scene.c2w[:, :, :3], position[:, :, None]], axis=2)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("model", ["sparse/0", "sparse", "."])
def test_text_and_binary_models_are_read_wherever_they_lie(tmp_path, model, text):
    write_colmap(tmp_path, CAMERAS, IMAGES, points=BALL, model=model, text=text)
    scene = load(tmp_path, holdout=0)
    np.testing.assert_allclose(world_cameras(scene), CAMERAS, atol=1e-5)
    np.testing.assert_allclose(scene.intrinsics, np.tile([FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2], (9, 1)))
    for i in range(9):
        np.testing.assert_array_equal(scene.image(i), IMAGES[i])


def test_the_object_is_upright_centred_and_of_the_expected_size(tmp_path):
    away = np.array([4.0, -3.0, 2.0])
    cameras = CAMERAS.copy()
    cameras[:, :, 3] = 5.0 * cameras[:, :, 3] + away
    write_colmap(tmp_path, cameras, IMAGES, points=5.0 * BALL + away)
    scene = load(tmp_path)
    np.testing.assert_allclose(scene.world_from_scene[:3, 3], away, atol=1e-4)
    np.testing.assert_allclose(np.linalg.inv(scene.world_from_scene)[2, :2], 0.0, atol=1e-6)  # z stays z
    radii = np.linalg.norm(scene.points, axis=1)
    assert 0.4 < np.quantile(radii, 0.95) < 0.5
    assert np.linalg.norm(load(tmp_path, object_radius=10.0).points, axis=1).max() < 0.5 * radii.max()


@pytest.mark.parametrize("method", ["lookat", "camera", "point"])
def test_centres(tmp_path, method):
    write_colmap(tmp_path, CAMERAS, IMAGES, points=BALL)
    expected = {"lookat": np.zeros(3), "camera": CAMERAS[:, :, 3].mean(0), "point": np.median(BALL, axis=0)}[method]
    np.testing.assert_allclose(load(tmp_path, center_est_method=method).world_from_scene[:3, 3], expected, atol=1e-6)


def test_the_ground_gives_the_up_direction(tmp_path):
    tilted = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    tilted *= np.sign(np.linalg.det(tilted))
    flat = np.random.default_rng(1).uniform(-1.0, 1.0, (300, 3)) * [1.0, 1.0, 0.001]
    cameras = np.concatenate([tilted @ CAMERAS[:, :, :3], (CAMERAS[:, :, 3] @ tilted.T)[:, :, None]], axis=2)
    write_colmap(tmp_path, cameras, IMAGES, points=np.concatenate([BALL, flat]) @ tilted.T)
    scene = load(tmp_path, up_est_method="ground")
    up = np.linalg.inv(scene.world_from_scene)[2, :3]
    np.testing.assert_allclose(up / np.linalg.norm(up), tilted[:, 2], atol=5e-3)


def test_images_without_a_camera_are_left_out_and_that_is_said(tmp_path, caplog):
    write_colmap(tmp_path, CAMERAS, IMAGES)
    write_png(tmp_path / "images/other/zzz.png", IMAGES[0])
    assert len(load(tmp_path, holdout=0)) == 9
    assert "leaving out 1 of 10 images, which the model did not register, first other/zzz.png" in caplog.text


def test_sub_folders_pair_images_and_masks(tmp_path):
    names = [f"cam{i % 2}/{i:03d}.png" for i in range(9)]
    write_colmap(tmp_path, CAMERAS, IMAGES, names=names)
    for i, name in enumerate(names):
        write_png(tmp_path / "masks" / (name if i < 5 else name + ".png"), disc())
    scene = load(tmp_path, holdout=0)
    order = sorted(range(9), key=lambda i: names[i])
    for place, i in enumerate(order):
        np.testing.assert_array_equal(scene.image(place), np.dstack([IMAGES[i], disc()]))
    assert not load(tmp_path, apply_mask=False).has_alpha


def test_the_largest_of_several_models_is_used_and_named(tmp_path, caplog):
    write_colmap(tmp_path, CAMERAS[:3], IMAGES[:3], model="sparse/0")
    write_colmap(tmp_path, CAMERAS, IMAGES, model="sparse/1")
    loader = ColmapLoader(ColmapConfig(str(tmp_path), holdout=0))
    assert len(loader.load("train")) == len(loader.load("test")) == 9
    assert caplog.text.count("2 models; using sparse/1, the largest, with 9 images") == 1


def test_distorted_images_are_undistorted(tmp_path):
    """A picture of its own coordinates: after loading, each pixel shows where its ray met the distorted image."""
    width, height = 120, 90
    camera = pycolmap.Camera(
        model="OPENCV", width=width, height=height, params=[100, 101, 58, 46, 0.1, 0.01, 0.001, -0.002], camera_id=1
    )
    y, x = np.mgrid[:height, :width]
    picture = np.stack([2 * x, 2 * y, 0 * x], axis=-1).astype(np.uint8)
    write_colmap(tmp_path, CAMERAS, [picture] * 9, camera=camera)
    scene = load(tmp_path, holdout=0)
    image = scene.image(0).astype(float)
    v, u = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    fx, fy, cx, cy = scene.intrinsics[0]
    rays = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(u)], axis=-1).reshape(-1, 3)
    expected = camera.img_from_cam(rays.astype(np.float64)).reshape(*image.shape[:2], 2) - 0.5
    np.testing.assert_allclose(image[..., :2] / 2.0, expected, atol=0.4)
    assert image.shape[0] > 0.8 * height


def test_images_of_another_size_scale_the_camera(tmp_path):
    write_colmap(tmp_path, CAMERAS, [image[::2, ::2] for image in IMAGES])
    scene = load(tmp_path)
    np.testing.assert_allclose(scene.intrinsics[0], [FOCAL / 2, FOCAL / 2, WIDTH / 4, HEIGHT / 4])
    write_png(tmp_path / "images/001.png", IMAGES[1][:, : WIDTH // 2])
    with pytest.raises(DataError, match=r"001\.png: the camera is for 32x24, but the image is 16x24"):
        load(tmp_path)


def test_bad_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        load(tmp_path / "nowhere")
    write_colmap(tmp_path, CAMERAS, IMAGES)
    for i in range(3, 9):
        (tmp_path / f"images/{i:03d}.png").unlink()
    with pytest.raises(DataError, match=r"no file for 6 of the 9 registered images of the model, first '003\.png'"):
        load(tmp_path)
    with pytest.raises(DataError, match=r"photos: no such folder"):
        load(tmp_path, images_dir="photos")
    (tmp_path / "sparse/0/images.bin").write_bytes(b"rubbish")
    with pytest.raises(DataError, match="truncated or damaged"):
        load(tmp_path)
    for file in (tmp_path / "sparse/0").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="expected a COLMAP model"):
        load(tmp_path)


def test_methods_that_need_points_are_refused_without_them(tmp_path):
    write_colmap(tmp_path, CAMERAS, IMAGES)
    for option in ({"up_est_method": "ground"}, {"center_est_method": "point"}):
        with pytest.raises(ConfigError, match=r"needs the points of a sparse reconstruction"):
            load(tmp_path, **option)


def without_rigs(root):
    """The lines of images.txt of a text model, which is then read without rigs."""
    for name in ("rigs.txt", "frames.txt"):
        (root / "sparse/0" / name).unlink()
    return (root / "sparse/0/images.txt").read_text().split("\n")


def test_quaternions_of_any_length_mean_a_rotation_and_zero_is_refused(tmp_path):
    write_colmap(tmp_path, CAMERAS, IMAGES, text=True)
    expected = world_cameras(load(tmp_path))
    lines = without_rigs(tmp_path)

    def write(factor):
        changed = [
            " ".join([*(w := line.split())[:1], *(str(factor * float(x)) for x in w[1:5]), *w[5:]])
            if line.endswith(".png")
            else line
            for line in lines
        ]
        (tmp_path / "sparse/0/images.txt").write_text("\n".join(changed))

    write(3.0)
    np.testing.assert_allclose(world_cameras(load(tmp_path)), expected, atol=1e-5)
    write(0.0)
    with pytest.raises(DataError, match=r"image '000\.png'.*expected a rotation and a position.*remove the image"):
        load(tmp_path)


def test_a_name_that_two_images_have_is_refused(tmp_path):
    write_colmap(tmp_path, CAMERAS, IMAGES, text=True)
    lines = without_rigs(tmp_path)
    (tmp_path / "sparse/0/images.txt").write_text("\n".join(lines).replace("004.png", "003.png"))
    with pytest.raises(DataError, match=r"a name of its own for each image of the model, got '003\.png' 2 times"):
        load(tmp_path)


def test_images_without_their_second_line_are_refused_instead_of_every_second_one_lost(tmp_path):
    write_colmap(tmp_path, CAMERAS, IMAGES, text=True)
    lines = without_rigs(tmp_path)
    (tmp_path / "sparse/0/images.txt").write_text("\n".join(line for line in lines if line.strip()))
    with pytest.raises(DataError, match="expected two lines for each image, the second with its points or empty"):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["mark", "missing"])
def test_text_files_that_colmap_cannot_read_are_named(tmp_path, kind):
    write_colmap(tmp_path, CAMERAS, IMAGES, text=True)
    path = tmp_path / "sparse/0/points3D.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()) if kind == "mark" else path.unlink()
    with pytest.raises(DataError, match=r"points3D\.txt: " + ("expected.*byte-order" if kind == "mark" else "no such")):
        load(tmp_path)


def test_images_in_another_folder_are_pointed_to(tmp_path):
    write_colmap(tmp_path, CAMERAS, IMAGES)
    (tmp_path / "images").rename(tmp_path / "input")
    with pytest.raises(DataError, match=r"there are images in input\. Set dataset\.images_dir=input"):
        load(tmp_path)


def test_a_camera_without_a_size_is_refused(tmp_path):
    write_colmap(tmp_path, CAMERAS, IMAGES, text=True)
    path = tmp_path / "sparse/0/cameras.txt"
    path.write_text(path.read_text().replace(f"{WIDTH} {HEIGHT}", "0 0"))
    with pytest.raises(DataError, match="camera 1: expected the width and height of its images, got 0x0"):
        load(tmp_path)


def test_a_model_without_images_is_refused_and_one_of_two_kinds_told(tmp_path, caplog):
    cameras, images = ring_of_cameras(4), [random_image(i, 3) for i in range(4)]
    write_colmap(tmp_path, cameras, images)
    write_colmap(tmp_path, cameras, images, text=True)
    with caplog.at_level("INFO"):
        load(tmp_path)
    assert "has the model as .bin and as .txt; the .bin is read" in caplog.text
    for file in (tmp_path / "sparse/0").glob("*.bin"):
        file.unlink()
    (tmp_path / "sparse/0/images.txt").write_text("# none\n")
    with pytest.raises(DataError, match="expected registered images, got none"):
        load(tmp_path)
