"""How the cameras of a turntable move round the object: one axis, one sense, steps of about the same size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

_MIN_TURN = 2.0  # degrees: smaller motions do not tell their axis
_MIN_PITCH, _WINDOW = 4.0, 3  # degrees by which the camera was tilted anew; cameras on both sides that agree on it


@dataclass(frozen=True)
class RingMotion:
    """The motion of the cameras of one position, seen from the object."""

    axis: np.ndarray  # (3,) unit vector: the cameras turn around it in the positive sense
    steps: np.ndarray  # (N - 1,) degrees around the axis from each camera to the next
    off_axis: np.ndarray  # (N - 1,) degrees in [0, 180]: what remains of the rotation, 0 for one axis
    heights: float  # spread of the cameras along the axis, over the radius of their circle
    radii: float  # spread of their distances from the axis, likewise

    @property
    def turn(self) -> float:
        """Degrees that all steps add up to."""
        return float(self.steps.sum())


def ring_motion(c2w: np.ndarray) -> RingMotion:
    """The motion of cameras (N, 3, 4), N >= 3, in their order.

    The axis is that of most of the steps: the median of their rotation vectors about the strongest direction."""
    relative = c2w[1:, :, :3] @ c2w[:-1, :, :3].transpose(0, 2, 1)
    vectors = Rotation.from_matrix(relative).as_rotvec(degrees=True)
    sizes = np.linalg.norm(vectors, axis=1)
    units = vectors[sizes > _MIN_TURN] / sizes[sizes > _MIN_TURN, None]
    axis = _common_axis(units) if len(units) else np.array([0.0, 0.0, 1.0])
    if np.median(vectors @ axis) < 0.0:
        axis = -axis
    quaternions = Rotation.from_matrix(relative).as_quat()
    steps = np.degrees(2.0 * np.arctan2(quaternions[:, :3] @ axis, quaternions[:, 3]))
    steps = (steps + 180.0) % 360.0 - 180.0
    rest = Rotation.from_rotvec(-steps[:, None] * axis, degrees=True) * Rotation.from_matrix(relative)
    heights, radii = _circle(c2w[:, :, 3], axis)
    return RingMotion(axis, steps, np.degrees(rest.magnitude()), heights, radii)


def moves(c2w: np.ndarray) -> list[int]:
    """The indices of those of the cameras (N, 3, 4), N >= 3, in their order, before which the camera was moved.

    It looks at another angle to the axis from there on. What turns before it does not change that angle."""
    axis = ring_motion(c2w).axis
    pitch = np.degrees(np.arcsin((c2w[:, :, 2] @ axis).clip(-1.0, 1.0)))
    found: list[int] = []
    for i in range(_WINDOW, len(pitch) - _WINDOW + 1):
        before, after = pitch[i - _WINDOW : i], pitch[i : i + _WINDOW]
        if before.max() + _MIN_PITCH < after.min() or after.max() + _MIN_PITCH < before.min():
            found.append(i)
    return found


def _common_axis(units: np.ndarray) -> np.ndarray:
    """(3,) the direction, up to its sign, that most of the unit vectors (K, 3) are near."""
    agreement = np.abs(units @ units.T)
    centre = units[np.median(agreement, axis=1).argmax()]
    near = units[np.abs(units @ centre) > 0.9]
    mean = (near * np.sign(near @ centre)[:, None]).mean(axis=0)
    return mean / np.linalg.norm(mean)


def _circle(centres: np.ndarray, axis: np.ndarray) -> tuple[float, float]:
    """How far points (N, 3) are from a circle around `axis`: along it, and in their radius; over the radius."""
    height = centres @ axis
    flat = centres - height[:, None] * axis
    origin = np.median(flat, axis=0)
    basis = np.linalg.svd(axis[None])[2][1:]
    plane = (flat - origin) @ basis.T
    system = np.concatenate([2.0 * plane, np.ones((len(plane), 1))], axis=1)
    solution = np.linalg.lstsq(system, np.square(plane).sum(axis=1), rcond=None)[0]
    radius = np.linalg.norm(plane - solution[:2], axis=1)
    typical = max(float(np.median(radius)), 1e-9)
    return float(np.median(np.abs(height - np.median(height)))) / typical, float(
        np.median(np.abs(radius - typical))
    ) / typical


def angle_between(axes: Sequence[np.ndarray]) -> float:
    """The largest angle in degrees between an axis and the first one; a line has no sign."""
    return max(float(np.degrees(np.arccos(min(abs(axis @ axes[0]), 1.0)))) for axis in axes)
