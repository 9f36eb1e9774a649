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
7. vertex colours of the model, and a decimated mesh with a baked texture (appearance.py, texturing.py);
8. the training photographs that see each vertex are counted, `export.count_views`;
9. the mesh is taken to world coordinates and written, a file for each of `export.formats` (obj_ply.py, glb.py, stl.py,
   usdz.py), and a small one for each of `export.lods`, shaded like the full one (normal_map.py)."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.base import VolumeModel
from systems.configs import Experiment, ExportConfig
from systems.export import postprocess
from systems.export.appearance import CPU_CHUNK, LevelSet, LoadViews, add_vertex_colors, fewer_faces
from systems.export.density_level import density_level
from systems.export.filling import fill_hidden
from systems.export.floaters import drop_small_components
from systems.export.glb import write_glb
from systems.export.normal_map import FullMesh, with_normal_map
from systems.export.solid import Enclosure
from systems.views import Shown, as_rendered
from utils import registry
from utils.memory import HalvingChunks
from utils.mesh import Mesh, transform
from utils.mesh.decimation import clustered, decimate
from utils.mesh.isosurface import extract_isosurface
from utils.mesh.measures import count_components, vertex_normals
from utils.mesh.stand import Stand, object_size
from utils.mesh.view_counts import unseen_area_share, with_view_counts

log = logging.getLogger(__name__)
LEVEL_RAYS = 4096  # rays from which the level of a density is chosen
MOST_FILES = 4  # that are written at a time
PREVIEW_FACES = 50_000  # a browser can turn a mesh of this size smoothly
PICTURED = ("obj", "glb", "usdz")  # formats that hold a texture
UPRIGHT_FORMATS = {"glb", "stl", "usdz"}  # all others keep the axes and the unit of the input


@dataclass(frozen=True)
class MeshFile:
    """A file to write."""

    path: Path
    mesh: Mesh  # in scene coordinates
    write: Callable[[Mesh, Path], None]


@dataclass(frozen=True)
class ExtractedMesh:
    """A mesh that is ready to be written; nothing but its preview needs the model any more."""

    mesh: Mesh  # in scene coordinates, with all its faces
    world_from_scene: np.ndarray  # (4, 4) similarity
    files: Sequence[MeshFile]  # of the mesh, one for each format
    figures: dict[str, Any]  # of the report
    lods: Sequence[MeshFile] = ()  # of smaller ones

    def write(self) -> dict[str, Any]:
        """Writes the files and returns the report of the export."""
        started, files = time.perf_counter(), (*self.files, *self.lods)
        unlike = {id(file.mesh): file.mesh for file in files}
        moved = {key: transform(mesh, self.world_from_scene) for key, mesh in unlike.items()}
        with ThreadPoolExecutor(MOST_FILES) as pool:  # pictures are compressed without Python's lock
            for written in [pool.submit(file.write, moved[id(file.mesh)], file.path) for file in files]:
                written.result()
        textured = (file for file in files if file.path.suffix == ".obj" and file.mesh.texture is not None)
        beside = [file.path.with_suffix(suffix).name for file in textured for suffix in (".mtl", ".png")]
        seconds = self.figures["extraction_seconds"] + time.perf_counter() - started
        named = {"files": self.files, "lods": self.lods}
        names = {key: [file.path.name for file in files] for key, files in named.items() if files}
        return {**names, **({"beside": beside} if beside else {}), **self.figures, "seconds": round(seconds, 2)}


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
    writers = _writers(config.formats)
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
    mesh = add_vertex_colors(mesh, model, shown) if config.export_vertex_color else mesh
    mesh = replace(mesh, stand=_stand(config, views, world_scale))
    if config.count_views:
        train = views("train")
        mesh = with_view_counts(mesh, (train.camera(index) for index in range(len(train))))
        cleaning["unseen_area_share"] = unseen_area_share(mesh)
    pictured, smaller = _with_fewer_faces(mesh, surface, config, views)
    stem = stem.with_name(f"{stem.name}-mc{isosurface.resolution}")
    files = [
        MeshFile(stem.with_name(f"{stem.name}.{name}"), pictured if name in PICTURED else mesh, write)
        for name, write in writers.items()
    ]
    lods = [MeshFile(stem.with_name(f"{stem.name}-lod{n}.glb"), smaller[n], write_glb) for n in config.lods]
    figures = {
        "resolution": isosurface.resolution,
        "level": level,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "components": count_components(mesh),
        "watertight": cleaning["holes"] == 0,
        "size": object_size(mesh.vertices, mesh.stand, world_scale),
        **({} if enclosure is None else {"hollows_filled": num_hollows}),
        **cleaning,
        **({"chunk_size": chunks.size} if chunks.size < config.chunk_size else {}),  # where memory ran out
        "extraction_seconds": round(time.perf_counter() - started, 2),  # without writing the files
    }
    if len(pictured.faces) < len(mesh.faces):
        figures["textured_faces"] = len(pictured.faces)
    return ExtractedMesh(mesh, world_from_scene, files, figures, lods)


