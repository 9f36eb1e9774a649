"""NeRF-Synthetic scenes: conventions, sizes, splits, and every kind of bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from scenes_on_disk import FOCAL, HEIGHT, WIDTH, random_image, write_blender

from datasets.blender import BlenderConfig, BlenderLoader
from utils.errors import ConfigError, DataError
from utils.images import write_png


def load(root: Path, split: str = "train", **options):
    return BlenderLoader(BlenderConfig(str(root), **options)).load(split)


def edit(root: Path, change, split: str = "train") -> None:
    """Applies `change` to the JSON object of a split in place."""
    path = root / f"transforms_{split}.json"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))


def test_cameras_and_pixels_come_back(tmp_path):
    cameras = write_blender(tmp_path, test=2, train=9)
    scene = load(tmp_path, near_plane=2.0, far_plane=6.0)
    np.testing.assert_allclose(scene.c2w, cameras, atol=1e-6)
    np.testing.assert_allclose(scene.intrinsics, np.tile([FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2], (9, 1)), rtol=1e-6)
    for i in range(9):
        np.testing.assert_array_equal(scene.image(i), random_image(i))
    assert (scene.near, scene.far, scene.has_alpha) == (2.0, 6.0, True)


@pytest.mark.parametrize(
    "options", [{"img_wh": (16, 12)}, {"img_downscale": 2}, {"img_wh": (16, 12), "img_downscale": 2}]
)
def test_smaller_images_scale_the_intrinsics(blender_root, options):
    scene = load(blender_root, **options)
    assert scene.sizes.tolist() == [[16, 12]] * 9
    np.testing.assert_allclose(scene.intrinsics, load(blender_root).intrinsics / 2, rtol=1e-6)


def test_sizes_that_disagree_are_refused(blender_root):
    with pytest.raises(ConfigError, match="only one"):
        load(blender_root, img_wh=(16, 12), img_downscale=4)
    with pytest.raises(ConfigError, match="aspect"):
        load(blender_root, img_wh=(16, 16))
    with pytest.raises(ConfigError, match=r"dataset\.near_plane"):
        BlenderConfig(str(blender_root), near_plane=6.0, far_plane=2.0)


def test_explicit_intrinsics_follow_the_image_size(blender_root):
    wide = {"w": 2 * WIDTH, "h": 2 * HEIGHT, "fl_x": 100.0, "fl_y": 90.0, "cx": 30.0, "cy": 26.0}
    edit(blender_root, lambda meta: meta.update(wide))
    edit(blender_root, lambda meta: meta["frames"][4].update(fl_x=60.0))
    intrinsics = load(blender_root).intrinsics
    np.testing.assert_allclose(intrinsics[0], [50.0, 45.0, 15.0, 13.0])
    np.testing.assert_allclose(intrinsics[4], [30.0, 45.0, 15.0, 13.0])


def test_rgb_among_rgba_is_opaque_and_opaque_alpha_is_dropped(blender_root):
    write_png(blender_root / "train/r_3.png", random_image(3, 3))
    scene = load(blender_root)
    assert (scene.image(3)[..., 3] == 255).all()
    np.testing.assert_array_equal(scene.image(3)[..., :3], random_image(3, 3))
    for i in range(3):
        write_png(blender_root / f"test/r_{i}.png", np.full((HEIGHT, WIDTH, 4), 255, np.uint8))
    assert not load(blender_root, "test").has_alpha


def test_a_uniform_scale_of_the_rotation_is_removed(blender_root):
    expected = load(blender_root).c2w

    def enlarge(meta):
        matrix = np.array(meta["frames"][1]["transform_matrix"])
        matrix[:3, :3] *= 2.5
        meta["frames"][1]["transform_matrix"] = matrix.tolist()

    edit(blender_root, enlarge)
    np.testing.assert_allclose(load(blender_root).c2w, expected, atol=1e-6)


@pytest.mark.parametrize(("missing", "asked"), [("val", "val"), ("test", "test")])
def test_val_and_test_replace_each_other(blender_root, missing, asked, caplog):
    (blender_root / f"transforms_{missing}.json").unlink()
    with caplog.at_level("INFO"):
        assert len(load(blender_root, asked)) == {"val": 3, "test": 2}[missing]
    assert "in its place" in caplog.text
    assert len(load(blender_root, "train")) == 9


def test_without_val_and_test_views_are_held_out(tmp_path, caplog):
    write_blender(tmp_path, train=9)
    names = {split: load(tmp_path, split).image_names for split in ("train", "val", "test")}
    assert names["val"] == names["test"] == ("r_0.png", "r_8.png")
    assert not set(names["train"]) & set(names["val"])
    assert len(names["train"]) == 7
    assert "holding out some of the train views" in caplog.text


@pytest.mark.parametrize("suffix", [".JPG", ".webp", ".PNG"])
def test_extensions_are_found(blender_root, suffix):
    from PIL import Image

    (blender_root / "test/r_1.png").unlink()
    Image.fromarray(random_image(1, 3)).save(blender_root / f"test/r_1{suffix}")
    assert load(blender_root, "test").image_names[1] == f"r_1{suffix}"


def set_pose(meta, value):
    meta["frames"][5]["transform_matrix"] = value


def spoiled(index: tuple[int, int], value: float) -> list:
    matrix = np.eye(4)
    matrix[index] = value
    return matrix.tolist()


BAD_JSON = {
    "no frames": (lambda meta: meta.pop("frames"), "frames"),
    "empty frames": (lambda meta: meta.update(frames=[]), "an empty list"),
    "no file_path": (lambda meta: meta["frames"][5].pop("file_path"), "file_path"),
    "leaves the folder": (lambda meta: meta["frames"][5].update(file_path="train/../../r_5"), "leaves"),
    "nan": (lambda meta: set_pose(meta, spoiled((0, 3), float("nan"))), "r_5.*NaN"),
    "infinity": (lambda meta: set_pose(meta, spoiled((1, 1), float("inf"))), "r_5.*NaN or inf"),
    "3x3": (lambda meta: set_pose(meta, np.eye(3).tolist()), r"r_5.*4x4.*\(3, 3\)"),
    "no pose": (lambda meta: meta["frames"][5].pop("transform_matrix"), "r_5.*transform_matrix, a matrix, got none"),
    "ragged": (lambda meta: set_pose(meta, [[1, 2], [3]]), "r_5.*4x4"),
    "sheared": (lambda meta: set_pose(meta, spoiled((0, 1), 0.3)), "r_5.*orthonormal"),
    "mirrored": (lambda meta: set_pose(meta, spoiled((0, 0), -1.0)), "r_5.*mirrored"),
    "degrees": (lambda meta: meta.update(camera_angle_x=45.0), "radians"),
    "no focal length": (lambda meta: meta.pop("camera_angle_x"), "camera_angle_x"),
    "text": (lambda meta: meta.update(fl_x="long"), "fl_x"),
    "distortion": (lambda meta: meta.update(k1=0.1), "Undistort.*dataset.name=transforms"),
    "other aspect": (lambda meta: meta.update(w=100, h=100), "aspect"),
}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_bad_json_is_refused(blender_root, kind):
    change, message = BAD_JSON[kind]
    edit(blender_root, change)
    with pytest.raises(DataError, match=message):
        load(blender_root)


def test_a_frame_without_its_image_is_left_out_unless_most_are(blender_root, caplog):
    edit(blender_root, lambda meta: meta["frames"][5].update(file_path="train/r_99"))
    assert len(load(blender_root)) == 8
    assert "leaving out 1 of 9 frames, which have no image" in caplog.text
    edit(blender_root, lambda meta: [frame.update(file_path=f"x{i}") for i, frame in enumerate(meta["frames"][1:])])
    with pytest.raises(DataError, match="expected images of its frames, got none for 8 of 9"):
        load(blender_root)


def test_invalid_json_is_refused(blender_root):
    (blender_root / "transforms_train.json").write_text('{"frames": [')
    with pytest.raises(DataError, match=r"transforms_train\.json.*JSON"):
        load(blender_root)


def test_missing_empty_and_foreign_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="empty"):
        load(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"transforms_train\.json: no such file.*notes\.txt"):
        load(tmp_path)


def test_truncated_image_is_refused(blender_root):
    path = blender_root / "train/r_4.png"
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(DataError, match=r"r_4\.png"):
        load(blender_root)


def test_transparent_images_are_refused(blender_root):
    for i in range(3):
        write_png(blender_root / f"test/r_{i}.png", random_image(i) * np.array([1, 1, 1, 0], np.uint8))
    with pytest.raises(DataError, match="transparent"):
        load(blender_root, "test")


def test_cameras_that_single_precision_would_blur_are_refused(blender_root):
    def move(meta, away: float) -> None:
        for frame in meta["frames"]:
            frame["transform_matrix"][0][3] += away

    edit(blender_root, lambda meta: move(meta, 100.0))
    load(blender_root)  # whether the region sees anything is told before training
    edit(blender_root, lambda meta: move(meta, 1e6))
    with pytest.raises(DataError, match=r"around the origin, got them 1e\+06 away .* dataset.name=transforms"):
        load(blender_root)


def test_held_out_images_that_are_trained_on_too_are_told_once(tmp_path, caplog):
    write_blender(tmp_path, test=3, train=9)
    load(tmp_path, "test")
    assert "too, so" not in caplog.text
    train = json.loads((tmp_path / "transforms_train.json").read_text())["frames"]
    edit(tmp_path, lambda meta: meta["frames"].extend(train[:2]), "test")
    edit(tmp_path, lambda meta: meta["frames"][-1].update(file_path="train\\R_1"), "test")
    loader = BlenderLoader(BlenderConfig(str(tmp_path)))
    for split in ("val", "test", "train"):
        loader.load(split)
    assert caplog.text.count("2 of 5 images of transforms_test.json are in transforms_train.json too") == 1
    load(tmp_path, "test", test_split="train")  # asked for
    assert caplog.text.count("transforms_train.json too") == 1
