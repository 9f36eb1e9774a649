"""The points and cameras of a COLMAP model as plain arrays, in its own frame and units."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from utils.cameras import Camera
from utils.files import natural_key


@dataclass(frozen=True)
class SparseModel:
    """A sparse reconstruction: points, the number of views that observe each, and the registered cameras."""

    points: np.ndarray  # (K, 3) float64
    colors: np.ndarray  # (K, 3) uint8, sRGB
    track_lengths: np.ndarray  # (K,) int64 observations of each point
    names: tuple[str, ...]  # (N,) files of the images, in natural order
    c2w: np.ndarray  # (N, 3, 4) float64, OpenCV
    intrinsics: np.ndarray  # (N, 4) float64 fx, fy, cx, cy in pixels, without the distortion
    sizes: np.ndarray  # (N, 2) int64, width and height

    def camera(self, view: int) -> Camera:
        """The camera of a view."""
        return Camera(self.c2w[view], self.intrinsics[view], tuple(self.sizes[view].tolist()))

    def project(self, view: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (P, 2) and depths (P,) along the optical axis of points (P, 3) in one view.

        Pixels mean nothing where the depth is not above 0."""
        projected = self.camera(view).project(points)
        return projected[:, :2], projected[:, 2]

    def in_frame_share(self, points: np.ndarray) -> np.ndarray:
        """(K,) in [0, 1]: the share of the cameras that have each of the points (K, 3) in frame, occluded or not."""
        num_views = np.zeros(len(points))
        for view, size in enumerate(self.sizes):
            pixels, depth = self.project(view, points)
            num_views += (depth > 0.0) & (pixels > 0.0).all(axis=1) & (pixels < size).all(axis=1)
        return num_views / len(self.sizes)


def read_sparse_model(folder: Path) -> SparseModel:
    """The COLMAP model of a folder."""
    return to_sparse_model(pycolmap.Reconstruction(folder))


def to_sparse_model(reconstruction: pycolmap.Reconstruction) -> SparseModel:
    """The registered images of a reconstruction, in natural order of their names, and all its points, by their ids."""
    registered = [reconstruction.images[i] for i in reconstruction.reg_image_ids()]
    images = sorted(registered, key=lambda image: natural_key(image.name))
    cameras = [reconstruction.cameras[image.camera_id] for image in images]
    points = [point for _, point in sorted(reconstruction.points3D.items())]
    pinholes = [(c.focal_length_x, c.focal_length_y, c.principal_point_x, c.principal_point_y) for c in cameras]
    return SparseModel(
        points=np.array([point.xyz for point in points], dtype=np.float64).reshape(-1, 3),
        colors=np.array([point.color for point in points], dtype=np.uint8).reshape(-1, 3),
        track_lengths=np.array([point.track.length() for point in points], dtype=np.int64),
        names=tuple(image.name for image in images),
        c2w=np.array([image.cam_from_world().inverse().matrix() for image in images]).reshape(-1, 3, 4),
        intrinsics=np.array(pinholes, dtype=np.float64).reshape(-1, 4),
        sizes=np.array([(camera.width, camera.height) for camera in cameras], dtype=np.int64).reshape(-1, 2),
    )
