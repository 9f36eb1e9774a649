"""Projection matrices: decomposed into pose and intrinsics, and the intrinsics scaled to the images."""

import logging
from collections.abc import Callable
from typing import Literal

import numpy as np

from datasets.geometry.lens import SHORTEST, check_in_pixels
from utils.errors import DataError

CamerasFor = Literal["auto", "images", "resized"]
log = logging.getLogger(__name__)
# an off-centre principal point looks like a small change of size, so only whole factors can be inferred with certainty
_FACTORS = tuple(factor for n in (2, 3, 4, 5, 6, 7, 8, 10, 12, 16) for factor in (float(n), 1.0 / n))
_DTU_CAMERA = np.array([2892.33, 2883.175, 823.205, 619.071])  # fx, fy, cx, cy at _DTU_SIZE, pixel centres on integers
_DTU_SIZE = 1600, 1200
_MAX_OFF_CENTRE = 0.10  # distance of a principal point from the centre, as a share of half the image
_MAX_OFF_CENTRE_SCALED = 0.05  # the same, where a factor is inferred from it


def scale_since_calibration(intrinsics: np.ndarray, where: str) -> float:
    """The factor by which intrinsics (N, 4) were rescaled after calibration; 1 where it is unknown.

    One camera took all scans of DTU at one size, so its intrinsics reveal files that were rescaled to smaller images.
    In these files, half a pixel of the calibration is less than half a pixel."""
    ratio = np.median(intrinsics, axis=0) / _DTU_CAMERA
    scale = float(np.median(ratio))
    if np.abs(ratio / scale - 1.0).max() > 1e-4:
        return 1.0
    if abs(scale - 1.0) > 1e-3:
        log.info(
            "%s: these are DTU's cameras, calibrated at %dx%d and rescaled by %.4g; rescaling the half pixel between "
            "the pixel conventions too",
            *(where, *_DTU_SIZE, scale),
        )
    return scale


def _is_dtu(intrinsics: np.ndarray) -> bool:
    """Whether intrinsics (N, 4) are those of DTU's camera at any size, in either convention of pixels."""
    ratio = np.median(intrinsics, axis=0) / _DTU_CAMERA
    return bool(np.abs(ratio / np.median(ratio) - 1.0).max() < 2e-3)


def decompose(projection: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """c2w (3, 4) and fx, fy, cx, cy (4,) of a projection matrix (3, 4) ~ K [R | t], of any scale and sign.

    cx, cy keep the pixel convention of the matrix. Raises DataError for a singular matrix or a skewed K."""
    sign = np.sign(np.linalg.det(projection[:, :3]))
    if sign == 0 or np.linalg.cond(projection[:, :3]) > 1e9:
        raise DataError(f"{where}: expected a projection matrix K [R | t], got a singular one.")
    projection = sign * projection
    # RQ from QR: flipping rows and columns turns lower into upper triangles
    q, r = np.linalg.qr(projection[::-1, :3].T)
    upper, rotation = r.T[::-1, ::-1], q.T[::-1]
    signs = np.sign(np.diag(upper))
    upper, rotation = upper * signs, rotation * signs[:, None]
    calibration = upper / upper[2, 2]
    if abs(calibration[0, 1]) > 2e-3 * calibration[0, 0]:
        raise DataError(f"{where}: expected square pixel axes, got a skew of {calibration[0, 1]:.3g} pixels.")
    translation = np.linalg.solve(upper, projection[:, 3])
    c2w = np.concatenate([rotation.T, (-rotation.T @ translation)[:, None]], axis=1)
    return c2w, calibration[[0, 1, 0, 1], [0, 1, 2, 2]]


def fit_to_images(
    intrinsics: np.ndarray,
    sizes: np.ndarray,
    where: str,
    cameras_for: CamerasFor = "auto",
    tell: Callable[[float], CamerasFor] = lambda factor: "auto",
) -> np.ndarray:
    """(N, 4) intrinsics for images of `sizes` (N, 2) on disk, from those of the size that the file was made for.

    The file does not contain that size. A principal point near the image centre is for these images; one elsewhere
    is that of cropped images, or of images that were resized by a common whole factor since, which `tell` decides for
    the factor. Raises DataError where nothing tells, and where no whole factor fits; logs a warning when it rescales
    them."""
    for i in np.flatnonzero(intrinsics[:, :2].min(axis=1) < SHORTEST * sizes.max(axis=1)):
        check_in_pixels(intrinsics[i], tuple(sizes[i]), f"{where}, the camera of image {i + 1} of those used")
    ratio = np.median(2.0 * intrinsics[:, 2:] / sizes, axis=0)
    if cameras_for == "images" or (cameras_for == "auto" and np.abs(ratio - 1.0).max() <= _MAX_OFF_CENTRE):
        return intrinsics
    factor = min((1.0, *_FACTORS), key=lambda f: float(np.abs(ratio / f - 1.0).max()))
    width, height = sizes[0]
    fits = np.abs(ratio / factor - 1.0).max() <= _MAX_OFF_CENTRE_SCALED
    if fits and cameras_for == "auto":
        cameras_for = "resized" if _is_dtu(intrinsics) else tell(factor)
    if not fits or cameras_for == "auto":
        centre = np.median(intrinsics[:, 2:], axis=0)
        made = f"for {round(width * factor)}x{round(height * factor)}, " if fits else ""
        change = ("larger" if factor < 1.0 else "smaller") + (f" by {max(factor, 1.0 / factor):g}" if fits else "")
        remedy = "give dataset.cameras_for=resized" if fits else "use those of before, with dataset.img_downscale=N"
        raise DataError(
            f"{where}: expected cameras for the images ({width}x{height}), got cameras {made}whose principal point is "
            f"({centre[0]:.1f}, {centre[1]:.1f}). If all images were made {change} after the cameras were computed, "
            f"{remedy}. If they were cropped and the cameras are for the cropped ones, give dataset.cameras_for=images."
        )
    if cameras_for == "images":
        log.info("%s: the masks tell that the images were cropped and that the cameras are for them as they are", where)
    if factor == 1.0 or cameras_for == "images":
        return intrinsics
    log.warning(
        "%s: made for images of about %dx%d, but those on disk have %dx%d; dividing the intrinsics by %g",
        *(where, round(width * factor), round(height * factor), width, height, factor),
    )
    return intrinsics / factor
