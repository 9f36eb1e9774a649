"""The photographs of a scene as the viewer uses them: small ones on frusta, and the nearest one to compare with."""

from typing import Protocol

import numpy as np

from systems.viewer.wishes import Sight
from utils.cameras import Camera
from utils.images import resize_area
from utils.visualise import to_uint8

FACING = 1.0  # what a radian between viewing directions counts, in distances of the cameras from the middle


class Photographed(Protocol):
    """Posed photographs in the scene frame."""

    c2w: np.ndarray  # (N, 3, 4) float32
    intrinsics: np.ndarray  # (N, 4) float32: fx, fy, cx, cy in pixels
    sizes: np.ndarray  # (N, 2) int64, width and height
    image_names: tuple[str, ...]
    points: np.ndarray | None  # (K, 3) float32 of structure from motion
    far: float

    def __len__(self) -> int: ...
    def image(self, index: int) -> np.ndarray: ...


def reach(scene: Photographed) -> float:
    """The median distance of the cameras from the origin, scene units."""
    return float(np.median(np.linalg.norm(scene.c2w[:, :, 3], axis=1)))


def upwards(scene: Photographed) -> np.ndarray:
    """(3,) unit vector that points up for most cameras; an axis of the scene where it is close to one."""
    up = -scene.c2w[:, :, 1].mean(axis=0).astype(np.float64)
    length = np.linalg.norm(up)
    up = up / length if length > 1e-3 else np.array([0.0, 0.0, 1.0])
    axis = np.eye(3)[np.abs(up).argmax()] * np.sign(up[np.abs(up).argmax()])
    return axis if axis @ up > 0.9 else up


def nearest(scene: Photographed, sight: Sight) -> int:
    """The photograph whose camera stands and looks most like that of a visitor."""
    apart = np.linalg.norm(scene.c2w[:, :, 3] - sight.c2w[:, 3], axis=1) / max(reach(scene), 1e-6)
    angle = np.arccos((scene.c2w[:, :, 2] @ sight.c2w[:, 2]).clip(-1.0, 1.0))
    return int((apart + FACING * angle).argmin())


def shrunk(scene: Photographed, index: int, width: int, background: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: a photograph over a background (3,) in [0, 1], `width` pixels wide or as wide as it is."""
    image = scene.image(index)
    width = min(width, image.shape[1])
    image = resize_area(image, (width, max(1, round(image.shape[0] * width / image.shape[1]))))
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:] / 255.0
    return to_uint8(alpha * image[..., :3] / 255.0 + (1.0 - alpha) * background)


def seen_in(
    scene: Photographed, index: int, points: np.ndarray, width: int, background: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colours (P, 3) uint8 that a photograph shows of scene points (P, 3), and where it has them in frame (P,) bool.

    It is looked at `width` pixels wide; what hides a point from it is not asked."""
    camera = Camera(scene.c2w[index], scene.intrinsics[index], tuple(scene.sizes[index].tolist()))
    pixels = camera.project(points)
    inside = camera.in_frame(pixels)
    photo = shrunk(scene, index, width, background)
    size = np.array([photo.shape[1], photo.shape[0]])
    place = np.where(inside[:, None], pixels[:, :2] * size / camera.size, 0.0).astype(np.int64)
    column, row = np.minimum(place, size - 1).T
    return photo[row, column], inside
