"""An object without any symmetry, three coloured balls that overlap, photographed from all sides, in all five formats.

It stands in the world turned about a skew axis, moved and scaled, so that a flip or an inverse left out shows."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pycolmap
from scenes_on_disk import write_colmap, write_transforms

from datasets.poses import look_at
from utils.images import write_png

CENTERS = np.array([[0.26, -0.02, -0.10], [-0.18, 0.24, -0.02], [0.02, -0.10, 0.30]])  # in the frame of the object
RADII = np.array([0.30, 0.24, 0.19])
COLORS = np.array([[0.85, 0.35, 0.25], [0.30, 0.70, 0.35], [0.35, 0.45, 0.90]])
WIDTH, HEIGHT = 80, 64
INTRINSICS = np.array([118.0, 106.0, 42.0, 31.0])  # fx, fy, cx, cy: pixels are no squares, the axis is off the centre
NUM_VIEWS, DISTANCE = 24, 2.2
APPLIED, APPLIED_SCALE = np.array([[0.0, 1.0, 0.0, 0.3], [1.0, 0.0, 0.0, -0.2], [0.0, 0.0, -1.0, 0.1]]), 0.4
FORMATS = ("blender", "dtu", "bmvs", "colmap", "transforms")


@dataclass(frozen=True)
class Pose:
    """Where the object stands: world = scale * rotation @ point + shift."""

    rotation: np.ndarray  # (3, 3)
    scale: float
    shift: np.ndarray  # (3,)

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) points of the object in the world."""
        return self.scale * points @ self.rotation.T + self.shift

    def to_object(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) points of the world in the frame of the object."""
        return (points - self.shift) @ self.rotation / self.scale

    def cameras(self) -> np.ndarray:
        """(NUM_VIEWS, 3, 4) OpenCV cameras in the world."""
        c2w = cameras()
        return np.concatenate([self.rotation @ c2w[:, :, :3], self.to_world(c2w[:, :, 3])[:, :, None]], axis=2)


def _turned(axis: list[float], angle: float) -> np.ndarray:
    """(3, 3) rotation by an angle in radians."""
    axis = np.array(axis) / np.linalg.norm(axis)
    cross = np.cross(np.eye(3), axis)
    return np.eye(3) - np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


_NEAR = Pose(_turned([1.0, 2.0, -0.7], 2.1), 0.8, np.array([0.15, -0.10, 0.05]))  # blender brings no frame of its own
_FAR = Pose(_turned([-0.5, 0.8, 1.3], 1.2), 37.0, np.array([210.0, -130.0, 640.0]))
POSES = {"blender": _NEAR, "dtu": _FAR, "bmvs": _FAR, "colmap": _FAR, "transforms": _FAR}


def distance(points: np.ndarray) -> np.ndarray:
    """(..., 3 lobes): signed distance of points (..., 3) of the object's frame from each ball."""
    return np.linalg.norm(points[..., None, :] - CENTERS, axis=-1) - RADII


def color_of(points: np.ndarray) -> np.ndarray:
    """(..., 3) in [0, 1]: the colour of the ball that is nearest, darker where it turns away from the light above."""
    lobe = distance(points).argmin(axis=-1)
    light = 0.9 + 0.1 * (points - CENTERS[lobe])[..., 2] / RADII[lobe]
    return COLORS[lobe] * light[..., None]


def volume() -> float:
    """Of the three balls together."""
    edge = np.linspace(-0.6, 0.6, 120)
    cells = np.stack(np.meshgrid(edge, edge, edge), axis=-1)
    return float((distance(cells).min(axis=-1) < 0.0).sum() * (edge[1] - edge[0]) ** 3)


def cameras() -> np.ndarray:
    """(NUM_VIEWS, 3, 4) cameras on a spiral around the object, not pointed exactly at its origin."""
    aims = np.random.default_rng(3).normal(0.0, 0.02, (NUM_VIEWS, 3))
    height = 0.9 * (1.0 - 2.0 * (np.arange(NUM_VIEWS) + 0.5) / NUM_VIEWS)
    ring, turn = np.sqrt(1.0 - height**2), 2.4 * np.arange(NUM_VIEWS)
    spots = DISTANCE * np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
    return np.stack([look_at(spot, aim, np.array([0.0, 0.0, 1.0])) for spot, aim in zip(spots, aims, strict=True)])


@cache
def photographs() -> tuple[np.ndarray, ...]:
    """What the cameras see, each (HEIGHT, WIDTH, 4) uint8: black where alpha is 0."""
    return tuple(_photograph(c2w) for c2w in cameras())


