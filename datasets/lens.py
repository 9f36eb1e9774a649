"""Camera models with distortion, in COLMAP's terms, and images made free of it."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from utils.errors import DataError

PINHOLES = ("PINHOLE", "SIMPLE_PINHOLE")


@dataclass(frozen=True)
class Lens:
    """A camera model of COLMAP; pixel centres at +1/2."""

    model: str  # PINHOLE, OPENCV, ...
    size: tuple[int, int]  # width and height of the images that the parameters are for
    params: tuple[float, ...]  # in pixels, in the order of the model

    def undistort(self, image: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
        """The image (h, w, C) as a pinhole camera sees it, and fx, fy, cx, cy (4,) of that.

        A pinhole's image (H, W, C) is returned as it is. Otherwise the result is cut to what the lens shows, so that
        each of its pixels has been seen. An image of another size has its parameters scaled. Raises DataError where
        the aspect ratio is another one."""
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
        source, intrinsics = _undistortion(self, size)
        if source is None:
            return image, intrinsics
        return cv2.remap(image, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), intrinsics


@lru_cache(maxsize=8)  # the images of a scene share few cameras; a map is as large as an image
def _undistortion(lens: Lens, size: tuple[int, int]) -> tuple[np.ndarray | None, np.ndarray]:
    """Where each pixel of the pinhole image lies in the lens's (h, w, 2), None where nothing moves; and intrinsics."""
    import pycolmap  # only where there is distortion

    camera = pycolmap.Camera(model=lens.model, width=lens.size[0], height=lens.size[1], params=list(lens.params))
    if size != lens.size:
        camera.rescale(*size)
    changed = not camera.is_undistorted()
    target = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), camera) if changed else camera
    intrinsics = np.array(
        [target.focal_length_x, target.focal_length_y, target.principal_point_x, target.principal_point_y]
    )
    if not changed:
        return None, intrinsics
    x, y = np.meshgrid(np.arange(target.width) + 0.5, np.arange(target.height) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1)
    rays[..., :2] = (rays[..., :2] - intrinsics[2:]) / intrinsics[:2]
    source = camera.img_from_cam(rays.reshape(-1, 3)).reshape((*rays.shape[:2], 2))
    return (source - 0.5).astype(np.float32), intrinsics  # OpenCV's centres lie on integers
