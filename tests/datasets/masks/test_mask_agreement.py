"""Masks that contradict the cameras are found before training: inverted, of other images, empty, or other poses."""

from dataclasses import replace

import numpy as np
import pytest
from scenes_on_disk import ring_of_cameras

from datasets.mask_agreement import FEWEST, check_agreement
from datasets.scene import Scene
from utils.errors import DataError

SIZE, FOCAL = 48, 60.0
BALLS = ((np.array([0.7, 0.0, 0.1]), 0.35), (np.array([-0.7, 0.1, -0.1]), 0.25))  # centre and radius


def two_balls(num=9, **fields) -> Scene:
    """Cameras around two balls, which alpha shows."""
    c2w = ring_of_cameras(num).astype(np.float64)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    local = np.stack([(x - SIZE / 2) / FOCAL, (y - SIZE / 2) / FOCAL, np.ones((SIZE, SIZE))], axis=-1)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    images = np.full((num, SIZE, SIZE, 4), 200, np.uint8)
    for image, camera in zip(images, c2w, strict=True):
        rays = local @ camera[:, :3].T
        passing = [np.linalg.norm(np.cross(rays, centre - camera[:, 3]), axis=-1) < size for centre, size in BALLS]
        image[..., 3] = np.where(np.any(passing, axis=0), 255, 0)
    intrinsics = np.tile(np.float32([FOCAL, FOCAL, SIZE / 2, SIZE / 2]), (num, 1))
    names = tuple(f"{i}.png" for i in range(num))
    sizes = np.full((num, 2), SIZE)
    return Scene("balls", images.reshape(-1, 4), sizes, c2w.astype(np.float32), intrinsics, names, **fields)


def with_alpha(scene: Scene, change) -> Scene:
    """`change` gets the alpha (N, H, W) of all images, and may change it in place or give another."""
    images = scene.pixels.reshape(len(scene), SIZE, SIZE, 4).copy()
    alpha = images[..., 3].copy()
    changed = change(alpha)
    images[..., 3] = alpha if changed is None else changed
    return replace(scene, pixels=images.reshape(-1, 4))


def test_sound_masks_and_scenes_that_tell_nothing_pass_in_silence(caplog):
    check_agreement(two_balls())
    check_agreement(two_balls(30))
    few = with_alpha(two_balls(FEWEST - 1), lambda alpha: 255 - alpha)
    check_agreement(few)
    contradicting = with_alpha(two_balls(), lambda alpha: alpha[:, ::-1])
    check_agreement(replace(contradicting, pixels=contradicting.pixels[:, :3]))
    check_agreement(replace(contradicting, kept=np.ones(len(contradicting.pixels), bool)))
    assert not caplog.text


@pytest.mark.parametrize("kind", ["inverted", "empty"])
def test_one_mask_that_contradicts_all_others_is_refused_by_its_name(kind):
    def change(alpha):
        alpha[3] = 255 - alpha[3] if kind == "inverted" else 0

    with pytest.raises(DataError, match=r"1 of 9 images contradict the others, first 3\.png.*inverted, empty"):
        check_agreement(with_alpha(two_balls(), change))


def test_masks_of_other_images_are_refused_and_a_white_one_is_doubted(caplog):
    with pytest.raises(DataError, match=r"the largest shape that all masks allow covers \d+% of them"):
        check_agreement(with_alpha(two_balls(), lambda alpha: alpha[[0, 5, 1, 6, 2, 7, 3, 8, 4]]))
    ball = with_alpha(two_balls(), lambda alpha: alpha[3].__setitem__(slice(12, 36), 255))
    check_agreement(ball)
    assert "1 of 9 images contradict the others, first 3.png" in caplog.text


def test_poses_of_another_convention_are_refused_or_doubted(caplog):
    scene = two_balls()
    turned, inverted = scene.c2w.copy(), scene.c2w.copy()
    turned[:, :, 1:3] *= -1.0
    with pytest.raises(DataError, match="the masks contradict the cameras"):
        check_agreement(replace(scene, c2w=turned))
    inverted[:, :, :3] = inverted[:, :, :3].transpose(0, 2, 1)
    inverted[:, :, 3] = -np.einsum("nij,nj->ni", inverted[:, :, :3], scene.c2w[:, :, 3])
    check_agreement(replace(scene, c2w=inverted))
    assert "the masks contradict the cameras" in caplog.text
