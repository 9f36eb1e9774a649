"""A texture without light shows what a surface is made of, wherever the light of the photographs came from."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from analytic_shapes import cameras_around, joined, photograph, sphere_mesh

from systems.configs import read_experiment
from systems.export.glb import write_glb
from systems.export.materials import baking, occlusion, separation
from systems.export.materials.directions import directions, lobe, mirrored_share, shrink, solid_angles, taps
from systems.export.materials.occlusion import open_directions
from systems.export.normal_map import FullMesh, vertex_of_places, vertex_tangents
from systems.export.relightable import bake_relightable
from systems.export.texturing import bake_texture
from systems.export.usdz import write_usdz
from utils.errors import ConfigError
from utils.images import linear_from_srgb, srgb_from_linear
from utils.mesh import Mesh

RED, SAND = np.array([0.5, 0.12, 0.1]), np.array([0.62, 0.55, 0.4])
LAMP = np.array([0.6, -0.5, 0.62]) / np.linalg.norm([0.6, -0.5, 0.62])


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes it quick: a ball has no detail."""
    monkeypatch.setattr(baking, "SOLVED", 300)
    monkeypatch.setattr(baking, "LIT", 1500)
    monkeypatch.setattr(separation, "STEPS", 100)
    monkeypatch.setattr(occlusion, "PICTURE", 64)


def albedo_of(points: np.ndarray) -> np.ndarray:
    """Two colours in wide stripes."""
    return np.where(np.sin(4.0 * points[..., :1] + 2.0 * points[..., 2:]) > 0.0, RED, SAND)


def radiance(toward: np.ndarray) -> np.ndarray:
    """(..., 1) of the surroundings: brighter above, and a lamp."""
    return 0.45 + 0.25 * toward[..., 2:] + 5.0 * np.exp(30.0 * (toward @ LAMP - 1.0))[..., None]


def white(normals: np.ndarray) -> np.ndarray:
    """(..., 1) what white paper shows: radiance times cosine over pi, summed over even directions."""
    order = np.arange(4000) + 0.5
    rise, turn = 1.0 - order / 2000.0, order * np.pi * (3.0 - np.sqrt(5.0))
    knots = np.linspace(-1.0, 1.0, 101)[:, None]  # cosines between the normal and the lamp
    ring = np.sqrt((1.0 - rise**2) * (1.0 - knots**2))
    cosine = np.maximum(rise * knots + ring * np.cos(turn), 0.0)
    lamp = (cosine * 5.0 * np.exp(30.0 * (rise - 1.0))).sum(axis=1) * 4.0 / len(order)
    return 0.45 + 0.25 * 2.0 / 3.0 * normals[..., 2:] + np.interp(normals @ LAMP, knots[:, 0], lamp)[..., None]


def look(gloss: bool, points: np.ndarray, toward: np.ndarray) -> np.ndarray:
    """Of a unit ball: matt, and with a coat that is a mirror (Schlick 1994) if it has gloss."""
    shown = albedo_of(points) * white(points)
    if gloss:
        facing = (points * toward).sum(axis=-1, keepdims=True)
        mirror = 2.0 * facing * points - toward
        shown = shown + (0.04 + 0.96 * (1.0 - facing).clip(0.0, 1.0) ** 5) * radiance(mirror)
    return srgb_from_linear(shown.clip(0.0, 1.0))


def grey(points: np.ndarray, toward: np.ndarray) -> np.ndarray:
    return np.full_like(points, 0.5)


@pytest.fixture(scope="module")
def shots() -> dict[bool, list]:
    cameras = cameras_around(10, 3.5, size=72, angle=0.65)
    return {
        gloss: [(c, photograph(c, 1.0, lambda p, t, g=gloss: look(g, p, t))) for c in cameras]
        for gloss in (False, True)
    }


def unlike(mesh: Mesh) -> float:
    """Root mean square of how far the logarithms of a texture are from those of the albedo, but for a factor."""
    at = mesh.texture.places[mesh.texture.corners].mean(axis=1)
    points = mesh.vertices[mesh.faces].mean(axis=1)
    corners = albedo_of(mesh.vertices)[mesh.faces]
    inside = (corners == corners[:, :1]).all(axis=(1, 2))  # of a stripe
    found = np.log(linear_from_srgb(mesh.texture.sample(at[inside])).clip(min=1e-3) / albedo_of(points[inside]))
    return float(np.sqrt(((found - np.median(found, axis=0)) ** 2).mean()))


