"""Photographs that are not those which a model of points was made from have other colours where it saw them."""

from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
from scenes_on_disk import ring_of_cameras, write_colmap

from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.geometry.seen_points import FEWEST, SeenPoints, check_photographs
from utils.errors import DataError
from utils.images import read_image, write_png

SIZE = 160, 120
CHANGES = {
    "cropped": lambda image: image[15:-15, 20:-20],
    "turned": lambda image: image[::-1, ::-1],
    "mirrored": lambda image: image[:, ::-1],
    "moved": lambda image: np.roll(image, 8, axis=1),
}


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Patches of colours, as large as a twentieth of the picture."""
    noise = np.random.default_rng(seed).uniform(0, 255, (20, 27, 3)).astype(np.float32)
    return cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def points_of(image: np.ndarray, count: int = 200, noise: float = 8.0) -> SeenPoints:
    """Points at random places, in the colours of the picture there, as other photographs too would have them."""
    random = np.random.default_rng(5)
    height, width = image.shape[:2]
    positions = random.uniform(2, [width - 2, height - 2], (count, 2))
    colors = image[positions[:, 1].astype(int), positions[:, 0].astype(int)] + random.normal(0, noise, (count, 3))
    return SeenPoints(positions, colors.clip(0, 255).astype(np.uint8), (width, height))


def observe(model: Path, photographs: list[SeenPoints]) -> None:
    """Adds points to the images of a model, each seen by one of them."""
    found = pycolmap.Reconstruction(model)
    for number, seen in enumerate(photographs, 1):
        found.images[number].points2D = pycolmap.Point2DList([pycolmap.Point2D(xy) for xy in seen.positions])
        for k, color in enumerate(seen.colors):
            found.add_point3D(np.zeros(3), pycolmap.Track([pycolmap.TrackElement(number, k)]), color)
    found.write_binary(model)


@pytest.mark.parametrize("size", [SIZE, (80, 60), (400, 300)])
def test_the_photograph_itself_is_alike_at_any_size_and_exposure(size: tuple[int, int]) -> None:
    image = picture(0)
    seen = points_of(image)
    darker = cv2.resize((0.7 * image).astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    assert seen.unlikeness(darker) < 0.6


@pytest.mark.parametrize("change", CHANGES)
def test_changed_photographs_and_others_are_not(change: str) -> None:
    seen = points_of(picture(0))
    assert seen.unlikeness(np.ascontiguousarray(CHANGES[change](picture(0)))) > 0.88
    assert seen.unlikeness(picture(1)) > 0.88


def test_too_few_points_and_plain_ones_tell_nothing() -> None:
    image = picture(0)
    assert points_of(image, FEWEST - 1).unlikeness(image) is None
    plain = np.full_like(image, 90)
    assert points_of(plain, noise=1.0).unlikeness(plain) is None
    assert points_of(image).unlikeness(plain) > 0.88  # but another picture is told


def test_all_wrong_is_refused_and_one_is_named() -> None:
    said = []
    unlike = {Path(f"{i}.jpg"): 0.3 for i in range(10)}
    check_photographs(unlike, Path("scene"), lambda *told: said.append(told))
    check_photographs({Path("a.jpg"): None}, Path("scene"), lambda *told: said.append(told))
    assert said == []
    check_photographs(unlike | {Path("7.jpg"): 0.97}, Path("scene"), lambda *told: said.append(told))
    assert "of 1 of 10 photographs, first 7.jpg, the colours are hardly those" in said[0][0]
    with pytest.raises(DataError, match=r"scene: expected the photographs .*of 4 of 10 .*any size"):
        check_photographs(unlike | {Path(f"{i}.jpg"): 0.97 for i in range(4)}, Path("scene"), print)


def test_a_colmap_scene_of_other_photographs_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = [picture(i) for i in range(6)]
    camera = pycolmap.Camera(model="PINHOLE", width=160, height=120, params=[150, 150, 80, 60], camera_id=1)
    write_colmap(tmp_path, ring_of_cameras(6), images, camera=camera)
    observe(tmp_path / "sparse/0", [points_of(image, 100) for image in images])
    load = lambda: ColmapLoader(ColmapConfig(str(tmp_path), holdout=0)).load("train")  # noqa: E731
    assert len(load()) == 6
    assert "hardly" not in caplog.text
    files = sorted((tmp_path / "images").iterdir())
    pixels = [read_image(path) for path in files]
    write_png(files[2], pixels[3])
    load()
    assert f"of 1 of 6 photographs, first {files[2].name}, the colours are hardly those" in caplog.text
    for path, image in zip(files, [*pixels[1:], pixels[0]], strict=True):
        write_png(path, image)
    with pytest.raises(DataError, match="each other's names"):
        load()
