"""An ellipsoid and the cameras around it: where they are in the world, and what they see of it, ray by ray."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from lens_formulas import ONE_FOCAL, SCALES, Lens
from scene_choices import Choices


@dataclass(frozen=True)
class World:
    """A drawn scene near 0, and the similarity that takes it to the world of the files."""

    lenses: tuple[Lens, ...]  # of each view
    c2w: np.ndarray  # (N, 4, 4) of the drawn scene: x right, y down, z forward
    axes: np.ndarray  # (3, 3): takes the unit ball to the ellipsoid around 0
    linear: np.ndarray  # (3, 3) rotation and scale of the world
    shift: np.ndarray  # (3,)
    scale: float

    def placed(self, index: int) -> np.ndarray:
        """(4, 4) a camera to the world."""
        c2w = np.eye(4)
        c2w[:3, :3] = self.linear / self.scale @ self.c2w[index, :3, :3]
        c2w[:3, 3] = self.linear @ self.c2w[index, :3, 3] + self.shift
        return c2w

    def drawn(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) points of the world, in the drawn scene."""
        return (points - self.shift) @ self.linear / self.scale**2

    def hit(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """(N,) bool: which rays, in the drawn scene, meet the ellipsoid in front of them."""
        to_ball = np.linalg.inv(self.axes)
        o, d = origins @ to_ball.T, directions @ to_ball.T
        along = (o * d).sum(1)
        return (along**2 >= (d * d).sum(1) * ((o * o).sum(1) - 1.0)) & (along < 0.0)

    def silhouette(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: what a camera sees of the object, at the centres of the pixels of its image of `size`."""
        width, height = size
        rays = _rays(self.lenses[index], size) @ self.c2w[index, :3, :3].T
        return self.hit(np.broadcast_to(self.c2w[index, :3, 3], rays.shape), rays).reshape(height, width)

    def surface(self, count: int) -> np.ndarray:
        """(count, 3) points on the object, in the world."""
        points = np.random.default_rng(count).normal(size=(count, 3))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        return points @ self.axes.T @ self.linear.T + self.shift


@lru_cache(maxsize=2)  # the views of most scenes share a lens
def _rays(lens: Lens, size: tuple[int, int]) -> np.ndarray:
    """(W * H, 3) through the centres of the pixels of an image of `size`, row by row."""
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    return lens.rays(np.stack([x.ravel(), y.ravel()], axis=1) * (np.array(lens.size) / size))


def rotation(random: np.random.Generator) -> np.ndarray:
    """(3, 3) any rotation."""
    q, r = np.linalg.qr(random.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def make_world(choices: Choices) -> World:
    """The world of some choices; its numbers come from their seed."""
    random = np.random.default_rng([42, choices.seed])
    shared = _lens(choices, random)
    lenses = tuple(_varied(shared, random) if choices.per_frame else shared for _ in range(choices.views))
    direction = random.normal(size=3)
    return World(
        lenses=lenses,
        c2w=np.stack([_camera(random, i / choices.views, lens) for i, lens in enumerate(lenses)]),
        axes=rotation(random) * random.uniform(0.5, 0.75, 3),
        linear=choices.scale * rotation(random),
        shift=choices.offset * direction / np.linalg.norm(direction),
        scale=choices.scale,
    )


def _lens(choices: Choices, random: np.random.Generator) -> Lens:
    size = np.array(choices.size)
    focal = max(size) * random.uniform(1.2, 1.5)
    stretch = 1.0 if choices.lens in ONE_FOCAL else random.uniform(0.97, 1.03)
    beside = {"centred": 0.0, "near": 0.04, "crop": 0.2, "corner": 0.02}[choices.principal]
    middle = 1.0 if choices.principal == "corner" else 0.5
    centre = size * (middle + beside * random.uniform(-1.0, 1.0, 2))
    extra = np.array(SCALES.get(choices.lens, ()))
    extra = (
        extra
        if choices.lens == "FOV"
        else extra * random.uniform(0.3, 1.0, len(extra)) * random.choice([-1.0, 1.0], len(extra))
    )
    pixels = choices.ratio  # the numbers of a file are for larger images
    numbers = (float(focal * pixels), float(focal * stretch * pixels)), tuple((centre * pixels).tolist())
    return Lens(choices.lens, tuple((size * pixels).tolist()), *numbers, tuple(extra.tolist()))


def _varied(lens: Lens, random: np.random.Generator) -> Lens:
    factor = random.uniform(0.95, 1.05)
    return replace(lens, focal=(lens.focal[0] * factor, lens.focal[1] * factor))


def _camera(random: np.random.Generator, turn: float, lens: Lens) -> np.ndarray:
    """(4, 4) a camera on a ring of uneven height; its optical axis passes by the object, but where the principal point
    is in a corner: there the middle of the image shows the object."""
    azimuth, height = 2 * np.pi * (turn + random.uniform(0.0, 0.05)), random.uniform(0.3, 1.6)
    position = np.array([np.cos(azimuth), np.sin(azimuth), height])
    position *= random.uniform(2.4, 3.0) / np.linalg.norm(position)
    z = random.normal(0.0, 0.06, 3) - position
    z /= np.linalg.norm(z)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    c2w = np.eye(4)
    c2w[:3, :3], c2w[:3, 3] = np.stack([x, np.cross(z, x), z], axis=1), position
    middle = (np.array(lens.size) / 2 - lens.centre) / lens.focal
    if np.abs(middle).max() > 0.25:
        c2w[:3, :3] @= _to_z(np.append(middle, 1.0))
    return c2w


def _to_z(ray: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that takes a ray (3,) to the optical axis."""
    z = ray / np.linalg.norm(ray)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])
