"""Metres: how large the unit of the cameras is, by the scale sheet that the photographs show."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from datasets.capture.scale_sheet import RULER, Seen, corner_places, find_sheet
from datasets.capture.sparse_model import SparseModel
from utils.cameras import Camera

log = logging.getLogger(__name__)
SCALE_FILE = "scale.json"
_MIN_VIEWS = 2
_MAX_OFF = 0.002  # of the longer side of an image, that corners may lie off on average: else the sheet was moved
MAX_ERROR = 0.02  # of the scale: with more, it is hardly known
_STARTS = 3  # images whose own view of the sheet says first how it lies
_TOLERANCE = 1.0  # pixels from which on a corner counts less


@dataclass(frozen=True)
class TrueSize:
    """How many metres the unit of the cameras is, and how well that is known."""

    metres_per_unit: float
    error: float  # standard deviation, as a share
    images: int
    corners: int  # seen, in all images
    pixels: float  # root mean square of how far they lie from where the sheet puts them
    by: str = "scale sheet"  # or "known length", whose clicks are the corners


def find_true_size(model: SparseModel, images: Path, ruler: float = RULER) -> TrueSize | None:
    """The size that the scale sheet in images, a folder, tells, which it logs; None without a sheet, or with one that
    does not lie still among what the cameras were found from.

    ruler: millimetres that the printed ruler measures."""
    seen = find_sheet([images / name for name in model.names])
    if len(seen) < _MIN_VIEWS:
        if seen:
            log.warning("  the scale sheet is in one image only, %s: no metres", model.names[seen[0].view])
        return None
    found = fit_sheet(model, seen, ruler / RULER)
    allowed = _MAX_OFF * float(model.sizes.max())
    if found is None or found.pixels > allowed or found.error > MAX_ERROR:
        why = "is seen from too few sides" if found is None or found.pixels <= allowed else "was moved, or bends"
        log.warning("  the scale sheet is in %d images, but it %s: no metres. --scale gives them", len(seen), why)
        return None
    log.info(
        "  in metres, by the scale sheet in %d of %d images: +- %.2g %%, corners %.2f pixels off",
        *(found.images, len(model.names), 100.0 * found.error, found.pixels),
    )
    return found


def fit_sheet(model: SparseModel, seen: Sequence[Seen], stretch: float = 1.0) -> TrueSize | None:
    """The size for which the corners of the sheet, wherever it lies, appear nearest to where they were seen; None where
    they tell none. stretch: of the print.

    Least squares of seven unknowns, the similarity from the sheet to the cameras; a corner that lies far off counts
    less (Huber 1964). Its error is that of the least squares, from the spread of the corners."""
    cameras = [model.camera(one.view) for one in seen]
    places = corner_places() * stretch * 1e-3
    places -= places.mean(axis=0)
    poses = [_pose(places[one.corners], one.pixels, camera) for one, camera in zip(seen, cameras, strict=True)]
    scale, centre = _meeting(cameras, [middle for _, middle in poses])
    if not scale > 0.0:
        return None
    reach = scale * float(np.linalg.norm(np.ptp(places, axis=0)))  # makes the unknowns alike

    def off(unknowns: np.ndarray, turn: Rotation) -> np.ndarray:
        turned = (Rotation.from_rotvec(unknowns[1:4]) * turn).apply(places)
        spots = scale * np.exp(unknowns[0]) * turned + centre + reach * unknowns[4:]
        pairs = zip(cameras, seen, strict=True)
        return np.concatenate([camera.project(spots[one.corners])[:, :2] - one.pixels for camera, one in pairs]).ravel()

    widest = sorted(range(len(seen)), key=lambda index: -np.ptp(seen[index].pixels, axis=0).prod())[:_STARTS]
    turns = [Rotation.from_matrix(cameras[index].c2w[:, :3] @ poses[index][0]) for index in widest]
    fits = [
        least_squares(off, np.zeros(7), loss="huber", f_scale=_TOLERANCE, max_nfev=100, args=(turn,)) for turn in turns
    ]
    best = min(range(len(fits)), key=lambda index: fits[index].cost)
    fit, num = fits[best], sum(len(one.corners) for one in seen)
    pixels = float(np.sqrt(np.square(off(fit.x, turns[best])).sum() / num))
    spread = np.linalg.pinv(fit.jac.T @ fit.jac) * 2.0 * fit.cost / max(len(fit.fun) - 7, 1)
    metres = 1.0 / (scale * float(np.exp(fit.x[0])))
    return TrueSize(metres, float(np.sqrt(spread[0, 0])), len(seen), num, pixels)


def _pose(places: np.ndarray, pixels: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and middle (3,) of the sheet in the frame of a camera, in metres, from what it alone sees of
    it."""
    fx, fy, cx, cy = camera.intrinsics.tolist()
    lens = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    _, turn, middle = cv2.solvePnP(places, pixels, lens, None, flags=cv2.SOLVEPNP_IPPE)
    return cv2.Rodrigues(turn)[0], middle.ravel()


def _meeting(cameras: Sequence[Camera], middles: Sequence[np.ndarray]) -> tuple[float, np.ndarray]:
    """Units to a metre, and the point (3,) in units, at which all cameras see the sheet's middle (3,) in metres: the
    least squares of centre + scale * rotation @ middle = point."""
    ways = [camera.c2w[:, :3] @ middle for camera, middle in zip(cameras, middles, strict=True)]
    rows = np.concatenate([np.hstack([-way[:, None], np.eye(3)]) for way in ways])
    found = np.linalg.lstsq(rows, np.concatenate([camera.c2w[:, 3] for camera in cameras]), rcond=None)[0]
    return float(found[0]), found[1:]


def write_scale(path: Path, metres_per_colmap_unit: float, by: TrueSize | None) -> dict[str, Any]:
    """Writes, for a dataset in metres, how that is known, or None, by --scale; returns the content."""
    told = {"metres_per_unit": 1.0, "metres_per_colmap_unit": metres_per_colmap_unit}
    told |= {"by": "--scale", "error": None} if by is None else {"by": by.by, "error": by.error}
    if by is not None:
        told |= {"images": by.images, "corners": by.corners, "pixels": by.pixels}
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return told
