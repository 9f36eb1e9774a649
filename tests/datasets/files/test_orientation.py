"""Photographs and masks that carry an EXIF orientation show what the cameras of each format mean."""

import json
import logging

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from scenes_on_disk import FOCAL, HEIGHT, WIDTH, disc, random_image, ring_of_cameras, write_colmap, write_dtu
from scenes_on_disk import write_transforms as write_frames

from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.dtu import DTUConfig, DTULoader
from datasets.evaluation.image_pairs import read_pair
from datasets.files.orientation import CameraShape, orientation_of
from datasets.transforms import TransformsConfig, TransformsLoader
from utils.errors import DataError
from utils.images import inverse_orientation, read_image, stored_size

CAMERAS = ring_of_cameras(3)
LOADERS = {"colmap": (ColmapLoader, ColmapConfig), "transforms": (TransformsLoader, TransformsConfig)}


def tag(path, orientation: int) -> None:
    """Gives the pixels of a file an orientation and leaves them as they are."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(path) as image:
        pixels = image.copy()
    pixels.save(path, exif=exif)


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(image)
    picture.getexif()[0x0112] = orientation
    return np.array(ImageOps.exif_transpose(picture))


def write(kind: str, root, images) -> None:
    if kind == "colmap":
        write_colmap(root, CAMERAS, images, points=0.2 * np.random.default_rng(0).normal(size=(60, 3)))
    else:
        write_frames(root, CAMERAS, images)


def load(kind: str, root):
    loader, config = LOADERS[kind]
    return loader(config(str(root), holdout=0)).load("train")


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("orientation", range(2, 9))
def test_cameras_from_elsewhere_mean_the_pixels_as_stored(tmp_path, kind, orientation, caplog):
    images = [random_image(i, 3) for i in range(3)]
    write(kind, tmp_path, images)
    for path in (tmp_path / "images").iterdir():
        tag(path, orientation)
    with caplog.at_level(logging.INFO):
        scene = load(kind, tmp_path)
    for i, image in enumerate(images):
        np.testing.assert_array_equal(scene.image(i), image)
    why = "the shape that their cameras are for" if orientation >= 5 else "as programs read them that make such cameras"
    assert caplog.text.count(f"EXIF orientation are used as stored, {why}") == 1


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_cameras_that_fit_turned_pixels_only_mean_those(tmp_path, kind, orientation, caplog):
    upright = [random_image(i, 3) for i in range(3)]
    write(kind, tmp_path, [turned(image, inverse_orientation(orientation)) for image in upright])
    for path in (tmp_path / "images").iterdir():
        tag(path, orientation)
    with caplog.at_level(logging.INFO):
        scene = load(kind, tmp_path)
    for i, image in enumerate(upright):
        np.testing.assert_array_equal(scene.image(i), image)
    assert "are used turned upright, the shape that their cameras are for" in caplog.text


def test_each_photograph_is_decided_by_itself(tmp_path):
    images = [random_image(i, 3) for i in range(3)]
    write("colmap", tmp_path, [images[0], images[1], turned(images[2], 8)])
    tag(tmp_path / "images/001.png", 6)
    tag(tmp_path / "images/002.png", 6)
    scene = load("colmap", tmp_path)
    for i in range(3):
        np.testing.assert_array_equal(scene.image(i), images[i])


@pytest.mark.parametrize("how", ["stored", "tagged", "upright"])
def test_masks_follow_their_photograph(tmp_path, how):
    images, mask = [random_image(i, 3) for i in range(3)], disc()
    mask[: HEIGHT // 2, : WIDTH // 2] = 0
    write("colmap", tmp_path, images)
    (tmp_path / "masks").mkdir()
    for path in list((tmp_path / "images").iterdir()):
        tag(path, 6)
        own = tmp_path / "masks" / path.name
        Image.fromarray(turned(mask, 6) if how == "upright" else mask).save(own)
        if how == "tagged":
            tag(own, 6)
    scene = load("colmap", tmp_path)
    for i in range(3):
        np.testing.assert_array_equal(scene.image(i)[..., 3], mask)


def test_a_file_without_sizes_is_decided_by_its_principal_point(tmp_path):
    images = [random_image(i, 3) for i in range(3)]
    write("transforms", tmp_path, [turned(image, 8) for image in images])
    meta = json.loads((tmp_path / "transforms.json").read_text())
    (tmp_path / "transforms.json").write_text(json.dumps({k: v for k, v in meta.items() if k not in ("w", "h")}))
    for path in (tmp_path / "images").iterdir():
        tag(path, 6)
    scene = load("transforms", tmp_path)
    np.testing.assert_array_equal(scene.image(1), images[1])
    np.testing.assert_allclose(scene.intrinsics[0], [FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2])


@pytest.mark.parametrize("as_neus_reads_it", [True, False])
def test_the_layout_of_neus_means_turned_pixels_unless_only_the_stored_ones_fit(tmp_path, as_neus_reads_it):
    write_dtu(tmp_path, 3)
    image, path = random_image(0, 3), tmp_path / "image/000000.png"
    Image.fromarray(turned(image, 8) if as_neus_reads_it else image).save(path)
    tag(path, 6)
    scene = DTULoader(DTUConfig(str(tmp_path), holdout=0)).load("train")
    np.testing.assert_array_equal(scene.image(0)[..., :3], image)


def test_tiff_pixels_are_read_as_stored_though_their_decoder_turns_them(tmp_path):
    image, path = random_image(0, 3), tmp_path / "a.tif"
    Image.fromarray(image).save(path, tiffinfo={0x0112: 6})
    assert stored_size(path) == ((WIDTH, HEIGHT), 6)
    np.testing.assert_array_equal(read_image(path, 1), image)
    np.testing.assert_array_equal(read_image(path), turned(image, 6))
    np.testing.assert_array_equal(read_image(path, 6), turned(image, 6))


@pytest.mark.parametrize("place", ["in front", "behind"])
@pytest.mark.parametrize("kind", ["exif", "text"])
def test_what_a_png_says_of_its_orientation_is_found_on_both_sides_of_its_pixels(tmp_path, kind, place):
    image, path = random_image(0, 3), tmp_path / "a.png"
    exif, text = Image.Exif(), PngInfo()
    exif[0x0112] = 6
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    Image.fromarray(image).save(path, **({"exif": exif} if kind == "exif" else {"pnginfo": text}))
    content = path.read_bytes()
    start = content.index(b"eXIf" if kind == "exif" else b"iTXt") - 4
    chunk = content[start : start + 12 + int.from_bytes(content[start : start + 4])]
    rest = content.replace(chunk, b"")
    end = rest.index(b"IDAT" if place == "in front" else b"IEND") - 4
    path.write_bytes(rest[:end] + chunk + rest[end:])
    assert stored_size(path) == ((WIDTH, HEIGHT), 6)
    np.testing.assert_array_equal(read_image(path), turned(image, 6))


def test_the_orientation_of_a_png_is_told_without_decoding_it(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(random_image(0, 3)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert stored_size(path) == ((WIDTH, HEIGHT), 1)
    with pytest.raises(DataError, match="complete image"):
        read_image(path, 1)


def test_sizes_that_nearly_agree_are_told_apart(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.zeros((995, 1000, 3), np.uint8)).save(path)
    tag(path, 6)
    assert orientation_of(path, CameraShape((1000, 995))).applied == 1
    assert orientation_of(path, CameraShape((995, 1000))).applied == 6


def test_renderings_are_compared_with_the_pixels_of_their_camera(tmp_path):
    image = random_image(0, 3)
    Image.fromarray(image).save(tmp_path / "rendered.png")
    for stored in (image, turned(image, 8)):
        Image.fromarray(stored).save(tmp_path / "true.png")
        tag(tmp_path / "true.png", 6)
        np.testing.assert_array_equal(*read_pair(tmp_path / "rendered.png", tmp_path / "true.png", 1.0))