def _photograph(c2w: np.ndarray) -> np.ndarray:
    """The nearest ball along each ray, in its colour."""
    column, row = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    plane = (np.stack([column, row], axis=-1) - INTRINSICS[2:]) / INTRINSICS[:2]
    rays = np.concatenate([plane, np.ones((HEIGHT, WIDTH, 1))], axis=-1) @ c2w[:, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    offset = CENTERS - c2w[:, 3]
    along = rays @ offset.T  # (HEIGHT, WIDTH, 3 lobes)
    inside = RADII**2 - (offset**2).sum(axis=1) + along**2
    depth = np.where(inside > 0.0, along - np.sqrt(np.maximum(inside, 0.0)), np.inf)
    depth = depth.min(axis=-1, keepdims=True)
    hit = np.isfinite(depth)
    points = c2w[:, 3] + np.where(hit, depth, 0.0) * rays
    image = np.concatenate([color_of(points), np.ones_like(depth)], axis=-1) * hit
    return (image * 255.0).round().astype(np.uint8)


def write_three_lobes(root: Path, kind: str) -> Pose:
    """Writes the photographs, with their masks, in one of FORMATS; returns where the object stands."""
    pose, images = POSES[kind], photographs()
    c2w, plain = pose.cameras(), [image[..., :3] for image in images]
    fx, fy, cx, cy = INTRINSICS.tolist()
    shared = {"w": WIDTH, "h": HEIGHT, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy}
    if kind == "blender":
        write_transforms(root, c2w, list(images), **shared)
        meta = json.loads((root / "transforms.json").read_text())
        (root / "transforms_train.json").write_text(json.dumps(meta | {"frames": meta["frames"][2:]}))
        (root / "transforms_test.json").write_text(json.dumps(meta | {"frames": meta["frames"][:2]}))
        return pose
    if kind == "transforms":
        applied = APPLIED * APPLIED_SCALE
        place = c2w[:, :, 3] @ applied[:, :3].T + applied[:, 3]
        moved = np.concatenate([APPLIED[:, :3] @ c2w[:, :, :3], place[:, :, None]], axis=2)
        write_transforms(root, moved, plain, **shared, applied_transform=APPLIED.tolist(), applied_scale=APPLIED_SCALE)
    elif kind == "colmap":
        camera = pycolmap.Camera(model="PINHOLE", width=WIDTH, height=HEIGHT, params=[fx, fy, cx, cy], camera_id=1)
        write_colmap(root, c2w, plain, points=pose.to_world(_seen_points()), camera=camera)
    else:
        _write_neus(root, c2w, plain, pose)
    for index, image in enumerate(images):
        write_png(root / ("mask" if kind in ("dtu", "bmvs") else "masks") / f"{index:03d}.png", image[..., 3])
    return pose


def _seen_points() -> np.ndarray:
    """(60, 3) points of the surface."""
    points = np.random.default_rng(0).normal(size=(3, 60, 3))
    points = CENTERS[:, None] + RADII[:, None, None] * points / np.linalg.norm(points, axis=-1, keepdims=True)
    points = points.reshape(-1, 3)
    return points[distance(points).min(axis=-1) > -1e-9][:60]


def _write_neus(root: Path, c2w: np.ndarray, images: list[np.ndarray], pose: Pose) -> None:
    """image/ and cameras_sphere.npz whose scale matrix turns too; the projections have any factor and sign."""
    fx, fy, cx, cy = INTRINSICS.tolist()
    K = np.array([[fx, 0.0, cx - 0.5], [0.0, fy, cy - 0.5], [0.0, 0.0, 1.0]])  # pixel centres on integers
    scale_mat, arrays = np.eye(4), {}
    scale_mat[:3] = np.column_stack([0.8 * pose.scale * _turned([0.3, -1.0, 0.4], 0.7), pose.shift])
    for index, (camera, image) in enumerate(zip(c2w, images, strict=True)):
        rotation, world_mat = camera[:, :3].T, np.eye(4)
        world_mat[:3] = K @ np.column_stack([rotation, -rotation @ camera[:, 3]])
        world_mat *= (index + 1.0) * (-1.0 if index % 3 == 2 else 1.0)
        arrays |= {f"world_mat_{index}": world_mat, f"scale_mat_{index}": scale_mat}
        write_png(root / f"image/{index:03d}.png", image)
    np.savez(root / "cameras_sphere.npz", **arrays)
