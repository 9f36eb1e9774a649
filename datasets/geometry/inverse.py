"""Tells cameras whose matrices were written the wrong way round, world to camera where camera to world is meant, and
those that stand at one place."""

import numpy as np

from datasets.geometry.axes import facing

INVERSE = (
    "the cameras look at no common point, but would as the inverses of their matrices. If their poses were written the "
    "wrong way round, invert them: COLMAP and MVSNet have world to camera, transforms.json has camera to world"
)
ONE_PLACE = (
    "all cameras stand at one place, and photographs from one place tell no shape. If the camera moved, its positions "
    "are missing from the poses: write them into the last column of each matrix"
)
_APART = 1e-6  # of the distance from the origin: cameras that are nearer to each other stand at one place
_AHEAD = 0.97  # cosine between an optical axis and the way to the point that all look at
_AWAY = 0.8  # the same, below which cameras do not look at one point
_AROUND = 0.3  # spread of the cameras, by their distance to that point, from which on they stand around it


def doubt_of_poses(c2w: np.ndarray) -> str | None:
    """What to say of cameras (N, 3, 4) whose poses can hardly be those of photographs of an object; else None."""
    positions = c2w[:, :, 3].astype(np.float64)
    apart = np.linalg.norm(positions - positions[0], axis=1).max()
    is_one_place = len(c2w) > 1 and apart <= _APART * np.linalg.norm(positions[0])
    found = [INVERSE] if is_inverse(c2w) else []  # those of exact rings, as renderings have them, stand at one place
    return ". Or else ".join([*found, *([ONE_PLACE] if is_one_place else [])]) or None


def is_inverse(c2w: np.ndarray) -> bool:
    """Whether cameras (N, 3, 4) look at no common point, while the inverses of their matrices stand around one and look
    at it, as photographs of an object do."""
    if len(c2w) < 6:  # so few may do so by chance
        return False
    c2w = c2w.astype(np.float64)
    if np.quantile(facing(c2w)[0], 0.2) >= _AWAY:
        return False
    turned = c2w[:, :, :3].transpose(0, 2, 1)
    inverse = np.concatenate([turned, -turned @ c2w[:, :, 3:]], axis=2)
    cosines, distances = facing(inverse)
    positions = inverse[:, :, 3]
    spread = np.sqrt(np.square(positions - positions.mean(axis=0)).sum(axis=1).mean())
    looks = cosines * np.sign(np.median(cosines))  # files with OpenGL's axes have been turned, so inverses look away
    return bool(np.quantile(looks, 0.1) > _AHEAD and spread > _AROUND * np.median(distances))
