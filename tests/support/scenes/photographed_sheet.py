"""Photographs of the scale sheet, as pinhole cameras see it, with cameras in units of their own."""

import cv2
import numpy as np
from textured_scene import texture

from datasets.capture.scale_sheet import DOTS, draw_sheet
from datasets.capture.sparse_model import SparseModel
from datasets.poses import look_at

SIZE, FOCAL = (640, 480), 720.0
UNIT = 0.37  # metres
_FINE = 2  # samples of a pixel along each axis, before noise


def cameras(num: int, degrees: float = 150.0, distance: float = 1.7) -> np.ndarray:
    """(num, 3, 4) OpenCV cameras on an arc above the sheet, in units."""
    turn = np.radians(np.linspace(0.0, degrees, num))
    spots = distance * np.stack([0.7 * np.cos(turn), 0.7 * np.sin(turn), np.full(num, 0.75)], axis=1)
    return np.stack([look_at(spot, np.zeros(3), np.array([0.0, 0.0, 1.0])) for spot in spots])


def model_of(c2w: np.ndarray) -> SparseModel:
    """A model of cameras without points."""
    num, none = len(c2w), np.zeros((0, 3))
    intrinsics = np.tile([FOCAL, FOCAL, SIZE[0] / 2 + 7.0, SIZE[1] / 2 - 5.0], (num, 1))
    names = tuple(f"{view:03d}.png" for view in range(num))
    return SparseModel(
        none, none.astype(np.uint8), np.zeros(0, np.int64), names, c2w, intrinsics, np.tile(SIZE, (num, 1))
    )


def photograph(
    model: SparseModel, view: int, printed: float = 1.0, turned: float = 0.3, sheet: bool = True
) -> np.ndarray:
    """(H, W, 3) uint8 the sheet on a patterned table, blurred a little, with noise.

    printed: how much larger the print is than it should be; turned: radians about the vertical; sheet: False: the table
    alone."""
    half = 1.5  # units, of the table
    on_table = np.array([[2.0 * half / 512, 0.0, -half], [0.0, 2.0 * half / 512, -half], [0.0, 0.0, 1.0]])
    image = _seen(model, view, texture(5), on_table)
    if sheet:
        drawn = draw_sheet("A4")
        dot = printed * 1e-3 / DOTS / UNIT
        cos, sin = dot * np.cos(turned), dot * np.sin(turned)
        place = np.array([[cos, sin, 0.0], [sin, -cos, 0.0], [0.0, 0.0, 1.0]])  # from above, its y towards the reader
        place[:2, 2] = -place[:2, :2] @ np.array([drawn.shape[1] / 2, drawn.shape[0] / 2])
        on_sheet = _seen(model, view, np.full_like(drawn, 255), place)[..., None] / np.float32(255.0)
        image = (1.0 - on_sheet) * image + on_sheet * _seen(model, view, drawn, place)[..., None]
    image = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(view).normal(0.0, 3.0, image.shape[:2])[..., None]
    return np.clip(0.8 * cv2.GaussianBlur(image, (0, 0), 0.7) + 20.0 + noise, 0, 255).astype(np.uint8)


def _seen(model: SparseModel, view: int, picture: np.ndarray, place: np.ndarray) -> np.ndarray:
    """A picture on the plane z = 0, at _FINE times the size; place: (3, 3) from its pixels to x, y of the plane."""
    matrix = model.camera(view).projection_matrix()[:, [0, 1, 3]] @ place
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])  # OpenCV: centres on integers
    matrix = np.linalg.inv(half) @ np.diag([_FINE, _FINE, 1.0]) @ matrix @ half
    size = _FINE * SIZE[0], _FINE * SIZE[1]
    return cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_AREA)
