"""The steps from a field to files, on a NeuS that has only been initialised: its surface is about a sphere."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from analytic_shapes import UP, Camera, camera_at, cameras_around, joined, photograph, sphere_mesh

from models.base import VolumeModel
from systems.configs import Experiment, ExportConfig, read_experiment
from systems.export import postprocess, texturing
from systems.export.exporter import export_mesh, extract_surface
from systems.export.floaters import drop_small_components
from systems.export.materials import baking, occlusion, separation
from utils import registry
from utils.errors import ConfigError, ReconstructionError
from utils.mesh import Mesh, submesh
from utils.mesh.files import read_mesh
from utils.mesh.holes import boundary_loops
from utils.mesh.measures import face_areas, signed_volume
from utils.mesh.stand import Stand

SMALL = [
    "model.geometry.xyz_encoding_config.n_levels=4",
    "model.geometry.xyz_encoding_config.log2_hashmap_size=10",
    "model.geometry.isosurface.resolution=48",
    "model.grid_resolution=16",
]
WORLD = np.array([[0, 2, 0, 7], [2, 0, 0, -3], [0, 0, 2, 1], [0, 0, 0, 1.0]])  # a reflection that doubles lengths


class Photos:
    """What export asks of a split."""

    def __init__(self, cameras: list[Camera], ground: np.ndarray | None = None, stand: Stand | None = None) -> None:
        self.camera = cameras.__getitem__
        self.cameras, self.ground, self.stand = cameras, ground, stand or Stand()

    def __len__(self) -> int:
        return len(self.cameras)

    def photograph_to_show(self, index: int) -> np.ndarray:
        return photograph(self.camera(index), 0.55)


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return read_experiment(["configs/neus-demo.yaml"], SMALL)


@pytest.fixture(scope="module")
def model(experiment: Experiment) -> VolumeModel:
    torch.manual_seed(0)
    return registry.build(experiment.model)


def export(model: VolumeModel, experiment: Experiment, folder: Path, **settings) -> tuple[dict, dict]:
    """The report, and the files as trimesh reads them, by suffix."""
    experiment = replace(experiment, export=ExportConfig(**settings))
    photos = Photos(cameras_around(8, 3.0, size=80, angle=0.6))
    report = export_mesh(model, experiment, folder / "a", WORLD, lambda split: photos)
    files = {Path(name).suffix[1:]: folder / name for name in report["files"]}
    return report, {kind: trimesh.load(path, process=False, force="mesh") for kind, path in files.items()}


def test_all_formats_hold_the_same_mesh_in_world_units(model, experiment, tmp_path):
    report, found = export(model, experiment, tmp_path, formats=("obj", "ply", "glb"))
    assert (report["holes"], report["level"], report["floaters_dropped"]) == (0, 0.0, 0)
    for mesh in found.values():
        assert len(mesh.faces) == report["faces"]
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        assert mesh.volume == pytest.approx(found["ply"].volume, rel=1e-4)
        np.testing.assert_allclose(mesh.bounds, found["ply"].bounds, atol=1e-5)
        np.testing.assert_allclose(mesh.bounds.mean(axis=0), WORLD[:3, 3], atol=0.3)
    assert found["ply"].volume == pytest.approx(8 * 4 / 3 * np.pi * 0.55**3, rel=0.1)


@pytest.mark.parametrize("bottom", ["closed", "open"])
def test_an_object_stands_flat_on_its_plane_and_says_what_no_photograph_shows(
    model, experiment, tmp_path, bottom, caplog
):
    experiment = replace(experiment, export=ExportConfig(bottom=bottom, count_views=True, formats=("ply", "stl")))
    above = [camera for camera in cameras_around(24, 3.0, size=80, angle=0.6) if camera.c2w[2, 3] > -0.2]
    photos = Photos(above, ground=np.array([0.0, 0.0, 1.0, -0.2]))
    stand = np.eye(4)
    stand[2, 3] = 0.2  # so that the plane is z = 0
    report = export_mesh(model, experiment, tmp_path / "a", stand, lambda split: photos)
    mesh = trimesh.load(tmp_path / report["files"][0], process=False)
    assert abs(mesh.bounds[0, 2]) < 1e-6
    closed = bottom == "closed"
    assert ("the stl is open (holes: 1)" in caplog.text) == (not closed)
    assert (mesh.is_watertight, report["watertight"], report["holes"]) == (closed, closed, int(not closed))
    assert (report["components"], report["hollows_filled"]) == (1, 0)
    views = mesh.metadata["_ply_raw"]["vertex"]["data"]["views"]
    assert views.max() >= 3
    flat = (np.abs(mesh.vertices[:, 2]) < 1e-6) & (np.linalg.norm(mesh.vertices[:, :2], axis=1) < 0.3)
    assert (views[flat] == 0).all()
    assert flat.any() == closed
    bare = np.pi * 0.5**2 / (4 * np.pi * 0.55**2 * 0.68 + np.pi * 0.5**2)  # about: the bottom, of the whole
    assert report["unseen_area_share"] == pytest.approx(bare if closed else 0.0, abs=0.06)


def test_a_textured_export_is_small_and_in_its_place(model, experiment, tmp_path):
    settings = {"formats": ("obj", "ply", "glb"), "max_faces": 2000, "texture_size": 256}
    _, plain = export(model, experiment, tmp_path, formats=("ply",))
    for texture in ("field", "views"):
        report, found = export(model, experiment, tmp_path, texture=texture, **settings)
        assert report["faces"] <= 2000
        assert found["obj"].visual.kind == found["glb"].visual.kind == "texture"
        assert found["ply"].visual.kind == "vertex"
        for mesh in found.values():
            assert mesh.volume == pytest.approx(plain["ply"].volume, rel=0.01)
            np.testing.assert_allclose(mesh.bounds, plain["ply"].bounds, atol=0.03)
        assert (tmp_path / "a-mc48.png").is_file()


def test_files_without_a_texture_keep_all_faces_and_smaller_meshes_lie_beside(model, experiment, tmp_path):
    settings = {"formats": ("ply", "glb"), "texture_size": 64, "lods": (1500, 400)}
    whole, _ = export(model, experiment, tmp_path, formats=("ply",))
    report, found = export(model, experiment, tmp_path, texture="field", **settings)
    assert len(found["ply"].faces) == whole["faces"] == report["faces"]
    assert "textured_faces" not in report  # fewer than the default limit
    assert report["lods"] == ["a-mc48-lod1500.glb", "a-mc48-lod400.glb"]
    for name, faces in zip(report["lods"], settings["lods"], strict=True):
        small = trimesh.load(tmp_path / name, process=False, force="mesh")
        assert faces * 0.8 < len(small.faces) <= faces
        assert small.visual.kind == "texture"
        assert small.visual.material.normalTexture.size == (64, 64)
        np.testing.assert_allclose(small.bounds, found["ply"].bounds, atol=0.1)
    bare, _ = export(model, experiment, tmp_path, formats=("obj",), lods=(400,))
    assert read_mesh(tmp_path / bare["lods"][0]).colors is not None
    assert "beside" not in bare
    textured, _ = export(model, experiment, tmp_path, formats=("obj",), texture="field", texture_size=64)
    assert textured["beside"] == ["a-mc48.mtl", "a-mc48.png"]
    assert all((tmp_path / name).is_file() for name in textured["beside"])


def test_a_texture_is_made_once_for_meshes_that_are_the_same(model, experiment, tmp_path, monkeypatch):
    bake, baked = texturing.bake_texture, []
    monkeypatch.setattr(
        texturing, "bake_texture", lambda mesh, *rest: baked.append(len(mesh.faces)) or bake(mesh, *rest)
    )
    settings = {"formats": ("glb",), "texture": "field", "texture_size": 64, "lods": (10**6, 400)}
    report, _ = export(model, experiment, tmp_path, **settings)
    assert baked == [report["faces"], pytest.approx(400, abs=40)]
    same = [trimesh.load(tmp_path / name, process=False, force="mesh") for name in ("a-mc48.glb", report["lods"][0])]
    np.testing.assert_array_equal(same[0].visual.uv, same[1].visual.uv)


def test_upright_files_stand_on_the_ground_in_metres(model, experiment, tmp_path):
    """Up is +x of the scene, which `WORLD` makes +y, twice as long; a scene unit is half a metre."""
    photos = Photos(cameras_around(8, 3.0), stand=Stand(np.array([1.0, 0.0, 0.0]), -1.0, 0.5))
    experiment = replace(experiment, export=ExportConfig(formats=("ply", "glb", "stl")))
    report = export_mesh(model, experiment, tmp_path / "a", WORLD, lambda split: photos)
    ply, glb, stl = (trimesh.load(tmp_path / name, process=False, force="mesh") for name in report["files"])
    height = (ply.bounds[:, 1] - WORLD[1, 3]) / 2.0 + 1.0  # above the ground, in scene units
    np.testing.assert_allclose(glb.bounds[:, 1], 0.5 * height, atol=1e-5)
    np.testing.assert_allclose(stl.bounds[:, 2], 500.0 * height, atol=1e-2)
    assert glb.volume == pytest.approx(ply.volume / 64.0, rel=1e-3)
    assert report["size"]["unit"] == "metres"
    assert report["size"]["height"] == pytest.approx(float(np.ptp(glb.bounds[:, 1])), rel=1e-4)
    np.testing.assert_allclose(read_mesh(tmp_path / report["files"][1]).vertices, ply.vertices, atol=1e-5)
    experiment = replace(experiment, export=ExportConfig(formats=("glb",), metres_per_unit=3.0))
    report = export_mesh(model, experiment, tmp_path / "b", WORLD, lambda split: photos)
    glb = trimesh.load(tmp_path / report["files"][0], process=False, force="mesh")
    np.testing.assert_allclose(glb.bounds[:, 1], 6.0 * height, atol=1e-4)


def test_vertices_lie_on_the_zero_set(model, experiment):
    with torch.no_grad():
        mesh = extract_surface(model, 48, 0.0, 2**16)
    moved = postprocess.project(mesh, model, 0.0, 0.02, 2, 2**16)
    with torch.no_grad():
        before, after = (model.field_value(torch.from_numpy(m.vertices).float()).abs().max() for m in (mesh, moved))
    assert after < 2e-6
    assert after < 0.05 * before
    np.testing.assert_array_equal(moved.faces, mesh.faces)


def test_a_mesh_that_no_camera_sees_is_said(model, experiment, tmp_path):
    experiment = replace(experiment, export=ExportConfig(crop="visible"))
    away = Photos([])
    with pytest.raises(ReconstructionError, match=r"export.crop=visible: no training camera sees any of the mesh"):
        export_mesh(model, experiment, tmp_path / "a", np.eye(4), lambda split: away)
    assert list(tmp_path.iterdir()) == []


def test_a_mesh_ends_where_the_background_begins():
    config = read_experiment(["configs/neus-demo.yaml"], [*SMALL, "model.background.name=learned"]).model
    model = registry.build(config)
    model.field_value = lambda points: points[:, 2] - 0.3  # a table that goes on beyond the region
    mesh = extract_surface(model, 64, 0.0, 2**17)
    assert np.linalg.norm(mesh.vertices, axis=1).max() <= config.radius
    assert 0.85 < face_areas(mesh).sum() / (np.pi * (config.radius**2 - 0.3**2)) < 1.0
    model.field_value = lambda points: points[:, 2] + points[:, 0] - 1.9 * config.radius  # in a corner of the cube
    with pytest.raises(ReconstructionError, match="no surface in the region, the ball of radius 1"):
        extract_surface(model, 64, 0.0, 2**17)


def open_ball() -> Mesh:
    """A ball with a large and a small hole."""
    mesh = sphere_mesh(4)
    middle = mesh.vertices[mesh.faces].mean(axis=1)
    return submesh(mesh, (middle @ UP < 0.5) & (middle[:, 0] < 0.95))


def test_holes_are_reported_in_world_units_and_closed_up_to_a_size():
    mesh = open_ball()
    same, report = postprocess.close_holes(mesh, 0.0, 10.0)
    assert same is mesh
    assert (report["holes"], report["holes_closed"]) == (2, 0)
    large, small = report["hole_perimeters"]
    assert 10 * 2 * np.pi * 0.8 < large < 10 * 2 * np.pi * 0.87 * 1.4
    assert large > 2.0 * small
    half, report = postprocess.close_holes(mesh, 1.0, 10.0)
    assert (report["holes"], report["holes_closed"]) == (1, 1)
    assert report["hole_perimeters"] == [large, small]
    whole, report = postprocess.close_holes(mesh, 10.0, 10.0)
    assert (report["holes"], report["holes_closed"]) == (0, 2)
    assert signed_volume(whole) > signed_volume(half) > 0.0
    assert boundary_loops(whole) == []


def test_the_budget_of_faces():
    mesh = sphere_mesh(4)
    assert postprocess.limit_faces(mesh, ExportConfig()) is mesh
    small = postprocess.limit_faces(mesh, ExportConfig(max_faces=300))
    assert len(small.faces) <= 300
    assert face_areas(small).sum() == pytest.approx(face_areas(mesh).sum(), rel=0.02)


def test_cropping_and_dropping_what_is_small(caplog):
    mesh = joined(sphere_mesh(3, 0.5), sphere_mesh(2, 0.05, (0.0, 1.2, 0.0)), sphere_mesh(2, 0.3, (0.0, 9.0, 0.0)))
    with caplog.at_level("DEBUG", logger="systems"):
        seen = postprocess.crop_to_cameras(mesh, "frame", [camera_at((4.0, 0.0, 0.0))])
        kept, dropped = drop_small_components(seen, ExportConfig(), None, 0.01)
    assert len(mesh.faces) - len(seen.faces) == 320
    assert (dropped, len(kept.faces)) == (1, 1280)
    assert "dropped 320 of 1920 faces (export.crop=frame)" in caplog.text
    assert "dropped 1 floaters with 320 faces" in caplog.text


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("export={texture: views, formats: [ply]}", "export.texture=views: needs a format that holds a picture"),
        ("export.crop=some", "expected one of none, frame, visible"),
    ],
)
def test_settings_that_cannot_be(override: str, said: str):
    with pytest.raises(ConfigError, match=said):
        read_experiment(["configs/neus-demo.yaml"], [override])


def test_without_memory_a_mesh_is_made_in_smaller_chunks(
    model: VolumeModel, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    expected, _ = export(model, experiment, tmp_path / "whole", formats=("ply",))
    evaluate, color, most = model.field_value, model.color, []

    def short_of_memory(work):
        def limited(points, *others):
            most.append(len(points))
            if len(points) > 5000:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return work(points, *others)

        return limited

    monkeypatch.setattr(model, "field_value", short_of_memory(evaluate))
    monkeypatch.setattr(model, "color", short_of_memory(color))
    found, _ = export(model, experiment, tmp_path / "parts", formats=("ply",), chunk_size=2**16)
    assert max(most) > 5000
    assert {name: found[name] for name in ("vertices", "faces")} == {
        name: expected[name] for name in ("vertices", "faces")
    }
    assert caplog.messages[-1].startswith("out of memory: going on with ")
    assert "out of memory: going on with export.chunk_size=4096" in caplog.messages


def test_a_material_takes_the_place_of_colours_with_their_light(
    model: VolumeModel, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baking, "SOLVED", 60)
    monkeypatch.setattr(baking, "LIT", 100)
    monkeypatch.setattr(separation, "STEPS", 2)
    monkeypatch.setattr(occlusion, "PICTURE", 64)
    settings = {"formats": ("glb",), "lods": (800,), "texture_size": 64, "material": "pbr"}
    for texture in ("field", "views"):
        report, found = export(model, experiment, tmp_path, texture=texture, **settings)
        whole = found["glb"].visual.material
        small = trimesh.load(tmp_path / report["lods"][0], process=False, force="mesh").visual.material
        pictures = (small.baseColorTexture, small.metallicRoughnessTexture, small.normalTexture)
        assert {picture.size for picture in (whole.metallicRoughnessTexture, *pictures)} == {(64, 64)}
        assert whole.normalTexture is None  # it has all its faces
