"""The NeuS layout: cameras from projection matrices, masks, held-out views, and every kind of bad input."""

import shutil

import numpy as np
import pytest
from scenes_on_disk import FOCAL, HEIGHT, WIDTH, disc, random_image, write_dtu

from datasets.dtu import DTUConfig, DTULoader
from datasets.files.neus_cameras import read_neus_cameras
from utils import registry
from utils.errors import ConfigError, DataError
from utils.images import read_image, resize_area, write_png


def load(root, split="train", **options):
    return DTULoader(DTUConfig(str(root), **options)).load(split)


def edit(root, change) -> None:
    """Applies `change` to the arrays of the camera file in place."""
    with np.load(root / "cameras_sphere.npz") as file:
        arrays = dict(file)
    change(arrays)
    np.savez(root / "cameras_sphere.npz", **arrays)


def test_cameras_pixels_and_masks_come_back(tmp_path):
    cameras = write_dtu(tmp_path)
    scene = load(tmp_path, holdout=0)
    np.testing.assert_allclose(scene.c2w, cameras, atol=1e-5)
    np.testing.assert_allclose(
        scene.intrinsics, np.tile([FOCAL, 1.1 * FOCAL, WIDTH / 2, HEIGHT / 2], (9, 1)), rtol=1e-5
    )
    for i in range(9):
        np.testing.assert_array_equal(scene.image(i), np.dstack([random_image(i, 3), disc()]))
    np.testing.assert_allclose(scene.world_from_scene @ [0, 0, 0, 1], [5.0, -2.0, 1.0, 1.0])
    assert scene.orbit_views is None


def test_without_masks_images_have_three_channels(dtu_root):
    assert not load(dtu_root, apply_mask=False).has_alpha


def test_every_eighth_view_is_held_out(dtu_root, caplog):
    train, val, test = (load(dtu_root, split).image_names for split in ("train", "val", "test"))
    assert val == test == ("000000.png", "000008.png")
    assert not set(train) & set(val)
    assert len(train) == 7
    assert load(dtu_root, "val", val_split="train").image_names == train
    assert not caplog.text
    assert len(load(dtu_root, "val", holdout=0)) == len(load(dtu_root, "train", holdout=0)) == 9
    assert "trained on" in caplog.text
    with pytest.raises(ConfigError, match="holdout"):
        DTUConfig(str(dtu_root), holdout=1)


def test_views_are_held_out_by_a_list(dtu_root):
    train, test = (load(dtu_root, split, holdout=(7, 2)).image_names for split in ("train", "test"))
    assert test == ("000002.png", "000007.png")
    assert len(train) == 7
    assert not set(train) & set(test)
    for bad in ((), (3, 3)):
        with pytest.raises(ConfigError, match=r"dataset\.holdout: expected different indices"):
            DTUConfig(str(dtu_root), holdout=bad)
    for bad in ((9,), tuple(range(9))):
        with pytest.raises(ConfigError, match="views from 0 to 8"):
            load(dtu_root, holdout=bad)


