"""Turns what NeuS2 writes into transforms.json into what other writers mean by the same keys."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from utils.config.schema import is_number
from utils.errors import DataError

log = logging.getLogger(__name__)


def with_common_keys(meta: dict[str, Any], frames: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """The frames, with fl_x, fl_y, cx, cy for an `intrinsic_matrix` (3x3 or 4x4, pixels) of their own, and poses in
    OpenGL axes where `from_na` says that they are OpenCV's, as NeuS2 and Neural Actor have them. Raises DataError."""
    if meta.get("from_na") not in (None, True, False):
        raise DataError(f"{path}: expected from_na to be true or false, got {meta['from_na']!r}.")
    if meta.get("from_na"):
        log.info(
            "%s: from_na, so its poses have OpenCV's axes, as NeuS2 writes them; meshes come in their coordinates", path
        )
        frames = [frame | {"transform_matrix": _opengl(frame.get("transform_matrix"))} for frame in frames]
    if "intrinsic_matrix" in meta:  # for all frames without one
        shared = _with_intrinsics(meta, str(path))
        own = {key: shared[key] for key in ("fl_x", "fl_y", "cx", "cy")}
        frames = [frame if "intrinsic_matrix" in frame else own | frame for frame in frames]
    return [_with_intrinsics(frame, f"{path}, frame '{frame.get('file_path')}'") for frame in frames]


def _opengl(matrix: Any) -> Any:
    """Nested lists with y and z of the camera turned round; what is no matrix stays as it is, to be refused later."""
    try:
        return (np.array(matrix, dtype=np.float64) * [1.0, -1.0, -1.0, 1.0]).tolist()
    except (TypeError, ValueError, OverflowError):
        return matrix


def _with_intrinsics(frame: dict[str, Any], where: str) -> dict[str, Any]:
    if "intrinsic_matrix" not in frame:
        return frame
    rows = frame["intrinsic_matrix"]
    try:
        values = {"fl_x": rows[0][0], "fl_y": rows[1][1], "cx": rows[0][2], "cy": rows[1][2]}
        others = [rows[0][1], rows[1][0], rows[2][0], rows[2][1], rows[2][2] - 1.0]
    except (TypeError, KeyError, IndexError):
        values, others = {}, [np.inf]
    if not all(is_number(value) for value in values.values()) or any(not abs(value) < 0.01 for value in others):
        raise DataError(
            f"{where}: expected intrinsic_matrix to be [[fx,0,cx],[0,fy,cy],[0,0,1]] in pixels, 3x3 or "
            f"4x4, got {rows!r}."
        )
    return values | frame
