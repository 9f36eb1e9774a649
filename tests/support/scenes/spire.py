"""An object that tells each of its sides from the others, however it is turned."""

from dataclasses import replace

import numpy as np
import trimesh
from analytic_shapes import color_of

from utils.mesh import Mesh, transform
from utils.mesh.measures import vertex_normals
from utils.mesh.stand import Stand


def spire() -> Mesh:
    """A cone of height 3 and radius 1 with its tip along +z and an arm along +x: no two of its sides look alike."""
    cone = trimesh.creation.cone(1.0, 3.0, sections=24)
    arm = trimesh.creation.box((1.0, 0.2, 0.2), trimesh.transformations.translation_matrix((2.0, 0.0, 0.4)))
    both = trimesh.util.concatenate([cone, arm])
    mesh = Mesh(np.array(both.vertices), np.array(both.faces, np.int64))
    colors = (color_of(mesh.vertices) * 255).astype(np.uint8)
    return replace(mesh, normals=vertex_normals(mesh), colors=colors, stand=Stand(np.array([0.0, 0.0, 1.0])))


def standing_turn(up: tuple[float, float, float]) -> np.ndarray:
    """(4, 4) that turns +z to `up`, doubles lengths and moves."""
    turn = trimesh.geometry.align_vectors([0, 0, 1], up)
    turn[:3, :3] *= 2.0
    turn[:3, 3] = 5.0, -7.0, 2.0
    return turn


def standing(up: tuple[float, float, float], **settings: float) -> Mesh:
    """The spire with its tip towards `up`, somewhere."""
    mesh = transform(spire(), standing_turn(up))
    np.testing.assert_allclose(mesh.stand.up, up, atol=1e-9)
    return replace(mesh, stand=replace(mesh.stand, **settings))
