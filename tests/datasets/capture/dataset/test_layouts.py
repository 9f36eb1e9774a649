"""One prepared folder in three layouts: the same pixels and the same rays in the coordinates of the model."""

import json

import numpy as np
import pycolmap
import pytest
from scenes_on_disk import FOCAL, HEIGHT, WIDTH, disc, pixels_of, random_image, ring_of_cameras, write_colmap

from datasets.capture.dataset.layouts import write_neus, write_transforms
from datasets.capture.masks.mask_files import masks_in
from datasets.capture.sparse_model import to_sparse_model
from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.dtu import DTUConfig, DTULoader
from datasets.region import REGION_FILE, Region, write_region
from datasets.transforms import TransformsConfig, TransformsLoader
from utils.errors import DataError
from utils.images import write_png

UP = np.array([0.0, 0.6, 0.8])
REGION = Region(np.array([0.2, -0.1, 0.3]), 0.7, UP, None, "by hand")
AWAY = np.array([4.0, -3.0, 2.0])
IMAGES = [random_image(i, 3) for i in range(9)]


def write(root, masks: bool) -> None:
    """A prepared folder in all its layouts, off the origin and with a principal point off the middle."""
    cameras = ring_of_cameras(9)
    cameras[:, :, 3] += AWAY
    camera = pycolmap.Camera(
        model="PINHOLE", width=WIDTH, height=HEIGHT, params=[FOCAL, 1.02 * FOCAL, 15.3, 12.4], camera_id=1
    )
    write_colmap(root, cameras, IMAGES, points=0.2 * np.eye(3) + AWAY, camera=camera)
    model = to_sparse_model(pycolmap.Reconstruction(root / "sparse/0"))
    region = Region(REGION.center + AWAY, REGION.radius, UP, None, "by hand")
    if masks:
        for name in model.names:
            write_png(root / "masks" / name, disc())
    write_region(region, root / REGION_FILE)
    masks_by_name = masks_in(root / "masks", model.names)
    assert write_neus(region, model, root / "images", masks_by_name, root / "neus") == 9
    write_transforms(model, root / "images", masks_by_name, root / "transforms.json", root)


@pytest.mark.parametrize("masks", [True, False])
def test_three_layouts_give_the_same_rays_and_pixels(tmp_path, masks):
    write(tmp_path, masks)
    scenes = [
        ColmapLoader(ColmapConfig(str(tmp_path), holdout=0)).load("train"),
        TransformsLoader(TransformsConfig(str(tmp_path), holdout=0)).load("train"),
        DTULoader(DTUConfig(str(tmp_path / "neus"), holdout=0)).load("train"),
    ]
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3)) + AWAY
    for scene in scenes:
        assert scene.has_alpha == masks
        np.testing.assert_array_equal(scene.pixels, scenes[0].pixels)
        np.testing.assert_allclose(pixels_of(scene, points), pixels_of(scenes[0], points), atol=1e-3)
        np.testing.assert_allclose(scene.world_from_scene[:3, 3], REGION.center + AWAY, atol=1e-9)
    radii = [np.cbrt(np.linalg.det(scene.world_from_scene[:3, :3])) for scene in scenes]
    np.testing.assert_allclose(radii, [2 * REGION.radius, 2 * REGION.radius, REGION.radius])


def test_neus_leaves_out_images_without_a_mask_and_counts_on(tmp_path):
    write(tmp_path, masks=True)
    model = to_sparse_model(pycolmap.Reconstruction(tmp_path / "sparse/0"))
    masks_by_name = masks_in(tmp_path / "masks", model.names)
    del masks_by_name["003.png"]
    assert write_neus(REGION, model, tmp_path / "images", masks_by_name, tmp_path / "fewer") == 8
    assert sorted(path.name for path in (tmp_path / "fewer/image").iterdir())[-1] == "000007.png"
    scene = DTULoader(DTUConfig(str(tmp_path / "fewer"), holdout=0)).load("train")
    np.testing.assert_array_equal(scene.image(3)[..., :3], IMAGES[4])


def test_transforms_share_a_camera_or_name_one_for_each(tmp_path):
    write(tmp_path, masks=False)
    meta = json.loads((tmp_path / "transforms.json").read_text())
    assert (meta["w"], meta["h"], meta["fl_x"], meta["cx"], meta["cy"]) == (WIDTH, HEIGHT, FOCAL, 15.3, 12.4)
    assert meta["frames"][4]["file_path"] == "images/004.png"
    assert "mask_path" not in meta["frames"][4]
    model = to_sparse_model(pycolmap.Reconstruction(tmp_path / "sparse/0"))
    model.intrinsics[2, 0] = 50.0
    write_transforms(model, tmp_path / "images", {}, tmp_path / "transforms.json", tmp_path)
    meta = json.loads((tmp_path / "transforms.json").read_text())
    assert "fl_x" not in meta
    assert [frame["fl_x"] for frame in meta["frames"][1:4]] == [FOCAL, 50.0, FOCAL]
    scene = TransformsLoader(TransformsConfig(str(tmp_path), holdout=0)).load("train")
    np.testing.assert_allclose(scene.intrinsics, model.intrinsics, rtol=1e-6)


def test_an_image_that_is_gone_is_named(tmp_path):
    write(tmp_path, masks=False)
    model = to_sparse_model(pycolmap.Reconstruction(tmp_path / "sparse/0"))
    (tmp_path / "images/005.png").unlink()
    with pytest.raises(DataError, match=r"005\.png: no such image"):
        write_neus(REGION, model, tmp_path / "images", {}, tmp_path / "neus")
