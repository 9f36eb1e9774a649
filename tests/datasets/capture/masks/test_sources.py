"""Masks: given ones follow their images through the lens, rembg is optional, loose ones are kept from the loaders."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pycolmap
import pytest
from capture_scenes import SIZE, cameras, cloud_of_points, surface, table
from scenes_on_disk import random_image, ring_of_cameras, write_colmap

from datasets.capture.cloud import Cloud, cloud_of
from datasets.capture.masks.sources import auto_masks, given_masks, loose_mask, loose_masks, masks_in
from datasets.capture.region.estimate import estimate_region
from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.geometry.lens import Lens, lens_of
from datasets.geometry.planes import Plane
from datasets.region import Region
from utils.errors import DataError
from utils.images import read_image, write_png

TABLE = cloud_of_points(np.concatenate([surface(400), table(1500)]), cameras(6))
REGION = estimate_region(TABLE)
LENS = Lens("OPENCV", (120, 90), (100.0, 101.0, 58.0, 46.0, 0.2, 0.05, 0.001, -0.002))


def undistorted(num: int = 3, lens: Lens = LENS) -> tuple[Cloud, np.ndarray]:
    """Cameras as they are after undistorting, and a frame (90, 120) uint8 that is white on a disc, off the middle."""
    target = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), lens.camera())
    cloud = cloud_of_points(surface(20), cameras(num))
    focal = [target.focal_length_x, target.focal_length_y, target.principal_point_x, target.principal_point_y]
    y, x = np.mgrid[:90, :120] + 0.5
    disc = np.where(np.hypot(x - 80, y - 30) < 20, 255, 0).astype(np.uint8)
    shape = {"intrinsics": np.tile(focal, (num, 1)), "sizes": np.tile([target.width, target.height], (num, 1))}
    return Cloud(**(vars(cloud) | shape)), disc


def test_given_masks_are_undistorted_like_their_images(tmp_path):
    cloud, disc = undistorted()
    for i in range(3):
        write_png(tmp_path / "mine" / f"IMG_{i}.png", disc)
    originals = {name: f"IMG_{i}.JPG" for i, name in enumerate(cloud.names)}
    report = given_masks(tmp_path / "mine", originals, dict.fromkeys(cloud.names, LENS), cloud, tmp_path)
    assert (report.kind, report.num_masks, report.num_images) == ("given", 3, 3)
    expected, intrinsics = LENS.undistort(np.repeat(disc[..., None], 3, axis=2), "")
    np.testing.assert_allclose(intrinsics, cloud.intrinsics[0])
    found = masks_in(tmp_path / "masks", cloud.names)
    assert list(found) == list(cloud.names)
    difference = np.abs(read_image(found["000.png"]).astype(int) - expected)[1:-1, 1:-1]  # the edge is black or repeats
    assert difference.max() <= 1
    assert expected.any()


def test_given_masks_of_another_size_are_resized_and_of_another_shape_refused(tmp_path):
    cloud, disc = undistorted()
    lenses = dict.fromkeys(cloud.names, LENS)
    originals = {name: name for name in cloud.names}
    for i, name in enumerate(cloud.names[:2]):
        write_png(tmp_path / "mine" / name, np.kron(disc, np.ones((2, 2), np.uint8)) if i else disc)
    report = given_masks(tmp_path / "mine", originals, lenses, cloud, tmp_path)
    assert (report.num_masks, report.num_images) == (2, 3)
    small, large = (read_image(path).astype(int) for path in masks_in(tmp_path / "masks", cloud.names).values())
    assert (np.abs(small - large) > 64).mean() < 0.01
    write_png(tmp_path / "mine" / "000.png", disc.T)
    with pytest.raises(DataError, match=r"000\.png: expected a mask with the shape of its image, 120x90, got 90x120"):
        given_masks(tmp_path / "mine", originals, lenses, cloud, tmp_path)


def test_masks_of_frames_without_a_camera_alone_are_refused(tmp_path):
    cloud, disc = undistorted()
    write_png(tmp_path / "mine" / "dropped.png", disc)
    originals = {name: name for name in (*cloud.names, "dropped.png")}
    with pytest.raises(DataError, match=r"expected masks of the images that have a camera, got none"):
        given_masks(tmp_path / "mine", originals, {}, cloud, tmp_path)


def test_loose_masks_hold_the_object_and_stop_at_the_ground():
    for view in range(6):
        mask = loose_mask(REGION, TABLE, view)
        pixels, _ = TABLE.project(view, surface(2000, seed=3))
        columns, rows = np.floor(pixels).astype(int).T
        assert (mask[rows, columns] > 0).mean() > 0.995
        whole = loose_mask(Region(REGION.center, REGION.radius, REGION.up, None, ""), TABLE, view)
        assert (mask <= whole).mean() > 0.999
        halved = Plane(REGION.up, float(REGION.up @ REGION.center))
        half = loose_mask(Region(REGION.center, REGION.radius, REGION.up, halved, ""), TABLE, view)
        assert 0.5 < half.sum() / whole.sum() < 0.8


def test_loose_masks_where_the_camera_is_within_or_looks_away():
    within = Region(TABLE.c2w[0, :, 3], 0.1, REGION.up, None, "")
    assert loose_mask(within, TABLE, 0).min() == 255
    behind = Region(TABLE.c2w[0, :, 3] - 2.0 * TABLE.c2w[0, :, 2], 0.1, REGION.up, None, "")
    assert loose_mask(behind, TABLE, 0).max() == 0


def test_no_loader_takes_loose_masks_for_the_object(tmp_path, caplog):
    write_colmap(tmp_path, ring_of_cameras(9), [random_image(i, 3) for i in range(9)], points=0.2 * np.eye(3))
    cloud = cloud_of(pycolmap.Reconstruction(tmp_path / "sparse/0"))
    region = Region(np.zeros(3), 0.4, np.array([0.0, 0.0, 1.0]), None, "")
    report = loose_masks(region, cloud, tmp_path)
    assert (report.folder, report.num_masks) == ("masks_loose", 9)
    assert 0 < (read_image(tmp_path / "masks_loose/000.png") > 0).mean() < 0.5
    assert "training does not use them" in caplog.text
    assert not ColmapLoader(ColmapConfig(str(tmp_path))).load("train").has_alpha
    (tmp_path / "masks_loose").rename(tmp_path / "masks")  # corrected, say
    assert ColmapLoader(ColmapConfig(str(tmp_path))).load("train").has_alpha


def fake_rembg(monkeypatch, home, remove) -> None:
    """Puts a package in place of rembg that has weights and cuts with `remove`."""
    module = SimpleNamespace(new_session=lambda name: name, remove=lambda image, **keys: remove(image))
    monkeypatch.setitem(sys.modules, "rembg", module)
    monkeypatch.setenv("U2NET_HOME", str(home))
    (home / "u2net.onnx").write_bytes(b"weights")


def write_images(root) -> None:
    for name in TABLE.names:
        write_png(root / name, np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))


def test_rembg_masks_are_cut_to_the_region(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    write_images(tmp_path / "images")
    fake_rembg(monkeypatch, tmp_path, lambda image: np.full(image.shape[:2], 255, np.uint8))
    report = auto_masks(REGION, TABLE, tmp_path / "images", tmp_path)
    assert (report.kind, report.folder, report.num_masks) == ("rembg", "masks", 6)
    assert "rembg with u2net" in caplog.text
    np.testing.assert_array_equal(read_image(tmp_path / "masks/002.png")[..., 0], loose_mask(REGION, TABLE, 2))


def test_images_in_which_rembg_finds_nothing_are_left_out_unless_they_are_most(tmp_path, monkeypatch, caplog):
    write_images(tmp_path / "images")
    answers = iter([0, 255, 255, 255, 255, 255, 0, 0, 0, 255, 255, 255])
    fake_rembg(monkeypatch, tmp_path, lambda image: np.full(image.shape[:2], next(answers), np.uint8))
    assert auto_masks(REGION, TABLE, tmp_path / "images", tmp_path).num_masks == 5
    assert not (tmp_path / "masks/000.png").exists()
    assert auto_masks(REGION, TABLE, tmp_path / "images", tmp_path / "again").kind == "loose"
    assert "found an object in the region in 3 of 6 images only" in caplog.text


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (None, r"rembg cannot be imported .* pip install 'rembg\[cpu\]'"),
        (SimpleNamespace(), r"rembg has no weights; download https://\S+ to "),
        (SimpleNamespace(new_session=lambda name: 1 / 0), r"rembg cannot use .*u2net\.onnx: division by zero"),
    ],
    ids=["missing", "no weights", "broken"],
)
def test_without_rembg_masks_are_loose_and_the_reason_is_said(tmp_path, monkeypatch, caplog, module, said):
    monkeypatch.setitem(sys.modules, "rembg", module)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    if module and vars(module):
        (tmp_path / "u2net.onnx").write_bytes(b"")
    assert auto_masks(REGION, TABLE, tmp_path / "images", tmp_path).kind == "loose"
    assert any(re.search(said, line) for line in caplog.messages)


def test_a_lens_of_colmap_comes_back():
    assert lens_of(LENS.camera()) == LENS
