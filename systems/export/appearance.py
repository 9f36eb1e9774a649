"""Colours of a finished mesh, at its vertices and as a texture, from the model or from the photographs."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from models.base import VolumeModel
from systems.configs import ExportConfig
from systems.export import postprocess
from systems.export.normal_map import FullMesh
from systems.export.solid import Enclosure
from systems.views import PosedViews, Shown, as_rendered
from utils.mesh import Mesh
from utils.mesh.decimation import decimate
from utils.mesh.level_set import project_to_level
from utils.mesh.measures import vertex_normals
from utils.terminal.at_work import at_work
from utils.visualise import to_uint8

CPU_CHUNK = 2**17  # points at a time on a CPU, and on any device for gradients and colours
TEXEL_STEPS = 3  # Newton steps from a texel on a face to the level set

LoadViews = Callable[[str], PosedViews]  # loads a split when it is called with the split's name


@dataclass(frozen=True)
class LevelSet:
    """The surface that is exported, before it becomes a mesh."""

    model: VolumeModel
    level: float  # value of the field at the surface
    spacing: float  # of the lattice that marching cubes works on, in scene units
    enclosure: Enclosure | None = None  # what it is cut with
    shown: Shown = as_rendered  # see `systems.export.exporter.export_mesh`


def with_texture(
    mesh: Mesh, surface: LevelSet, config: ExportConfig, views: LoadViews | None, fine: FullMesh | None = None
) -> Mesh:
    """The mesh, which has normals, with the texture that `export.texture` and `export.material` ask for.

    fine: with more faces, whose normals a material holds; None: those of the mesh do."""
    from systems.export.texturing import Photos, bake_texture

    def model_colors(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Colours of the level set near the faces, which only approximate it."""
        return surface_colors(surface.model, points, normals, surface.shown, surface.level, 2.0 * surface.spacing)

    def photos() -> Photos:
        train = views("train")
        return ((train.camera(index), train.photograph_to_show(index)) for index in range(len(train)))

    load = photos if config.texture == "views" else None
    with at_work("texture"):
        if config.material == "pbr":
            from systems.export.relightable import bake_relightable

            device = surface.model.occupancy.value.device
            return bake_relightable(mesh, config.texture_size, model_colors, load, fine, device)
        return bake_texture(mesh, config.texture_size, model_colors, None if load is None else load())


def fewer_faces(
    full: FullMesh,
    faces: int,
    surface: LevelSet,
    config: ExportConfig,
    views: LoadViews | None,
    decimated: Mesh | None = None,
) -> Mesh:
    """The mesh with about so many faces at most, and with what colours the configuration asks for.

    decimated: the same with more faces than that, which takes less time to decimate than the mesh does."""
    mesh = full.mesh
    small = mesh if len(mesh.faces) <= faces else decimate(decimated or mesh, faces)
    if small is not mesh:
        small = replace(small, normals=vertex_normals(small), stand=mesh.stand)
    if config.texture != "none":
        return with_texture(small, surface, config, views, None if small is mesh else full)
    return add_vertex_colors(small, surface.model, surface.shown) if config.export_vertex_color else small


def add_vertex_colors(mesh: Mesh, model: VolumeModel, shown: Shown = as_rendered) -> Mesh:
    """A mesh in scene coordinates, with normals, in the colours that the model has at its vertices, as shown."""
    return replace(mesh, colors=to_uint8(surface_colors(model, mesh.vertices, mesh.normals, shown)))


def surface_colors(
    model: VolumeModel,
    points: np.ndarray,
    normals: np.ndarray,
    shown: Shown = as_rendered,
    level: float = 0.0,
    reach: float = 0.0,
) -> np.ndarray:
    """(P, 3) float32 colours in [0, 1] of scene points (P, 3), seen against their normals (P, 3), as `shown` has them.

    reach: scene units by which a point of an SDF may first move onto the surface `sdf == level`; 0: it stays."""

    def color(rows: Tensor) -> Tensor:
        on_surface, outward = rows.split(3, dim=1)
        if reach > 0.0 and model.is_sdf:
            on_surface = project_to_level(on_surface, lambda x: model.geometry(x)[:2], level, reach, TEXEL_STEPS)
        return shown(model.color(on_surface, outward)).clamp(0.0, 1.0)

    rows = np.hstack([points.astype(np.float32), normals.astype(np.float32)])
    return postprocess.evaluate_points(rows, color, model.occupancy.value.device, CPU_CHUNK)
