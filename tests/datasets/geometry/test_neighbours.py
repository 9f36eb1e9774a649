"""Which views patches are compared with: at angles that tell something, and from several sides."""

import numpy as np
import pytest

from datasets.geometry.neighbours import views_around


def cameras(azimuth: np.ndarray, height: np.ndarray | float = 0.0) -> np.ndarray:
    """(N, 3, 4) at angles in degrees around the origin and above the horizon, 1.5 to 3 units away."""
    turn, rise = np.broadcast_arrays(np.radians(azimuth), np.radians(height))
    sight = np.stack([np.cos(rise) * np.cos(turn), np.cos(rise) * np.sin(turn), np.sin(rise)], axis=-1)
    c2w = np.zeros((len(sight), 3, 4), np.float32)
    c2w[:, :, 3] = sight * np.linspace(1.5, 3.0, len(sight))[:, None]
    return c2w


def angles_of(c2w: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(N, K) in degrees, between each view and those found for it."""
    sight = c2w[:, :, 3] / np.linalg.norm(c2w[:, :, 3], axis=1, keepdims=True)
    return np.degrees(np.arccos(np.clip(np.einsum("nc,nkc->nk", sight, sight[found]), -1.0, 1.0)))


@pytest.mark.parametrize("step", [10.0, 12.0, 20.0])
def test_in_a_ring_both_sides_are_chosen(step: float) -> None:
    azimuth = np.arange(0.0, 360.0, step)
    found = views_around(cameras(azimuth), 4)
    turn = (azimuth[found] - azimuth[:, None] + 180.0) % 360.0 - 180.0
    assert ((turn > 0.0).sum(1) == 2).all()
    assert ((np.abs(turn) >= 10.0) & (np.abs(turn) <= 40.0)).all()
    assert (np.abs(turn[:, :2]) <= 25.0).all()  # the first ones are the best


def test_neighbouring_frames_of_a_video_are_not_chosen() -> None:
    azimuth = np.arange(0.0, 180.0, 1.7)
    c2w = cameras(azimuth, 20.0 + 8.0 * np.sin(np.radians(5.0 * azimuth)))
    found = views_around(c2w, 4)
    angles = angles_of(c2w, found)
    assert angles.min() > 7.0
    assert angles.max() < 36.0
    between = np.abs(azimuth[found][:, :, None] - azimuth[found][:, None]) + 180.0 * np.eye(4)
    assert between.min() > 4.0  # nor two frames side by side


def test_on_a_hemisphere_they_stand_around_a_view() -> None:
    rng = np.random.default_rng(0)
    height = np.degrees(np.arcsin(rng.uniform(0.0, 1.0, 300)))
    c2w = cameras(rng.uniform(0.0, 360.0, 300), height)
    found = views_around(c2w, 4)
    angles = angles_of(c2w, found)
    assert angles.min() > 9.0
    assert angles.max() < 36.0
    sight = c2w[:, :, 3] / np.linalg.norm(c2w[:, :, 3], axis=1, keepdims=True)
    high = (height > 45.0) & (height < 80.0)  # views are on all sides of these
    aside = sight[found] - sight[:, None] * np.einsum("nc,nkc->nk", sight, sight[found])[..., None]
    aside /= np.linalg.norm(aside, axis=-1, keepdims=True)
    assert np.linalg.norm(aside.mean(1), axis=-1)[high].mean() < 0.4  # 1 if all were on one side, 0.5 for random ones


def test_a_view_stands_for_neighbours_that_there_are_not() -> None:
    c2w = cameras(np.array([0.0, 2.0, 15.0, 120.0]))
    found = views_around(c2w, 3)
    assert found[0].tolist() == [2, 0, 0]
    assert found[2].tolist() == [1, 0, 2]


def test_where_no_angle_suits_the_nearest_are_taken_and_those_too_close_last() -> None:
    far_apart = views_around(cameras(np.array([0.0, 60.0, 130.0, 131.0])), 2)
    assert far_apart.tolist()[:2] == [[1, 2], [0, 2]]
    assert views_around(cameras(np.array([0.0, 1.0, 3.0])), 2).tolist() == [[2, 1], [2, 0], [0, 1]]
    assert views_around(cameras(np.array([0.0, 1.0])), 4).tolist() == [[1, 0, 0, 0], [0, 1, 1, 1]]
