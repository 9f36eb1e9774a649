"""Masks of the user are undistorted and resized like their images."""

import numpy as np
import pycolmap
import pytest
from capture_scenes import cameras, model_of_points, surface

from datasets.capture.masks.mask_files import masks_in
from datasets.capture.masks.user_masks import write_user_masks
from datasets.capture.sparse_model import SparseModel
from datasets.geometry.lens import Lens, lens_of
from utils.errors import DataError
from utils.images import read_image, write_png

LENS = Lens("OPENCV", (120, 90), (100.0, 101.0, 58.0, 46.0, 0.2, 0.05, 0.001, -0.002))


def undistorted(num: int = 3, lens: Lens = LENS) -> tuple[SparseModel, np.ndarray]:
    """Cameras as they are after undistorting, and a frame (90, 120) uint8 that is white on a disc, off the middle."""
    target = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), lens.camera())
    model = model_of_points(surface(20), cameras(num))
    focal = [target.focal_length_x, target.focal_length_y, target.principal_point_x, target.principal_point_y]
    y, x = np.mgrid[:90, :120] + 0.5
    disc = np.where(np.hypot(x - 80, y - 30) < 20, 255, 0).astype(np.uint8)
    shape = {"intrinsics": np.tile(focal, (num, 1)), "sizes": np.tile([target.width, target.height], (num, 1))}
    return SparseModel(**(vars(model) | shape)), disc


def test_user_masks_are_undistorted_like_their_images(tmp_path):
    model, disc = undistorted()
    for i in range(3):
        write_png(tmp_path / "mine" / f"IMG_{i}.png", disc)
    originals = {name: f"IMG_{i}.JPG" for i, name in enumerate(model.names)}
    report = write_user_masks(tmp_path / "mine", originals, dict.fromkeys(model.names, LENS), model, tmp_path)
    assert (report.kind, report.num_masks, report.num_images) == ("given", 3, 3)
    expected, intrinsics = LENS.undistort(np.repeat(disc[..., None], 3, axis=2), "")
    np.testing.assert_allclose(intrinsics, model.intrinsics[0])
    masks = masks_in(tmp_path / "masks", model.names)
    assert list(masks) == list(model.names)
    difference = np.abs(read_image(masks["000.png"]).astype(int) - expected)[1:-1, 1:-1]  # the edge is black or repeats
    assert difference.max() <= 1
    assert expected.any()


def test_user_masks_of_another_size_are_resized_and_of_another_shape_refused(tmp_path):
    model, disc = undistorted()
    lenses = dict.fromkeys(model.names, LENS)
    originals = {name: name for name in model.names}
    for i, name in enumerate(model.names[:2]):
        write_png(tmp_path / "mine" / name, np.kron(disc, np.ones((2, 2), np.uint8)) if i else disc)
    report = write_user_masks(tmp_path / "mine", originals, lenses, model, tmp_path)
    assert (report.num_masks, report.num_images) == (2, 3)
    small, large = (read_image(path).astype(int) for path in masks_in(tmp_path / "masks", model.names).values())
    assert (np.abs(small - large) > 64).mean() < 0.01
    write_png(tmp_path / "mine" / "000.png", disc.T)
    with pytest.raises(DataError, match=r"000\.png: expected a mask with the aspect ratio of .* 120x90, got 90x120"):
        write_user_masks(tmp_path / "mine", originals, lenses, model, tmp_path)


def test_masks_of_frames_without_a_camera_alone_are_refused(tmp_path):
    model, disc = undistorted()
    write_png(tmp_path / "mine" / "dropped.png", disc)
    originals = {name: name for name in (*model.names, "dropped.png")}
    with pytest.raises(DataError, match=r"expected masks of the images that have a camera, got masks of other"):
        write_user_masks(tmp_path / "mine", originals, {}, model, tmp_path)


def test_a_lens_of_colmap_comes_back():
    assert lens_of(LENS.camera()) == LENS
