"""Frames of transforms.json: paths of elsewhere, repeated ones, splits, the sphere, and what is left out by name."""

import json
import logging

import numpy as np
import pytest
from scenes_on_disk import disc, random_image, ring_of_cameras, write_blender, write_colmap, write_dtu, write_transforms

from datasets.blender import BlenderConfig, BlenderLoader
from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.dtu import DTUConfig, DTULoader
from datasets.transforms import TransformsConfig, TransformsLoader
from utils.errors import DataError
from utils.images import write_png

CAMERAS = ring_of_cameras(9)
IMAGES = [random_image(i, 3) for i in range(9)]


@pytest.fixture
def root(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    write_transforms(tmp_path, CAMERAS, IMAGES)
    return tmp_path


def edit(root, change) -> None:
    path = root / "transforms.json"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))


def load(root, split="train", **options):
    return TransformsLoader(TransformsConfig(str(root), **options)).load(split)


def numbers(scene) -> list[int]:
    return [int(name[:3]) for name in scene.image_names]


@pytest.mark.parametrize("folder", ["C:\\Users\\me\\my scan\\", "/home/me/scan/", "\\\\server\\scan\\"])
def test_paths_of_another_machine_are_found_by_their_tails(root, caplog, folder):
    for i in range(9):
        write_png(root / f"masks/{i:03d}.png", disc())

    def move(meta):
        for frame in meta["frames"]:
            frame["mask_path"] = folder + frame["file_path"].replace("images", "masks")
            frame["file_path"] = folder + frame["file_path"]

    edit(root, move)
    (root / "images/004.png").unlink()  # its mask, of the same name, is no photograph
    scene = load(root, holdout=0)
    assert numbers(scene) == [0, 1, 2, 3, 5, 6, 7, 8]
    np.testing.assert_array_equal(scene.image(4)[..., :3], IMAGES[5])
    assert "8 of 9 frames name their file_path as another machine has it" in caplog.text
    assert "leaving out 1 of 9 frames, which have no image" in caplog.text


