"""Metres: how large the unit of the cameras is, by a length that the user knows between two points of the scene."""

import logging
from collections.abc import Sequence

import numpy as np
from scipy.optimize import least_squares

from datasets.capture.sparse_model import SparseModel
from datasets.capture.true_size import MAX_ERROR, TrueSize
from datasets.capture.typed_length import Click, KnownLength
from utils.cameras import Camera
from utils.errors import CaptureError
from utils.files import natural_key

log = logging.getLogger(__name__)
_CLICK = 1.0  # pixels that a person errs by, at least
_MAX_MISS = 0.004  # of the longer side of an image, that a click may lie off: else the clicks show different points


def size_by_length(model: SparseModel, known: KnownLength) -> TrueSize:
    """The size that a known length tells, which it logs.

    Both ends are triangulated: the point whose projections lie nearest to the clicks, by least squares (Hartley and
    Sturm 1997). The error is that of the least squares, for clicks that err by what they lie off, at least by a pixel.
    Raises CaptureError where the clicks show no point, or the length follows from them badly."""
    points, spreads, offs = zip(*(_triangulate(model, clicks) for clicks in known.ends), strict=True)
    along = points[1] - points[0]
    length = float(np.linalg.norm(along))
    clicks = [click for end in known.ends for click in end]
    pixels = float(np.sqrt(np.concatenate(offs).sum() / len(clicks)))
    variance = sum(along @ spread @ along for spread in spreads) / max(length, 1e-300) ** 2
    error = float(np.sqrt(variance)) / max(length, 1e-300)
    if not error <= MAX_ERROR:
        raise CaptureError(
            f"--known-length: between the two points it is known to +- {min(100.0 * error, 999.0):.2g} % only, and "
            f"{100 * MAX_ERROR:.0f} % is the most. Take points that lie farther apart, or photographs from more sides."
        )
    names = {click.photo for click in clicks}
    log.info(
        "  in metres, by the length of %g m in %d images: +- %.2g %%, clicks %.2f pixels off",
        *(known.metres, len(names), 100.0 * error, pixels),
    )
    return TrueSize(known.metres / length, error, len(names), len(clicks), pixels, by="known length")


def _triangulate(model: SparseModel, clicks: Sequence[Click]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The point (3,) that the clicks show, in units, its covariance (3, 3), and each click's squared miss in pixels."""
    views = [_view(model, click) for click in clicks]
    cameras = [model.camera(view) for view in views]
    pixels = np.array([(click.x + 0.5, click.y + 0.5) for click in clicks])
    for click, camera in zip(clicks, cameras, strict=True):
        width, height = camera.size
        if not (0.0 <= click.x < width and 0.0 <= click.y < height):
            raise CaptureError(f"{click}: lies outside of the {width} x {height} pixels that OUT/images has there.")

    def off(point: np.ndarray) -> np.ndarray:
        return np.concatenate([camera.project(point[None])[0, :2] for camera in cameras]) - pixels.ravel()

    fit = least_squares(off, _meeting(cameras, pixels), x_scale="jac")
    misses = np.square(off(fit.x).reshape(-1, 2)).sum(axis=1)
    told = " ".join(map(str, clicks))
    if min(camera.to_camera(fit.x[None])[0, 2] for camera in cameras) <= 0.0:
        raise CaptureError(f"{told}: the rays meet behind the cameras only. Click the same point in each photograph.")
    worst, longer = float(np.sqrt(misses.max())), max(max(camera.size) for camera in cameras)
    if worst > max(4.0 * _CLICK, _MAX_MISS * longer):
        raise CaptureError(
            f"{told}: the rays miss each other by {worst:.1f} pixels, so these are different points, or the object "
            f"moved. Click the same point in each."
        )
    sigma = max(_CLICK**2, misses.sum() / max(2 * len(clicks) - 3, 1))
    return fit.x, sigma * np.linalg.pinv(fit.jac.T @ fit.jac, rcond=1e-12), misses


def _meeting(cameras: Sequence[Camera], pixels: np.ndarray) -> np.ndarray:
    """The point (3,) nearest to the rays through pixels (C, 2), one of each camera, by least squares of distances."""
    matrix, rest = np.zeros((3, 3)), np.zeros(3)
    for camera, pixel in zip(cameras, pixels, strict=True):
        ray = camera.c2w[:, :3] @ np.append((pixel - camera.intrinsics[2:]) / camera.intrinsics[:2], 1.0)
        across = np.eye(3) - np.outer(ray, ray) / (ray @ ray)
        matrix, rest = matrix + across, rest + across @ camera.c2w[:, 3]
    return np.linalg.lstsq(matrix, rest, rcond=None)[0]


def _view(model: SparseModel, click: Click) -> int:
    """The view whose image a click names, with or without suffix. Raises CaptureError."""
    found = [view for view, name in enumerate(model.names) if click.photo in (name, name.rpartition(".")[0])]
    if len(found) != 1:
        names = sorted(model.names, key=natural_key)
        raise CaptureError(
            f"{click}: expected a photograph of OUT/images, {names[0]} to {names[-1]}, whose camera is known, "
            f"got {click.photo}."
        )
    return found[0]
