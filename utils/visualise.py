"""Turns normals and depths into pictures on white, and lays pictures side by side."""

from collections.abc import Sequence

import cv2
import numpy as np

_GAP = 4  # pixels between pictures


def normal_to_rgb(normal: np.ndarray, opacity: np.ndarray | None = None) -> np.ndarray:
    """(H, W, 3) uint8: direction x, y, z in [-1, 1] as red, green, blue in [0, 255], white where empty.

    normal: (H, W, 3) of any length, only its direction counts; opacity: (H, W) in [0, 1], None for all opaque."""
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    rgb = 0.5 + 0.5 * normal / np.maximum(length, 1e-6)
    return _over_white(rgb, (length[..., 0] > 1e-6) * (1.0 if opacity is None else opacity))


def depth_to_rgb(
    depth: np.ndarray, opacity: np.ndarray | None = None, bounds: tuple[float, float] | None = None
) -> np.ndarray:
    """(H, W, 3) uint8 in viridis: near is yellow, far is violet, white where empty.

    depth: (H, W) distances; opacity: (H, W) in [0, 1], None for all opaque; bounds: nearest and farthest depth of the
    colour scale, by default the 1st and 99th percentile of what is more than half opaque."""
    opacity = np.ones_like(depth) if opacity is None else opacity
    opacity = np.where(np.isfinite(depth), opacity, 0.0)
    if bounds is None:
        solid = depth[opacity > 0.5]
        bounds = tuple(np.percentile(solid, [1, 99])) if solid.size else (0.0, 1.0)
    near, far = bounds
    nearness = np.nan_to_num((far - depth) / max(far - near, 1e-6)).clip(0.0, 1.0)
    bgr = cv2.applyColorMap(to_uint8(nearness), cv2.COLORMAP_VIRIDIS)
    return _over_white(bgr[..., ::-1] / 255.0, opacity)


def side_by_side(images: Sequence[np.ndarray], gap: int = _GAP) -> np.ndarray:
    """(H, W', 3) uint8: the pictures from left to right, `gap` white pixels between them, top edges aligned.

    images: (h, w, 3) uint8 or floats in [0, 1], or (h, w) for grey."""
    height = max(image.shape[0] for image in images)
    width = sum(image.shape[1] for image in images) + gap * (len(images) - 1)
    canvas = np.full((height, width, 3), 255, np.uint8)
    x = 0
    for image in images:
        image = to_uint8(image)
        canvas[: image.shape[0], x : x + image.shape[1]] = image if image.ndim == 3 else image[..., None]
        x += image.shape[1] + gap
    return canvas


def taken_apart(panel: np.ndarray, num_images: int) -> list[np.ndarray]:
    """The pictures (H, W, 3), all of the same size, that `side_by_side` joined into a panel."""
    width = (panel.shape[1] + _GAP) // num_images - _GAP
    return [panel[:, k * (width + _GAP) :][:, :width] for k in range(num_images)]


def to_uint8(image: np.ndarray) -> np.ndarray:
    """The picture as uint8; floats in [0, 1] are clipped and rounded, uint8 passes through."""
    if image.dtype == np.uint8:
        return image
    return np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)


def _over_white(rgb: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    return to_uint8(1.0 - np.asarray(opacity)[..., None] * (1.0 - rgb))
