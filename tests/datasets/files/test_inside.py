"""What a dataset names or links to outside of its folder is not read, unless its owner says so."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes_on_disk import random_image, ring_of_cameras, write_blender, write_colmap, write_dtu, write_transforms

from datasets.blender import BlenderConfig, BlenderLoader
from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.dtu import DTUConfig, DTULoader
from datasets.transforms import TransformsConfig, TransformsLoader
from utils.errors import DataError
from utils.images import MAX_PIXELS, read_image

CAMERAS = ring_of_cameras(3)
IMAGES = [random_image(i, 3) for i in range(3)]


def write_scene(kind: str, root: Path) -> Callable[..., object]:
    """Writes a dataset; returns what loads it with options."""
    if kind == "blender":
        write_blender(root, train=3, test=1)
        return lambda **options: BlenderLoader(BlenderConfig(str(root), **options)).load("train")
    if kind == "dtu":
        write_dtu(root, num=3)
        return lambda **options: DTULoader(DTUConfig(str(root), **options)).load("train")
    if kind == "colmap":
        write_colmap(root, CAMERAS, IMAGES, points=np.random.default_rng(0).normal(size=(9, 3)))
        return lambda **options: ColmapLoader(ColmapConfig(str(root), **options)).load("train")
    write_transforms(root, CAMERAS, IMAGES)
    return lambda **options: TransformsLoader(TransformsConfig(str(root), **options)).load("train")


needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need the rights of an administrator on Windows")


@needs_links
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("blender", "transforms_train.json"),
        ("blender", "train/r_1.png"),
        ("dtu", "cameras_sphere.npz"),
        ("dtu", "image/000001.png"),
        ("dtu", "mask/001.png"),
        ("dtu", "image"),
        ("colmap", "images/001.png"),
        ("colmap", "sparse"),
        ("colmap", "sparse/0/points3D.bin"),
        ("transforms", "transforms.json"),
        ("transforms", "images/001.png"),
        ("transforms", "images"),
    ],
)
def test_links_that_lead_out_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    load = write_scene(kind, tmp_path / "scene")
    (tmp_path / "scene" / name).rename(tmp_path / "elsewhere")
    (tmp_path / "scene" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"got a link to .*elsewhere.*dataset\.follow_links=true"):
        load()
    load(follow_links=True)


@needs_links
@pytest.mark.parametrize("kind", ["blender", "dtu", "colmap", "transforms"])
def test_links_within_and_to_the_folder_are_fine(tmp_path: Path, kind: str) -> None:
    write_scene(kind, tmp_path / "scene")
    (tmp_path / "link").symlink_to(tmp_path / "scene", target_is_directory=True)
    load = write_scene(kind, tmp_path / "link")
    plain = load()
    image = next(path for path in (tmp_path / "scene").rglob("*.png") if "mask" not in path.parts)
    image.rename(tmp_path / "scene/kept.bin")
    image.symlink_to("../kept.bin")
    linked = load()
    assert linked.image_names == plain.image_names
    assert np.array_equal(linked.pixels, plain.pixels)


@pytest.mark.parametrize("name", ["../secret.png", "/{root}/secret.png", "images/../../secret.png", "..\\secret.png"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    load = write_scene("transforms", tmp_path / "scene")
    Image.fromarray(IMAGES[0]).save(tmp_path / "secret.png")
    file = tmp_path / "scene/transforms.json"
    named = name.format(root=str(tmp_path).strip("/")).replace("\\", "\\\\")
    file.write_text(file.read_text().replace("images/000.png", named).replace("images/001.png", named))
    file.write_text(file.read_text().replace("images/002.png", named))
    with pytest.raises(DataError, match="leaves the dataset folder"):
        load()


@pytest.mark.filterwarnings("ignore:Image size")
def test_an_image_of_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    side = int(MAX_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(tmp_path / "large.png")
    assert (tmp_path / "large.png").stat().st_size < 100_000
    with pytest.raises(DataError, match="million pixels, got more"):
        read_image(tmp_path / "large.png")


def test_a_file_that_is_run_when_it_is_opened_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    with pytest.raises(DataError, match="cannot be decoded"):
        read_image(tmp_path / "a.png")


def test_cameras_that_announce_much_take_no_memory(tmp_path: Path) -> None:
    load = write_scene("dtu", tmp_path)
    arrays = dict(np.load(tmp_path / "cameras_sphere.npz"))
    np.savez_compressed(tmp_path / "cameras_sphere.npz", **{**arrays, "world_mat_1": np.zeros((3000, 3000))})
    with pytest.raises(DataError, match=r"world_mat_1\.npy is float64 of shape \(3000, 3000\)"):
        load()
