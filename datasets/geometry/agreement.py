"""How well two sets of cameras of the same images agree, whatever coordinate frames they are in."""

from dataclasses import dataclass

import numpy as np

from datasets.geometry.normalise import move_cameras


@dataclass(frozen=True)
class Agreement:
    """The errors that remain between two sets of cameras after the similarity that fits their centres best."""

    similarity: np.ndarray  # (4, 4) from the frame of the first to that of the second
    centre_errors: np.ndarray  # (N,) distances of the centres, as shares of the radius of the second set
    rotation_errors: np.ndarray  # (N,) degrees


def agreement(c2w: np.ndarray, truth: np.ndarray) -> Agreement:
    """The errors of cameras (N, 3, 4) against `truth` (N, 3, 4), image by image; N >= 3, not all on a line.

    The radius is the distance of the farthest camera of the truth from the mean of them."""
    similarity = fit_similarity(c2w[:, :, 3], truth[:, :, 3])
    moved = move_cameras(c2w, similarity)
    radius = np.linalg.norm(truth[:, :, 3] - truth[:, :, 3].mean(axis=0), axis=1).max()
    between = np.einsum("nji,njk->nik", moved[:, :, :3], truth[:, :, :3])
    # The sine keeps small angles exact; the cosine would round them to 0.
    sine = np.linalg.norm(between - between.transpose(0, 2, 1), axis=(1, 2)) / np.sqrt(8.0)
    cosine = (np.trace(between, axis1=1, axis2=2) - 1.0) / 2.0
    return Agreement(
        similarity,
        np.linalg.norm(moved[:, :, 3] - truth[:, :, 3], axis=1) / radius,
        np.degrees(np.arctan2(sine, cosine)),
    )


def fit_similarity(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(4, 4) rotation, uniform scale and translation that bring points (N, 3) nearest to targets (N, 3), without
    reflection.

    Least squares, Umeyama 1991."""
    mean, target_mean = points.mean(axis=0), targets.mean(axis=0)
    centred, target_centred = points - mean, targets - target_mean
    u, singular, vt = np.linalg.svd(target_centred.T @ centred)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    similarity = np.eye(4)
    similarity[:3, :3] = (singular * signs).sum() / np.square(centred).sum() * (u * signs) @ vt
    similarity[:3, 3] = target_mean - similarity[:3, :3] @ mean
    return similarity
