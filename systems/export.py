"""From a trained model to a mesh in the user's own coordinates."""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.base import VolumeModel
from systems.configs import Experiment
from utils import registry
from utils.isosurface import extract_isosurface
from utils.mesh import Mesh, drop_floaters, transform, vertex_normals

log = logging.getLogger(__name__)
CPU_CHUNK = 2**17


@torch.no_grad()
def export_mesh(model: VolumeModel, experiment: Experiment, stem: Path, world_from_scene: np.ndarray) -> dict[str, Any]:
    """Writes `<stem>-mc<R>.<format>` for each export format and returns what was made.

    Raises ReconstructionError when the field has no surface; nothing is written then."""
    started = time.perf_counter()
    surface, config = experiment.model.geometry.isosurface, experiment.export
    writers = {name: registry.find("exporter", name).target for name in config.formats}
    mesh = surface_mesh(model, surface.resolution, surface.threshold, config.chunk_size)
    mesh, dropped = drop_floaters(mesh, config.min_component, welded=True)
    if dropped:
        faces = sum(num_faces for num_faces, _ in dropped)
        log.info(
            "mesh: dropped %d floaters with %d faces (export.min_component=%g)",
            len(dropped),
            faces,
            config.min_component,
        )
    colors = vertex_colors(model, mesh, config.chunk_size) if config.export_vertex_color else None
    mesh = transform(Mesh(mesh.vertices, mesh.faces, vertex_normals(mesh), colors), world_from_scene)
    extracted = time.perf_counter()
    paths = [stem.with_name(f"{stem.name}-mc{surface.resolution}.{name}") for name in writers]
    for path, write in zip(paths, writers.values(), strict=True):
        write(mesh, path)
    return {
        "files": [path.name for path in paths],
        "resolution": surface.resolution,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "floaters_dropped": len(dropped),
        "seconds": round(time.perf_counter() - started, 2),
        "extraction_seconds": round(extracted - started, 2),  # without the writing of the files
    }


def surface_mesh(model: VolumeModel, resolution: int, threshold: float, chunk: int) -> Mesh:
    """The level set of the model's field in scene coordinates, wound outward."""
    device = model.occupancy.value.device
    is_sdf = hasattr(model.geometry, "sdf")

    return extract_isosurface(
        model.field_value,
        radius=model.config.radius,
        resolution=resolution,
        level=threshold,
        solid="below" if is_sdf else "above",
        chunk=min(chunk, CPU_CHUNK) if device.type == "cpu" else chunk,
        occupied=model.occupancy.occupied if model.config.grid_prune and not is_sdf else None,
        device=device,
    )


def vertex_colors(model: VolumeModel, mesh: Mesh, chunk: int) -> np.ndarray:
    """(V, 3) uint8 colours of the vertices, seen along their normals."""
    device = model.occupancy.value.device
    points = torch.from_numpy(mesh.vertices.astype(np.float32))
    size = min(chunk, CPU_CHUNK)
    colors = [model.color(part.to(device)).float().cpu() for part in points.split(size)]
    return (torch.cat(colors).clamp(0.0, 1.0) * 255.0).round().byte().numpy()
