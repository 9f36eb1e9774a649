"""Draws triangle meshes on a CPU: a z-buffer for the visible surface, cameras on a circle around it, and shading."""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from utils.cameras import Camera
from utils.mesh import Mesh
from utils.mesh.measures import area_vectors, vertex_normals
from utils.numba_cache import cached_njit
from utils.visualise import normal_to_rgb, to_uint8

Coloring = Literal["normal", "shaded", "vertex", "texture"]

FOCAL = 3.0  # focal length in half images: a field of view of 37 degrees
SUPERSAMPLING = 2  # pixels along each axis that are averaged to one


def orbit_views(
    mesh: Mesh,
    num_views: int,
    size: int,
    coloring: Coloring = "shaded",
    up: Literal["y", "z"] = "z",
    smooth: bool = True,
) -> list[np.ndarray]:
    """`num_views` pictures, (size, size, 3) uint8 on white, from azimuths evenly around the mesh, slightly from above.

    coloring: "normal" shows the direction of the surface in the mesh's frame, "shaded" a grey material lit from the
    camera, "vertex" and "texture" the mesh's own colours; smooth: interpolate vertex normals instead of one normal per
    face."""
    turns = np.arange(num_views) * (2 * np.pi / num_views)
    return _views_from([_look_at_center(turn, np.radians(20.0), up) for turn in turns], mesh, size, coloring, smooth)


def six_sides(mesh: Mesh, size: int, coloring: Coloring = "shaded") -> list[np.ndarray]:
    """Pictures as those of `orbit_views`, from +x, +y, -x, -y, +z and -z: four sides, the top and the bottom."""
    quarter = 0.5 * np.pi
    directions = [*((turn * quarter, 0.0) for turn in range(4)), (0.0, quarter), (0.0, -quarter)]
    return _views_from([_look_at_center(*direction, "z") for direction in directions], mesh, size, coloring, True)


def _views_from(
    rotations: Sequence[np.ndarray], mesh: Mesh, size: int, coloring: Coloring, smooth: bool
) -> list[np.ndarray]:
    """A picture for each rotation (3, 3) of a camera that looks at the middle of the mesh, as in `orbit_views`."""
    assert coloring != "vertex" or mesh.colors is not None, "a mesh without colours has none to show"
    assert coloring != "texture" or mesh.texture is not None, "a mesh without a texture has none to show"
    used = mesh.vertices[mesh.faces].reshape(-1, 3)
    center = 0.5 * (used.min(axis=0) + used.max(axis=0))
    reach = float(np.linalg.norm(used - center, axis=1).max())
    normals = mesh.normals if mesh.normals is not None else vertex_normals(mesh)
    distance = reach * np.hypot(FOCAL, 1.0)  # the bounding sphere just fits
    pictures = []
    for world_from_camera in rotations:
        points = (mesh.vertices - center) @ world_from_camera + [0.0, 0.0, distance]
        pixels = np.empty_like(points)
        pixels[:, :2] = (points[:, :2] / points[:, 2:] * FOCAL + 1.0) * (0.5 * size)
        pixels[:, 2] = points[:, 2]
        toward = world_from_camera[:, 2]
        pictures += _draw(mesh, pixels, (size, size), normals if smooth else None, (coloring,), toward)
    return pictures


def camera_views(mesh: Mesh, camera: Camera, colorings: Sequence[Coloring], smooth: bool = True) -> list[np.ndarray]:
    """(H, W, 3) uint8 on white for each colouring: the mesh as a camera sees it, both in the same frame; colourings as
    in `orbit_views`.

    Faces that reach behind the camera are left out."""
    normals = mesh.normals if mesh.normals is not None else vertex_normals(mesh)
    pixels, toward = camera.project(mesh.vertices), camera.c2w[:, 2]
    return _draw(mesh, pixels, camera.size, normals if smooth else None, colorings, toward)


def _draw(
    mesh: Mesh,
    pixels: np.ndarray,
    size: tuple[int, int],
    normals: np.ndarray | None,
    colorings: Sequence[Coloring],
    toward: np.ndarray,
) -> list[np.ndarray]:
    """(H, W, 3) uint8 on white for each colouring, without jagged edges; pixels as in `visible_faces`, the rest as in
    `_shade`."""
    width, height = size
    fine = pixels * [SUPERSAMPLING, SUPERSAMPLING, 1.0]
    face, weights = visible_faces(fine, mesh.faces, (width * SUPERSAMPLING, height * SUPERSAMPLING))
    surfaces = [_shade(mesh, normals, face, weights, coloring, toward) for coloring in colorings]
    return [cv2.resize(surface, size, interpolation=cv2.INTER_AREA) for surface in surfaces]  # means of blocks


