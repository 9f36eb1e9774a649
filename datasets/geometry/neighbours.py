"""Which photographs see the object from similar directions."""

import numpy as np

# the baseline of closer views is too short: they agree on a patch wherever the surface is
MIN_ANGLE = np.radians(3.0)
# angles between views whose patches tell where a surface lies: of no use up to the first and from the last on, best
# between the middle two
PATCH_ANGLES = np.radians([5.0, 10.0, 25.0, 45.0])
SPREAD = np.radians(25.0)  # neighbours this far from each other look at the object from sides of their own


def nearest_views(c2w: np.ndarray, num: int) -> np.ndarray:
    """(N, K) int64: for each view the K = min(num, N - 1) others with the smallest angle between their lines of sight
    to the origin, nearest first; those within MIN_ANGLE come last.

    c2w: (N, 3, 4) in the scene frame, with the object around the origin."""
    angle = _angles(c2w)
    rank = angle + 2.0 * np.pi * (angle < MIN_ANGLE)
    np.fill_diagonal(rank, np.inf)
    return np.argsort(rank, axis=1, kind="stable")[:, : min(num, len(c2w) - 1)]


def views_around(c2w: np.ndarray, num: int) -> np.ndarray:
    """(N, num) int64: for each view up to `num` others whose lines of sight to the origin differ from its own by angles
    that suit patches (PATCH_ANGLES), on different sides of it; the view itself where there are no more.

    Where no angle suits, the nearest ones that are not too close, or else the farthest of those that are. c2w: (N, 3,
    4) in the scene frame, with the object around the origin."""
    angle = _angles(c2w)
    quality = np.interp(angle, PATCH_ANGLES, [0.0, 1.0, 1.0, 0.0])
    np.fill_diagonal(quality, 0.0)
    found = np.repeat(np.arange(len(c2w))[:, None], num, axis=1)
    for view, (own, good) in enumerate(zip(angle, quality, strict=True)):
        suits = np.flatnonzero(good)
        if len(suits) == 0:
            rank = np.where(own < PATCH_ANGLES[0], 2.0 * np.pi - own, own)
            chosen = np.argsort(rank, kind="stable")
            chosen = chosen[chosen != view][:num]
        else:
            chosen = _spread_out(angle, suits[np.argsort(own[suits], kind="stable")], good, num)
        found[view, : len(chosen)] = chosen
    return found


def _spread_out(angle: np.ndarray, candidates: np.ndarray, quality: np.ndarray, num: int) -> np.ndarray:
    """(K,) up to num of the candidates (C,), one by one the best by quality times angle to those that are chosen
    already, up to SPREAD; the first ones of equals."""
    apart = np.full(len(candidates), SPREAD)
    chosen: list[int] = []
    while len(chosen) < min(num, len(candidates)):
        score = quality[candidates] * apart
        score[np.isin(candidates, chosen)] = -1.0
        chosen.append(int(candidates[np.argmax(score.round(6))]))
        apart = np.minimum(apart, angle[candidates, chosen[-1]])
    return np.array(chosen, np.int64)


def _angles(c2w: np.ndarray) -> np.ndarray:
    """(N, N) in radians, between the lines of sight of views to the origin."""
    positions = c2w[:, :, 3].astype(np.float64)
    sight = positions / np.maximum(np.linalg.norm(positions, axis=1, keepdims=True), 1e-9)
    return np.arccos(np.clip(sight @ sight.T, -1.0, 1.0))
