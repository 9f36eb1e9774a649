"""The mesh that visitors see: coarse, at the level and within the crop box that they have chosen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from models.base import VolumeModel
from systems.configs import Experiment
from systems.export.appearance import add_vertex_colors
from systems.export.exporter import LoadViews, extract_surface, surface_level
from systems.viewer.requests import CropBox
from systems.views import Shown
from utils.errors import ReconstructionError
from utils.mesh import Mesh, submesh, transform
from utils.mesh.decimation import decimate
from utils.mesh.files import read_mesh
from utils.mesh.measures import vertex_normals
from utils.mesh.view_counts import with_view_counts

SDF_REACH = 0.1  # the level slider moves the surface of an SDF by at most this share of the radius
MAX_FACES = 500_000  # that a browser turns smoothly
DENSITY_FACTOR = 8.0  # and multiplies or divides the level of a density by at most this


def level_from_slider(model: VolumeModel, experiment: Experiment, views: LoadViews, slider: float) -> float:
    """The value of the field at the surface; slider: in [-1, 1], 0 for what the configuration says.

    Above 0 an SDF gets fatter, and a density thinner. Raises ReconstructionError if no level can be found."""
    level = surface_level(model, experiment.model.geometry.isosurface.threshold, views)
    if model.is_sdf:
        return level + slider * SDF_REACH * model.config.radius
    return level * DENSITY_FACTOR**slider


@torch.no_grad()
def coarse_mesh(model: VolumeModel, experiment: Experiment, level: float, resolution: int) -> Mesh:
    """The level set in scene coordinates, as marching cubes gives it. Raises ReconstructionError if there is none."""
    return extract_surface(model, resolution, level, experiment.export.chunk_size)


def coloured(mesh: Mesh, model: VolumeModel, shown: Shown) -> Mesh:
    """A mesh in scene coordinates, in the colours of the model as shown."""
    return add_vertex_colors(replace(mesh, normals=vertex_normals(mesh)), model, shown)


def exported_mesh(folder: Path, step: int, scene_from_world: np.ndarray) -> Mesh | None:
    """What a run has exported at a step, in the scene frame: with its texture, else with colours; None: nothing.

    folder: where the run's files are; scene_from_world: (4, 4). Of a mesh of more than MAX_FACES faces as many are
    left. Raises DataError for a file that cannot be read."""
    for pattern in (f"it{step}-mc*.glb", f"it{step}-mc*.ply", f"it{step}-mc*.obj"):
        files = [path for path in folder.glob(pattern) if "-lod" not in path.stem]
        if files:
            newest = max(files, key=lambda path: path.stat().st_mtime)
            mesh = transform(replace(read_mesh(newest), normals=None), scene_from_world)
            return decimate(mesh, MAX_FACES)
    return None


def with_views(mesh: Mesh, views: LoadViews) -> Mesh:
    """The mesh with the number of training photographs that see each vertex, in the colours of that."""
    train = views("train")
    counted = with_view_counts(mesh, [train.camera(index) for index in range(len(train))])
    return replace(counted, colors=view_colors(counted.views))


def view_colors(counts: np.ndarray) -> np.ndarray:
    """(V, 3) uint8 as the report has them: red where no photograph of counts (V,) shows the surface, yellow for one, to
    blue for twenty and more."""
    many = np.clip(np.log2(np.maximum(counts, 1)) / 4.3, 0.0, 1.0)[:, None]
    colors = (1.0 - many) * [0.98, 0.85, 0.3] + many * [0.15, 0.35, 0.75]
    colors[counts == 0] = 0.85, 0.15, 0.1
    return np.rint(255.0 * colors).astype(np.uint8)


def crop_to_box(mesh: Mesh, box: CropBox | None) -> Mesh:
    """The faces that lie in a box. Raises ReconstructionError if there are none."""
    if box is None:
        return mesh
    inside = ((mesh.vertices >= box.low) & (mesh.vertices <= box.high)).all(axis=1)
    kept = inside[mesh.faces].all(axis=1)
    if not kept.any():
        raise ReconstructionError(
            f"no surface in the crop box from {np.round(box.low, 3).tolist()} to {np.round(box.high, 3).tolist()}: "
            f"all of the {len(mesh.faces)} faces lie outside. Make it larger."
        )
    texture = mesh.texture and replace(mesh.texture, corners=mesh.texture.corners[kept])
    return replace(submesh(mesh, kept), texture=texture)


def with_level(experiment: Experiment, level: float) -> Experiment:
    """The experiment with another level of its surface."""
    geometry = experiment.model.geometry
    geometry = replace(geometry, isosurface=replace(geometry.isosurface, threshold=level))
    return replace(experiment, model=replace(experiment.model, geometry=geometry))
