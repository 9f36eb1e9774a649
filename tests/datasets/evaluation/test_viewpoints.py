"""Cameras of every layout come back in world coordinates, with the masks of their images."""

import json
from pathlib import Path

import numpy as np
import pytest
from scenes_on_disk import (
    FOCAL,
    HEIGHT,
    WIDTH,
    disc,
    random_image,
    ring_of_cameras,
    write_blender,
    write_dtu,
    write_transforms,
)

from datasets.evaluation.viewpoints import read_viewpoints
from utils.errors import DataError


def check(views, c2w, masked: bool) -> None:
    assert len(views) == len(c2w)
    for view, expected in zip(views, c2w, strict=True):
        np.testing.assert_allclose(view.c2w, expected, atol=1e-5)
        np.testing.assert_allclose(view.intrinsics[[0, 2, 3]], [FOCAL, WIDTH / 2, HEIGHT / 2], rtol=1e-4)
        assert view.size == (WIDTH, HEIGHT)
        assert (view.mask is not None) == masked
    if masked:
        np.testing.assert_array_equal(views[0].mask, disc() > 0)


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("splits", [{"train": 9}, {"test": 3, "train": 5}])
def test_nerf_synthetic(tmp_path: Path, masks: bool, splits: dict[str, int]) -> None:
    c2w = write_blender(tmp_path, **splits)
    check(read_viewpoints(tmp_path / "transforms_train.json", masks, 0), c2w, masks)


@pytest.mark.parametrize("masks", [True, False])
def test_neus_cameras_are_in_the_world_before_scale_mat(tmp_path: Path, masks: bool) -> None:
    c2w = write_dtu(tmp_path, scale=7.0)
    c2w[:, :, 3] = 7.0 * c2w[:, :, 3] + [5.0, -2.0, 1.0]
    check(read_viewpoints(tmp_path / "cameras_sphere.npz", masks, 0), c2w, masks)


def test_transforms_of_other_programs(tmp_path: Path) -> None:
    c2w = 1.7 * ring_of_cameras(6)
    c2w[:, :, :3] /= 1.7
    write_transforms(tmp_path, c2w, [random_image(i) for i in range(6)])
    check(read_viewpoints(tmp_path / "transforms.json", True, 0), c2w, True)


def test_masks_grow_by_whole_pixels(tmp_path: Path) -> None:
    write_blender(tmp_path, train=3)
    once, thrice = (read_viewpoints(tmp_path / "transforms_train.json", True, grow)[0].mask for grow in (1, 3))
    mask = disc() > 0
    padded = np.pad(mask, 1)
    cross = padded[1:-1, :-2] | padded[1:-1, 2:] | padded[:-2, 1:-1] | padded[2:, 1:-1] | mask
    np.testing.assert_array_equal(once, cross)
    assert thrice.sum() > once.sum() > mask.sum()
    assert (thrice[HEIGHT // 2].sum() - mask[HEIGHT // 2].sum()) == 6


@pytest.mark.parametrize(("name", "expected"), [("a.json", "no such file"), ("cameras.txt", "expected cameras as")])
def test_other_files_are_refused(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "cameras.txt").write_text(json.dumps({}))
    with pytest.raises(DataError, match=expected):
        read_viewpoints(tmp_path / name, True, 0)
