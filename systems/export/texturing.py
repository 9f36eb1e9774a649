"""Bakes textures of finished meshes, from the colours of the model or blended from the photographs."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

import cv2
import numpy as np
from numba import prange

from utils.cameras import Camera
from utils.mesh import Mesh, Texture
from utils.mesh.atlas import Texels, paint, texels_of, unwrap
from utils.mesh.cropping import depth_map
from utils.numba_cache import cached_parallel

log = logging.getLogger(__name__)
Colors = Callable[[np.ndarray, np.ndarray], np.ndarray]  # points (P, 3), unit normals (P, 3) -> (P, 3) in [0, 1]
Photos = Iterable[tuple[Camera, np.ndarray]]  # with images (H, W, 3|4) uint8, straight alpha

SHARPNESS = 6.0  # power of the cosine in a view's weight: high, so that few views mix and the texture stays crisp
MIN_COSINE = 0.2  # of the angle between normal and view; at flatter angles, photographs are smeared
OPAQUE = 254  # alpha, of 255, from which a pixel shows the object only


def bake_texture(mesh: Mesh, size: int, colors: Colors, photos: Photos | None = None) -> Mesh:
    """The mesh, which needs normals, with a texture of size x size texels.

    A texel has the colour of the photographs, or that of `colors` if no photograph shows it or none are given."""
    places, corners = unwrap(mesh, size)
    texels = texels_of(mesh, places, corners, size)
    if photos is None:
        rgb = colors(texels.points, texels.normals)
    else:
        rgb, seen = blend_views(mesh, texels, photos)
        log.debug("texture: %.1f %% from the photographs, the rest from the model", 100.0 * seen.mean())
        rgb[~seen] = colors(texels.points[~seen], texels.normals[~seen])
    return replace(mesh, texture=Texture(paint(texels, rgb, size), places, corners))


def blend_views(mesh: Mesh, texels: Texels, photos: Photos) -> tuple[np.ndarray, np.ndarray]:
    """Colours (T', 3) in [0, 1] of the texels in the photographs, and (T',) bool: whether any photograph shows them.

    A photograph that sees the point straighter and from closer has more weight."""
    sums = np.zeros((len(texels.row), 4))
    for camera, image in photos:
        add_view(mesh, texels, camera, image, sums)
    seen = sums[:, 3] > 0.0
    return sums[:, :3] / np.where(seen, sums[:, 3], 1.0)[:, None], seen


def add_view(mesh: Mesh, texels: Texels, camera: Camera, image: np.ndarray, sums: np.ndarray) -> None:
    """Adds to sums (T', 4) what one photograph shows of the texels: weight times colour in [0, 1], and weight.

    It shows a point if no face hides it and its mask contains it, both by at least a pixel."""
    depths = depth_map(camera, camera.project(mesh.vertices), mesh.faces).astype(np.float32)
    nearest = cv2.erode(depths, np.ones((3, 3), np.uint8))  # widens what is nearer by a pixel
    c2w, intrinsics = camera.c2w.astype(np.float64), camera.intrinsics.astype(np.float64)
    _add_view(texels.points, texels.normals, c2w, intrinsics, image, nearest, sums)


@cached_parallel()
def _add_view(points, normals, c2w, intrinsics, image, depths, sums):
    """Adds colour times weight, and weight, of one view to sums (P, 4)."""
    height, width = depths.shape
    focal = min(intrinsics[0], intrinsics[1])
    for p in prange(len(points)):
        toward = c2w[:, 3] - points[p]
        distance = np.sqrt((toward * toward).sum())
        cosine = (toward * normals[p]).sum() / distance
        depth = -(toward * c2w[:, 2]).sum()
        if cosine < MIN_COSINE or depth <= 0.0:
            continue
        x = intrinsics[2] - (toward * c2w[:, 0]).sum() / depth * intrinsics[0] - 0.5
        y = intrinsics[3] - (toward * c2w[:, 1]).sum() / depth * intrinsics[1] - 0.5
        if not (0.0 <= x < width - 1.0 and 0.0 <= y < height - 1.0):
            continue
        # Within a pixel, the surface itself may come this much closer; more so if it is seen obliquely.
        slack = 2.0 * depth / focal * (1.0 + np.sqrt(1.0 - min(cosine, 1.0) ** 2) / cosine)
        if depth > depths[int(y + 0.5), int(x + 0.5)] + slack:
            continue
        column, row = int(x), int(y)
        u, v = x - column, y - row
        shares = ((1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v)
        lowest, rgb = 255.0, np.zeros(3)
        for k in range(4):
            pixel = image[row + k // 2, column + k % 2]
            for channel in range(3):
                rgb[channel] += shares[k] * pixel[channel]
            if len(pixel) == 4:
                lowest = min(lowest, float(pixel[3]))
        if lowest < OPAQUE:
            continue
        weight = cosine**SHARPNESS * (focal / distance) ** 2
        for channel in range(3):
            sums[p, channel] += weight * rgb[channel] / 255.0
        sums[p, 3] += weight