def test_frames_that_repeat_one_are_merged_before_the_split(root, caplog):
    edit(root, lambda meta: meta["frames"].insert(0, {**meta["frames"][0], "file_path": "./images/000.png"}))
    assert numbers(load(root)) == [1, 2, 3, 4, 5, 6, 7]
    assert numbers(load(root, "val")) == [0, 8]
    assert "1 of 10 frames repeat an image and its camera" in caplog.text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda frame: frame["transform_matrix"][0].__setitem__(3, 9.0), "different poses: their positions are"),
        (
            lambda frame: frame.update(transform_matrix=[[1, 0, 0, 3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
            "poses",
        ),
        (lambda frame: frame.update(fl_x=41.0), r"different fl_x: 40\.0 and 41\.0"),
    ],
)
def test_two_cameras_of_one_image_are_refused_and_both_named(root, change, told):
    edit(
        root,
        lambda meta: meta["frames"].append({**json.loads(json.dumps(meta["frames"][2])), "file_path": "images/002"}),
    )
    edit(root, lambda meta: change(meta["frames"][9]))
    with pytest.raises(DataError, match=rf"frames 2 \('images/002\.png'\) and 9 \('images/002'\) are the same.*{told}"):
        load(root)


def test_blender_frames_that_repeat_one_are_merged_too(tmp_path):
    write_blender(tmp_path, train=4, test=2)
    path = tmp_path / "transforms_train.json"
    meta = json.loads(path.read_text())
    path.write_text(json.dumps({**meta, "frames": [*meta["frames"], meta["frames"][1]]}))
    assert len(BlenderLoader(BlenderConfig(str(tmp_path))).load("train")) == 4


def named(*indices: int) -> list[str]:
    return [f"images/{i:03d}.png" for i in indices]


@pytest.mark.parametrize(
    ("lists", "train", "val", "test"),
    [
        ({"train": (0, 1, 2, 3), "val": (4, 5), "test": (6, 7, 8)}, [0, 1, 2, 3], [4, 5], [6, 7, 8]),
        ({"train": (0, 1), "test": (6, 7)}, [0, 1], [6, 7], [6, 7]),
        ({"test": (2,)}, [0, 1, 3, 4, 5, 6, 7, 8], [2], [2]),
        ({"train": (0, 1, 2, 3, 4, 5)}, [0, 1, 2, 3, 4, 5], [6, 7, 8], [6, 7, 8]),
    ],
)
def test_lists_of_the_file_divide_the_views(root, caplog, lists, train, val, test):
    edit(root, lambda meta: meta.update({f"{key}_filenames": named(*value) for key, value in lists.items()}))
    loader = TransformsLoader(TransformsConfig(str(root)))
    assert [numbers(loader.load(split)) for split in ("train", "val", "test")] == [train, val, test]
    left = 9 - len({*train, *val, *test})
    assert (f"leaving out {left} of 9 frames" in caplog.text) == (left > 0)
    assert numbers(load(root, "test", holdout=(3, 5))) == [3, 5]
    assert "dataset.holdout is set, so train_filenames" in caplog.text


def test_lists_that_leave_nothing_or_name_nothing(root, caplog):
    edit(root, lambda meta: meta.update(train_filenames=["images/x.png", *named(0)], val_filenames=named(0, 1)))
    load(root)
    assert "1 of 2 names in train_filenames are of no frame that is used, first 'images/x.png'" in caplog.text
    assert "1 of 9 frames are in train_filenames and in the lists of held-out views too" in caplog.text
    edit(root, lambda meta: meta.update(train_filenames=[], test_filenames=named(*range(9))))
    with pytest.raises(DataError, match="train_filenames leaves no image to train on"):
        load(root)
    edit(root, lambda meta: meta.update(train_filenames=3))
    with pytest.raises(DataError, match="expected train_filenames to be a list"):
        load(root)


def test_the_sphere_of_the_file_is_the_region_unless_a_key_says_otherwise(root, caplog):
    edit(root, lambda meta: meta.update(sphere_center=[0.1, 0.2, 0.3], sphere_radius=0.8))
    scene = load(root)
    np.testing.assert_allclose(scene.world_from_scene[:3, 3], [0.1, 0.2, 0.3], atol=1e-6)
    assert np.cbrt(np.linalg.det(scene.world_from_scene[:3, :3])) == pytest.approx(1.6)
    assert "the object is the sphere of sphere_center and sphere_radius" in caplog.text
    load(root, region_file=None)
    assert "sphere_radius is not used, since dataset.region_file" in caplog.text
    edit(root, lambda meta: meta.update(sphere_radius=30.0))
    assert abs(load(root).world_from_scene[0, 3]) < 0.05
    assert "100% of the cameras stand in it" in caplog.text
    edit(root, lambda meta: meta.update(sphere_radius=0.0))
    with pytest.raises(DataError, match="sphere_radius to be a length above 0"):
        load(root)


def test_a_cloud_that_is_missing_is_a_warning(root, caplog):
    edit(root, lambda meta: meta.update(ply_file_path="sparse_pc.ply"))
    assert load(root).points is None
    assert "no file for ply_file_path 'sparse_pc.ply' of transforms.json" in caplog.text


def test_keys_that_have_no_effect_are_named_once(root, caplog):
    edit(root, lambda meta: meta.update(aabb_scale=4, wobble=1, camera_angle_x=0.4))
    edit(root, lambda meta: meta["frames"][0].update(sharpness=3.0))
    loader = TransformsLoader(TransformsConfig(str(root)))
    for split in ("train", "val", "test"):
        loader.load(split)
    assert caplog.text.count("not used: aabb_scale, camera_angle_x, sharpness") == 1
    assert caplog.text.count("unknown keys, which have no effect: wobble") == 1


def test_what_lies_beside_the_photographs_and_is_not_read_is_named_once(root, caplog):
    for name in ("depths", "images_4", "sparse", "something"):
        (root / name).mkdir()
    loader = TransformsLoader(TransformsConfig(str(root)))
    for split in ("train", "val"):
        loader.load(split)
    assert caplog.text.count("beside what is read there are, not used: depths, images_4, sparse\n") == 1


def test_other_formats_name_what_they_leave_out(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    write_dtu(tmp_path / "dtu", num=3)
    arrays = dict(np.load(tmp_path / "dtu/cameras_sphere.npz"))
    np.savez(tmp_path / "dtu/cameras_sphere.npz", **arrays, camera_mat_0=np.eye(4), odd_0=np.eye(4))
    (tmp_path / "dtu/depth").mkdir()
    DTULoader(DTUConfig(str(tmp_path / "dtu"))).load("train")
    write_blender(tmp_path / "blender", train=2, test=1)
    path = tmp_path / "blender/transforms_train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "aabb_scale": 2, "train_filenames": ["x"]}))
    BlenderLoader(BlenderConfig(str(tmp_path / "blender"))).load("train")
    write_colmap(tmp_path / "colmap", CAMERAS, IMAGES)
    (tmp_path / "colmap/normals").mkdir()
    ColmapLoader(ColmapConfig(str(tmp_path / "colmap"))).load("train")
    for told in (
        "not used: camera_mat_*",
        "no effect: odd_*",
        "not used: depth\n",
        "not used: aabb_scale, train_filenames",
        "not used: normals\n",
    ):
        assert caplog.text.count(told) == 1, told


@pytest.mark.parametrize(("kind", "folder"), [("colmap", "mask"), ("dtu", "masks")])
def test_masks_are_read_from_the_folder_of_the_other_name_too(tmp_path, kind, folder):
    if kind == "colmap":
        write_colmap(tmp_path, CAMERAS, IMAGES)
        for i in range(9):
            write_png(tmp_path / f"mask/{i:03d}.png", disc())
        scene = ColmapLoader(ColmapConfig(str(tmp_path))).load("train")
    else:
        write_dtu(tmp_path)
        (tmp_path / "mask").rename(tmp_path / folder)
        scene = DTULoader(DTUConfig(str(tmp_path))).load("train")
    assert scene.has_alpha


@pytest.mark.parametrize("move", [lambda name: f"images/{name}", lambda name: f"D:\\scan\\{name}", str.upper])
def test_names_of_a_model_that_was_made_elsewhere(tmp_path, caplog, move):
    caplog.set_level(logging.INFO)
    names = [f"cam{i % 2}/{i:03d}.png" for i in range(9)]
    write_colmap(tmp_path, CAMERAS, [], names=[move(name) for name in names])
    for name, image in zip(names, IMAGES, strict=True):
        write_png(tmp_path / "images" / name, image)
    (tmp_path / "images" / names[3]).unlink()
    loader = ColmapLoader(ColmapConfig(str(tmp_path), holdout=0))
    assert sorted(numbers(loader.load("train"))) == [0, 1, 2, 4, 5, 6, 7, 8]
    assert "leaving out 1 of the 9 registered images of the model, which have no file in images/" in caplog.text
    assert "8 of 9 names of the model are written as another machine has them" in caplog.text


def test_lists_of_bare_names_divide_the_views_and_lists_of_no_frame_are_refused(root):
    edit(root, lambda meta: meta.update(train_filenames=["000.png", "001.png"], test_filenames=["./005.png"]))
    assert numbers(load(root)) == [0, 1]
    assert numbers(load(root, "test")) == [5]
    edit(root, lambda meta: meta.update(train_filenames=["a.png", "b.png"]))
    with pytest.raises(DataError, match=r"file_path values in train_filenames.*no frame that is used, first 'a\.png'"):
        load(root)


def test_spaces_around_names_are_not_part_of_them(root):
    edit(root, lambda meta: [frame.update(file_path=frame["file_path"] + " ") for frame in meta["frames"]])
    assert len(load(root, holdout=0)) == 9


def test_the_folder_of_the_images_is_not_called_unused(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    write_blender(tmp_path, train=3, test=1)
    for path in tmp_path.glob("transforms_*.json"):
        path.write_text(path.read_text().replace("train/", "images/"))
    (tmp_path / "train").rename(tmp_path / "images")
    BlenderLoader(BlenderConfig(str(tmp_path))).load("train")
    assert "not used" not in caplog.text
