"""The radius that fits a scene, and what is said before training of one that does not."""

from dataclasses import replace

import numpy as np
import pytest
from scenes_on_disk import ring_of_cameras

from datasets.region_fit import Seen, auto_radius, check_region
from datasets.scene import Scene
from utils.errors import DataError

SIZE, FOCAL, RADIUS = 48, 60.0, 0.7  # of the ball that is drawn


def ball_scene(alpha=True, scale=1.0, centre=(0.0, 0.0, 0.0), **fields) -> Scene:
    """Nine cameras around a ball of radius RADIUS * scale, which alpha shows."""
    c2w = ring_of_cameras(9)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    plane = np.stack([(x - SIZE / 2) / FOCAL, (y - SIZE / 2) / FOCAL, np.ones((SIZE, SIZE))], axis=-1)
    sine = np.hypot(plane[..., 0], plane[..., 1]) / np.linalg.norm(plane, axis=-1)
    image = np.full((SIZE, SIZE, 4), 200, np.uint8)
    image[..., 3] = np.where(3.0 * sine < RADIUS, 255, 0)
    pixels = np.tile(image.reshape(-1, 4), (9, 1))
    c2w[:, :, 3] = scale * c2w[:, :, 3] + centre
    intrinsics = np.tile(np.float32([FOCAL, FOCAL, SIZE / 2, SIZE / 2]), (9, 1))
    names = tuple(f"{i}.png" for i in range(9))
    sizes = np.full((9, 2), SIZE)
    pixels = pixels if alpha else pixels[:, :3]
    return Scene("ball", pixels, sizes, c2w.astype(np.float32), intrinsics, names, **fields)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_alpha_tells_the_radius_in_any_unit(scale):
    assert auto_radius(ball_scene(scale=scale)) == pytest.approx(1.1 * RADIUS * scale, rel=0.05)


def test_a_ball_off_the_origin_is_held_too():
    assert auto_radius(ball_scene(centre=(1.0, 2.0, 2.0))) == pytest.approx(1.1 * (3.0 + RADIUS), rel=0.1)


def test_without_alpha_the_loader_or_the_frames_tell():
    assert auto_radius(ball_scene(alpha=False, object_radius=0.5)) == 0.65
    half = np.arctan(0.5 * SIZE / FOCAL)
    assert auto_radius(ball_scene(alpha=False)) == pytest.approx(1.1 * 3.0 * np.sin(half), rel=1e-3)


def test_cameras_that_look_all_around_tell_nothing_and_are_not_doubted(caplog):
    scene = ball_scene(alpha=False)
    outward = scene.c2w.copy()
    outward[:, :, [0, 2]] *= -1.0
    around = replace(scene, c2w=outward)
    with pytest.raises(DataError, match="auto: expected alpha"):
        auto_radius(around)
    check_region(around, 20.0, "")
    assert not caplog.records


@pytest.mark.parametrize("alpha", [True, False])
@pytest.mark.parametrize("radius", [0.7, 1.0, 1.5, 2.0])
def test_a_sound_radius_is_passed_in_silence(alpha, radius, caplog):
    check_region(ball_scene(alpha), radius, "")
    check_region(ball_scene(alpha, near=1.0, far=6.0), radius, "")
    assert not caplog.records


@pytest.mark.parametrize("alpha", [True, False])
@pytest.mark.parametrize("scale", [1e-3, 1e2, 1e3])
def test_another_unit_is_refused_with_the_radius_that_fits(alpha, scale):
    scene = ball_scene(alpha, scale)
    with pytest.raises(DataError, match=r"model.radius=1.5: .*model\.radius=auto, which is ([\d.e-]+) here"):
        check_region(scene, 1.5, "Centre it.")
    check_region(scene, auto_radius(scene), "")


@pytest.mark.parametrize("alpha", [True, False])
def test_far_from_the_origin_no_radius_helps(alpha):
    scene = ball_scene(alpha, centre=(5e3, 5e4, 10.0))
    for radius in (1.5, auto_radius(scene)):
        with pytest.raises(DataError, match=r"5\.025e\+04 from the origin.*Centre it\."):
            check_region(scene, radius, "Centre it.")


def test_what_is_doubtful_is_said(caplog):
    check_region(ball_scene(), 0.25, "")
    check_region(ball_scene(), 8.0, "")
    small, large = (record.getMessage() for record in caplog.records)
    assert "of the object's pixels look into the region" in small
    assert "the object fills little of it" in large
    with pytest.raises(DataError, match="near_plane"):
        check_region(ball_scene(near=100.0), 1.0, "")


def test_rays_meet_a_cube_as_they_do_one_by_one():
    scene = ball_scene(alpha=False)
    met = []
    for position, directions in Seen(scene).rays:
        points = position + directions[:, None] * np.linspace(0.0, 8.0, 2001)[:, None]
        met.append((np.abs(points) < 0.4).all(axis=2).any(axis=1))
    assert Seen(scene).share_in(0.4) == pytest.approx(np.concatenate(met).mean(), abs=0.01)


def test_cameras_that_look_away_are_told_apart_from_a_radius_that_does_not_fit(caplog):
    scene = ball_scene(alpha=False, object_radius=0.5)
    turned = scene.c2w.copy()
    turned[:, :, 1:3] *= -1.0  # OpenGL's axes for OpenCV's
    with pytest.raises(DataError, match=r"It would not with any radius: 100%.*behind them.*from_na.*inverted"):
        check_region(replace(scene, c2w=turned), 0.8, "Centre it.")
    rotation = scene.c2w[:, :, :3].transpose(0, 2, 1)  # world to camera
    moved = -np.einsum("nij,nj->ni", rotation, scene.c2w[:, :, 3])
    check_region(replace(scene, c2w=np.dstack([rotation, moved])), 4.0, "Centre it.")
    assert "of the cameras have the point where their views meet behind them" in caplog.text


def test_a_scene_that_is_centred_elsewhere_is_not_sent_to_the_radius():
    scene = ball_scene(alpha=False, centre=(30.0, 0.0, 0.0), object_radius=0.5)
    with pytest.raises(DataError, match=r"centred elsewhere.*region_file=null"):
        check_region(scene, 0.65, "Centre it.")
