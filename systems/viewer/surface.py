"""The mesh that visitors see: coarse, at the level and within the box that they have chosen."""

from dataclasses import replace

import numpy as np
import torch

from models.base import VolumeModel
from systems.configs import Experiment
from systems.export.exporter import Splits, is_sdf, surface_level, surface_mesh
from systems.viewer.wishes import Box
from utils.errors import ReconstructionError
from utils.mesh import Mesh, submesh

SDF_REACH = 0.1  # radii by which the slider of the level moves the surface of an SDF at most
DENSITY_FACTOR = 8.0  # by which it multiplies or divides the level of a density at most


def chosen_level(model: VolumeModel, experiment: Experiment, views: Splits, slider: float) -> float:
    """The value of the field at the surface; slider: in [-1, 1], 0 for what the configuration says.

    Above 0 an SDF gets fatter, and a density thinner. Raises ReconstructionError where no level can be found."""
    level = surface_level(model, experiment.model.geometry.isosurface.threshold, views)
    if is_sdf(model):
        return level + slider * SDF_REACH * model.config.radius
    return level * DENSITY_FACTOR**slider


@torch.no_grad()
def coarse_mesh(model: VolumeModel, experiment: Experiment, level: float, resolution: int) -> Mesh:
    """The level set in scene coordinates, as marching cubes gives it. Raises ReconstructionError for none."""
    return surface_mesh(model, resolution, level, experiment.export.chunk_size)


def cropped(mesh: Mesh, box: Box | None) -> Mesh:
    """The faces within a box. Raises ReconstructionError where none is."""
    if box is None:
        return mesh
    inside = ((mesh.vertices >= box.low) & (mesh.vertices <= box.high)).all(axis=1)
    kept = inside[mesh.faces].all(axis=1)
    if not kept.any():
        raise ReconstructionError(
            f"no surface in the crop box from {np.round(box.low, 3).tolist()} to {np.round(box.high, 3).tolist()}: "
            f"all of the {len(mesh.faces)} faces lie outside. Widen it."
        )
    return submesh(mesh, kept)


def at_level(experiment: Experiment, level: float) -> Experiment:
    """The experiment with another level of its surface."""
    geometry = experiment.model.geometry
    geometry = replace(geometry, isosurface=replace(geometry.isosurface, threshold=level))
    return replace(experiment, model=replace(experiment.model, geometry=geometry))