@pytest.mark.parametrize("factor", [2.0, 4.0, 0.5])
def test_cameras_of_another_resolution_are_rescaled(dtu_root, factor, caplog):
    expected = load(dtu_root).intrinsics

    def resize(arrays):
        half = np.array(
            [[factor, 0, 0.5 * factor - 0.5, 0], [0, factor, 0.5 * factor - 0.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
        )
        for i in range(9):
            arrays[f"world_mat_{i}"] = half @ arrays[f"world_mat_{i}"]

    edit(dtu_root, resize)
    np.testing.assert_allclose(load(dtu_root).intrinsics, expected, rtol=1e-4)
    assert caplog.text.count("dividing the intrinsics by") == 1


def crop(root, left: int, top: int, right: int, bottom: int) -> None:
    """Cuts images and masks, and moves the principal points of the cameras along."""
    for path in [*(root / "image").iterdir(), *(root / "mask").iterdir()]:
        write_png(path, read_image(path)[top:bottom, left:right])
    shift = np.eye(4)
    shift[:2, 2] = -left, -top
    edit(root, lambda arrays: arrays.update({f"world_mat_{i}": shift @ arrays[f"world_mat_{i}"] for i in range(9)}))


@pytest.mark.parametrize("box", [(0, 0, 17, 13), (0, 0, 20, 24), (9, 7, 32, 24), (8, 6, 24, 18)])
def test_crops_load_with_a_key(dtu_root, box, caplog):
    expected = load(dtu_root).intrinsics - [0, 0, box[0], box[1]]
    crop(dtu_root, *box)
    np.testing.assert_allclose(load(dtu_root, cameras_for="images").intrinsics, expected, rtol=1e-5, atol=1e-4)
    assert "dividing" not in caplog.text


def test_masks_tell_crops_from_resized_images_and_without_them_the_keys_are_named(dtu_root):
    crop(dtu_root, 0, 0, 16, 12)  # the principal point lies in the corner, as that of images twice as large
    kept, halved = (load(dtu_root, cameras_for=meant).intrinsics for meant in ("images", "resized"))
    np.testing.assert_allclose(halved, kept / 2)
    np.testing.assert_allclose(load(dtu_root).intrinsics, kept)
    message = (
        r"for the images \(16x12\), got cameras for 32x24.*\(16.0, 12.0\).*resized\. If.*cropped.*cameras_for=images\."
    )
    with pytest.raises(DataError, match=message):
        load(dtu_root, apply_mask=False)


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (2, r"cameras for 32x24, .*made smaller by 2 after .*, give dataset\.cameras_for=resized\. If they were crop"),
        (0.5, r"made larger by 2 after the cameras were computed, give dataset\.cameras_for=resized\."),
        (1.6, r"made smaller after .*, use those of before, with dataset\.img_downscale=N\. If they were crop"),
    ],
)
def test_images_that_were_resized_without_masks_are_told_what_to_type(dtu_root, factor, said):
    expected = load(dtu_root, apply_mask=False).intrinsics / factor
    for path in (dtu_root / "image").iterdir():
        image = read_image(path)
        write_png(path, resize_area(image, (round(image.shape[1] / factor), round(image.shape[0] / factor))))
    with pytest.raises(DataError, match=said):
        load(dtu_root, apply_mask=False)
    if factor != 1.6:
        np.testing.assert_allclose(load(dtu_root, apply_mask=False, cameras_for="resized").intrinsics, expected)


