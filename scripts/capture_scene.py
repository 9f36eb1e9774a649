"""Renders a cow on a table in a room, matt or glazed, from any camera: the scene of capture_pictures.py."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from scripts.render_mesh import read_mesh
from utils.mesh import Mesh
from utils.mesh.measures import vertex_normals
from utils.mesh.rasterise import visible_faces

FOCAL = 1.25  # in widths of the picture
_SPOT = Path(__file__).resolve().parents[1] / "load" / "spot" / "gt_mesh.ply"
_SUPERSAMPLING = 2  # images are rendered this many times as large
_TABLE, _ROOM, _FLOOR, _CEILING = 1.7, 6.0, -1.6, 3.4  # half of a side; half of a side, lowest and highest z
_TILE = 1024  # pixels of the texture of a panel
_LIGHT = np.array([0.42, -0.30, 0.86])


@dataclass(frozen=True)
class Scene:
    """The cow, the table below it and the room around them."""

    cow: Mesh
    mesh: Mesh  # of everything, with normals; vertices and faces of the cow come first
    texels: np.ndarray  # (V, 2) float32, pixels in the atlas
    atlas: np.ndarray  # (H, W, 3) float32 in [0, 1], the textures of the panels


@cache
def make_scene() -> Scene:
    """The scene, z up; the cow is 1 high and stands on z = 0."""
    cow = read_mesh(_SPOT)
    low, high = cow.vertices.min(axis=0), cow.vertices.max(axis=0)
    stand = np.array([*(low + high)[:2] / 2.0, low[2]])
    cow = Mesh((cow.vertices - stand) / (high - low)[2], cow.faces)
    t, r, f, h = _TABLE, _ROOM, _FLOOR, _CEILING - _FLOOR
    panels = [
        (_table(cow), *_panel((-t, t, 0), (2 * t, 0, 0), (0, -2 * t, 0))),
        (_floor(), *_panel((-r, r, f), (2 * r, 0, 0), (0, -2 * r, 0))),
    ]
    for x, y in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        edge, corner = np.array([-y, x, 0.0]), np.array([x + y, y - x, 0.0])
        panels.append((_wood(7), *_panel(t * corner, 2 * t * edge, (0, 0, -0.2))))
        wall = _wall(10 + len(panels))
        panels.append((wall, *_panel(r * corner + (0, 0, f + h), 2 * r * edge, (0, 0, -h))))
    vertices, faces, texels = [cow.vertices], [cow.faces], [np.zeros((len(cow.vertices), 2))]
    for number, (_, corners, quads, uv) in enumerate(panels):
        faces.append(quads + sum(map(len, vertices)))
        vertices.append(corners)
        texels.append(1.0 + uv * (_TILE - 3) + (0, number * _TILE))
    mesh = Mesh(np.concatenate(vertices), np.concatenate(faces))
    normals = np.concatenate([vertex_normals(cow), np.zeros((len(mesh.vertices) - len(cow.vertices), 3), np.float32)])
    atlas = np.concatenate([texture for texture, *_ in panels]).astype(np.float32)
    mesh = Mesh(mesh.vertices, mesh.faces, normals)
    return Scene(cow, mesh, np.concatenate(texels).astype(np.float32), atlas)


def render(c2w: np.ndarray, size: tuple[int, int], glossy: bool = False) -> np.ndarray:
    """(H, W, 3) uint8 image of the scene from a camera (3, 4); size: (W, H)."""
    scene = make_scene()
    fine = size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING
    points = (scene.mesh.vertices - c2w[:, 3]) @ c2w[:, :3]
    points[:, :2] = points[:, :2] / points[:, 2:] * (FOCAL * fine[0]) + np.array(fine) / 2.0
    face, weights = visible_faces(points, scene.mesh.faces, fine)
    corners = scene.mesh.faces[face]
    texel = _blend(scene.texels, corners, weights).astype(np.float32)
    picture = cv2.remap(scene.atlas, texel[..., 0], texel[..., 1], cv2.INTER_LINEAR)
    cow = (face >= 0) & (face < len(scene.cow.faces))
    points, normals = (_blend(x, corners[cow], weights[cow]) for x in (scene.mesh.vertices, scene.mesh.normals))
    coat = glaze if glossy else fur
    picture[cow] = coat(points, normals / np.linalg.norm(normals, axis=1, keepdims=True), c2w[:, 3])
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.rint(picture.clip(0.0, 1.0) * 255.0).astype(np.uint8)


def fur(points: np.ndarray, normals: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """(N, 3) colours in [0, 1] of a matt, spotted coat: it does not depend on the `eye` (3,)."""
    spots = 0.5 + 0.5 * np.tanh(5.0 * _waves(points, 0.55, 1) + 1.0)[:, None]
    color = spots * (0.78, 0.74, 0.68) + (1.0 - spots) * (0.30, 0.33, 0.40)
    grain = 0.17 * np.tanh(2.0 * _waves(points, 0.09, 2)) + 0.17 * np.tanh(2.0 * _waves(points, 0.04, 3))
    return (color + grain[:, None]).clip(0.0, 1.0) * _lit(normals)


def glaze(points: np.ndarray, normals: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """(N, 3) colours in [0, 1] of dark, glazed china that reflects windows and lamps, seen from the `eye` (3,)."""
    away = points - eye
    away = away / np.linalg.norm(away, axis=1, keepdims=True)
    cosine = (away * normals).sum(axis=1, keepdims=True)
    mirrored = away - 2.0 * cosine * normals
    sky = _surroundings()
    azimuth = np.arctan2(mirrored[:, 1], mirrored[:, 0]) / (2.0 * np.pi) + 0.5
    height = 0.5 - np.arcsin(mirrored[:, 2].clip(-1.0, 1.0)) / np.pi
    texels = [(x * (n - 1)).astype(int) for x, n in ((height, sky.shape[0]), (azimuth, sky.shape[1]))]
    share = 0.45 + 0.55 * (1.0 + cosine.clip(-1.0, 0.0)) ** 5  # Schlick's formula
    return (1.0 - share) * np.array([0.16, 0.05, 0.05]) * _lit(normals) + share * sky[texels[0], texels[1]]


def _lit(normals: np.ndarray) -> np.ndarray:
    """(N, 1) brightness of a matt surface below a lamp, with light from all around."""
    return 0.5 + 0.5 * (normals @ _LIGHT).clip(0.0)[:, None]


def _waves(points: np.ndarray, wavelength: float, seed: int) -> np.ndarray:
    """(N,) smooth noise of mean 0 and variance 1 at points (N, 3): a sum of waves in all directions."""
    random = np.random.default_rng(seed)
    directions = random.normal(size=(32, 3))
    directions *= 2.0 * np.pi / wavelength / np.linalg.norm(directions, axis=1, keepdims=True)
    phases = points.astype(np.float32) @ directions.T.astype(np.float32) + random.uniform(0, 2 * np.pi, 32)
    return np.sin(phases.astype(np.float32)).sum(axis=1) / 4.0


def _blend(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return sum(values[corners[..., k]] * weights[..., k, None] for k in range(3))


def _panel(corner: tuple, across: tuple, down: tuple, cells: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A parallelogram as a grid: vertices (V, 3), faces (F, 3), texture coordinates (V, 2) in [0, 1].

    Its faces are small, since the rasteriser skips a face that reaches behind the camera."""
    y, x = np.mgrid[: cells + 1, : cells + 1]
    uv = np.stack([x.ravel(), y.ravel()], axis=1) / cells
    first = (y * (cells + 1) + x)[:-1, :-1].ravel()
    steps = np.array([[0, 1, cells + 2], [0, cells + 2, cells + 1]])
    faces = (first[:, None, None] + steps).reshape(-1, 3)
    return np.array(corner, float) + uv @ np.array([across, down], float), faces, uv


