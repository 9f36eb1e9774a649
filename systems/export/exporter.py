"""From a trained model to mesh files in the user's own coordinates.

`extract_mesh` takes these steps, `ExtractedMesh.write` the last:
1. extraction: marching cubes finds the level set of the field, in scene coordinates (`extract_surface`); with
   `export.bottom` cut at what the object stands on (solid.py), cavities that no photograph looks into filled before
   (filling.py);
2. cropping to what the training cameras see, `export.crop` (postprocess.py);
3. floaters: small components are dropped unless masks show them (floaters.py);
4. holes are closed up to a size (postprocess.py);
5. projection: vertices move onto the zero level set of an SDF (postprocess.py);
6. decimation to `export.max_faces`, and normals (postprocess.py);
7. vertex colours of the model, and a baked texture (texturing.py);
8. the training photographs that see each vertex are counted, `export.count_views`;
9. the mesh is taken to world coordinates and written, a file for each of `export.formats` (obj_ply.py, glb.py)."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.base import VolumeModel
from systems.configs import Experiment, ExportConfig
from systems.export import postprocess
from systems.export.density_level import density_level
from systems.export.filling import fill_hidden
from systems.export.floaters import drop_small_components
from systems.export.solid import Enclosure
from systems.views import PosedViews, Shown, as_rendered
from utils import registry
from utils.memory import HalvingChunks
from utils.mesh import Mesh, transform
from utils.mesh.decimation import decimate
from utils.mesh.isosurface import extract_isosurface
from utils.mesh.level_set import project_to_level
from utils.mesh.measures import count_components, vertex_normals
from utils.mesh.view_counts import unseen_area_share, with_view_counts
from utils.terminal.at_work import at_work
from utils.visualise import to_uint8

log = logging.getLogger(__name__)
CPU_CHUNK = 2**17  # points at a time on a CPU, and on any device for gradients and colours
LEVEL_RAYS = 4096  # rays from which the level of a density is chosen
PREVIEW_FACES = 50_000  # a browser can turn a mesh of this size smoothly
TEXEL_STEPS = 3  # Newton steps from a texel on a face to the level set


LoadViews = Callable[[str], PosedViews]  # loads a split when it is called with the split's name


@dataclass(frozen=True)
class LevelSet:
    """The surface that is exported, before it becomes a mesh."""

    model: VolumeModel
    level: float  # value of the field at the surface
    spacing: float  # of the lattice that marching cubes works on, in scene units
    enclosure: Enclosure | None = None  # what it is cut with
    shown: Shown = as_rendered  # see `export_mesh`


@dataclass(frozen=True)
class ExtractedMesh:
    """A mesh that is ready to be written; nothing but its preview needs the model any more."""

    mesh: Mesh  # in scene coordinates
    world_from_scene: np.ndarray  # (4, 4) similarity
    files: dict[Path, Callable[[Mesh, Path], None]]  # by what writes them
    figures: dict[str, Any]  # of the report

    def write(self) -> dict[str, Any]:
        """Writes the files and returns the report of the export."""
        started, mesh = time.perf_counter(), transform(self.mesh, self.world_from_scene)
        for path, write in self.files.items():
            write(mesh, path)
        seconds = self.figures["extraction_seconds"] + time.perf_counter() - started
        return {"files": [path.name for path in self.files], **self.figures, "seconds": round(seconds, 2)}


def export_mesh(
    model: VolumeModel,
    experiment: Experiment,
    stem: Path,
    world_from_scene: np.ndarray,
    views: LoadViews | None = None,
    crop: Callable[[Mesh], Mesh] = lambda mesh: mesh,
    shown: Shown = as_rendered,
) -> dict[str, Any]:
    """Writes `<stem>-mc<R>.<format>` for each export format and returns a report; see `extract_mesh`."""
    return extract_mesh(model, experiment, stem, world_from_scene, views, crop, shown).write()


@torch.no_grad()
def extract_mesh(
    model: VolumeModel,
    experiment: Experiment,
    stem: Path,
    world_from_scene: np.ndarray,
    views: LoadViews | None = None,
    crop: Callable[[Mesh], Mesh] = lambda mesh: mesh,
    shown: Shown = as_rendered,
) -> ExtractedMesh:
    """The mesh of a model with all that `<stem>-mc<R>.<format>` will hold; writes nothing.

    views: photographs, for the level of a density, for masks that keep a small component, for `export.crop` and for
    `export.texture=views`; may be None if the configuration asks for neither a level, a crop nor such a texture;
    crop: applied to the extracted mesh, in scene coordinates, before all other steps; shown: makes of the model's
    colours those of the mesh. Raises ReconstructionError if the field has no surface."""
    started = time.perf_counter()
    isosurface, config = experiment.model.geometry.isosurface, experiment.export
    writers = {name: registry.find("exporter", name).target for name in config.formats}
    level = surface_level(model, isosurface.threshold, views)
    chunks = HalvingChunks("export.chunk_size", config.chunk_size, postprocess.MIN_CHUNK)
    spacing = 2.0 * model.config.radius / (isosurface.resolution - 1)
    enclosure = _enclosure(LevelSet(model, level, spacing), experiment, views, chunks)
    mesh = chunks.run(lambda chunk: extract_surface(model, isosurface.resolution, level, chunk, enclosure))
    mesh, num_hollows = (mesh, 0) if enclosure is None else enclosure.fill(mesh)
    mesh = mesh if enclosure is None or config.bottom == "closed" else enclosure.without_bottom(mesh)
    surface = LevelSet(model, level, spacing, enclosure, shown)
    world_scale = float(np.cbrt(abs(np.linalg.det(world_from_scene[:3, :3]))))
    mesh, cleaning = _postprocess(crop(mesh), surface, config, views, world_scale)
    mesh = _add_appearance(mesh, surface, config, views)
    if config.count_views:
        train = views("train")
        mesh = with_view_counts(mesh, (train.camera(index) for index in range(len(train))))
        cleaning["unseen_area_share"] = unseen_area_share(mesh)
    figures = {
        "resolution": isosurface.resolution,
        "level": level,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "components": count_components(mesh),
        "watertight": cleaning["holes"] == 0,
        **({} if enclosure is None else {"hollows_filled": num_hollows}),
        **cleaning,
        **({"chunk_size": chunks.size} if chunks.size < config.chunk_size else {}),  # where memory ran out
        "extraction_seconds": round(time.perf_counter() - started, 2),  # without writing the files
    }
    paths = [stem.with_name(f"{stem.name}-mc{isosurface.resolution}.{name}") for name in writers]
    files = dict(zip(paths, writers.values(), strict=True))
    return ExtractedMesh(mesh, world_from_scene, files, figures)


def surface_level(model: VolumeModel, threshold: float | str, views: LoadViews | None) -> float:
    """The value of the field at the surface: `threshold` if it is a number; for `auto`, 0 for an SDF, else measured."""
    if threshold != "auto":
        return threshold
    if model.is_sdf:
        return 0.0
    assert views is not None, "the level of a density is measured along rays"
    device = model.occupancy.value.device
    generator = torch.Generator(device).manual_seed(0)
    # The test views show the same object as the training views, and they are already in memory.
    return density_level(model, views("test").draw(LEVEL_RAYS, torch.zeros(3, device=device), generator).rays)


def _enclosure(
    surface: LevelSet, experiment: Experiment, views: LoadViews | None, chunks: HalvingChunks
) -> Enclosure | None:
    """What `export.bottom` cuts an SDF with, and what it fills; None where it asks for nothing."""
    model, radius = surface.model, surface.model.config.radius
    if experiment.export.bottom == "none" or not model.is_sdf:
        return None
    cut = Enclosure(None, half_edge=radius - 1.5 * surface.spacing, spacing=surface.spacing)
    if views is None:
        return cut
    cut, train = replace(cut, ground=views("test").ground), views("train")

    def extract(resolution: int) -> Mesh:
        return chunks.run(lambda chunk: extract_surface(model, resolution, surface.level, chunk, cut))

    cameras = [train.camera(index) for index in range(len(train))]
    resolution, device = experiment.model.geometry.isosurface.resolution, model.occupancy.value.device
    return replace(cut, filling=fill_hidden(extract, cameras, radius, resolution, cut.ground, device))


def extract_surface(
    model: VolumeModel, resolution: int, level: float, chunk: int, enclosure: Enclosure | None = None
) -> Mesh:
    """The level set of the model's field in its region, in scene coordinates, with faces that point outward.

    enclosure: what an SDF is cut with before."""
    device = model.occupancy.value.device
    chunk = min(chunk, CPU_CHUNK) if device.type == "cpu" else chunk
    mesh = extract_isosurface(
        model.field_value if enclosure is None else enclosure.cut(model.field_value, level, chunk, device),
        radius=model.config.radius,
        resolution=resolution,
        level=level,
        solid="below" if model.is_sdf else "above",
        chunk=chunk,
        occupied=model.occupancy.occupied if model.config.grid_prune and not model.is_sdf else None,
        device=device,
    )
    return mesh if model.background is None else postprocess.crop_to_ball(mesh, model.config.radius)


def _postprocess(
    mesh: Mesh, surface: LevelSet, config: ExportConfig, views: LoadViews | None, world_scale: float
) -> tuple[Mesh, dict[str, Any]]:
    """The mesh after all steps that change its shape, with its normals, and what they report.

    world_scale: world units to a scene unit."""
    if config.crop != "none":
        train = views("train")
        mesh = postprocess.crop_to_cameras(mesh, config.crop, (train.camera(index) for index in range(len(train))))
    # The test views again, so that --train and --test give the same mesh and neither has to load other views.
    masked_views = None if views is None else lambda: views("test")
    mesh, num_dropped = drop_small_components(mesh, config, masked_views, 2.0 * surface.spacing)
    mesh, holes = postprocess.close_holes(mesh, config.close_holes, world_scale)
    if config.projection_steps and surface.model.is_sdf:
        # Marching cubes errs by a part of a cell; a vertex that moves farther would follow another part of the surface.
        reach = 0.5 * surface.spacing
        moved = postprocess.project(mesh, surface.model, surface.level, reach, config.projection_steps, CPU_CHUNK)
        mesh = moved if surface.enclosure is None else surface.enclosure.restore_cuts(mesh, moved)
    mesh = postprocess.limit_faces(mesh, config)
    return replace(mesh, normals=vertex_normals(mesh)), {"floaters_dropped": num_dropped, **holes}


def _add_appearance(mesh: Mesh, surface: LevelSet, config: ExportConfig, views: LoadViews | None) -> Mesh:
    """The mesh with colours at its vertices and a texture, as far as the configuration asks for them."""
    if config.export_vertex_color:
        mesh = add_vertex_colors(mesh, surface.model, surface.shown)
    if config.texture == "none":
        return mesh
    from systems.export.texturing import bake_texture

    def model_colors(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Colours of the level set near the faces, which only approximate it."""
        return surface_colors(surface.model, points, normals, surface.shown, surface.level, 2.0 * surface.spacing)

    photos = None
    if config.texture == "views":
        train = views("train")
        photos = ((train.camera(index), train.photograph_to_show(index)) for index in range(len(train)))
    with at_work("texture"):
        return bake_texture(mesh, config.texture_size, model_colors, photos)


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


def preview_mesh(mesh: Mesh, model: VolumeModel, shown: Shown = as_rendered) -> Mesh:
    """The mesh, in scene coordinates, with at most about PREVIEW_FACES faces and the model's colours as shown."""
    small = decimate(mesh, PREVIEW_FACES)
    if small.colors is not None:
        return small
    return add_vertex_colors(replace(small, normals=vertex_normals(small)), model, shown)
