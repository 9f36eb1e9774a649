"""lighting.json: written and read, in the frame of the scene, handed to rays, and refused where it is wrong."""

import json

import numpy as np
import pytest
import torch
from scenes_on_disk import random_image, ring_of_cameras, write_colmap

from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.lighting import LIGHTING_FILE, Lighting, read_lightings, write_lightings
from datasets.sampler import RaySampler
from utils.config.resolvers import count_lightings
from utils.errors import DataError


@pytest.fixture
def folder(tmp_path):
    write_colmap(tmp_path, ring_of_cameras(9), [random_image(i, 3) for i in range(9)])
    return tmp_path


def scene_of(folder, split: str = "train", **options):
    return ColmapLoader(ColmapConfig(str(folder), up_est_method="camera", **options)).load(split)


def test_rays_carry_the_lighting_of_their_photograph(folder):
    names = sorted(path.name for path in (folder / "images").iterdir())
    axis = np.array([0.0, 0.6, 0.8])
    write_lightings([Lighting(tuple(names[:4])), Lighting(tuple(names[4:]), axis)], folder / LIGHTING_FILE)
    assert count_lightings(str(folder)) == 2
    scene = scene_of(folder, holdout=0)
    assert scene.lighting.of_image.tolist() == [0] * 4 + [1] * 5
    linear = scene.world_from_scene[:3, :3]
    np.testing.assert_allclose(scene.lighting.axes[0], 0.0)
    np.testing.assert_allclose(linear / np.cbrt(np.linalg.det(linear)) @ scene.lighting.axes[1], axis, atol=1e-6)
    sampler = RaySampler(scene, "cpu")
    batch = sampler.draw(50, torch.ones(3), torch.Generator().manual_seed(0))
    assert torch.equal(batch.rays.lighting, (batch.image >= 4).long())
    assert torch.equal(batch.rays[10:20].lighting, batch.rays.lighting[10:20])
    assert sampler.image(6, torch.ones(3)).rays.lighting.unique().tolist() == [1]
    held_out = scene_of(folder, "test", holdout=4)
    assert held_out.lighting.of_image.tolist() == [int(name in names[4:]) for name in held_out.image_names]


def test_without_the_file_lamps_stand_still(folder):
    scene = scene_of(folder)
    assert scene.lighting is None
    assert RaySampler(scene, "cpu").lamp_axes is None
    assert count_lightings(str(folder)) == 0


def test_lightings_are_read_as_they_were_written(tmp_path):
    path = tmp_path / LIGHTING_FILE
    write_lightings([Lighting(("a.png",), np.array([0.0, 0.0, 1.0])), Lighting(("b.png",))], path)
    first, second = read_lightings(path)
    assert (first.images, second.images, second.axis) == (("a.png",), ("b.png",), None)
    np.testing.assert_array_equal(first.axis, [0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "expected the JSON of lightings"),
        ({}, "a list of at least one, got None"),
        ({"lightings": []}, r"a list of at least one, got \[\]"),
        ({"lightings": [{"axis": None}]}, "lighting 0: expected images, a list of file names"),
        ({"lightings": [{"images": ["a"], "axis": [0, 1]}]}, "lighting 0: expected axis to be three numbers"),
        ({"lightings": [{"images": ["a"], "axis": [0, 0, 0]}]}, "expected axis to be a direction"),
        ({"lightings": [{"images": ["a"], "axis": [0, "x", 0]}]}, "expected axis to be a finite number"),
        ({"lightings": [{"images": ["a"]}, {"images": ["a"]}]}, "each image in one lighting, got a twice"),
        ({"lightings": [{"images": ["a"]}]}, "expected each image in a lighting, got none for"),
    ],
)
def test_a_wrong_file_is_refused(folder, content, said):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / LIGHTING_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said) as error:
        scene_of(folder)
    assert LIGHTING_FILE in str(error.value)