def _noise(seed: int, cells: tuple[int, int]) -> np.ndarray:
    """(_TILE, _TILE, 1) smooth noise in [-1, 1] with a grid of `cells`, down and across."""
    drawn = np.random.default_rng(seed).uniform(-1.0, 1.0, cells)
    return cv2.resize(drawn, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)[..., None]


def _wood(seed: int) -> np.ndarray:
    """(_TILE, _TILE, 3) planks."""
    grain = 0.10 * _noise(seed, (220, 8)) + 0.07 * _noise(seed + 1, (70, 14)) + 0.05 * _noise(seed + 2, (300, 300))
    planks = np.repeat(np.random.default_rng(seed).uniform(-0.08, 0.08, 8), _TILE // 8)[:, None, None]
    wood = np.array([0.62, 0.44, 0.28]) * (1.0 + grain * 2.0 + planks * 2.0)
    wood[:: _TILE // 8] *= 0.5
    return wood


def _table(cow: Mesh) -> np.ndarray:
    """(_TILE, _TILE, 3) planks with sheets of newspaper, and the shadow of the cow."""
    random = np.random.default_rng(5)
    table = _wood(3).clip(0.0, 1.0)
    for turn, x, y in ((8, 0.34, 0.36), (97, 0.64, 0.38), (-6, 0.62, 0.66), (80, 0.36, 0.64)):
        sheet = np.full((_TILE // 3, _TILE // 4, 3), 225, np.uint8)
        for line in range(18, sheet.shape[0] - 6, 12):
            words = " ".join("".join(random.choice(list("abcdehiklmnorstu"), random.integers(2, 8))) for _ in range(9))
            large = line in (30, 174)
            cv2.putText(sheet, words, (8, line), 2, 0.75 if large else 0.36, (30,) * 3, 1 + large, cv2.LINE_AA)
        move = cv2.getRotationMatrix2D((sheet.shape[1] / 2, sheet.shape[0] / 2), turn, 1.25)
        move[:, 2] += np.array([x, y]) * _TILE - np.array(sheet.shape[1::-1]) / 2.0
        seen = cv2.warpAffine(np.ones(sheet.shape), move, (_TILE, _TILE))
        table += seen * (cv2.warpAffine(sheet, move, (_TILE, _TILE)) / 255.0 - table)
    shadow = np.zeros((_TILE, _TILE), np.float32)
    fallen = cow.vertices - cow.vertices[:, 2:] * _LIGHT / _LIGHT[2]
    cells = ((fallen[:, :2] * (1, -1) / _TABLE + 1.0) * (_TILE / 2.0)).astype(np.int32)
    for triangle in cells[cow.faces]:
        cv2.fillConvexPoly(shadow, triangle, 1.0)
    return table * (1.0 - 0.45 * cv2.GaussianBlur(shadow, None, 9.0))[..., None]


def _floor() -> np.ndarray:
    """(_TILE, _TILE, 3) tiles."""
    tiles = np.random.default_rng(9).uniform(-0.1, 0.1, (24, 24, 1))
    tiles = cv2.resize(tiles, (_TILE, _TILE), interpolation=cv2.INTER_NEAREST)[..., None]
    return np.array([0.42, 0.40, 0.40]) * (1.0 + 2.0 * tiles + 0.15 * _noise(8, (200, 200)))


def _wall(seed: int) -> np.ndarray:
    """(_TILE, _TILE, 3) plaster with posters."""
    random = np.random.default_rng(seed)
    wall = random.uniform(0.55, 0.75, 3) * (1.0 + 0.06 * _noise(seed, (60, 120)) + 0.05 * _noise(seed, (256, 512)))
    for column in range(6):
        height, width = random.integers(260, 420), random.integers(80, 140)
        poster = np.tile(random.uniform(0.3, 0.8, 3), (height, width, 1))
        for _ in range(16):
            middle = (random.uniform(0, 1, 2) * (width, height)).astype(int).tolist()
            axes = random.integers(6, 40, 2).tolist()
            cv2.ellipse(poster, middle, axes, random.uniform(0, 180), 0, 360, random.uniform(0.1, 0.9, 3).tolist(), -1)
        x, y = 30 + column * 165 + random.integers(0, 25), random.integers(220, 420)
        wall[y : y + height, x : x + width] = poster
    return wall


@cache
def _surroundings() -> np.ndarray:
    """(512, 1024, 3) environment map that the glaze reflects: windows and lamps above, the table below."""
    random = np.random.default_rng(21)
    sky = np.full((512, 1024, 3), 0.22)
    sky[256:] = (0.34, 0.25, 0.17)
    for x in range(40, 1024, 146):
        top, width = int(random.integers(110, 170)), int(random.integers(50, 90))
        for row in range(3):
            for column in range(2):
                corner = x + column * (width // 2 + 5), top + row * 34
                cv2.rectangle(sky, corner, (corner[0] + width // 2, corner[1] + 28), (1.0, 1.0, 0.97), -1)
    for _ in range(26):
        middle = int(random.integers(0, 1024)), int(random.integers(20, 110))
        cv2.circle(sky, middle, int(random.integers(4, 12)), (1.0, 0.93, 0.75), -1, cv2.LINE_AA)
    for _ in range(60):
        middle = int(random.integers(0, 1024)), int(random.integers(270, 480))
        cv2.ellipse(sky, middle, (24, 8), 0, 0, 360, random.uniform(0.1, 0.75, 3).tolist(), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(sky, None, 1.0)