def test_two_colours_come_back_without_their_light_and_gloss_is_told_from_matt(shots: dict[bool, list]) -> None:
    ball, roughness = sphere_mesh(3), {}
    for gloss in (False, True):
        made = bake_relightable(ball, 128, grey, lambda gloss=gloss: shots[gloss])
        baked = bake_texture(ball, 128, grey, shots[gloss])
        assert unlike(made) < 0.12
        assert unlike(made) < 0.35 * unlike(baked)
        assert made.texture.image.max() <= 244  # 0.9 of the light
        roughness[gloss] = np.median(made.texture.roughness) / 255.0
    assert roughness[True] < 0.45
    assert roughness[False] > 0.6


def test_gloss_and_matt_lie_beside_each_other(shots: dict[bool, list]) -> None:
    ball, cameras = sphere_mesh(3), [camera for camera, _ in shots[False]]

    def half(points: np.ndarray, toward: np.ndarray) -> np.ndarray:
        return np.where(points[..., :1] > 0.0, look(True, points, toward), look(False, points, toward))

    made = bake_relightable(ball, 128, grey, lambda: [(camera, photograph(camera, 1.0, half)) for camera in cameras])
    at = made.texture.places[made.texture.corners].mean(axis=1) * 128.0
    rough = made.texture.roughness[at[:, 1].astype(int), at[:, 0].astype(int)] / 255.0
    side = ball.vertices[ball.faces].mean(axis=1)[:, 0]
    assert np.median(rough[side > 0.2]) < 0.4
    assert np.median(rough[side < -0.2]) > 0.6


def test_warm_light_is_likelier_than_purple() -> None:
    grey = torch.zeros(2 * separation.ROWS**2, 3)
    half = (directions(separation.ROWS)[:, :1] > 0.0).float()
    warm, purple = (grey + (2.0 * half - 1.0) * torch.tensor(hue) for hue in ((0.5, 0.0, -0.5), (0.25, -0.5, 0.25)))
    cost = [separation.cost_of_light(glow).item() for glow in (grey, warm, purple)]
    assert cost[0] < cost[1] < 0.6 * cost[2]


def test_a_field_is_looked_at_from_several_sides() -> None:
    made = bake_relightable(sphere_mesh(3), 64, lambda points, toward: look(True, points, toward))
    assert unlike(made) < 0.2


def bumpy(level: int) -> Mesh:
    """A ball whose normals lean with waves."""
    mesh = sphere_mesh(level)
    leaning = mesh.normals + 0.3 * np.sin(6.0 * mesh.vertices[:, [1, 2, 0]])
    return replace(mesh, normals=(leaning / np.linalg.norm(leaning, axis=1, keepdims=True)).astype(np.float32))


@pytest.fixture(scope="module")
def made(shots: dict[bool, list]) -> Mesh:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baking, "SOLVED", 60)
        patch.setattr(baking, "LIT", 100)
        patch.setattr(separation, "STEPS", 3)
        patch.setattr(occlusion, "PICTURE", 64)
        return bake_relightable(sphere_mesh(3), 128, grey, lambda: shots[False][:4], FullMesh(bumpy(5)))


def test_the_picture_of_normals_holds_those_of_the_fine_mesh(made: Mesh) -> None:
    frame, vertex = vertex_tangents(made), vertex_of_places(made)
    normal = made.normals[vertex].astype(np.float64)
    np.testing.assert_allclose((frame[:, :3] * normal).sum(axis=1), 0.0, atol=1e-6)
    places = (made.texture.places * 128.0).astype(int).clip(0, 127)
    told = made.texture.normals[places[:, 1], places[:, 0]] / 127.5 - 1.0
    across = np.cross(normal, frame[:, :3]) * frame[:, 3:]
    found = told[:, :1] * frame[:, :3] + told[:, 1:2] * across + told[:, 2:] * normal
    leaning = normal + 0.3 * np.sin(6.0 * made.vertices[vertex][:, [1, 2, 0]])
    leaning /= np.linalg.norm(leaning, axis=1, keepdims=True)
    angles = np.degrees(np.arccos((found * leaning).sum(axis=1).clip(-1.0, 1.0)))
    assert np.median(angles) < 3.0
    assert np.percentile(angles, 95) < 10.0


