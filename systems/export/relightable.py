"""Textures for any light, `export.material=pbr`: albedo, roughness and normals of a finished mesh."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from systems.export.materials.baking import Toward, bake
from systems.export.normal_map import FullMesh, with_normal_map
from systems.export.texturing import Colors, Photos, add_view
from utils.mesh import Mesh, Texture
from utils.mesh.atlas import Texels, paint, texels_of, unwrap

log = logging.getLogger(__name__)
TILT = 1.2  # tangent of the angle between the normal and the other directions in which a field is looked at


def bake_relightable(
    mesh: Mesh,
    size: int,
    colors: Colors,
    photos: Callable[[], Photos] | None = None,
    fine: FullMesh | None = None,
    device: torch.device | None = None,
) -> Mesh:
    """The mesh, which has normals, with a texture of size x size texels of albedo, and of roughness.

    colors: of points (P, 3) seen from unit directions (P, 3), for what no photograph shows, and for all without photos;
    photos: begins them anew, since they are gone through twice; fine: the mesh before it had fewer faces, whose normals
    the picture of normals holds; None: there is no such picture."""
    places, corners = unwrap(mesh, size)
    texels = texels_of(mesh, places, corners, size)
    if fine is not None:
        texels = replace(texels, normals=fine.normals_near(texels.points, texels.normals))

    def views(some: Texels) -> Iterator[tuple[Toward, np.ndarray]]:
        return _of_field(some, colors) if photos is None else _of_photos(mesh, some, photos(), colors)

    baked = bake(mesh, texels, views, device or torch.device("cpu"))
    log.debug("material: roughness %.2f to %.2f", baked.roughness.min(), baked.roughness.max())
    roughness = paint(texels, np.repeat(baked.roughness[:, None], 3, axis=1), size)[..., 0]
    picture = paint(texels, baked.albedo, size)
    made = replace(mesh, texture=Texture(picture, places, corners, roughness=roughness))
    return made if fine is None else with_normal_map(made, fine)


def _of_photos(mesh: Mesh, texels: Texels, photos: Photos, colors: Colors) -> Iterator[tuple[Toward, np.ndarray]]:
    """What photographs show of texels, and from in front what the field has where none shows anything."""
    seen = np.zeros(len(texels.row), bool)
    for camera, image in photos:
        found = np.zeros((len(texels.row), 4))
        add_view(mesh, texels, camera, image, found)
        seen |= found[:, 3] > 0.0
        yield _toward(camera.c2w[:, 3].astype(np.float64)), found
    rest = np.flatnonzero(~seen)
    if len(rest):
        found = np.zeros((len(texels.row), 4))
        found[rest, :3], found[rest, 3] = colors(texels.points[rest], texels.normals[rest]), 1.0
        yield _from_front, found


def _of_field(texels: Texels, colors: Colors) -> Iterator[tuple[Toward, np.ndarray]]:
    """What the field has from in front and aslant, from four sides."""
    for toward in (_from_front, *(_aslant(turn) for turn in range(4))):
        eyes = toward(texels.points, texels.normals)
        yield toward, np.hstack([colors(texels.points, eyes), np.ones((len(eyes), 1))])


def _toward(eye: np.ndarray) -> Toward:
    def toward(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        away = eye - points
        return away / np.linalg.norm(away, axis=1, keepdims=True)

    return toward


def _from_front(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    return normals


def _aslant(turn: int) -> Toward:
    def toward(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        aside = np.cross(normals, np.eye(3)[np.abs(normals).argmin(axis=1)])
        aside /= np.linalg.norm(aside, axis=1, keepdims=True)
        aside = aside if turn % 2 else np.cross(normals, aside)
        tilted = normals + (TILT if turn < 2 else -TILT) * aside
        return tilted / np.linalg.norm(tilted, axis=1, keepdims=True)

    return toward
