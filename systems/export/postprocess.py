"""Steps from the mesh of marching cubes to the exported one: cropping, holes, projection, decimation."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from models.base import VolumeModel
from systems.configs import ExportConfig
from utils.cameras import Camera
from utils.errors import ReconstructionError
from utils.memory import HalvingChunks, in_rows
from utils.mesh import Mesh, submesh
from utils.mesh.cropping import crop_to_frames, crop_to_visible
from utils.mesh.decimation import decimate
from utils.mesh.holes import boundary_loops, close_loops, loop_length
from utils.mesh.level_set import project_to_level

log = logging.getLogger(__name__)
TEXTURED_FACES = 100_000  # limit for the mesh with the texture if export.max_faces is not set
MIN_CHUNK = 2**12  # points at a time if memory runs out; with fewer, a mesh would take hours
LISTED_HOLES = 10  # the report gives the perimeters of this many holes, the longest first
PointMap = Callable[[torch.Tensor], torch.Tensor]


def crop_to_ball(mesh: Mesh, radius: float) -> Mesh:
    """The faces inside the ball around the origin. Raises ReconstructionError if there are none."""
    inside = np.linalg.norm(mesh.vertices, axis=1) <= radius
    if not inside[mesh.faces].all(axis=1).any():
        raise ReconstructionError(
            f"no surface in the region, the ball of radius {radius:g}. Check that the object lies in it "
            "(model.radius), or train longer."
        )
    return submesh(mesh, inside[mesh.faces].all(axis=1))


def crop_to_cameras(mesh: Mesh, kind: str, cameras: Iterable[Camera]) -> Mesh:
    """The faces that any camera has in its frame (kind "frame") or sees unoccluded ("visible").

    Raises ReconstructionError if there are none."""
    cropped = (crop_to_frames if kind == "frame" else crop_to_visible)(mesh, cameras)
    if not len(cropped.faces):
        raise ReconstructionError(
            f"export.crop={kind}: no training camera sees any of the mesh's {len(mesh.faces)} faces. Check the "
            "cameras, or set export.crop=none to look at the mesh."
        )
    log.debug(
        "mesh: dropped %d of %d faces (export.crop=%s)", len(mesh.faces) - len(cropped.faces), len(mesh.faces), kind
    )
    return cropped


def close_holes(mesh: Mesh, limit: float, world_per_scene: float) -> tuple[Mesh, dict[str, Any]]:
    """The mesh with its small holes closed, and a report of all holes.

    limit: the longest perimeter of a hole that is closed, in diagonals of the mesh's box; world_per_scene: world units
    to a scene unit, since the report gives perimeters in world units."""
    loops = boundary_loops(mesh)
    if not loops:
        return mesh, {"holes": 0}
    diagonal = float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    perimeters = [loop_length(mesh, loop) for loop in loops]
    small = [loop for loop, length in zip(loops, perimeters, strict=True) if length <= limit * diagonal]
    left = loops
    if small:
        mesh = close_loops(mesh, small)
        left = boundary_loops(mesh)
    listed = [float(f"{length * world_per_scene:.4g}") for length in perimeters[:LISTED_HOLES]]
    log.debug(
        "mesh: %d holes; the longest has a perimeter of %s, %.3g of the box's diagonal; closed %d "
        "(export.close_holes=%g)",
        *(len(loops), listed[0], perimeters[0] / diagonal, len(loops) - len(left), limit),
    )
    return mesh, {"holes": len(left), "holes_closed": len(loops) - len(left), "hole_perimeters": listed}


def project(mesh: Mesh, model: VolumeModel, level: float, reach: float, steps: int, chunk: int) -> Mesh:
    """The mesh with its vertices moved onto `sdf == level`, each by at most `reach` scene units."""

    def move(points: torch.Tensor) -> torch.Tensor:
        return project_to_level(points, lambda x: model.geometry(x)[:2], level, reach, steps)

    vertices = evaluate_points(mesh.vertices, move, model.occupancy.value.device, chunk)
    return Mesh(vertices.astype(np.float64), mesh.faces)


def limit_faces(mesh: Mesh, config: ExportConfig) -> Mesh:
    """The mesh, decimated to `export.max_faces` if it has more."""
    small = decimate(mesh, config.max_faces or len(mesh.faces))
    if len(small.faces) < len(mesh.faces):
        log.debug("mesh: decimated from %d to %d faces (export.max_faces)", len(mesh.faces), len(small.faces))
    return small


@torch.no_grad()
def evaluate_points(points: np.ndarray, function: PointMap, device: torch.device, chunk: int) -> np.ndarray:
    """(N, K) float32 values of a function at points (N, C), computed on a device, `chunk` points at a time."""
    whole = torch.from_numpy(points.astype(np.float32))

    def of_part(part: torch.Tensor) -> torch.Tensor:
        more = part[-1:].expand(in_rows(len(part), device) - len(part), -1)
        return function(torch.cat([part, more]).to(device))[: len(part)].float().cpu()

    def evaluate(size: int) -> torch.Tensor:
        return torch.cat([of_part(part) for part in whole.split(size)])

    return HalvingChunks("the points at a time", chunk, MIN_CHUNK).run(evaluate).numpy()
