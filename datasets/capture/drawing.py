"""Draws dots, lines and polygons into images; pixel centres are at +1/2."""

import cv2
import numpy as np

Color = tuple[int, int, int]
_SHIFT = 4  # OpenCV draws at 1/16 of a pixel
_MAX_COORDINATE = 1e5  # pixels: its coordinates have 32 bits


def draw_dots(canvas: np.ndarray, pixels: np.ndarray, color: Color, radius: float) -> None:
    """Fills a disc of `radius` around each of the pixels (K, 2) that are in the canvas (H, W, 3) uint8, in place."""
    size = canvas.shape[1], canvas.shape[0]
    for pixel in pixels[((pixels > 0.0) & (pixels < size)).all(axis=1)]:
        cv2.circle(canvas, _fixed_point(pixel).tolist(), round(radius * 2**_SHIFT), color, -1, cv2.LINE_AA, _SHIFT)


def draw_line(canvas: np.ndarray, pixels: np.ndarray, color: Color, width: int, closed: bool = False) -> None:
    """Draws a line through pixels (K, 2), `width` pixels wide, into the canvas (H, W, 3) uint8, in place."""
    cv2.polylines(canvas, [_fixed_point(pixels)], closed, color, width, cv2.LINE_AA, _SHIFT)


def fill_polygon(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8: 255 within the polygon through pixels (K, 2), 0 outside; size: (W, H)."""
    canvas = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(canvas, [_fixed_point(pixels)], 255, cv2.LINE_AA, _SHIFT)
    return canvas


def _fixed_point(pixels: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) as OpenCV's fixed-point numbers, int32; OpenCV puts pixel centres on integers."""
    return np.rint((pixels.clip(-_MAX_COORDINATE, _MAX_COORDINATE) - 0.5) * 2**_SHIFT).astype(np.int32)
