"""A mesh cut to what cameras see: what lies in their frames, and what nothing hides."""

from collections.abc import Iterable

import numpy as np

from utils.cameras import Camera
from utils.mesh import Mesh, submesh
from utils.mesh.rasterise import visible_faces

SLACK = 2.0  # pixels' worth of depth that a point may lie behind the surface at the centre of its pixel


def crop_to_frames(mesh: Mesh, cameras: Iterable[Camera]) -> Mesh:
    """The faces that have a corner in the frame of some camera; what hides them does not count."""
    seen = np.zeros(len(mesh.vertices), bool)
    for camera in cameras:
        left = np.flatnonzero(~seen)  # the first cameras see most of it
        seen[left] = camera.in_frame(camera.project(mesh.vertices[left]))
    return submesh(mesh, seen[mesh.faces].any(axis=1))


def crop_to_visible(mesh: Mesh, cameras: Iterable[Camera]) -> Mesh:
    """The faces that have a corner which some camera sees: in its frame, and no other face in front of it."""
    seen = np.zeros(len(mesh.vertices), bool)
    for camera in cameras:
        left = np.flatnonzero(~seen)
        seen[left] = seen_by(camera, mesh, left)
    return submesh(mesh, seen[mesh.faces].any(axis=1))


def seen_by(camera: Camera, mesh: Mesh, vertices: np.ndarray) -> np.ndarray:
    """(K,) bool: whether a camera has vertices (K,) of a mesh in its frame, and no other face in front of them."""
    pixels = camera.project(mesh.vertices)
    depths = depth_map(camera, pixels, mesh.faces)
    seen = camera.in_frame(pixels[vertices])
    x, y, depth = pixels[vertices[seen]].T
    column, row = (np.minimum(at.astype(np.int64), side - 1) for at, side in zip((x, y), camera.size, strict=True))
    footprint = depth / camera.intrinsics[:2].min()  # what one pixel covers there
    seen[seen] = depth <= depths[row, column] + SLACK * footprint
    return seen


def depth_map(camera: Camera, pixels: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(H, W) float64 depth of the nearest face at each pixel centre along the viewing axis, inf where there is none.

    pixels: (V, 3) the vertices of the faces (F, 3), as the camera projects them."""
    face, weights = visible_faces(pixels, faces, camera.size)
    depths = np.full(face.shape, np.inf)
    hit = face >= 0
    depths[hit] = (pixels[faces[face[hit]], 2] * weights[hit]).sum(axis=1)
    return depths
