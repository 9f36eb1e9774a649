"""From a trained model to a mesh in the user's own coordinates."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.base import VolumeModel
from systems.configs import Experiment, ExportConfig
from systems.export import finishing
from systems.export.density_level import density_level
from systems.export.floaters import drop_small
from systems.views import CapturedViews
from utils import registry
from utils.memory import HalvingChunks
from utils.mesh import Mesh, transform
from utils.mesh.decimation import decimate
from utils.mesh.isosurface import extract_isosurface
from utils.mesh.level_set import project_to_level
from utils.mesh.measures import vertex_normals
from utils.visualise import to_uint8

log = logging.getLogger(__name__)
CPU_CHUNK = 2**17  # points at a time on a CPU, and wherever gradients or colours are asked for
LEVEL_RAYS = 4096  # of which half the light is followed
PREVIEW_FACES = 50_000  # that a browser turns smoothly
TEXEL_STEPS = 3  # Newton steps from a face of a textured mesh to the surface that it stands for


LoadViews = Callable[[str], CapturedViews]  # loads a split when it is asked for one


@torch.no_grad()
def export_mesh(
    model: VolumeModel,
    experiment: Experiment,
    stem: Path,
    world_from_scene: np.ndarray,
    views: LoadViews | None = None,
    on_mesh: Callable[[Mesh], None] | None = None,
    crop: Callable[[Mesh], Mesh] = lambda mesh: mesh,
) -> dict[str, Any]:
    """Writes `<stem>-mc<R>.<format>` for each export format and returns what was made.

    views: what the level of a density, doubtful floaters, `export.crop` and `export.texture=views` look at; None where
    none of the other three is asked for; show: gets the mesh in scene coordinates once it is written; shape: changes
    the level set, in scene coordinates, before all else. Raises ReconstructionError when the field has no surface;
    nothing is written then."""
    started = time.perf_counter()
    surface, config = experiment.model.geometry.isosurface, experiment.export
    writers = {name: registry.find("exporter", name).target for name in config.formats}
    level = surface_level(model, surface.threshold, views)
    chunks = HalvingChunks("export.chunk_size", config.chunk_size, finishing.MIN_CHUNK)
    mesh = crop(chunks.run(lambda chunk: extract_surface(model, surface.resolution, level, chunk)))
    spacing = 2.0 * model.config.radius / (surface.resolution - 1)
    mesh, made = _finished(mesh, model, config, level, spacing, world_from_scene, views)
    mesh = _colored(mesh, model, config, level, spacing, views)
    shown, mesh = mesh, transform(mesh, world_from_scene)
    extracted = time.perf_counter()
    paths = [stem.with_name(f"{stem.name}-mc{surface.resolution}.{name}") for name in writers]
    for path, write in zip(paths, writers.values(), strict=True):
        write(mesh, path)
    report = {
        "files": [path.name for path in paths],
        "resolution": surface.resolution,
        "level": level,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        **made,
        "seconds": round(time.perf_counter() - started, 2),
        "extraction_seconds": round(extracted - started, 2),  # without the writing of the files
    }
    if on_mesh is not None:
        on_mesh(shown)
    return report


def surface_level(model: VolumeModel, threshold: float | str, views: LoadViews | None) -> float:
    """The value of the field at the surface: the number that the configuration gives, or what `auto` finds."""
    if threshold != "auto":
        return threshold
    if model.is_sdf:
        return 0.0
    assert views is not None, "the level of a density is found along rays"
    device = model.occupancy.value.device
    generator = torch.Generator(device).manual_seed(0)
    # Of the test views, since these are in memory; they show the same object.
    return density_level(model, views("test").draw(LEVEL_RAYS, torch.zeros(3, device=device), generator).rays)


def extract_surface(model: VolumeModel, resolution: int, level: float, chunk: int) -> Mesh:
    """The level set of the model's field in its region, in scene coordinates, wound outward."""
    device = model.occupancy.value.device
    mesh = extract_isosurface(
        model.field_value,
        radius=model.config.radius,
        resolution=resolution,
        level=level,
        solid="below" if model.is_sdf else "above",
        chunk=min(chunk, CPU_CHUNK) if device.type == "cpu" else chunk,
        occupied=model.occupancy.occupied if model.config.grid_prune and not model.is_sdf else None,
        device=device,
    )
    return mesh if model.background is None else finishing.cut_to_ball(mesh, model.config.radius)