def visible_faces(pixels: np.ndarray, faces: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The nearest face at each pixel centre, (H, W) int64 or -1, and its corners' weights there, (H, W, 3) float32.

    pixels: (V, 3) float64 x, y in pixels and depth > 0 along the viewing axis; both sides of a face are seen; weights
    are perspective-correct and sum to one; size: (W, H)."""
    width, height = size
    face = np.full((height, width), -1, np.int64)
    weights = np.zeros((height, width, 3), np.float32)
    _fill(np.ascontiguousarray(pixels, np.float64), np.ascontiguousarray(faces, np.int64), face, weights)
    return face, weights


@cached_njit(error_model="numpy", nogil=True)
def _fill(pixels, faces, face, weights):
    height, width = face.shape
    nearest = np.zeros((height, width))  # 1 / depth, which is linear in the picture
    for f in range(len(faces)):
        a, b, c = pixels[faces[f, 0]], pixels[faces[f, 1]], pixels[faces[f, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0.0 or min(a[2], b[2], c[2]) <= 0.0:
            continue
        # Pixel (x, y) has its centre at (x + 0.5, y + 0.5).
        x0 = max(0, int(np.ceil(min(a[0], b[0], c[0]) - 0.5)))
        x1 = min(width - 1, int(np.floor(max(a[0], b[0], c[0]) - 0.5)))
        y0 = max(0, int(np.ceil(min(a[1], b[1], c[1]) - 0.5)))
        y1 = min(height - 1, int(np.floor(max(a[1], b[1], c[1]) - 0.5)))
        for row in range(y0, y1 + 1):
            for column in range(x0, x1 + 1):
                x, y = column + 0.5, row + 0.5
                wa = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
                wb = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
                wc = 1.0 - wa - wb
                if min(wa, wb, wc) < -1e-9:  # a centre on a shared edge belongs to both faces rather than to none
                    continue
                wa, wb, wc = wa / a[2], wb / b[2], wc / c[2]
                inverse_depth = wa + wb + wc
                if inverse_depth > nearest[row, column]:
                    nearest[row, column] = inverse_depth
                    face[row, column] = f
                    weights[row, column, 0] = wa / inverse_depth
                    weights[row, column, 1] = wb / inverse_depth
                    weights[row, column, 2] = wc / inverse_depth


def _look_at_center(azimuth: float, elevation: float, up: str) -> np.ndarray:
    """(3, 3) rotation, OpenCV axes as columns; azimuth 0 looks from +x for z up and from +z for y up."""
    horizontal = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    forward = -np.cos(elevation) * horizontal - np.sin(elevation) * np.array([0.0, 0.0, 1.0])
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    rotation = np.stack([right, np.cross(forward, right), forward], axis=1)
    return rotation if up == "z" else rotation[[1, 2, 0]]  # x, y, z -> z, x, y: y takes the role of z


def _shade(
    mesh: Mesh,
    normals: np.ndarray | None,
    face: np.ndarray,
    weights: np.ndarray,
    coloring: str,
    toward: np.ndarray,
) -> np.ndarray:
    """(H, W, 3) uint8 on white; normals: per vertex, None for one per face; toward: (3,) where the camera looks."""
    hit = face >= 0
    corners, weights = mesh.faces[face[hit]], weights[hit]
    picture = np.full((*face.shape, 3), 255, np.uint8)
    if coloring == "vertex":
        picture[hit] = to_uint8(_blend(mesh.colors / 255.0, corners, weights))
        return picture
    if coloring == "texture":
        places = _blend(mesh.texture.places, mesh.texture.corners[face[hit]], weights)
        picture[hit] = to_uint8(mesh.texture.sample(places))
        return picture
    normal = area_vectors(Mesh(mesh.vertices, corners)) if normals is None else _blend(normals, corners, weights)
    if coloring == "normal":
        picture[hit] = normal_to_rgb(normal[None])[0]
        return picture
    length = np.linalg.norm(normal, axis=1)
    facing = np.abs(normal @ toward) / np.maximum(length, 1e-12)
    picture[hit] = to_uint8(0.12 + 0.75 * facing)[:, None]
    return picture


def _blend(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return sum(values[corners[:, k]] * weights[:, k : k + 1] for k in range(3))
