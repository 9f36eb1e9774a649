"""One generated scene in all five formats: the same rays, the same colours."""

import json

import numpy as np
import pytest
from scenes_on_disk import (
    FOCAL,
    HEIGHT,
    WIDTH,
    disc,
    pixels_of,
    random_image,
    ring_of_cameras,
    write_colmap,
    write_transforms,
)

from datasets.scene import Scene
from utils import registry
from utils.config import schema
from utils.images import write_png

CAMERAS = ring_of_cameras(9)
IMAGES = [random_image(i, 3) for i in range(9)]
FORMATS = ("blender", "dtu", "bmvs", "colmap", "transforms")


def write(root, kind) -> None:
    """The scene in one format, with masks."""
    if kind == "colmap":
        write_colmap(root, CAMERAS, IMAGES, points=0.1 * np.eye(3))
    elif kind == "transforms":
        write_transforms(root, CAMERAS, IMAGES)
    elif kind == "blender":
        write_transforms(root, CAMERAS, [np.dstack([image, disc()]) for image in IMAGES])
        meta = json.loads((root / "transforms.json").read_text())
        (root / "transforms_train.json").write_text(json.dumps(meta))
        return
    else:
        arrays = {}
        K = np.array([[FOCAL, 0.0, WIDTH / 2 - 0.5], [0.0, FOCAL, HEIGHT / 2 - 0.5], [0.0, 0.0, 1.0]])
        for i, c2w in enumerate(CAMERAS):
            world_mat = np.eye(4)
            world_mat[:3] = K @ np.concatenate([c2w[:, :3].T, -c2w[:, :3].T @ c2w[:, 3:]], axis=1)
            arrays |= {f"world_mat_{i}": world_mat, f"scale_mat_{i}": np.diag([2.0, 2.0, 2.0, 1.0])}
            write_png(root / f"image/{i:03d}.png", IMAGES[i])
        np.savez(root / "cameras_sphere.npz", **arrays)
    for i in range(9):
        write_png(root / ("mask" if kind in ("dtu", "bmvs") else "masks") / f"{i:03d}.png", disc())


def read(root, kind, split="train", **options) -> Scene:
    config = schema.parse(registry.find("dataset", kind).target, {"root_dir": str(root), **options})
    return registry.build(config).load(split)


@pytest.mark.parametrize("kind", FORMATS)
def test_rays_and_colours_are_those_that_were_written(tmp_path, kind):
    write(tmp_path, kind)
    scene = read(tmp_path, kind, holdout=0)
    assert [scene.image(i).tolist() for i in range(9)] == [np.dstack([image, disc()]).tolist() for image in IMAGES]
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3))
    truth = Scene("", scene.pixels, scene.sizes, CAMERAS, np.tile([FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2], (9, 1)), ())
    np.testing.assert_allclose(pixels_of(scene, points), pixels_of(truth, points), atol=1e-4)


@pytest.mark.parametrize("kind", FORMATS)
def test_views_are_held_out_of_every_format(tmp_path, kind):
    write(tmp_path, kind)
    for holdout, expected in ((4, ["000", "004", "008"]), ([1, 7], ["001", "007"])):
        train, test = (read(tmp_path, kind, split, holdout=holdout).image_names for split in ("train", "test"))
        assert [name[:3] for name in test] == expected
        assert len(train) == 9 - len(expected)
        assert not set(train) & set(test)
