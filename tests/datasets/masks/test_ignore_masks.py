"""Masks that say where not to look: no ray goes there, nothing is carved, and patches and measures leave it out."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from scenes_on_disk import HEIGHT, WIDTH, disc, random_image, ring_of_cameras, write_colmap, write_transforms

from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.geometry.kept_pixels import KeptPixels
from datasets.sampler import RaySampler
from datasets.transforms import TransformsConfig, TransformsLoader
from systems.training import evaluation
from utils.errors import DataError
from utils.images import write_png
from utils.rays import RayBatch

CAMERAS = ring_of_cameras(4)
IMAGES = [random_image(i, 3) for i in range(4)]
LEFT_OUT = np.zeros((HEIGHT, WIDTH), bool)
LEFT_OUT[10:14, 22:30] = True
BLACK = torch.zeros(3)


@pytest.fixture
def root(tmp_path):
    write_transforms(tmp_path, CAMERAS, IMAGES)
    meta = json.loads((tmp_path / "transforms.json").read_text())
    for i, frame in enumerate(meta["frames"]):
        frame["mask_path"] = f"masks/{i:03d}.png"
        write_png(tmp_path / frame["mask_path"], np.where(LEFT_OUT, 0, 255).astype(np.uint8))
    (tmp_path / "transforms.json").write_text(json.dumps(meta))
    return tmp_path


def load(root, **options):
    return TransformsLoader(TransformsConfig(str(root), holdout=0, **options)).load("train")


def test_mask_path_means_not_to_look_and_carves_nothing(root, caplog):
    with caplog.at_level(logging.INFO):
        scene = load(root)
    assert not scene.has_alpha
    np.testing.assert_array_equal(scene.kept, np.tile(~LEFT_OUT.ravel(), 4))
    np.testing.assert_array_equal(scene.image(2), IMAGES[2])
    assert caplog.text.count("black in masks is not looked at") == 1
    assert "dataset.masks=ignore" in caplog.text
    as_object = load(root, masks="object")
    assert as_object.kept is None
    np.testing.assert_array_equal(as_object.image(0)[..., 3] == 0, LEFT_OUT)
    assert caplog.text.count("set dataset.masks=ignore") == 1  # an object that fills the photographs to their border


def test_files_that_say_so_and_prepared_folders_show_the_object(root):
    meta = json.loads((root / "transforms.json").read_text())
    (root / "transforms.json").write_text(json.dumps(meta | {"masks": "object"}))
    assert load(root).has_alpha
    assert load(root, masks="ignore").kept is not None


def test_masks_in_a_folder_of_colmap_show_the_object_unless_told(tmp_path):
    write_colmap(tmp_path, CAMERAS, IMAGES)
    for i in range(3):
        write_png(tmp_path / f"masks/{i:03d}.png", disc())
    assert len(ColmapLoader(ColmapConfig(str(tmp_path), holdout=0)).load("train")) == 3
    scene = ColmapLoader(ColmapConfig(str(tmp_path), holdout=0, masks="ignore")).load("train")
    np.testing.assert_array_equal(scene.kept.reshape(4, HEIGHT, WIDTH)[:3], np.tile(disc() > 0, (3, 1, 1)))
    assert scene.kept.reshape(4, -1)[3].all()  # without a mask it is looked at everywhere


def test_alpha_of_the_photographs_stays(root):
    for i in range(4):
        write_png(root / f"images/{i:03d}.png", random_image(i, 4))
    scene = load(root)
    np.testing.assert_array_equal(scene.image(1), random_image(1, 4))
    assert not scene.kept.all()


def test_only_whole_pixels_are_kept_at_a_smaller_size(root):
    kept = load(root, img_downscale=3).kept.reshape(4, -1)[0].reshape(8, -1)
    assert not kept[3:5, 7:10].any()
    assert kept[:3].all()
    assert kept[5:].all()


def test_masks_of_an_object_are_doubted_and_black_ones_refused(root, caplog):
    for i in range(4):
        write_png(root / f"masks/{i:03d}.png", disc())
    load(root)
    assert caplog.text.count("set dataset.masks=object") == 1
    write_png(root / "masks/001.png", 0 * disc())
    with pytest.raises(DataError, match=r"001\.png: expected a mask that is black where not to look.*black everywhere"):
        load(root)


@pytest.mark.parametrize("per_image", [False, True])
def test_rays_go_to_all_other_pixels_alike(root, per_image):
    scene = load(root)
    sampler = RaySampler(scene, "cpu", per_image=per_image)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([sampler.draw(2000, BLACK, generator).pixel for _ in range(20)])
    counts = torch.bincount(drawn, minlength=len(scene.pixels)).numpy()
    assert (counts[~scene.kept] == 0).all()
    if not per_image:
        mean = 40_000 / scene.kept.sum()
        assert abs(counts[scene.kept].var() / mean - 1.0) < 0.1


def test_an_error_map_sends_no_ray_there(root):
    scene = load(root)
    ignored = torch.from_numpy(np.flatnonzero(~scene.kept))

    def redirect(pixel, image, generator):
        return ignored[: len(pixel)], torch.zeros_like(image)

    batch = RaySampler(scene, "cpu").draw(32, BLACK, torch.Generator().manual_seed(0), redirect)
    assert scene.kept[batch.pixel.numpy()].all()
    np.testing.assert_array_equal(batch.image, batch.pixel // (WIDTH * HEIGHT))


def test_patches_and_textures_leave_it_out(root):
    scene = load(root)
    sampler = RaySampler(scene, "cpu")
    grey = sampler.sources(2).grey.numpy()
    assert (grey[~scene.kept] == 0).all()
    assert (RaySampler(replace(scene, kept=None), "cpu").sources(2).grey.numpy()[~scene.kept] > 0).any()
    np.testing.assert_array_equal(sampler.photograph_to_show(1), np.dstack([IMAGES[1], np.where(LEFT_OUT, 0, 255)]))
    np.testing.assert_array_equal(sampler.photograph(1), IMAGES[1])


def test_measures_leave_it_out(monkeypatch):
    truth, kept = torch.rand(16 * 16, 3), torch.ones(16 * 16, dtype=torch.bool)
    kept[40:60] = False
    rendered = torch.where(kept[:, None], truth + 0.1, truth - 5.0)
    batch = RayBatch(None, truth, None, BLACK, torch.zeros(256, dtype=torch.int64), kept=kept)
    images = {"rgb": rendered.view(16, 16, 3), "opacity": torch.ones(16, 16), "depth": torch.ones(16, 16)}
    monkeypatch.setattr(evaluation, "_render", lambda *_: images)
    metrics = evaluation.evaluate_view(None, batch, (16, 16)).metrics
    assert metrics["psnr"] == pytest.approx(20.0, abs=1e-2)
    assert metrics["ssim"] > 0.5


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_kept_pixels_are_numbered_in_their_order(share):
    kept = np.random.default_rng(0).random(1000) >= share
    kept[[0, 300, 700]] = True
    numbered = KeptPixels(torch.from_numpy(kept), torch.tensor([0, 300, 700]))
    assert numbered.pixel(torch.arange(numbered.total)).tolist() == np.flatnonzero(kept).tolist()
    first, counts = numbered.ranges
    assert first.tolist() == [kept[:start].sum() for start in (0, 300, 700)]
    assert counts.tolist() == [kept[:300].sum(), kept[300:700].sum(), kept[700:].sum()]


def test_masks_that_leave_nearly_nothing_are_pointed_out(root, caplog):
    for path in (root / "masks").iterdir():
        write_png(path, np.where(LEFT_OUT, 255, 0).astype(np.uint8))
    load(root)
    assert "the masks say not to look at 96% of the pixels" in caplog.text
