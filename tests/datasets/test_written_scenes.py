"""Whatever a scene is like, it is read as it was written, or refused: scenes of an independent writer, by seed."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_world import World
from many_scenes import fault_of
from once_wrong import FAULTS
from read_back import compare, judge
from scene_choices import COLMAP_LENSES, LENSES, draw, plain
from written_scene import write_scene

FEW, CHUNK = 60, 5
FOUND_LATER = (21565,)  # seeds that were wrong: crops that were resized by four, taken for images resized by five
MANY, LARGE_CHUNK = 2000, 100


def check(first: int, count: int) -> None:
    """Fails where a scene of these seeds is wrong without a word; says how to see each again."""
    faults = [text for seed in range(first, first + count) if (text := fault_of(draw(seed)))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("first", range(0, FEW, CHUNK))
def test_a_scene_is_right_or_refused(first: int) -> None:
    check(first, CHUNK)


@pytest.mark.parametrize("seed", FOUND_LATER)
def test_a_scene_that_was_found_to_be_wrong_is_right_or_refused(seed: int) -> None:
    check(seed, 1)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(FEW, FEW + MANY, LARGE_CHUNK))
def test_many_scenes_are_right_or_refused(first: int) -> None:
    check(first, LARGE_CHUNK)


@pytest.mark.parametrize("layout", LENSES)
def test_a_plain_scene_is_right(tmp_path: Path, layout: str) -> None:
    masks = "alpha" if layout == "blender" else "255"
    assert judge(tmp_path, plain(1, layout, masks=masks)).kind == "right"


@pytest.mark.parametrize("lens", COLMAP_LENSES)
def test_each_lens_of_colmap_is_right(tmp_path: Path, lens: str) -> None:
    assert judge(tmp_path, plain(2, "colmap_bin", lens=lens)).kind == "right"


@pytest.mark.parametrize(("name", "layout"), [(fault.name, layout) for fault in FAULTS for layout in fault.layouts])
def test_a_kind_that_was_once_wrong_is_right_or_refused(tmp_path: Path, name: str, layout: str) -> None:
    verdict = judge(tmp_path, next(fault for fault in FAULTS if fault.name == name).example(layout))
    assert not verdict.is_fault, verdict.why


def _turned(world: World, angle: float) -> np.ndarray:
    c2w = world.c2w.copy()
    c2w[:, :3, :3] @= cv2.Rodrigues(np.array([0.0, angle, 0.0]))[0]
    return c2w


@pytest.mark.parametrize("layout", LENSES)
@pytest.mark.parametrize(
    ("other", "why"),
    [
        (lambda world: {"c2w": _turned(world, 1e-4)}, "beside the centres of their pixels"),
        (lambda world: {"c2w": world.c2w[::-1]}, "beside their camera|look away"),
        (lambda world: {"shift": world.shift + 1e-3 * world.scale}, "beside their camera"),
        (lambda world: {"axes": world.axes * 1.1}, "silhouettes overlap"),
        (lambda world: {"lenses": tuple(replace(lens, centre=lens.focal) for lens in world.lenses)}, "pixels show"),
    ],
)
def test_the_judge_tells_another_world(tmp_path: Path, layout: str, other: Callable, why: str) -> None:
    choices = plain(1, layout, masks="alpha" if layout == "blender" else "255")
    world = write_scene(tmp_path, choices)
    verdict = compare(tmp_path, choices, replace(world, **other(world)))
    assert verdict.is_fault
    assert re.search(why, verdict.why)
