"""The sheet of known size that tells metres: a board of markers and a ruler, drawn for the printer, found in images.

The board is a ChArUco board (Garrido-Jurado et al. 2014): a chessboard whose white squares hold markers, so that each
of its corners has a number, however much of the sheet is hidden."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path

import cv2
import numpy as np

from utils.images import read_image

PAPERS = {"A4": (210.0, 297.0), "letter": (215.9, 279.4)}  # width and height in millimetres
RULER = 160.0  # millimetres, as drawn
DOTS = 10  # per millimetre: all edges of the board lie between dots
DPI = 25.4 * DOTS
_SQUARES, _SQUARE, _MARKER = (5, 7), 30.0, 21.0  # millimetres
_BELOW = 46.0  # millimetres below the board for the ruler and the words
_MIN_CORNERS = 6  # of the 24 that an image must show; fewer may be markers seen in a newspaper


@dataclass(frozen=True)
class Seen:
    """What an image shows of the board."""

    view: int
    corners: np.ndarray  # (C,) int64 numbers of corners
    pixels: np.ndarray  # (C, 2) float64, where they are; the centre of the first pixel is (0.5, 0.5)


def board() -> cv2.aruco.CharucoBoard:
    """The board, in millimetres of the sheet."""
    return cv2.aruco.CharucoBoard(_SQUARES, _SQUARE, _MARKER, cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_5X5_50))


def corner_places() -> np.ndarray:
    """(24, 3) float64 places of the corners on the sheet in millimetres, z = 0, by their numbers."""
    return np.asarray(board().getChessboardCorners(), dtype=np.float64)


def draw_sheet(paper: str) -> np.ndarray:
    """(H, W) uint8, 0 or 255: the sheet, DOTS to a millimetre; paper: a key of PAPERS."""
    width, height = (round(DOTS * length) for length in PAPERS[paper])
    size = tuple(round(DOTS * _SQUARE * count) for count in _SQUARES)
    sheet = np.full((height, width), 255, np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1] - round(DOTS * _BELOW)) // 2
    sheet[top : top + size[1], left : left + size[0]] = board().generateImage(size)
    start, line = (width - round(DOTS * RULER)) // 2, top + size[1] + 10 * DOTS
    for millimetre in range(round(RULER) + 1):
        x, length = start + DOTS * millimetre, DOTS * (6 if millimetre % 10 == 0 else 4 if millimetre % 5 == 0 else 2)
        sheet[line : line + length, x - 1 : x + 2] = 0
        if millimetre % 20 == 0:
            _write(sheet, str(millimetre), (x - 12 * len(str(millimetre)), line + 11 * DOTS), 1.2)
    sheet[line - 1 : line + 2, start : start + round(DOTS * RULER) + 1] = 0
    _write(
        sheet, f"Print at 100 %, not fitted to the page: this ruler is {RULER:g} mm long.", (start, line + 19 * DOTS)
    )
    _write(sheet, "If it is not, tell prepare.py its length: --ruler 158.5", (start, line + 26 * DOTS))
    _write(
        sheet,
        "Lay the sheet flat beside the object, all of it in the picture; do not move it.",
        (start, line + 33 * DOTS),
    )
    return sheet


def _write(sheet: np.ndarray, text: str, place: tuple[int, int], size: float = 1.1) -> None:
    cv2.putText(sheet, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, 0, 2)


def find_sheet(paths: Sequence[Path]) -> list[Seen]:
    """What each of the images that show the sheet shows of it."""
    with ThreadPoolExecutor(min(8, cpu_count() or 1)) as pool:
        found = pool.map(lambda path: corners_in(read_image(path)), paths)
        return [Seen(view, *corners) for view, corners in enumerate(found) if corners is not None]


def corners_in(image: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Numbers (C,) and pixels (C, 2) of the board's corners in an image (H, W, 3|4) uint8; None for too few."""
    gray = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY)
    pixels, corners, _, _ = cv2.aruco.CharucoDetector(board()).detectBoard(gray)
    if corners is None or len(corners) < _MIN_CORNERS:
        return None
    # OpenCV has the centre of the first pixel at (0, 0)
    return corners.ravel().astype(np.int64), pixels.reshape(-1, 2).astype(np.float64) + 0.5
