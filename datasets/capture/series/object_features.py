"""The object of one prepared series: its masks, its sparse points, and the SIFT features that lie on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from datasets.capture.masks.mask_files import MASK_FOLDER, masks_in
from datasets.capture.poses.features import read_descriptors
from utils.files import natural_key
from utils.images import read_image

_MIN_SHARE = 0.8  # of the features of a point of the object lie on its masks, which err by a pixel or two
_OPAQUE = 127  # of 255: a mask's pixels above it are the object


@dataclass(frozen=True)
class ObjectFeatures:
    """What one series knows of its object: F features on it in N images, and K points that some of them observe.

    In the frame and units of the series, which other series do not share."""

    label: str  # the folder of the series, for people to read
    image_ids: np.ndarray  # (N,) int64 ids of the model's images, in natural order of their names
    c2w: np.ndarray  # (N, 3, 4) float64, OpenCV
    intrinsics: np.ndarray  # (N, 4) float64 fx, fy, cx, cy in pixels
    sides: np.ndarray  # (N,) float64 the longer side of each image in pixels: tolerances are shares of it
    image_of: np.ndarray  # (F,) int64 index of each feature's image in `image_ids`
    number: np.ndarray  # (F,) int64 index of each feature among all of its image
    pixels: np.ndarray  # (F, 2) float64, without the distortion of the lens
    descriptors: np.ndarray  # (F, 128) uint8
    point_of: np.ndarray  # (F,) int64 index of the point that each feature observes; -1 where it observes none
    point_ids: np.ndarray  # (K,) int64 ids of the points in the model
    points: np.ndarray  # (K, 3) float64

    def project(self, points: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (P, 2) and depths (P,) of points (P, 3), each in the image that `images` (P,) gives; pixels mean
        nothing where the depth is not above 0."""
        offsets = points - self.c2w[images, :, 3]
        local = np.einsum("pij,pi->pj", self.c2w[images, :, :3], offsets)
        depth = np.where(np.abs(local[:, 2]) > 1e-12, local[:, 2], 1e-12)
        intrinsics = self.intrinsics[images]
        return local[:, :2] / depth[:, None] * intrinsics[:, :2] + intrinsics[:, 2:], local[:, 2]

    def radius(self) -> float:
        """The distance from their middle within which nine tenths of the points lie."""
        return float(np.quantile(np.linalg.norm(self.points - np.median(self.points, axis=0), axis=1), 0.9))


def read_features(
    root: Path,
    model: pycolmap.Reconstruction,
    label: str,
    on_object: bool = True,
    descriptors: Mapping[str, np.ndarray] | None = None,
) -> ObjectFeatures:
    """The features and points of the object in a prepared series, or of what is around it, of the images that have a
    mask.

    root: the folder of the series; model: its undistorted reconstruction; descriptors: by the names of the images,
    (F, 128) uint8 of all features of the model, by default those of the database of the stage `poses`."""
    images = sorted((model.images[i] for i in model.reg_image_ids()), key=lambda image: natural_key(image.name))
    masks = masks_in(root / MASK_FOLDER, [image.name for image in images])
    images = [image for image in images if image.name in masks]
    names = [image.name for image in images]
    if descriptors is None:
        descriptors = dict(zip(names, read_descriptors(root / "poses" / "database.db", names), strict=True))
    image_of, number, pixels, ids, wanted = [], [], [], [], []
    for view, image in enumerate(images):
        xy, point_ids = _features(image)
        assert len(xy) == len(descriptors[image.name]), "undistortion keeps the features of COLMAP's database"
        image_of.append(np.full(len(xy), view))
        number.append(np.arange(len(xy)))
        pixels.append(xy)
        ids.append(point_ids)
        wanted.append(_covered(read_image(masks[image.name])[..., 0], xy) == on_object)
    image_of, number, pixels, ids, wanted = map(np.concatenate, (image_of, number, pixels, ids, wanted))
    point_ids = _points_of(ids, wanted)
    rows = {point_id: row for row, point_id in enumerate(point_ids.tolist())}
    point_of = np.array([rows.get(i, -1) for i in ids.tolist()], np.int64)
    kept = np.where(ids >= 0, point_of >= 0, wanted)  # a feature of another point is not wanted
    cameras = [model.cameras[image.camera_id] for image in images]
    return ObjectFeatures(
        label=label,
        image_ids=np.array([image.image_id for image in images]),
        c2w=np.stack([image.cam_from_world().inverse().matrix() for image in images]),
        intrinsics=np.array(
            [(c.focal_length_x, c.focal_length_y, c.principal_point_x, c.principal_point_y) for c in cameras]
        ),
        sides=np.array([max(camera.width, camera.height) for camera in cameras], np.float64),
        image_of=image_of[kept],
        number=number[kept],
        pixels=pixels[kept],
        descriptors=np.concatenate([descriptors[name] for name in names])[kept],
        point_of=point_of[kept],
        point_ids=point_ids,
        points=np.array([model.points3D[i].xyz for i in point_ids.tolist()]).reshape(-1, 3),
    )


def _features(image: pycolmap.Image) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (F, 2) of all features of an image, and the ids (F,) of the points that they observe; -1 for none."""
    points: Sequence[pycolmap.Point2D] = image.points2D
    xy = np.array([point.xy for point in points], np.float64).reshape(-1, 2)
    return xy, np.array([point.point3D_id if point.has_point3D() else -1 for point in points], np.int64)


def _covered(mask: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(F,) bool: which of the pixels (F, 2) a mask (H, W) covers."""
    column, row = np.floor(pixels).astype(np.int64).T
    inside = (column >= 0) & (row >= 0) & (column < mask.shape[1]) & (row < mask.shape[0])
    covered = np.zeros(len(pixels), bool)
    covered[inside] = mask[row[inside], column[inside]] > _OPAQUE
    return covered


def _points_of(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(K,) the ids of the points nearly all of whose features are wanted."""
    observed, inverse, counts = np.unique(ids, return_inverse=True, return_counts=True)
    share = np.bincount(inverse, wanted, len(observed)) / counts
    return observed[(observed >= 0) & (share >= _MIN_SHARE)]