def _finished(
    mesh: Mesh,
    model: VolumeModel,
    config: ExportConfig,
    level: float,
    spacing: float,
    world_from_scene: np.ndarray,
    views: LoadViews | None,
) -> tuple[Mesh, dict[str, Any]]:
    """The mesh after all steps that change its shape, with its normals, and what they report."""
    if config.crop != "none":
        train = views("train")
        mesh = finishing.crop(mesh, config.crop, (train.camera(index) for index in range(len(train))))
    # The test views again, so that --train and --test leave the same mesh and none has to be loaded for it.
    mesh, dropped = drop_small(mesh, config, None if views is None else lambda: views("test"), 2.0 * spacing)
    scale = float(np.cbrt(abs(np.linalg.det(world_from_scene[:3, :3]))))
    mesh, holes = finishing.close_holes(mesh, config.close_holes, scale)
    if config.projection_steps and model.is_sdf:
        # Marching cubes errs by a part of a cell; a vertex that goes farther follows something else.
        mesh = finishing.project(mesh, model, level, 0.5 * spacing, config.projection_steps, CPU_CHUNK)
    mesh = finishing.within_budget(mesh, config)
    return replace(mesh, normals=vertex_normals(mesh)), {"floaters_dropped": dropped, **holes}


def _colored(
    mesh: Mesh, model: VolumeModel, config: ExportConfig, level: float, spacing: float, views: LoadViews | None
) -> Mesh:
    """The mesh with colours at its vertices and, where it is asked for, a texture."""
    if config.export_vertex_color:
        mesh = colored(mesh, model)
    if config.texture == "none":
        return mesh
    from systems.export.texturing import texture_mesh

    def colors_near(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Of the surface that the faces stand for, where it is close."""
        return surface_colors(model, points, normals, level, 2.0 * spacing)

    photos = None
    if config.texture == "views":
        train = views("train")
        photos = ((train.camera(index), train.photograph(index)) for index in range(len(train)))
    return texture_mesh(mesh, config.texture_size, colors_near, photos)


def colored(mesh: Mesh, model: VolumeModel) -> Mesh:
    """A mesh in scene coordinates, with normals, in the colours that the model has at its vertices."""
    return replace(mesh, colors=to_uint8(surface_colors(model, mesh.vertices, mesh.normals)))


def surface_colors(
    model: VolumeModel, points: np.ndarray, normals: np.ndarray, level: float = 0.0, reach: float = 0.0
) -> np.ndarray:
    """(P, 3) float32 colours in [0, 1] of scene points (P, 3), seen against their normals (P, 3).

    reach: scene units that a point may lie off the surface `sdf == level` for which it stands."""

    def color(rows: Tensor) -> Tensor:
        places, outward = rows.split(3, dim=1)
        if reach > 0.0 and model.is_sdf:
            places = project_to_level(places, lambda x: model.geometry(x)[:2], level, reach, TEXEL_STEPS)
        return model.color(places, outward)

    rows = np.hstack([points.astype(np.float32), normals.astype(np.float32)])
    return finishing.over_points(rows, color, model.occupancy.value.device, CPU_CHUNK)


def preview(mesh: Mesh, model: VolumeModel) -> Mesh:
    """The mesh, in scene coordinates, with at most about PREVIEW_FACES faces and the colours of the model."""
    small = decimate(mesh, PREVIEW_FACES)
    return small if small.colors is not None else colored(replace(small, normals=vertex_normals(small)), model)
