"""What a mesh hides from its own surface: for each point, which directions lead to the open."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from utils.cameras import Camera
from utils.mesh import Mesh
from utils.mesh.cropping import depth_map
from utils.platforms import num_cores

FAR = 50.0  # of the cameras, in radii of the mesh: their rays are parallel to a degree
PICTURE = 256  # pixels along each side of a depth map
SLACK = 2.0  # pixels that a point may lie behind the surface, more where that is seen obliquely


def open_directions(mesh: Mesh, points: np.ndarray, normals: np.ndarray, toward: np.ndarray) -> np.ndarray:
    """(P, K) bool: whether nothing hides directions `toward` (K, 3) from points (P, 3) of the surface.

    normals: (P, 3); directions behind the surface are hidden. Each direction is a depth map of the mesh from afar."""
    used = mesh.vertices[np.unique(mesh.faces)]
    centre = 0.5 * (used.min(axis=0) + used.max(axis=0))
    radius = float(np.linalg.norm(used - centre, axis=1).max())
    found = np.zeros((len(points), len(toward)), bool)

    def look(k: int) -> None:
        cosine = normals @ toward[k]
        facing = np.flatnonzero(cosine > 0.0)
        camera = _camera_from(toward[k], centre, radius)
        depths = depth_map(camera, camera.project(mesh.vertices), mesh.faces)
        x, y, depth = camera.project(points[facing]).T
        column, row = (np.clip(at.astype(np.int64), 0, PICTURE - 1) for at in (x, y))
        cosine = cosine[facing].clip(min=0.05)
        slack = SLACK * 2.0 * radius / PICTURE * (1.0 + np.sqrt(1.0 - np.minimum(cosine, 1.0) ** 2) / cosine)
        found[facing, k] = depth <= depths[row, column] + slack

    with ThreadPoolExecutor(num_cores()) as pool:
        list(pool.map(look, range(len(toward))))
    return found


def _camera_from(toward: np.ndarray, centre: np.ndarray, radius: float) -> Camera:
    """A camera far away in a direction (3,) that looks at a ball, which fills its picture."""
    aside = np.cross(toward, np.eye(3)[np.abs(toward).argmin()])
    aside /= np.linalg.norm(aside)
    rotation = np.stack([aside, np.cross(-toward, aside), -toward], axis=1)
    focal = 0.5 * PICTURE * (FAR - 1.0) / 1.01
    intrinsics = np.array([focal, focal, 0.5 * PICTURE, 0.5 * PICTURE])
    return Camera(np.hstack([rotation, (centre + FAR * radius * toward)[:, None]]), intrinsics, (PICTURE, PICTURE))