def test_right_and_up_on_the_picture_are_so_on_the_surface(made: Mesh) -> None:
    """Of the tangent of glTF: to the right; and normal x tangent times the sign: up."""
    frame, texture = vertex_tangents(made), made.texture
    a, b = (made.vertices[made.faces[:, k]] for k in (0, 1))
    step = (texture.places[texture.corners[:, 1]] - texture.places[texture.corners[:, 0]]) * [1.0, -1.0]
    first = frame[texture.corners[:, 0]]
    across = np.cross(made.normals[made.faces[:, 0]], first[:, :3]) * first[:, 3:]
    for axis, moved in ((first[:, :3], step[:, 0]), (across, step[:, 1])):
        assert np.corrcoef(((b - a) * axis).sum(axis=1), moved)[0, 1] > 0.98


def test_a_glb_holds_three_pictures_and_takes_light(made: Mesh, tmp_path) -> None:
    write_glb(made, tmp_path / "a.glb")
    (read,) = trimesh.load_scene(tmp_path / "a.glb", process=False).geometry.values()
    material = read.visual.material
    np.testing.assert_array_equal(np.array(material.baseColorTexture.convert("RGB")), made.texture.image)
    surface = np.array(material.metallicRoughnessTexture.convert("RGB"))
    np.testing.assert_array_equal(surface[..., 1], made.texture.roughness)
    assert not surface[..., 2].any()  # no metal
    np.testing.assert_array_equal(np.array(material.normalTexture.convert("RGB")), made.texture.normals)
    data = (tmp_path / "a.glb").read_bytes()
    document = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    assert "extensionsUsed" not in document
    (primitive,) = document["meshes"][0]["primitives"]
    accessor = document["accessors"][primitive["attributes"]["TANGENT"]]
    assert (accessor["type"], accessor["count"]) == ("VEC4", len(made.texture.places))


def test_a_usdz_has_the_same_pictures(made: Mesh, tmp_path) -> None:
    pytest.importorskip("pxr", reason="usd-core is not installed")
    from pxr import Usd, UsdShade

    write_usdz(made, tmp_path / "a.usdz")
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    surface = UsdShade.Shader(stage.GetPrimAtPath("/Object/material/surface"))
    for name in ("diffuseColor", "roughness", "normal"):
        (source,), _ = surface.GetInput(name).GetConnectedSources()
        assert source.source.GetPrim().GetAttribute("inputs:file").Get().resolvedPath


def test_a_texture_of_colours_has_no_material() -> None:
    assert bake_texture(sphere_mesh(2), 32, grey).texture.roughness is None
    assert read_experiment(["configs/neus-demo.yaml"], []).export.material == "baked"


@pytest.mark.parametrize(
    ("export", "said"),
    [
        ("{material: pbr, texture: views, formats: [obj]}", "export.material=pbr: needs a format that holds materials"),
        ("{material: pbr, texture: none, formats: [glb]}", "export.material=pbr: needs a texture"),
        ("{material: gold}", "expected one of baked, pbr"),
    ],
)
def test_materials_that_cannot_be_are_refused(export: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_experiment(["configs/neus-demo.yaml"], [f"export={export}"])


def test_faces_hide_directions() -> None:
    both = joined(sphere_mesh(4), sphere_mesh(4, 0.5, (2.5, 0.0, 0.0)))
    found = open_directions(both, np.eye(3), np.eye(3), np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0]]))
    assert found.tolist() == [[False, False, False, True], [False, True, False, True], [False, False, True, False]]


def test_maps_of_directions_hold_light() -> None:
    steps = directions(24)
    assert solid_angles(24).sum().item() == pytest.approx(4.0 * np.pi, rel=1e-5)
    light = (2.0 + steps[:, :1] + 0.5 * steps[:, 2:]).expand(-1, 3).contiguous()
    mean = (light * solid_angles(24)[:, None]).sum(dim=0)
    np.testing.assert_allclose((shrink(light, 12) * solid_angles(12)[:, None]).sum(dim=0), mean, rtol=1e-5)
    toward = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    read = taps(toward, 24).read(light)[:, 0]
    np.testing.assert_allclose(read, 2.0 + toward[:, 0] + 0.5 * toward[:, 2], atol=0.03)


def test_what_mirrors_neither_makes_nor_loses_light() -> None:
    device = torch.device("cpu")
    for roughness in (0.15, 0.5, 1.0):
        np.testing.assert_allclose(lobe(roughness, 12, device).sum(dim=1), 1.0, atol=1e-5)
        whole = mirrored_share(roughness, device).sum(dim=1)  # F0 of 1: all that one bounce gives back
        assert whole.max() <= 1.005
    assert mirrored_share(0.15, device).sum(dim=1)[8:].min() > 0.97
    assert mirrored_share(0.15, device)[-1, 0] > mirrored_share(1.0, device)[-1, 0]
