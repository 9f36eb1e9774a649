"""The motion of a turntable: one axis, even steps, a camera at rest for each ring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pycolmap

from datasets.capture.poses.turntable.rings import PairMatches, Ring


@dataclass(frozen=True)
class Motion:
    """The cameras in the frame of the turning object, whose z axis is the axis of the turntable.

    Photo i of ring r has the pose R = looks[r] Rz(azimuth[r] + sense * step * i), t = -looks[r] (radius, 0, height),
    from the object to the camera."""

    focal: float  # pixels
    sense: int  # of the turn, seen from above: 1 anticlockwise, -1 clockwise
    tilts: np.ndarray  # (R, 3) radians: pitch downwards, roll, and turn to the side
    places: np.ndarray  # (R, 3) distance to the axis, height along it, azimuth

    def vector(self) -> np.ndarray:
        """(1 + 6 R,) what is fitted: the sense is not."""
        return np.concatenate([[np.log(self.focal)], self.tilts.ravel(), self.places.ravel()])

    def with_vector(self, vector: np.ndarray) -> "Motion":
        """The same with other values, the inverse of `vector`."""
        tilts, places = vector[1:].reshape(2, -1, 3)
        return replace(self, focal=float(np.exp(vector[0])), tilts=tilts, places=places)

    def part(self, rings: Sequence[int]) -> "Motion":
        """The motion of some of the rings."""
        return replace(self, tilts=self.tilts[list(rings)], places=self.places[list(rings)])

    def poses(
        self, rings: Sequence[Ring], number: np.ndarray, photo: np.ndarray, shift: np.ndarray | float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (N, 3, 3) and translations (N, 3) from the object to the camera, of photos (N,) of rings (N,), each
        turned `shift` farther than its even step."""
        steps = np.array([ring.step for ring in rings])
        looks = np.stack([look(*tilt) for tilt in self.tilts])[number]
        angle = self.places[number, 2] + self.sense * steps[number] * photo + shift
        places = np.stack([self.places[number, 0], np.zeros(len(number)), self.places[number, 1]], axis=1)
        return looks @ turn(angle), -np.einsum("nij,nj->ni", looks, places)


def turn(angle: np.ndarray) -> np.ndarray:
    """(N, 3, 3) rotations by angles (N,) about z."""
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = np.cos(angle)
    matrix[:, 1, 0] = np.sin(angle)
    matrix[:, 0, 1] = -matrix[:, 1, 0]
    matrix[:, 2, 2] = 1.0
    return matrix


def look(pitch: float, roll: float, side: float) -> np.ndarray:
    """(3, 3) rotation from the world to a camera on the x axis that looks to the z axis, by angles in radians."""
    (sp, cp), (sr, cr), (ss, cs) = ((np.sin(angle), np.cos(angle)) for angle in (pitch, roll, side))
    base = np.array([[0.0, 1.0, 0.0], [sp, 0.0, -cp], [-cp, 0.0, -sp]])
    about_y = np.array([[cs, 0.0, ss], [0.0, 1.0, 0.0], [-ss, 0.0, cs]])
    about_z = np.array([[cr, -sr, 0.0], [sr, cr, 0.0], [0.0, 0.0, 1.0]])
    return about_z @ about_y @ base


class Correspondences:
    """The matched points of many pairs of photos, to measure how well a motion explains them."""

    def __init__(self, rings: Sequence[Ring], pairs: Sequence[PairMatches], camera: pycolmap.Camera) -> None:
        self.rings = rings
        self.camera = camera
        counts = [len(pair.features) for pair in pairs]
        self.pair = np.repeat(np.arange(len(pairs)), counts)
        self.ends = np.array([(pair.a, pair.i, pair.b, pair.j) for pair in pairs]).reshape(-1, 4)
        self.first = np.concatenate([rings[p.a].keypoints[p.i][p.features[:, 0]] for p in pairs])
        self.second = np.concatenate([rings[p.b].keypoints[p.j][p.features[:, 1]] for p in pairs])
        self._rays: tuple[float, np.ndarray, np.ndarray] | None = None

    def rays(self, focal: float) -> tuple[np.ndarray, np.ndarray]:
        """(M, 3) both ends as (x, y, 1) in the frames of the cameras."""
        if self._rays is None or self._rays[0] != focal:
            camera = with_focal(self.camera, focal)
            both = [camera.cam_from_img(points) for points in (self.first, self.second)]
            self._rays = (focal, *(np.concatenate([xy, np.ones((len(xy), 1))], axis=1) for xy in both))
        return self._rays[1:]

    def residuals(self, motion: Motion) -> np.ndarray:
        """(M,) Sampson distances (Hartley and Zisserman, 11.4.3): how far each match is off its epipolar lines, in
        pixels of a photo with 800 on its longer side, since uneven steps show in proportion to the size."""
        first, second = self.rays(motion.focal)
        rotation_a, offset_a = motion.poses(self.rings, self.ends[:, 0], self.ends[:, 1])
        rotation_b, offset_b = motion.poses(self.rings, self.ends[:, 2], self.ends[:, 3])
        rotation = rotation_b @ rotation_a.transpose(0, 2, 1)
        offset = offset_b - np.einsum("nij,nj->ni", rotation, offset_a)
        essential = (cross(offset) @ rotation)[self.pair]
        lines_b = np.einsum("nij,nj->ni", essential, first)
        lines_a = np.einsum("nji,nj->ni", essential, second)
        squared = np.square(lines_a[:, :2]).sum(axis=1) + np.square(lines_b[:, :2]).sum(axis=1)
        scale = motion.focal / pixel_size(self.camera)
        return scale * (second * lines_b).sum(axis=1) / np.sqrt(squared + 1e-20)


def pixel_size(camera: pycolmap.Camera) -> float:
    """The pixels of a photo that one is of a photo with 800 on its longer side."""
    return max(camera.width, camera.height) / 800.0


def cross(vectors: np.ndarray) -> np.ndarray:
    """(N, 3, 3) the matrices of the cross products with vectors (N, 3)."""
    matrix = np.zeros((len(vectors), 3, 3))
    for row, column, source, sign in ((0, 1, 2, -1), (0, 2, 1, 1), (1, 2, 0, -1)):
        matrix[:, row, column] = sign * vectors[:, source]
        matrix[:, column, row] = -matrix[:, row, column]
    return matrix


def with_focal(camera: pycolmap.Camera, focal: float) -> pycolmap.Camera:
    """The camera with another focal length and without distortion, which matches of two photos hardly tell."""
    params = np.array(camera.params)
    params[list(camera.focal_length_idxs())] = focal
    params[list(camera.extra_params_idxs())] = 0.0
    changed = pycolmap.Camera(model=camera.model, width=camera.width, height=camera.height, params=params)
    changed.camera_id = camera.camera_id
    return changed
