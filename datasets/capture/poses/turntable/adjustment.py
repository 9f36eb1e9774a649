"""Bundle adjustment that keeps to the motion of a turntable: points are free, cameras have one axis."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pycolmap
from scipy.sparse import csr_matrix

from datasets.capture.poses.turntable.motion import Motion
from datasets.capture.poses.turntable.rings import Ring

_ITERATIONS = 25
_ENOUGH = 1e-5  # share by which the cost falls, below which the adjustment ends
_SHIFTS = np.radians(0.5), np.radians(0.02)  # how far photos are off even steps, one deviation: at first, and at least
_LENS = 0.2  # and coefficients of the lens off 0
_ERROR = 0.15  # of a feature's size, one deviation: how far it lies off in a photo; on turntables of scanned objects
_DELTA = 1e-6  # of the numerical derivatives


@dataclass(frozen=True)
class Observations:
    """What the photos of a reconstruction see of its points."""

    photo: np.ndarray  # (O,) over all rings
    point: np.ndarray  # (O,)
    xy: np.ndarray  # (O, 2) pixels
    size: np.ndarray  # (O,) pixels, the scale of the feature
    point_ids: np.ndarray  # (P,) of the reconstruction

    def of_long_tracks(self) -> tuple["Observations", np.ndarray]:
        """The half of the observations whose points most photos see, and the indices of these points (P',): what few
        see may be a highlight, an outline or a wrong match."""
        seen_by = np.bincount(self.point, minlength=len(self.point_ids))[self.point]
        kept = seen_by >= np.median(seen_by)
        points, point = np.unique(self.point[kept], return_inverse=True)
        return Observations(self.photo[kept], point, self.xy[kept], self.size[kept], self.point_ids[points]), points


def observations(model: pycolmap.Reconstruction, rings: Sequence[Ring]) -> Observations:
    """All observations of the photos of some rings."""
    ids = [image_id for ring in rings for image_id in ring.image_ids]
    sizes = [values for ring in rings for values in ring.sizes]
    photo, point, xy, size = [], [], [], []
    for number, image_id in enumerate(ids):
        features = model.images[image_id].points2D
        seen = [(i, p.point3D_id, *p.xy) for i, p in enumerate(features) if p.has_point3D()]
        photo += [number] * len(seen)
        point += [row[1] for row in seen]
        xy += [row[2:] for row in seen]
        size += sizes[number][[row[0] for row in seen]].tolist()
    point_ids, point = np.unique(np.array(point, np.int64), return_inverse=True)
    return Observations(np.array(photo, int), point, np.array(xy).reshape(-1, 2), np.array(size), point_ids)


class MotionAdjustment:
    """The unknowns of the adjustment and how they project; shapes: E coefficients of the lens, R rings, Q photos.

    The vector of the cameras is the logarithm of the focal length, E coefficients, the tilts and places of the motion,
    and the angle by which each photo is off its even step."""

    def __init__(
        self,
        rings: Sequence[Ring],
        motion: Motion,
        camera: pycolmap.Camera,
        seen: Observations,
        shifts: np.ndarray | None,
    ) -> None:
        self.rings, self.motion, self.camera, self.seen = rings, motion, camera, seen
        self.errors = _ERROR * np.maximum(seen.size, 1.0)[:, None]  # (O, 1) pixels, one deviation
        self.ring = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
        self.index = np.concatenate([np.arange(len(ring)) for ring in rings])
        extra = np.array(camera.params)[list(camera.extra_params_idxs())]
        self.tilts = slice(1 + len(extra), 1 + len(extra) + 3 * len(rings))
        self.places = slice(self.tilts.stop, self.tilts.stop + 3 * len(rings))
        self.vector = np.concatenate(
            [[np.log(camera.mean_focal_length())], extra, motion.tilts.ravel(), motion.places.ravel(),
             np.zeros(len(self.ring)) if shifts is None else shifts]
        )  # fmt: skip
        lens, ring, photo = np.arange(self.tilts.start), self.ring[seen.photo][:, None], seen.photo[:, None]
        self.columns = np.concatenate(  # (O, K) of the vector, that each observation depends on
            [np.broadcast_to(lens, (len(photo), len(lens))), self.tilts.start + 3 * ring + np.arange(3),
             self.places.start + 3 * ring + np.arange(3), self.places.stop + photo], axis=1,
        )  # fmt: skip
        self.free = np.ones(len(self.vector), bool)
        self.free[self.places.start : self.places.start + 3] = False  # the first ring sets the frame
        self.precision = np.zeros(len(self.vector))
        self.precision[1 : self.tilts.start] = _LENS**-2
        self.precision[self.places.stop :] = self.deviation(shifts) ** -2

    def hold_lens(self) -> None:
        """Keeps the focal length and the coefficients of the lens as they are."""
        self.free[: self.tilts.start] = False

    @staticmethod
    def deviation(shifts: np.ndarray | None) -> float:
        """The standard deviation of the angles of photos, from what was found before: most photos are as the median is,
        and the one without texture, which wrong matches turn, is held."""
        return _SHIFTS[0] if shifts is None else max(1.4826 * float(np.median(np.abs(shifts))), _SHIFTS[1])

    def shifts(self, vector: np.ndarray) -> np.ndarray:
        """(Q,) radians by which photos are off their even steps."""
        return vector[self.places.stop :]

    def lens(self, vector: np.ndarray) -> pycolmap.Camera:
        """The camera with the focal length and the coefficients of a vector."""
        params = np.array(self.camera.params)
        params[list(self.camera.focal_length_idxs())] = np.exp(vector[0])
        params[list(self.camera.extra_params_idxs())] = vector[1 : self.tilts.start]
        camera = pycolmap.Camera(
            model=self.camera.model, width=self.camera.width, height=self.camera.height, params=params
        )
        camera.camera_id = self.camera.camera_id
        return camera

    def moved(self, vector: np.ndarray) -> Motion:
        """The motion of a vector, without the angles of single photos."""
        tilts, places = vector[self.tilts].reshape(-1, 3), vector[self.places].reshape(-1, 3)
        return replace(self.motion, focal=float(np.exp(vector[0])), tilts=tilts, places=places)

    def poses(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (Q, 3, 3) and translations (Q, 3) from the object to the cameras."""
        return self.moved(vector).poses(self.rings, self.ring, self.index, self.shifts(vector))

    def residuals(self, vector: np.ndarray, points: np.ndarray) -> np.ndarray:
        """(O, 2) in deviations: large features lie less exactly, and where shading passes over them they err to one
        side, which makes focal lengths short."""
        rotations, offsets = self.poses(vector)
        seen = np.einsum("nij,nj->ni", rotations[self.seen.photo], points[self.seen.point]) + offsets[self.seen.photo]
        seen[:, 2] = np.maximum(seen[:, 2], 1e-3)
        return (self.lens(vector).img_from_cam(seen) - self.seen.xy) / self.errors

    def jacobians(self, vector: np.ndarray, points: np.ndarray, here: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(O, 2, K) derivatives by the columns of the cameras, and (O, 2, 3) by the points; all rings at once, since an
        observation depends on one."""
        by_camera = []
        starts = [*range(self.tilts.start), *(self.tilts.start + i for i in range(3))]
        starts += [self.places.start + i for i in range(3)]
        for start in starts:
            moved = vector.copy()
            every = slice(start, start + 1)
            if start >= self.tilts.start:
                stop = self.tilts.stop if start < self.tilts.stop else self.places.stop
                every = slice(start, stop, 3)
            moved[every] += _DELTA
            by_camera.append((self.residuals(moved, points) - here) / _DELTA)
        by_camera.append(by_camera[-1])  # the azimuth of the ring turns a photo as its own angle does
        by_point = [(self.residuals(vector, points + _DELTA * axis) - here) / _DELTA for axis in np.eye(3)]
        return np.stack(by_camera, axis=2), np.stack(by_point, axis=2)


def robust_cost(residuals: np.ndarray) -> float:
    """The Cauchy cost, at a scale of one deviation, of residuals (O, 2)."""
    return float(np.log1p(np.square(residuals).sum(axis=1)).sum())


def adjust(problem: MotionAdjustment, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vector of the cameras and the points (P, 3) with the least Cauchy cost.

    Levenberg-Marquardt with the Schur complement of the points (Triggs et al. 2000, Bundle adjustment)."""
    vector, damping = problem.vector, 1e-4
    residuals = problem.residuals(vector, points)
    cost = robust_cost(residuals) + problem.precision @ vector**2
    for _ in range(_ITERATIONS):
        jacobians = problem.jacobians(vector, points, residuals)
        fell = 0.0
        while damping < 1e6:
            step, point_step = _solve_step(problem, vector, residuals, jacobians, damping)
            trial = problem.residuals(vector + step, points + point_step)
            trial_cost = robust_cost(trial) + problem.precision @ (vector + step) ** 2
            if trial_cost < cost:
                fell, damping = (cost - trial_cost) / cost, max(damping / 10.0, 1e-8)
                vector, points, residuals, cost = vector + step, points + point_step, trial, trial_cost
                break
            damping *= 10.0
        if fell < _ENOUGH:
            break
    return vector, points


def _solve_step(
    problem: MotionAdjustment,
    vector: np.ndarray,
    residuals: np.ndarray,
    jacobians: tuple[np.ndarray, np.ndarray],
    damping: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The step of the cameras (C,) and of the points (P, 3) that solves the damped normal equations."""
    seen, number = problem.seen, len(problem.seen.point_ids)
    weights = 1.0 / np.sqrt(1.0 + np.square(residuals).sum(axis=1))
    by_camera, by_point = (jacobian * weights[:, None, None] for jacobian in jacobians)
    weighted = (residuals * weights[:, None]).reshape(-1)
    rows = np.arange(2 * len(seen.photo)).reshape(-1, 2, 1)
    cameras = _sparse(by_camera, rows, problem.columns, len(vector))
    points = _sparse(by_point, rows, 3 * seen.point[:, None] + np.arange(3), 3 * number)
    hessian = (cameras.T @ cameras).toarray() + np.diag(problem.precision)
    gradient = cameras.T @ weighted + problem.precision * vector
    blocks = np.zeros((number, 3, 3))
    np.add.at(blocks, seen.point, np.einsum("nij,nik->njk", by_point, by_point))
    blocks += np.einsum("nii->ni", blocks)[:, :, None] * np.eye(3) * damping + 1e-9 * np.eye(3)
    inverse = np.linalg.inv(blocks)
    mixed = (cameras.T @ points).toarray().reshape(-1, number, 3)
    reduced = np.einsum("cpi,pij->cpj", mixed, inverse)
    point_gradient = (points.T @ weighted).reshape(number, 3)
    flat = reduced.reshape(len(vector), -1)
    schur = hessian + np.diag(np.diag(hessian)) * damping - flat @ mixed.reshape(len(vector), -1).T
    right = flat @ point_gradient.ravel() - gradient
    free = problem.free
    step = np.zeros(len(vector))
    step[free] = np.linalg.lstsq(schur[np.ix_(free, free)], right[free], rcond=None)[0]
    back = point_gradient + np.einsum("cpi,c->pi", mixed, step)
    return step, -np.einsum("pij,pj->pi", inverse, back)


def _sparse(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, width: int) -> csr_matrix:
    """The matrix with `values` (O, 2, K) at `rows` (O, 2, 1) and `columns` (O, K)."""
    shape = values.shape
    where = (np.broadcast_to(rows, shape).ravel(), np.broadcast_to(columns[:, None], shape).ravel())
    return csr_matrix((values.ravel(), where), shape=(2 * shape[0], width))
