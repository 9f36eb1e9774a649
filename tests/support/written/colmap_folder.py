"""Writes a COLMAP model, text or binary, after https://colmap.github.io/format.html."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from drawn_world import World
from lens_formulas import ONE_FOCAL, Lens

MODEL_IDS = {
    **{"SIMPLE_PINHOLE": 0, "PINHOLE": 1, "SIMPLE_RADIAL": 2, "RADIAL": 3, "OPENCV": 4, "OPENCV_FISHEYE": 5},
    **{"FULL_OPENCV": 6, "FOV": 7, "SIMPLE_RADIAL_FISHEYE": 8, "RADIAL_FISHEYE": 9, "THIN_PRISM_FISHEYE": 10},
}


def write_model(folder: Path, world: World, names: Sequence[str], text: bool) -> None:
    """The model of views with these names, each point seen by two images."""
    folder.mkdir(parents=True, exist_ok=True)
    poses = [_pose(world.placed(i)) for i in range(len(names))]
    lenses = sorted(set(world.lenses), key=world.lenses.index)
    cameras = [lenses.index(lens) + 1 for lens in world.lenses]
    points = world.surface(40)
    pixels = [_project(pose, lens, points) for pose, lens in zip(poses, world.lenses, strict=True)]
    if text:
        _write_text(folder, lenses, names, cameras, poses, points, pixels)
    else:
        _write_binary(folder, lenses, names, cameras, poses, points, pixels)


def _params(lens: Lens) -> tuple[float, ...]:
    focal = lens.focal[:1] if lens.model in ONE_FOCAL else lens.focal
    return (*focal, *lens.centre, *lens.extra)


def _pose(c2w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The quaternion w, x, y, z and the translation of the camera from the world."""
    turn = c2w[:3, :3].T
    return _quaternion(turn), -turn @ c2w[:3, 3]


def _quaternion(m: np.ndarray) -> np.ndarray:
    """w, x, y, z of a rotation matrix (3, 3): the eigenvector of Bar-Itzhack's symmetric matrix (2000)."""
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], 0, 0, 0],
            [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], 0, 0],
            [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], 0],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m.trace()],
        ]
    )
    x, y, z, w = np.linalg.eigh(k, UPLO="L")[1][:, -1]
    return np.array([w, x, y, z])


def _matrix(q: np.ndarray) -> np.ndarray:
    w, x, y, z = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _project(pose: tuple[np.ndarray, np.ndarray], lens: Lens, points: np.ndarray) -> np.ndarray:
    return lens.project(points @ _matrix(pose[0]).T + pose[1])


def _write_text(folder, lenses, names, cameras, poses, points, pixels) -> None:
    lines = ["# Camera list with one line of data per camera:"]
    for number, lens in enumerate(lenses, 1):
        lines.append(" ".join(map(str, (number, lens.model, *lens.size, *_params(lens)))))
    (folder / "cameras.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = ["# Image list with two lines of data per image:"]
    for i, (name, camera, (q, t)) in enumerate(zip(names, cameras, poses, strict=True)):
        lines.append(" ".join([str(i + 1), *(repr(float(v)) for v in (*q, *t)), str(camera), name]))
        lines.append(" ".join(f"{x:.6f} {y:.6f} {n}" for n, (x, y) in enumerate(pixels[i], 1)))
    (folder / "images.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = ["# 3D point list with one line of data per point:"]
    for n, point in enumerate(points):
        track = " ".join(f"{i + 1} {n}" for i in range(len(names)))
        lines.append(f"{n + 1} " + " ".join(repr(float(v)) for v in point) + f" 128 128 128 0.5 {track}")
    (folder / "points3D.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_binary(folder, lenses, names, cameras, poses, points, pixels) -> None:
    content = struct.pack("<Q", len(lenses))
    for number, lens in enumerate(lenses, 1):
        params = _params(lens)
        content += struct.pack("<IiQQ", number, MODEL_IDS[lens.model], *lens.size)
        content += struct.pack(f"<{len(params)}d", *params)
    (folder / "cameras.bin").write_bytes(content)
    content = struct.pack("<Q", len(names))
    for i, (name, camera, (q, t)) in enumerate(zip(names, cameras, poses, strict=True)):
        content += struct.pack("<I7dI", i + 1, *q, *t, camera) + name.encode() + b"\0"
        content += struct.pack("<Q", len(points))
        content += b"".join(struct.pack("<ddq", x, y, n) for n, (x, y) in enumerate(pixels[i], 1))
    (folder / "images.bin").write_bytes(content)
    content = struct.pack("<Q", len(points))
    for n, point in enumerate(points):
        content += struct.pack("<Q3d3Bd", n + 1, *point, 128, 128, 128, 0.5) + struct.pack("<Q", len(names))
        content += b"".join(struct.pack("<II", i + 1, n) for i in range(len(names)))
    (folder / "points3D.bin").write_bytes(content)
