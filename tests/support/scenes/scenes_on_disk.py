"""Small scenes on disk in the layouts that the loaders read: random images, cameras on a ring."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.io import savemat

from datasets.poses import look_at
from datasets.scene import Scene
from utils.images import write_png
from utils.mesh.ply import write_points
from utils.metrics.dtu import DTUScan
from utils.packages import require

if TYPE_CHECKING:
    import pycolmap

WIDTH, HEIGHT, FOCAL = 32, 24, 40.0


def ring_of_cameras(num: int, distance: float = 3.0) -> np.ndarray:
    """(num, 3, 4) OpenCV cameras around the origin, z up."""
    angles = np.linspace(0.0, 2.0 * np.pi, num, endpoint=False)
    height = 0.4 * distance
    flat = np.sqrt(distance**2 - height**2)
    spots = np.stack([flat * np.cos(angles), flat * np.sin(angles), np.full(num, height)], axis=1)
    return np.stack([look_at(spot, np.zeros(3), np.array([0.0, 0.0, 1.0])) for spot in spots])


def random_image(seed: int, channels: int = 4) -> np.ndarray:
    """(HEIGHT, WIDTH, channels) uint8; alpha is a full disc in the middle."""
    image = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, channels), dtype=np.uint8)
    if channels == 4:
        image[..., 3] = disc()
    return image


def disc() -> np.ndarray:
    """(HEIGHT, WIDTH) uint8: 255 on a disc in the middle, 0 around it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.where(np.hypot(x - WIDTH / 2, y - HEIGHT / 2) < 9, 255, 0).astype(np.uint8)


def write_blender(root: Path, **num_views: int) -> np.ndarray:
    """Writes transforms_<split>.json with that many views and their images; returns all c2w (N, 3, 4) of the last."""
    for split, num in num_views.items():
        cameras = ring_of_cameras(num)
        frames = []
        for i, c2w in enumerate(cameras):
            matrix = np.eye(4)
            matrix[:3] = c2w * [1.0, -1.0, -1.0, 1.0]
            frames.append({"file_path": f"./{split}/r_{i}", "transform_matrix": matrix.tolist()})
            write_png(root / split / f"r_{i}.png", random_image(i))
        angle = 2.0 * np.arctan(0.5 * WIDTH / FOCAL)
        (root / f"transforms_{split}.json").write_text(json.dumps({"camera_angle_x": angle, "frames": frames}))
    return cameras


def write_dtu(root: Path, num: int = 9, scale: float = 7.0) -> np.ndarray:
    """Writes a scene in the NeuS layout with principal point (WIDTH / 2, HEIGHT / 2); returns c2w (N, 3, 4)."""
    cameras = ring_of_cameras(num)
    K = np.array([[FOCAL, 0.0, WIDTH / 2 - 0.5], [0.0, 1.1 * FOCAL, HEIGHT / 2 - 0.5], [0.0, 0.0, 1.0]])
    scale_mat = np.diag([scale, scale, scale, 1.0])
    scale_mat[:3, 3] = [5.0, -2.0, 1.0]
    arrays = {}
    for i, c2w in enumerate(cameras):
        world_mat = np.eye(4)
        rotation = c2w[:, :3].T
        world_mat[:3] = K @ np.concatenate([rotation, -rotation @ c2w[:, 3:]], axis=1) @ np.linalg.inv(scale_mat)
        arrays |= {f"world_mat_{i}": world_mat * (i + 1.0), f"scale_mat_{i}": scale_mat}
        write_png(root / "image" / f"{i:06d}.png", random_image(i, 3))
        write_png(root / "mask" / f"{i:03d}.png", np.repeat(disc()[..., None], 3, axis=2))
    np.savez(root / "cameras_sphere.npz", **arrays)
    return cameras


def write_transforms(root: Path, cameras: np.ndarray, images: list[np.ndarray], **shared: object) -> None:
    """Writes transforms.json with fl_x, cx ... of all images, and images/NNN.png; `shared` adds to or replaces keys."""
    frames = []
    for i, (c2w, image) in enumerate(zip(cameras, images, strict=True)):
        write_png(root / f"images/{i:03d}.png", image)
        matrix = np.vstack([c2w * [1.0, -1.0, -1.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
        frames.append({"file_path": f"images/{i:03d}.png", "transform_matrix": matrix.tolist()})
    meta = {"w": WIDTH, "h": HEIGHT, "fl_x": FOCAL, "fl_y": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2, "frames": frames}
    (root / "transforms.json").write_text(json.dumps(meta | shared))


def write_colmap(
    root: Path,
    cameras: np.ndarray,
    images: list[np.ndarray],
    *,
    points: np.ndarray | None = None,
    names: list[str] | None = None,
    camera: "pycolmap.Camera | None" = None,
    model: str = "sparse/0",
    text: bool = False,
) -> None:
    """Writes images/ and a model of one camera whose images all see all points (K, 3)."""
    names = names or [f"{i:03d}.png" for i in range(len(images))]
    pycolmap = require("pycolmap")
    found = pycolmap.Reconstruction()
    camera = camera or pycolmap.Camera(
        model="PINHOLE", width=WIDTH, height=HEIGHT, params=[FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2], camera_id=1
    )
    found.add_camera_with_trivial_rig(camera)
    points = np.zeros((0, 3)) if points is None else points
    for i, (c2w, name) in enumerate(zip(cameras, names, strict=True)):
        rotation = c2w[:, :3].T
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(rotation), -rotation @ c2w[:, 3])
        seen = points @ rotation.T - rotation @ c2w[:, 3]
        image = pycolmap.Image(name, keypoints=camera.img_from_cam(seen), camera_id=1, image_id=i + 1)
        found.add_image_with_trivial_frame(image, pose)
        if images:
            write_png(root / "images" / name, images[i])
    for k, point in enumerate(points):
        elements = [pycolmap.TrackElement(i + 1, k) for i in range(len(cameras))]
        found.add_point3D(point, pycolmap.Track(elements), np.zeros(3, dtype=np.uint8))
    (root / model).mkdir(parents=True, exist_ok=True)
    found.write_text(root / model) if text else found.write_binary(root / model)


def pixels_of(scene: Scene, points: np.ndarray) -> np.ndarray:
    """(N, K, 2) where points (K, 3) in the user's coordinates appear in the images."""
    to_scene = np.linalg.inv(scene.world_from_scene)
    points = points @ to_scene[:3, :3].T + to_scene[:3, 3]
    seen = np.einsum("nji,nkj->nki", scene.c2w[:, :, :3], points - scene.c2w[:, None, :, 3])
    return seen[..., :2] / seen[..., 2:] * scene.intrinsics[:, None, :2] + scene.intrinsics[:, None, 2:]


def write_dtu_truth(root: Path, number: int, scan: DTUScan) -> None:
    """Writes the ground truth of a scan in the layout of the DTU benchmark."""
    for folder in ("Points/stl", "ObsMask"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    write_points(scan.points, np.zeros((len(scan.points), 3), np.uint8), root / f"Points/stl/stl{number:03d}_total.ply")
    mask = {"ObsMask": scan.observed.astype(np.uint8), "BB": scan.box.astype(np.float32), "Res": scan.cell}
    savemat(root / f"ObsMask/ObsMask{number}_10.mat", {**mask, "Margin": 10})
    savemat(root / f"ObsMask/Plane{number}.mat", {"P": scan.plane[:, None]})
