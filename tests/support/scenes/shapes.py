"""Surfaces and cameras for tests of what is measured on meshes."""

import numpy as np
import trimesh

from datasets.poses import look_at
from utils.mesh import Mesh
from utils.mesh.visibility import Viewpoint
from utils.metrics.dtu import DTUScan
from utils.metrics.sampling import sample_surface


def grid(num: int) -> Mesh:
    """A flat sheet of num x num unit squares."""
    x, y = np.mgrid[: num + 1, : num + 1].reshape(2, -1)
    corner = np.add.outer(np.arange(num) * (num + 1), np.arange(num)).ravel()[:, None]
    faces = np.concatenate([corner + np.array(offsets) for offsets in ([0, num + 1, num + 2], [0, num + 2, 1])])
    return Mesh(np.stack([x, y, np.zeros(x.shape)], axis=1).astype(float), faces)


def ball(radius: float = 1.0, detail: int = 3) -> Mesh:
    found = trimesh.creation.icosphere(subdivisions=detail, radius=radius)
    return Mesh(np.array(found.vertices), np.array(found.faces, np.int64))


def camera(position, target=(0.0, 0.0, 0.0), focal=80.0, size=(100, 80), mask=None) -> Viewpoint:
    """A camera that looks from one point to another, z up; by default 100 x 80 pixels wide and high."""
    c2w = look_at(np.array(position, float), np.array(target, float), np.array([0.0, 0.0, 1.0]))
    return Viewpoint(c2w, np.array([focal, focal, size[0] / 2, size[1] / 2]), size, mask)


def scanned_ball(radius: float = 10.0, center: tuple[float, float, float] = (12.0, -30.0, 600.0)) -> DTUScan:
    """A ball in millimetres as the DTU benchmark holds it: observed where x > center x, above the table where z is."""
    points = sample_surface(ball(radius, 5), 100_000, np.random.default_rng(0)).positions + center
    box = np.array(center) + radius * np.array([[-3.0] * 3, [3.0] * 3])
    observed = np.zeros((int(6 * radius) + 1,) * 3, bool)
    observed[int(3 * radius) + 1 :] = True
    return DTUScan(points, observed, box, 1.0, np.array([0.0, 0.0, 1.0, -center[2]]))
