"""Prepared series of an ellipsoid that was moved in between: points with SIFT-like features, cameras and masks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from capture_scenes import AXES, cameras, surface

from datasets.capture.masks.mask_files import write_mask
from datasets.geometry.normalise import move_cameras
from datasets.geometry.planes import Plane
from datasets.region import REGION_FILE, Region, write_region
from utils.images import write_jpeg

SIZE, FOCAL = (160, 120), 170.0
NUM_POINTS, NUM_TABLE = 400, 120
POINTS = np.concatenate([half := surface(NUM_POINTS // 2), half * [-1.0, -1.0, 1.0]])  # of the object, in its frame
STANDING = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, AXES[2]], [0.0, 0.0, 0.0, 1.0]])


def lying(scale: float = 1.3) -> np.ndarray:
    """(4, 4) the similarity from the frame of the object to that of a series in which it lies on its side."""
    turn, angle = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]), 0.7
    spin = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    similarity = np.eye(4)
    similarity[:3, :3], similarity[:3, 3] = scale * spin @ turn, [0.1, -0.2, scale * AXES[0]]
    return similarity


@dataclass(frozen=True)
class MovedSeries:
    """What is true of a series."""

    root: Path
    names: list[str]
    c2w: np.ndarray  # (N, 3, 4) in the frame of the object


def write_series(
    root: Path,
    prefix: str,
    series_from_object: np.ndarray,
    seed: int,
    bare: bool = False,
    swollen: float = 1.0,
    swapped: float = 0.0,
    table: int | None = None,
) -> MovedSeries:
    """Fills the folder of a series up to the stage `masks`; its cameras err by a little, as those of COLMAP do.

    bare: the object's features differ in each series, so that nothing matches; swollen: the masks are those of an
    ellipsoid that is so much larger; swapped: the share of the features that are on the opposite side, half a turn
    away, as if the object had another front; table: the number of the table that it stands on, None for one that no
    other series has."""
    random = np.random.default_rng(seed)
    scale = float(np.cbrt(np.linalg.det(series_from_object[:3, :3])))
    height = series_from_object[2, 3]
    world = cameras(14, distance=2.6 * scale, lift=1.2 * scale)
    world[:, :, 3] += [*series_from_object[:2, 3], height]
    object_points = POINTS @ series_from_object[:3, :3].T + series_from_object[:3, 3]
    wood = np.random.default_rng(1000 + seed if table is None else table)
    flat = wood.uniform(-2.5 * scale, 2.5 * scale, (NUM_TABLE, 2))
    table_points = np.concatenate([flat, np.zeros((NUM_TABLE, 1))], axis=1)
    look = np.random.default_rng(seed if bare else 99).integers(0, 120, (NUM_POINTS, 128))
    opposite = (np.arange(NUM_POINTS) + NUM_POINTS // 2) % NUM_POINTS
    look = np.where((np.arange(NUM_POINTS) % 100 < 100 * swapped)[:, None], look[opposite], look)
    looks = np.concatenate([look, wood.integers(0, 120, (NUM_TABLE, 128))])
    truth = move_cameras(world, np.linalg.inv(series_from_object))
    names = [f"{prefix}{number:03d}.jpg" for number in range(len(world))]
    normals = POINTS / AXES**2
    towards = truth[:, None, :, 3] - POINTS
    faces = np.einsum("nki,ki->nk", towards, normals) > 0.25 * np.linalg.norm(towards, axis=2) * np.linalg.norm(
        normals, axis=1
    )
    visible = np.concatenate([faces, np.ones((len(world), NUM_TABLE), bool)], axis=1)
    _write_model(root, names, world, np.concatenate([object_points, table_points]), looks, visible, random)
    for name, c2w in zip(names, truth, strict=True):
        write_mask(root / "masks", name, _silhouette(c2w, swollen))
        write_jpeg(root / "images" / name, random.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
    ground = Plane(np.array([0.0, 0.0, 1.0]), 0.0)
    center = series_from_object[:3, 3]
    write_region(Region(center, 1.2 * scale * AXES.max(), ground.normal, ground, "test"), root / REGION_FILE)
    return MovedSeries(root, names, truth)


def _write_model(
    root: Path, names: list[str], c2w: np.ndarray, points: np.ndarray, looks: np.ndarray, visible: np.ndarray,
    random: np.random.Generator,
) -> None:  # fmt: skip
    """Writes sparse/0 and poses/database.db; one feature in ten observes no point of the model."""
    (root / "poses").mkdir(parents=True)
    (root / "sparse" / "0").mkdir(parents=True)
    model, tracks = pycolmap.Reconstruction(), {}
    params = [FOCAL, FOCAL, SIZE[0] / 2, SIZE[1] / 2]
    camera = pycolmap.Camera(model="PINHOLE", width=SIZE[0], height=SIZE[1], params=params, camera_id=1)
    model.add_camera_with_trivial_rig(camera)
    with pycolmap.Database.open(root / "poses" / "database.db") as database:
        database.write_camera(camera, use_camera_id=True)
        for view, name in enumerate(names):
            local = (points - c2w[view, :, 3]) @ c2w[view, :, :3]
            pixels = local[:, :2] / local[:, 2:] * FOCAL + params[2:] + random.normal(0.0, 0.15, (len(points), 2))
            seen = np.flatnonzero(
                visible[view] & (local[:, 2] > 0.0) & (pixels > 0.0).all(axis=1) & (pixels < SIZE).all(axis=1)
            )
            noisy = looks[seen] + random.normal(0.0, 4.0, (len(seen), 128))
            image = pycolmap.Image(name=name, keypoints=pixels[seen], camera_id=1, image_id=view + 1)
            database.write_image(pycolmap.Image(name=name, camera_id=1))
            database.write_keypoints(view + 1, pixels[seen].astype(np.float32))
            descriptors = np.clip(noisy, 0, 255).astype(np.uint8)
            database.write_descriptors(
                view + 1, pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, descriptors)
            )
            pose = pycolmap.Rigid3d(pycolmap.Rotation3d(c2w[view, :, :3].T), -c2w[view, :, :3].T @ c2w[view, :, 3])
            model.add_image_with_trivial_frame(image, pose)
            for number, point in enumerate(seen.tolist()):
                if random.random() > 0.1:
                    tracks.setdefault(point, []).append((view + 1, number))
    for point, elements in tracks.items():
        if len(elements) >= 2:
            track = pycolmap.Track()
            for element in elements:
                track.add_element(*element)
            model.add_point3D(points[point] + random.normal(0.0, 0.003, 3), track)
    model.write(root / "sparse" / "0")


def _silhouette(c2w: np.ndarray, swollen: float) -> np.ndarray:
    """(H, W) uint8 of the ellipsoid at the origin."""
    axes = AXES * swollen
    column, row = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    rays = np.stack([(column - SIZE[0] / 2) / FOCAL, (row - SIZE[1] / 2) / FOCAL, np.ones_like(row)], axis=-1)
    rays, origin = rays @ c2w[:, :3].T / axes, c2w[:, 3] / axes
    root = (rays @ origin) ** 2 - np.square(rays).sum(axis=-1) * (origin @ origin - 1.0)
    return np.where(root > 0.0, 255, 0).astype(np.uint8)
