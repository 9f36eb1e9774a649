"""Generated photographs on disk are a scene that the loader of NeRF-Synthetic reads."""

from pathlib import Path

from benchmarks.scenes.photographs import write_scene
from systems.configs import read_experiment
from utils.registry import build


def test_generated_photographs_are_a_scene(tmp_path: Path) -> None:
    root = write_scene(tmp_path / "scene", 3, (32, 24))
    config = read_experiment(["configs/neus-demo.yaml"], [f"dataset.root_dir={root}"]).dataset
    scenes = [build(config).load(split) for split in ("train", "val", "test")]
    assert [len(scene) for scene in scenes] == [3, 2, 2]
    for scene in scenes:
        assert scene.sizes.tolist() == [[32, 24]] * len(scene)
        middle = scene.pixels.reshape(-1, 24, 32, 4)[:, 12, 16]
        seen = -scene.c2w[:, :, 2]  # the normal of the sphere where the camera looks at it
        assert abs(middle[:, :3] / 255.0 - (0.5 + 0.4 * seen)).max() < 0.05
        assert (middle[:, 3] == 255).all()
