"""A smooth flight through cameras that a visitor has chosen."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline

from systems.viewer.requests import CameraState

MAX_KEYFRAMES = 50
SHORTEST = 1e-3  # of the whole path that lies between two keyframes, at least; two may be the same
PADDING = 2  # keyframes repeated before and behind a closed path, so that rotations meet smoothly


@dataclass(frozen=True)
class CameraPath:
    """Cubic splines through keyframes: of positions, and of rotations (`scipy.spatial.transform.RotationSpline`).

    Time grows with the distance and the angle between keyframes, so that the camera flies at an even speed."""

    keyframes: tuple[CameraState, ...]
    closed: bool = False  # whether the last is followed by the first

    def at(self, shares: np.ndarray, size: tuple[int, int]) -> list[CameraState]:
        """The cameras at shares (N,) in [0, 1] of the time, for windows of a size (width, height).

        Expects at least two keyframes."""
        keys = [*self.keyframes, self.keyframes[0]] if self.closed else list(self.keyframes)
        c2w = np.stack([key.c2w for key in keys])
        steps = self._steps(c2w)
        times = np.concatenate([[0.0], np.cumsum(steps)])
        bounds = "periodic" if self.closed else "natural"
        where = np.clip(shares, 0.0, 1.0) * times[-1]
        positions = CubicSpline(times, c2w[:, :, 3], bc_type=bounds)(where)
        turns = self._turns(times, steps, Rotation.from_matrix(c2w[:, :, :3]))(where).as_matrix()
        fovs = np.interp(where, times, [key.fov for key in keys])
        return [
            CameraState(np.hstack([turn, position[:, None]]), float(fov), size)
            for turn, position, fov in zip(turns, positions, fovs, strict=True)
        ]

    def _steps(self, c2w: np.ndarray) -> np.ndarray:
        """(K-1,) the times from each keyframe to the next."""
        moved = np.linalg.norm(np.diff(c2w[:, :, 3], axis=0), axis=1)
        turns = Rotation.from_matrix(c2w[:, :, :3])
        angles = (turns[:-1].inv() * turns[1:]).magnitude()
        reach = float(np.linalg.norm(c2w[:, :, 3], axis=1).mean())  # one radian counts like so many scene units
        steps = moved + reach * angles
        return np.maximum(steps, max(SHORTEST * float(steps.sum()), 1e-6))

    def _turns(self, times: np.ndarray, steps: np.ndarray, turns: Rotation) -> RotationSpline:
        if not self.closed:
            return RotationSpline(times, turns)
        count = len(steps)  # keyframes, of which the first follows the last
        index = np.arange(-PADDING, count + PADDING + 1)
        laps, within = np.divmod(index, count)
        return RotationSpline(times[within] + laps * times[-1], turns[within])