def test_downscaled_images_scale_the_intrinsics(dtu_root):
    full, half = load(dtu_root), load(dtu_root, img_downscale=2)
    np.testing.assert_allclose(half.intrinsics, full.intrinsics / 2, rtol=1e-5)
    assert half.sizes.tolist() == [[WIDTH // 2, HEIGHT // 2]] * 7


def test_masks_pair_by_name_number_or_order(dtu_root):
    expected = load(dtu_root).pixels
    for rename in ("{:06d}.png", "{:06d}.png.png", "mask_{}.png"):
        for i, path in enumerate(
            sorted((dtu_root / "mask").iterdir(), key=lambda p: int("".join(filter(str.isdigit, p.stem))))
        ):
            path.rename(dtu_root / "mask" / rename.format(i))
        np.testing.assert_array_equal(load(dtu_root).pixels, expected)


def test_masks_of_zeros_and_ones(dtu_root):
    expected = load(dtu_root).pixels
    for path in (dtu_root / "mask").iterdir():
        write_png(path, disc() // 255)
    np.testing.assert_array_equal(load(dtu_root).pixels, expected)


def test_left_out_images_keep_their_cameras(dtu_root):
    full = load(dtu_root, holdout=0)
    (dtu_root / "image/000003.png").unlink()
    np.testing.assert_array_equal(load(dtu_root, holdout=0).c2w, np.delete(full.c2w, 3, axis=0))
    (dtu_root / "image/000005.png").rename(dtu_root / "image/five.png")
    with pytest.raises(DataError, match="9 for 8 images"):
        load(dtu_root)


BAD_CAMERAS = {
    "nan": (lambda a: a["world_mat_2"].__setitem__((0, 0), np.nan), "world_mat_2.*NaN"),
    "too few": (lambda a: (a.pop("world_mat_8"), a.pop("scale_mat_8")), "8 for 9 images"),
    "none": (lambda a: a.clear(), "no world_mat_0"),
    "no scale": (lambda a: a.pop("scale_mat_4"), "no scale_mat_4.*cameras_sphere"),
    "scales differ": (lambda a: a.update(scale_mat_4=a["scale_mat_4"] @ np.diag([2, 2, 2, 1])), "scale_mat_4"),
    "mirrored scale": (
        lambda a: a.update({f"scale_mat_{i}": np.diag([1.0, 1.0, -1.0, 1.0]) for i in range(9)}),
        "mirrored",
    ),
    "transposed scale": (lambda a: a.update(scale_mat_4=a["scale_mat_4"].T), "scale_mat_4: expected 0, 0, 0, 1"),
    "no camera": (lambda a: a.update(world_mat_2=np.eye(4)), "in pixels of 32x24 images, got fx"),
    "not uniform": (lambda a: a.update({f"scale_mat_{i}": np.diag([1.0, 2.0, 1.0, 1.0]) for i in range(9)}), "uniform"),
    "singular": (lambda a: a.update(world_mat_2=np.zeros((4, 4))), "world_mat_2.*singular"),
    "pickled": (lambda a: a.update(world_mat_2=np.array([None])), "cannot be read"),
    "other aspect": (
        lambda a: a.update({f"world_mat_{i}": np.diag([2.0, 1, 1, 1]) @ a[f"world_mat_{i}"] for i in range(9)}),
        "principal point",
    ),
}


@pytest.mark.parametrize("kind", BAD_CAMERAS)
def test_bad_cameras_are_refused(dtu_root, kind):
    change, message = BAD_CAMERAS[kind]
    edit(dtu_root, change)
    with pytest.raises(DataError, match=message):
        load(dtu_root)


def test_unreadable_and_missing_camera_files_are_refused(dtu_root):
    (dtu_root / "cameras_sphere.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="cannot be read"):
        load(dtu_root)
    with pytest.raises(DataError, match=r"other\.npz: no such file"):
        load(dtu_root, cameras_file="other.npz")
    with pytest.raises(DataError, match="no such folder"):
        load(dtu_root / "nowhere")


def test_bad_masks_are_refused(dtu_root):
    first = dtu_root / "mask/001.png"
    write_png(first, disc()[:, :-1])
    with pytest.raises(DataError, match=r"001\.png.*32x24.*31x24"):
        load(dtu_root)
    write_png(first, 0 * disc())
    with pytest.raises(DataError, match=r"001\.png.*black everywhere"):
        load(dtu_root)
    for path in (dtu_root / "mask").iterdir():
        path.rename(path.with_stem("m" + path.stem))
    first.with_stem("m001").unlink()
    with pytest.raises(DataError, match=r"no mask for any of 9 images.*000000\.png.*8 masks"):
        load(dtu_root)


def test_images_without_a_mask_are_left_out_and_that_is_said_once(dtu_root, caplog):
    (dtu_root / "mask/003.png").unlink()
    loader = DTULoader(DTUConfig(str(dtu_root), holdout=(3,)))
    kept = loader.load("train").image_names
    assert loader.load("test").image_names == ("000004.png",)  # number 3 of those that have a mask
    assert len(kept) == 7
    assert "000003.png" not in kept
    assert caplog.text.count("leaving out 1 of 9 images, which have no mask, first 000003.png") == 1


@pytest.mark.parametrize("size", [(1600, 1200), (400, 300)])
def test_the_half_pixel_of_dtu_is_one_of_its_calibration(tmp_path, size):
    """Files made to fit smaller images give the same rays as the original ones."""
    camera = np.array([[2892.33, 0.0, 823.205, 0.0], [0.0, 2883.175, 619.071, 0.0], [0.0, 0.0, 1.0, 0.0]])
    made_for = np.diag([size[0] / 1600, size[1] / 1200, 1.0]) @ camera
    np.savez(tmp_path / "c.npz", world_mat_0=np.vstack([made_for, [0, 0, 0, 1]]), scale_mat_0=np.eye(4))
    found = read_neus_cameras(tmp_path / "c.npz").intrinsics * (400 / size[0])
    np.testing.assert_allclose(found[0], [723.0825, 720.79375, 823.705 / 4, 619.571 / 4], atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"), [(lambda m: 255 - m, "inverted"), (lambda m: m * 0 + 255, "white everywhere")]
)
def test_masks_that_cannot_be_meant_are_refused(dtu_root, change, message):
    for path in (dtu_root / "mask").iterdir():
        write_png(path, change(disc()))
    with pytest.raises(DataError, match=message):
        load(dtu_root)


def test_without_a_folder_of_masks_the_images_are_used_whole_and_that_is_said_once(dtu_root, caplog):
    (dtu_root / "mask").rename(dtu_root / "others")
    loader = DTULoader(DTUConfig(str(dtu_root)))
    assert not loader.load("train").has_alpha
    loader.load("test")
    assert caplog.text.count("no mask/") == 1
    (dtu_root / "mask").mkdir()
    with pytest.raises(DataError, match=r"mask: expected images .* got none"):
        load(dtu_root)


def test_bmvs_and_the_camera_file_of_idr(dtu_root, caplog):
    expected = load(dtu_root)
    (dtu_root / "cameras_sphere.npz").rename(dtu_root / "cameras.npz")
    config = registry.find("dataset", "bmvs").target(str(dtu_root))
    scene = registry.build(config).load("train")
    np.testing.assert_array_equal(scene.c2w, expected.c2w)
    assert caplog.text.count("cameras.npz") == 1
    with pytest.raises(DataError, match=r"other\.npz: no such file"):
        load(dtu_root, cameras_file="other.npz")


def test_a_scale_mat_of_any_scale_means_the_same(dtu_root):
    expected = load(dtu_root)
    edit(dtu_root, lambda arrays: arrays.update({f"scale_mat_{i}": 2 * arrays[f"scale_mat_{i}"] for i in range(9)}))
    np.testing.assert_allclose(load(dtu_root).world_from_scene, expected.world_from_scene)
    np.testing.assert_allclose(load(dtu_root).c2w, expected.c2w, atol=1e-6)


def test_alpha_of_the_images_is_their_mask_where_there_is_no_folder_of_masks(dtu_root, caplog):
    expected = load(dtu_root)
    for i, path in enumerate(sorted((dtu_root / "image").iterdir())):
        write_png(path, np.dstack([random_image(i, 3), disc()]))
    shutil.rmtree(dtu_root / "mask")
    with caplog.at_level("INFO"):
        np.testing.assert_array_equal(load(dtu_root).pixels, expected.pixels)
    assert "the alpha of the images is their mask" in caplog.text
    assert "have no masks" not in caplog.text
    assert not load(dtu_root, apply_mask=False).has_alpha


@pytest.mark.parametrize("name", ["Image", "images", "rgb"])
def test_images_in_the_folders_of_other_programs_are_found(dtu_root, caplog, name):
    expected = load(dtu_root)
    (dtu_root / "image").rename(dtu_root / name)
    with caplog.at_level("INFO"):
        np.testing.assert_array_equal(load(dtu_root).pixels, expected.pixels)
    assert f"the images are those of {name}/" in caplog.text
