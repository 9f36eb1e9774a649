"""The photographs of a scene in the viewer: thumbnails on camera frusta, and the nearest one to compare with."""

from typing import Protocol

import numpy as np

from systems.viewer.requests import CameraState
from utils.cameras import Camera
from utils.images import resize_area
from utils.visualise import to_uint8

ANGLE_WEIGHT = 1.0  # one radian between viewing directions counts like this many camera distances


class ViewerScene(Protocol):
    """Posed photographs in the scene frame."""

    c2w: np.ndarray  # (N, 3, 4) float32
    intrinsics: np.ndarray  # (N, 4) float32: fx, fy, cx, cy in pixels
    sizes: np.ndarray  # (N, 2) int64, width and height
    image_names: tuple[str, ...]
    points: np.ndarray | None  # (K, 3) float32 of structure from motion
    far: float

    def __len__(self) -> int: ...
    def image(self, index: int) -> np.ndarray: ...


def camera_distance(scene: ViewerScene) -> float:
    """The median distance of the cameras from the origin, in scene units."""
    return float(np.median(np.linalg.norm(scene.c2w[:, :, 3], axis=1)))


def nearest_view(scene: ViewerScene, camera: CameraState) -> int:
    """Index of the photograph whose camera has the most similar position and viewing direction."""
    apart = np.linalg.norm(scene.c2w[:, :, 3] - camera.c2w[:, 3], axis=1) / max(camera_distance(scene), 1e-6)
    angle = np.arccos((scene.c2w[:, :, 2] @ camera.c2w[:, 2]).clip(-1.0, 1.0))
    return int((apart + ANGLE_WEIGHT * angle).argmin())


def downscaled(scene: ViewerScene, index: int, width: int, background: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: a photograph over a background (3,) in [0, 1], at most `width` pixels wide."""
    image = scene.image(index)
    width = min(width, image.shape[1])
    image = resize_area(image, (width, max(1, round(image.shape[0] * width / image.shape[1]))))
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:] / 255.0
    return to_uint8(alpha * image[..., :3] / 255.0 + (1.0 - alpha) * background)


def sample_photo(
    scene: ViewerScene, index: int, points: np.ndarray, width: int, background: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colours (P, 3) uint8 of a photograph at scene points (P, 3), and whether each point is in its frame (P,) bool.

    The photograph is sampled at a width of `width` pixels. Occlusion is ignored."""
    camera = Camera(scene.c2w[index], scene.intrinsics[index], tuple(scene.sizes[index].tolist()))
    pixels = camera.project(points)
    inside = camera.in_frame(pixels)
    photo = downscaled(scene, index, width, background)
    size = np.array([photo.shape[1], photo.shape[0]])
    scaled = np.where(inside[:, None], pixels[:, :2] * size / camera.size, 0.0).astype(np.int64)
    column, row = np.minimum(scaled, size - 1).T
    return photo[row, column], inside
