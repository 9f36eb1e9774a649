"""Masks without a user: rembg is optional, and no loader reads loose masks."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pycolmap
import pytest
from capture_scenes import SIZE, cameras, model_of_points, surface, table
from scenes_on_disk import random_image, ring_of_cameras, write_colmap

from datasets.capture.masks.rembg_masks import loose_mask, write_loose_masks, write_rembg_masks
from datasets.capture.region.estimate_region import estimate_region
from datasets.capture.sparse_model import to_sparse_model
from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.geometry.planes import Plane
from datasets.region import Region
from utils.images import read_image, write_png

TABLE = model_of_points(np.concatenate([surface(400), table(1500)]), cameras(6))
REGION = estimate_region(TABLE)


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
    model = to_sparse_model(pycolmap.Reconstruction(tmp_path / "sparse/0"))
    region = Region(np.zeros(3), 0.4, np.array([0.0, 0.0, 1.0]), None, "")
    report = write_loose_masks(region, model, tmp_path)
    assert (report.folder, report.num_masks) == ("masks_loose", 9)
    assert 0 < (read_image(tmp_path / "masks_loose/000.png") > 0).mean() < 0.5
    assert "Training does not use them" in caplog.text
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
    report = write_rembg_masks(REGION, TABLE, tmp_path / "images", tmp_path)
    assert (report.kind, report.folder, report.num_masks) == ("rembg", "masks", 6)
    assert "rembg with u2net" in caplog.text
    np.testing.assert_array_equal(read_image(tmp_path / "masks/002.png")[..., 0], loose_mask(REGION, TABLE, 2))


def test_images_in_which_rembg_finds_nothing_are_left_out_unless_they_are_most(tmp_path, monkeypatch, caplog):
    write_images(tmp_path / "images")
    answers = iter([0, 255, 255, 255, 255, 255, 0, 0, 0, 255, 255, 255])
    fake_rembg(monkeypatch, tmp_path, lambda image: np.full(image.shape[:2], next(answers), np.uint8))
    assert write_rembg_masks(REGION, TABLE, tmp_path / "images", tmp_path).num_masks == 5
    assert not (tmp_path / "masks/000.png").exists()
    assert write_rembg_masks(REGION, TABLE, tmp_path / "images", tmp_path / "again").kind == "loose"
    assert "detected an object in the region in only 3 of 6 images" in caplog.text


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (None, r"cannot import rembg .* pip install 'rembg\[cpu\]'"),
        (SimpleNamespace(), r"rembg has no weights\. Download https://\S+ to "),
        (SimpleNamespace(new_session=lambda name: 1 / 0), r"rembg cannot use .*u2net\.onnx: division by zero"),
    ],
    ids=["missing", "no weights", "broken"],
)
def test_without_rembg_masks_are_loose_and_the_reason_is_said(tmp_path, monkeypatch, caplog, module, said):
    monkeypatch.setitem(sys.modules, "rembg", module)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    if module and vars(module):
        (tmp_path / "u2net.onnx").write_bytes(b"")
    assert write_rembg_masks(REGION, TABLE, tmp_path / "images", tmp_path).kind == "loose"
    assert any(re.search(said, line) for line in caplog.messages)
