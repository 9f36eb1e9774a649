"""The opening lines name photographs, sizes and steps."""

from types import SimpleNamespace

import numpy as np
import pytest

from systems.training.banner import describe_extent, describe_light, describe_photographs, describe_work


class Split:
    """Views of these sizes."""

    name = "cup"
    has_alpha = False

    def __init__(self, *sizes: tuple[int, int]) -> None:
        self.sizes = np.array(sizes)

    def __len__(self) -> int:
        return len(self.sizes)


def test_views_and_sizes() -> None:
    scenes = {"train": Split((64, 48), (640, 480), (48, 64)), "test": Split((320, 240))}
    assert describe_photographs(scenes) == "cup, views: 3 to train on, 1 to test; 64x48 to 640x480 pixels"
    assert describe_photographs({"val": Split((64, 48))}) == "cup, views: 1 to validate; 64x48 pixels"


def test_masks_decide_what_is_trained() -> None:
    scenes = {"train": Split((64, 48)), "test": Split((64, 48))}
    assert describe_extent(scenes) == "no masks: the whole scene is trained"
    scenes["train"].has_alpha = True
    assert describe_extent(scenes) == "masks: the object alone is trained"
    scenes["train"].kept, scenes["test"].kept = np.arange(6) > 0, None
    ignored = "but for 16.7% of the pixels, where they say not to look"
    assert describe_extent(scenes) == f"masks: the object alone is trained, {ignored}"
    scenes["train"].has_alpha = False
    assert describe_extent(scenes) == f"masks: the whole scene is trained, {ignored}"


def test_light_is_told() -> None:
    assert describe_light(1) == "lamps stood still while the object was moved: one lighting of lighting.json"
    assert "2 lightings of" in describe_light(2)


@pytest.mark.parametrize(
    ("mode", "every", "said"),
    [
        ("train", 50, "from 7 to 100, validation views every 50, then test views, video and mesh"),
        ("train", 500, "from 7 to 100, then test views, video and mesh"),
        ("predict", 50, "none; renders an orbit at step 7"),
    ],
)
def test_work(mode: str, every: int, said: str) -> None:
    experiment = SimpleNamespace(trainer=SimpleNamespace(max_steps=100, val_check_interval=every))
    assert describe_work(mode, experiment, 7) == said
