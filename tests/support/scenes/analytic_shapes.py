"""Spheres whose surface and colour are known at each point, and photographs of them."""

from collections.abc import Callable

import numpy as np
import trimesh

from datasets.poses import look_at
from utils.cameras import Camera
from utils.mesh import Mesh
from utils.mesh.measures import vertex_normals

Look = Callable[[np.ndarray, np.ndarray], np.ndarray]  # points (..., 3), directions to the eye -> colours in [0, 1]
UP = np.array([0.0, 0.0, 1.0])


def sphere_mesh(subdivisions: int = 4, radius: float = 1.0, center: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    """An icosphere with normals; 20 * 4^subdivisions faces."""
    found = trimesh.creation.icosphere(subdivisions, radius)
    mesh = Mesh(np.array(found.vertices) + center, np.array(found.faces, np.int64))
    return Mesh(mesh.vertices, mesh.faces, vertex_normals(mesh))


def joined(*meshes: Mesh) -> Mesh:
    """Several meshes as one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)])
    mesh = Mesh(np.concatenate([mesh.vertices for mesh in meshes]), faces)
    return Mesh(mesh.vertices, mesh.faces, vertex_normals(mesh))


def color_of(points: np.ndarray, normals: np.ndarray | None = None) -> np.ndarray:
    """(..., 3) in [0, 1]: smooth stripes in space, whatever the normals."""
    return 0.5 + 0.4 * np.sin(5.0 * points + np.array([0.0, 1.0, 2.0]))


def camera_at(position: tuple[float, float, float], size: int = 64, angle: float = 0.8) -> Camera:
    """A camera that looks at the origin; angle: field of view in radians."""
    c2w = look_at(np.array(position, np.float64), np.zeros(3), UP)
    focal = 0.5 * size / np.tan(0.5 * angle)
    return Camera(c2w, np.array([focal, focal, 0.5 * size, 0.5 * size]), (size, size))


def cameras_around(count: int, distance: float, size: int = 64, angle: float = 0.8) -> list[Camera]:
    """Cameras on a spiral that covers all directions."""
    found = []
    for index in range(count):
        height = 1.0 - 2.0 * (index + 0.5) / count
        ring, azimuth = np.sqrt(1.0 - height**2), 2.4 * index
        place = distance * np.array([ring * np.cos(azimuth), ring * np.sin(azimuth), height])
        found.append(camera_at(tuple(place), size, angle))
    return found


def photograph(camera: Camera, radius: float = 1.0, look: Look = lambda points, toward: color_of(points)) -> np.ndarray:
    """(H, W, 4) uint8: a sphere around the origin in its colours, alpha 0 where there is nothing."""
    width, height = camera.size
    row, column = np.mgrid[:height, :width] + 0.5
    local = np.stack([column, row], axis=-1) - camera.intrinsics[2:]
    local = np.concatenate([local / camera.intrinsics[:2], np.ones((height, width, 1))], axis=-1)
    directions = local @ camera.c2w[:, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    origin = camera.c2w[:, 3]
    along = -(directions @ origin)
    inside = radius**2 - (origin @ origin - along**2)
    points = origin + (along - np.sqrt(np.maximum(inside, 0.0)))[..., None] * directions
    hit = (inside > 0.0)[..., None]
    image = np.concatenate([np.where(hit, look(points, -directions), 0.0), hit], axis=-1)
    return (image * 255.0).round().astype(np.uint8)
