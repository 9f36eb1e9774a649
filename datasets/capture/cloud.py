"""The points and cameras of a COLMAP model as plain arrays, in its own frame and units."""

from dataclasses import dataclass

import numpy as np
import pycolmap

from datasets.assemble import natural_key


@dataclass(frozen=True)
class Cloud:
    """A sparse reconstruction: points, how often each was seen, and the cameras that saw them."""

    points: np.ndarray  # (K, 3) float64
    colors: np.ndarray  # (K, 3) uint8, sRGB
    views: np.ndarray  # (K,) int64 cameras that see each
    names: tuple[str, ...]  # (N,) files of the images, in natural order
    c2w: np.ndarray  # (N, 3, 4) float64, OpenCV
    intrinsics: np.ndarray  # (N, 4) float64 fx, fy, cx, cy in pixels, without the distortion
    sizes: np.ndarray  # (N, 2) int64, width and height

    def project(self, view: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (..., 2) and depths (...,) along the optical axis of points (..., 3) in one view.

        Pixels mean nothing where the depth is not above 0."""
        seen = (points - self.c2w[view, :, 3]) @ self.c2w[view, :, :3]
        depth = seen[..., 2]
        plane = seen[..., :2] / np.where(depth > 0.0, depth, 1.0)[..., None]
        return plane * self.intrinsics[view, :2] + self.intrinsics[view, 2:], depth

    def attention(self, points: np.ndarray) -> np.ndarray:
        """(K,) share in [0, 1] of the cameras that have each of the points (K, 3) within their image, hidden or not."""
        inside = np.zeros(len(points))
        for view, size in enumerate(self.sizes):
            pixels, depth = self.project(view, points)
            inside += (depth > 0.0) & (pixels > 0.0).all(axis=1) & (pixels < size).all(axis=1)
        return inside / len(self.sizes)


def cloud_of(model: pycolmap.Reconstruction) -> Cloud:
    """The registered images of a model, in natural order of their names, and all its points."""
    images = sorted((model.images[i] for i in model.reg_image_ids()), key=lambda image: natural_key(image.name))
    cameras = [model.cameras[image.camera_id] for image in images]
    found = list(model.points3D.values())
    focal = [(c.focal_length_x, c.focal_length_y, c.principal_point_x, c.principal_point_y) for c in cameras]
    return Cloud(
        points=np.array([point.xyz for point in found], dtype=np.float64).reshape(-1, 3),
        colors=np.array([point.color for point in found], dtype=np.uint8).reshape(-1, 3),
        views=np.array([point.track.length() for point in found], dtype=np.int64),
        names=tuple(image.name for image in images),
        c2w=np.array([image.cam_from_world().inverse().matrix() for image in images]).reshape(-1, 3, 4),
        intrinsics=np.array(focal, dtype=np.float64).reshape(-1, 4),
        sizes=np.array([(camera.width, camera.height) for camera in cameras], dtype=np.int64).reshape(-1, 2),
    )