def _writers(formats: Sequence[str]) -> dict[str, Callable[[Mesh, Path], None]]:
    """What writes each format, ready to do so in a thread."""
    if "usdz" in formats:
        from systems.export.usdz import load_libraries  # not needed unless it is asked for

        load_libraries()
    return {name: registry.find("exporter", name).target for name in formats}


def _with_fewer_faces(
    mesh: Mesh, surface: LevelSet, config: ExportConfig, views: LoadViews | None
) -> tuple[Mesh, dict[int, Mesh]]:
    """The mesh with its texture, if it is to have one, and what `export.lods` asks for, each decimated from the one
    before it; a second thread makes normal maps."""
    full, waiting = FullMesh(mesh), {}
    with ThreadPoolExecutor(1) as beside:
        pictured = last = mesh
        if config.texture != "none":
            if config.lods:
                beside.submit(lambda: full.tables)
            most = config.max_faces or postprocess.TEXTURED_FACES
            pictured = last = fewer_faces(full, most, surface, config, views)
        for faces in sorted(config.lods, reverse=True):
            is_there = pictured.texture is not None and len(pictured.faces) <= faces
            last = pictured if is_there else fewer_faces(full, faces, surface, config, views, last)
            waiting[faces] = beside.submit(with_normal_map, last, full)
        return pictured, {faces: shaded.result() for faces, shaded in waiting.items()}


def _stand(config: ExportConfig, views: LoadViews | None, world_scale: float) -> Stand:
    """How the object stands in the scene frame; world_scale: world units to a scene unit."""
    stand = Stand() if views is None else views("test").stand
    if config.metres_per_unit is not None:
        stand = replace(stand, metres_per_unit=config.metres_per_unit * world_scale)
    if stand.up is None and UPRIGHT_FORMATS & {*config.formats, *(("glb",) if config.lods else ())}:
        log.info("mesh: nothing tells which way is up, so glb, stl and usdz stand as the input's axes do")
    return stand


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
    if "stl" in config.formats and holes["holes"]:
        log.warning(
            "the stl is open (holes: %d), and printers want a closed mesh: set export.close_holes=10, or for what "
            "stands on something export.bottom=closed",
            holes["holes"],
        )
    if config.projection_steps and surface.model.is_sdf:
        # Marching cubes errs by a part of a cell; a vertex that moves farther would follow another part of the surface.
        reach = 0.5 * surface.spacing
        moved = postprocess.project(mesh, surface.model, surface.level, reach, config.projection_steps, CPU_CHUNK)
        mesh = moved if surface.enclosure is None else surface.enclosure.restore_cuts(mesh, moved)
    mesh = postprocess.limit_faces(mesh, config)
    return replace(mesh, normals=vertex_normals(mesh)), {"floaters_dropped": num_dropped, **holes}


def small_mesh(mesh: Mesh) -> Mesh:
    """The mesh with at most about PREVIEW_FACES faces, to look at; its own if it has no more."""
    return decimate(clustered(mesh, PREVIEW_FACES), PREVIEW_FACES)


def preview_mesh(mesh: Mesh, model: VolumeModel, shown: Shown = as_rendered) -> Mesh:
    """The `small_mesh` of one in scene coordinates with the model's colours as shown."""
    small = small_mesh(mesh)
    if small.colors is not None:
        return small
    return add_vertex_colors(replace(small, normals=vertex_normals(small)), model, shown)
