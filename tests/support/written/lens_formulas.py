"""Lenses after their public descriptions: COLMAP's camera models, OpenCV's fisheye, nerfstudio's radial polynomial.

Written apart from the readers that it tests: it imports nothing of them, nor of their geometry."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]
STEP = 1e-6  # of the numeric derivative in `Lens.rays`


def _radial(u: np.ndarray, v: np.ndarray, k: tuple[float, ...]) -> np.ndarray:
    """k1 r² + k2 r⁴ + ..."""
    r2 = u * u + v * v
    return sum((ki * r2 ** (i + 1) for i, ki in enumerate(k)), np.zeros_like(r2))


def _tangential(u: np.ndarray, v: np.ndarray, p1: float, p2: float) -> Pair:
    r2 = u * u + v * v
    return 2 * p1 * u * v + p2 * (r2 + 2 * u * u), 2 * p2 * u * v + p1 * (r2 + 2 * v * v)


def _polynomial(u: np.ndarray, v: np.ndarray, k: tuple[float, ...]) -> Pair:
    factor = 1 + _radial(u, v, k)
    return u * factor, v * factor


def _brown(u: np.ndarray, v: np.ndarray, k: tuple[float, ...], p: tuple[float, ...], below: tuple = ()) -> Pair:
    factor = (1 + _radial(u, v, k)) / (1 + _radial(u, v, below))
    du, dv = _tangential(u, v, *p)
    return u * factor + du, v * factor + dv


def _equidistant(u: np.ndarray, v: np.ndarray) -> Pair:
    r = np.maximum(np.hypot(u, v), 1e-12)
    return u * np.arctan(r) / r, v * np.arctan(r) / r


def _fov(u: np.ndarray, v: np.ndarray, omega: float) -> Pair:
    r = np.maximum(np.hypot(u, v), 1e-12)
    factor = np.arctan(2 * r * np.tan(omega / 2)) / (r * omega)
    return u * factor, v * factor


def _thin_prism(u: np.ndarray, v: np.ndarray, k: tuple, p: tuple, s: tuple) -> Pair:
    u, v = _equidistant(u, v)
    x, y = _brown(u, v, k, p)
    r2 = u * u + v * v
    return x + s[0] * r2, y + s[1] * r2


MODELS: dict[str, Callable[..., Pair]] = {  # from the plane z = 1 to the same plane of a pinhole behind the lens
    "SIMPLE_PINHOLE": lambda u, v, e: (u, v),
    "PINHOLE": lambda u, v, e: (u, v),
    "SIMPLE_RADIAL": _polynomial,
    "RADIAL": _polynomial,
    "OPENCV": lambda u, v, e: _brown(u, v, e[:2], e[2:]),
    "FULL_OPENCV": lambda u, v, e: _brown(u, v, (*e[:2], e[4]), e[2:4], e[5:]),
    "OPENCV_FISHEYE": lambda u, v, e: _polynomial(*_equidistant(u, v), e),
    "FOV": lambda u, v, e: _fov(u, v, e[0]),
    "SIMPLE_RADIAL_FISHEYE": lambda u, v, e: _polynomial(*_equidistant(u, v), e),
    "RADIAL_FISHEYE": lambda u, v, e: _polynomial(*_equidistant(u, v), e),
    "THIN_PRISM_FISHEYE": lambda u, v, e: _thin_prism(u, v, (*e[:2], *e[4:6]), e[2:4], e[6:]),
    "K3": lambda u, v, e: _brown(u, v, (*e[:2], e[4]), e[2:4]),  # k1 k2 p1 p2 k3
    "K4": lambda u, v, e: _brown(u, v, (*e[:2], *e[4:]), e[2:4]),  # k1 k2 p1 p2 k3 k4, all in the numerator
}
SCALES = {  # of the parameters behind fx, fy, cx, cy
    "SIMPLE_RADIAL": (0.1,),
    "RADIAL": (0.1, 0.03),
    "OPENCV": (0.1, 0.03, 0.006, 0.006),
    "FULL_OPENCV": (0.1, 0.03, 0.006, 0.006, 0.02, 0.05, 0.02, 0.01),
    "OPENCV_FISHEYE": (0.05, 0.02, 0.01, 0.005),
    "FOV": (0.9,),
    "SIMPLE_RADIAL_FISHEYE": (0.05,),
    "RADIAL_FISHEYE": (0.05, 0.02),
    "THIN_PRISM_FISHEYE": (0.05, 0.02, 0.005, 0.005, 0.01, 0.005, 0.01, 0.01),
    "K3": (0.1, 0.03, 0.006, 0.006, 0.2),
    "K4": (0.1, 0.05, 0.006, 0.006, 0.1, 4.0),
}
ONE_FOCAL = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")


@dataclass(frozen=True)
class Lens:
    """A camera; the centre of the first pixel lies at (½, ½)."""

    model: str
    size: tuple[int, int]  # width, height
    focal: tuple[float, float]
    centre: tuple[float, float]
    extra: tuple[float, ...]

    @property
    def is_pinhole(self) -> bool:
        """Whether straight lines stay straight."""
        return not any(self.extra)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) pixels of points (N, 3) in the camera's frame: x right, y down, z forward."""
        u, v = MODELS[self.model](points[:, 0] / points[:, 2], points[:, 1] / points[:, 2], self.extra)
        return np.stack([u, v], axis=1) * self.focal + self.centre

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """(N, 3) with z = 1: the directions whose `project` are the pixels (N, 2), by Newton's method."""
        wanted = (pixels - self.centre) / self.focal
        found = wanted.copy()
        if self.model.endswith("FISHEYE"):
            angle = np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-12)
            found *= np.tan(np.minimum(angle, 1.2)) / angle
        for _ in range(0 if self.is_pinhole else 12):
            at, right, down = (self._bent(found + shift) for shift in ((0, 0), (STEP, 0), (0, STEP)))
            across, along, missing = (right - at) / STEP, (down - at) / STEP, wanted - at
            determinant = across[:, 0] * along[:, 1] - across[:, 1] * along[:, 0]
            found[:, 0] += (missing[:, 0] * along[:, 1] - missing[:, 1] * along[:, 0]) / determinant
            found[:, 1] += (missing[:, 1] * across[:, 0] - missing[:, 0] * across[:, 1]) / determinant
        return np.concatenate([found, np.ones((len(found), 1))], axis=1)

    def _bent(self, plane: np.ndarray) -> np.ndarray:
        return np.stack(MODELS[self.model](plane[:, 0], plane[:, 1], self.extra), axis=1)
