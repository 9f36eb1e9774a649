"""Camera models with distortion, in COLMAP's terms, and the undistortion of their images."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from datasets.geometry.eighth_order import EIGHTH_ORDER, undistortion
from utils.errors import DataError
from utils.packages import require

if TYPE_CHECKING:
    import pycolmap

_SQUARE = 1.15  # ratio of focal lengths across and down, from which on it is told
PINHOLES = ("PINHOLE", "SIMPLE_PINHOLE")
SHORTEST = 0.05  # focal length, in the longer side of the image: a view of 169 degrees without distortion
PANORAMAS = ("EQUIRECTANGULAR", "SPHERICAL", "VR180", "OMNIDIRECTIONAL")  # what names of such models begin with


@dataclass(frozen=True)
class Lens:
    """A camera model of COLMAP; pixel centres at +1/2."""

    model: str  # PINHOLE, OPENCV, ..., or EIGHTH_ORDER, which COLMAP does not have
    size: tuple[int, int]  # width and height of the images that the parameters are for
    params: tuple[float, ...]  # in pixels, in the order of the model

    def undistort(self, image: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
        """The image (h, w, C) as a pinhole camera sees it, and fx, fy, cx, cy (4,) of that.

        Returns the image (H, W, C) of a pinhole unchanged. Otherwise crops the result to pixels that the lens has seen.
        Scales the parameters to an image of another size. Raises DataError where the aspect ratio differs."""
        refuse_panorama(self.model, where)  # COLMAP would end the whole process
        size = image.shape[1], image.shape[0]
        factors = np.array(size) / self.size
        if abs(factors[0] / factors[1] - 1.0) > 0.01:
            raise DataError(
                f"{where}: the camera is for {self.size[0]}x{self.size[1]}, but the image is {size[0]}x{size[1]}, "
                f"another aspect ratio. Use the images that the cameras were made for."
            )
        if self.model in PINHOLES:
            focal = self.params[:-2] * (2 if self.model == "SIMPLE_PINHOLE" else 1)
            return image, np.array([*focal, *self.params[-2:]]) * np.tile(factors, 2)
        try:
            remap, intrinsics = _undistortion(self, size)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from None
        if remap is None:
            return image, intrinsics
        return cv2.remap(image, remap, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), intrinsics

    def seen_by(self, image: np.ndarray, intrinsics: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """(h, w[, C]) uint8: an image (H, W[, C]) of this lens as a pinhole camera sees it, black beyond its edge.

        The image has the size of the lens. intrinsics: (4,) fx, fy, cx, cy of the pinhole; size: (w, h) of its
        image."""
        return cv2.remap(image, _remap(self.camera(), intrinsics, size), None, cv2.INTER_LINEAR)

    def camera(self) -> "pycolmap.Camera":
        """The lens as a camera of COLMAP. Raises MissingPackageError."""
        pycolmap = require("pycolmap")  # slow to import, and needed only for distortion
        return pycolmap.Camera(model=self.model, width=self.size[0], height=self.size[1], params=list(self.params))


def check_focal_lengths(focal_x: float, focal_y: float, where: str) -> None:
    """Raises DataError unless both are above 0: the rays that a negative one means depend on who wrote it."""
    if min(focal_x, focal_y) > 0.0:
        return
    turned = "turned by 180 degrees" if max(focal_x, focal_y) < 0.0 else "mirrored"
    raise DataError(
        f"{where}: expected focal lengths above 0, got {focal_x:g} and {focal_y:g} pixels. Write them without the "
        f"minus sign if the pictures are upright and the poses those of the format (with it, pictures are {turned})."
    )


def doubt_of_pixels(intrinsics: np.ndarray) -> str | None:
    """What to say of pinholes fx, fy, cx, cy (N, 4) whose pixels are far from square, as few files mean; else None."""
    ratio = float(np.median(intrinsics[:, 0] / intrinsics[:, 1]))
    if 1.0 / _SQUARE <= ratio <= _SQUARE:
        return None
    return (
        f"the focal length is {ratio:.3g} times as large across as down, which is right for squeezed images only: else "
        f"correct that of one side, or its field of view"
    )


def check_in_pixels(intrinsics: np.ndarray, size: tuple[float, float], where: str) -> None:
    """Raises DataError for fx, fy, cx, cy (4,) that cannot be pixels of images of `size` (width, height), but shares of
    it, millimetres, or of no camera at all."""
    focal_x, focal_y, centre_x, centre_y = intrinsics
    is_short = min(focal_x, focal_y) < SHORTEST * max(size)
    if is_short or (0.0 <= centre_x <= 1.0 and 0.0 <= centre_y <= 1.0 and min(size) > 8):
        raise DataError(
            f"{where}: expected focal lengths and the principal point in pixels of {size[0]:g}x{size[1]:g} images, got "
            f"fx {focal_x:.4g}, fy {focal_y:.4g}, cx {centre_x:.4g}, cy {centre_y:.4g}. Multiply shares of the width "
            f"and the height by these, and millimetres by the pixels that one has on the sensor; 0, 0 is the corner "
            f"of the first pixel, the middle of the image is {size[0] / 2:g}, {size[1] / 2:g}."
        )


def refuse_panorama(model: object, where: str) -> None:
    """Raises DataError for the name of a camera model that sees all around, and so has no focal length."""
    if isinstance(model, str) and model.upper().startswith(PANORAMAS):
        raise DataError(
            f"{where}: expected cameras with a lens, got 360 degree panoramas ({model}). Cut each of them into pinhole "
            f"images first, for example with COLMAP's panorama_sfm.py (in its python/examples), and give the folder of "
            f"those with their model."
        )


def lens_of(camera: "pycolmap.Camera") -> Lens:
    """The lens of a camera of COLMAP."""
    return Lens(camera.model_name, (camera.width, camera.height), tuple(camera.params.tolist()))


@lru_cache(maxsize=8)  # the images of a scene share few cameras; a map is as large as an image
def _undistortion(lens: Lens, size: tuple[int, int]) -> tuple[np.ndarray | None, np.ndarray]:
    """The map (h, w, 2) from the pinhole's pixels to the lens's, None if they are the same; and its intrinsics."""
    if lens.model == EIGHTH_ORDER:
        factors = np.array(size) / lens.size
        return undistortion(np.array(lens.params) * [*factors, *factors, *np.ones(6)], size)
    pycolmap = require("pycolmap")
    camera = lens.camera()
    if size != lens.size:
        camera.rescale(*size)
    distorted = not camera.is_undistorted()
    target = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), camera) if distorted else camera
    intrinsics = np.array(
        [target.focal_length_x, target.focal_length_y, target.principal_point_x, target.principal_point_y]
    )
    if not distorted:
        return None, intrinsics
    return _remap(camera, intrinsics, (target.width, target.height)), intrinsics


def _remap(camera: "pycolmap.Camera", intrinsics: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 2) float32: where a pinhole's pixels lie in the image of a camera; centres on integers, as in OpenCV."""
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1)
    rays[..., :2] = (rays[..., :2] - intrinsics[2:]) / intrinsics[:2]
    remap = camera.img_from_cam(rays.reshape(-1, 3)).reshape((*rays.shape[:2], 2))
    return (remap - 0.5).astype(np.float32)
