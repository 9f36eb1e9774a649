"""Draws masks.png: all masks over their photographs, to be looked at before anything is trained."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.files import replacing
from utils.images import resize_area, write_png

_CELL, _CAPTION, _GAP = 240, 16, 6  # pixels
_COLUMNS = 8
_DIMMED = 0.25  # of the brightness, around the object
_OUTLINE, _NO_MASK = (0, 230, 90), (200, 60, 40)


def write_contact_sheet(
    names: Sequence[str], masks: Mapping[str, np.ndarray], read: Callable[[str], np.ndarray], path: Path
) -> None:
    """Writes a PNG with every photograph, dark outside of its mask, whose outline is green.

    names: of the photographs; masks: by name, (H, W) uint8 at the size of its photograph, missing where there is none;
    read: the photograph (H, W, 3) uint8 of a name."""
    cells = [_cell(name, read(name), masks.get(name)) for name in names]
    height = max(cell.shape[0] for cell in cells)
    rows = -(-len(cells) // _COLUMNS)
    width = min(len(cells), _COLUMNS)
    sheet = np.full((rows * (height + _GAP) + _GAP, width * (_CELL + _GAP) + _GAP, 3), 255, np.uint8)
    for number, cell in enumerate(cells):
        top = _GAP + (number // _COLUMNS) * (height + _GAP)
        left = _GAP + (number % _COLUMNS) * (_CELL + _GAP)
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    with replacing(path) as temporary:
        write_png(temporary, sheet)


def _cell(name: str, image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """(h, 240, 3) uint8: a photograph with its mask, and its name above."""
    scale = _CELL / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = resize_area(np.ascontiguousarray(image), size)
    caption, color = name, (36, 40, 48)
    if mask is None:
        caption, color = f"{name}: no mask", _NO_MASK
    else:
        inside = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        small = np.rint(small * (_DIMMED + (1.0 - _DIMMED) * (inside / 255.0)[..., None])).astype(np.uint8)
        contours, _ = cv2.findContours((inside > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(small, contours, -1, _OUTLINE, 1)
    canvas = Image.new("RGB", (_CELL, size[1] + _CAPTION), "white")
    ImageDraw.Draw(canvas).text((1, 0), caption, fill=color, font=ImageFont.load_default(12))
    canvas.paste(Image.fromarray(small), (0, _CAPTION))
    return np.asarray(canvas)
