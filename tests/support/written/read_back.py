"""Reads a written scene as a run does, and judges the cameras, pixels and masks that come out by the truth.

The only file of this room that knows the project."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from drawn_world import World
from picture_files import view_of
from scene_choices import Choices
from written_scene import write_scene

from datasets.datamodule import SceneData
from datasets.region_fit import auto_radius, check_region
from datasets.sampler import RaySampler
from systems.configs import read_experiment
from utils.errors import InputError

DATASETS = {"colmap_bin": "colmap", "colmap_txt": "colmap", "ngp": "transforms", "nerfstudio": "transforms"}
CONFIGS = {"neus": "neus-dtu-wmask", "bmvs": "neus-bmvs", "blender": "neus-blender"}
RAYS = 1e-3  # pixels: how far a ray may pass from the pixel that it belongs to
SHIFT, CONTENT = 0.2, 0.5  # pixels, all one way and each: between what pixels show, to 8 bits, and what rays meet
OPAQUE = 250
RESAMPLED = 0.02  # less overlap where a mask of so few pixels was undistorted
SLIVER = 1000  # pixels of what a view shows of the object, below which its outline is no fault
OVERLAP, WORST = 0.97, 0.93  # of masks and silhouettes: on average, and of one view, whose outline may be short


@dataclass(frozen=True)
class Verdict:
    """What became of a scene: "right", "refused", "wrong" or "crashed"; and why."""

    kind: str
    why: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether a person is left with a wrong scene, or with a traceback."""
        return self.kind in ("wrong", "crashed")


class _WrongError(AssertionError):
    pass


def judge(root: Path, choices: Choices) -> Verdict:
    """Writes a scene to the empty folder `root`, reads it through config and loader, and compares the two."""
    return compare(root, choices, write_scene(root, choices))


def compare(root: Path, choices: Choices, world: World) -> Verdict:
    """Reads the scene that lies in `root`, and compares it with the truth."""
    try:
        with _warnings() as told:
            data = _scene_data(root, choices)
            if choices.layout == "blender":  # a training refuses what lies beside its region, however large
                check_region(scene := data.scene("train"), auto_radius(scene), "")
            views = {split: data.views(split, torch.device("cpu")) for split in ("train", "test")}
        _compare(choices, world, views, told)
    except InputError as error:
        text = str(error).replace(str(root), "ROOT")
        return Verdict("wrong", f"refused in several lines: {text}") if "\n" in text else Verdict("refused", text)
    except _WrongError as error:
        return Verdict("wrong", str(error))
    except Exception as error:  # whatever it is, a person would see a traceback
        return Verdict("crashed", f"{type(error).__name__}: {error}")
    return Verdict("right")


def _scene_data(root: Path, choices: Choices) -> SceneData:
    return SceneData(replace(_options(choices.layout), root_dir=str(root)), True, 4, "reference")


@cache  # composing a config takes longer than to read a scene
def _options(layout: str) -> Any:
    """The dataset's options, as a config file that people start with gives them."""
    name = DATASETS.get(layout, layout if layout in ("blender", "bmvs") else "dtu")
    overrides = [f"dataset.name={name}", "dataset.scene=written", "dataset.root_dir=."]
    masks = [] if name == "blender" else ["dataset.apply_mask=true"]
    return read_experiment([f"configs/{CONFIGS.get(layout, 'neus-colmap')}.yaml"], overrides + masks).dataset


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What is logged in the block, at any level that a person sees."""
    told: list[str] = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: told.append(record.getMessage())
    loggers = [logging.getLogger(name) for name in ("datasets", "utils", "systems")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield told
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


def _compare(choices: Choices, world: World, views: dict[str, RaySampler], told: list[str]) -> None:
    """Raises _WrongError."""
    seen = {
        split: [view_of(sampler.photograph(i)[..., 2]) for i in range(len(sampler))] for split, sampler in views.items()
    }
    if shared := set(seen["train"]) & set(seen["test"]):
        raise _WrongError(f"views {sorted(shared)} are trained on and measured with")
    if (missing := set(range(choices.views)) - {*seen["train"], *seen["test"]}) and not told:
        raise _WrongError(f"views {sorted(missing)} are missing, without a word")
    if len(set(seen["train"])) < len(seen["train"]):
        raise _WrongError("a view is there twice")
    overlaps = [
        _compare_view(choices, world, sampler, i, index)
        for split, sampler in views.items()
        for i, index in enumerate(seen[split])
    ]
    resampled = 0.0 if all(lens.is_pinhole for lens in world.lenses) else RESAMPLED
    if np.mean(overlaps) < OVERLAP - resampled or min(overlaps) < WORST - resampled:
        raise _WrongError(f"masks and silhouettes overlap by {np.mean(overlaps):.3f}, by {min(overlaps):.3f} at worst")
    _compare_region(choices, world, views["train"])
    has_masks = choices.masks in ("none", "ignore") or views["train"].scene.has_alpha
    if not has_masks and not any("mask" in text or "alpha" in text for text in told):
        raise _WrongError("the masks are not there, without a word")


def _compare_view(choices: Choices, world: World, sampler: RaySampler, i: int, index: int) -> float:
    """The overlap of mask and silhouette of image i of a sampler, which is view `index` of the truth; 1 for no mask.

    Raises _WrongError where rays or pixels are wrong."""
    camera, photograph, lens = sampler.camera(i), sampler.photograph(i), world.lenses[index]
    rays = sampler.view(camera.c2w, camera.intrinsics, camera.size)
    linear, shift = sampler.scene.world_from_scene[:3, :3], sampler.scene.world_from_scene[:3, 3]
    origins = world.drawn(rays.origins.double().numpy() @ linear.T + shift)
    directions = rays.directions.double().numpy() @ linear.T @ world.linear
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    c2w, distance = world.c2w[index], np.linalg.norm(world.c2w[index, :3, 3])
    pixels = []
    for depth in (0.7, 1.3):
        points = (origins + depth * distance * directions - c2w[:3, 3]) @ c2w[:3, :3]
        if points[:, 2].min() <= 0.0:
            raise _WrongError(f"view {index}: rays begin behind their camera or look away")
        pixels.append(lens.project(points) / choices.ratio)
    tolerance = RAYS + rounding(choices, lens.focal[0] / choices.ratio)
    if np.abs(pixels[0] - pixels[1]).max() > 2 * tolerance:
        raise _WrongError(
            f"view {index}: rays begin {np.abs(pixels[0] - pixels[1]).max():.3g} pixels beside their camera"
        )
    shown = photograph[..., :2] / 255.0 * choices.size
    beside = (shown.reshape(-1, 2) - pixels[0])[_inside(pixels[0], choices.size)]
    if not len(beside):
        raise _WrongError(f"view {index}: its pixels show nothing that its rays meet")
    shift, off = np.abs(beside.mean(axis=0)).max(), np.abs(beside).mean(axis=0).max()
    if not (shift < SHIFT + tolerance and off < CONTENT + tolerance):
        raise _WrongError(
            f"view {index}: pixels show what lies {off:.2f} pixels from their rays, {shift:.2f} all one way"
        )
    if lens.is_pinhole:
        off = np.abs(pixels[0] - 0.5 - np.rint(pixels[0] - 0.5)).max()
        if off > tolerance:
            raise _WrongError(f"view {index}: rays pass {off:.4f} pixels beside the centres of their pixels")
    if not sampler.scene.has_alpha:
        return 1.0
    hit, alpha = world.hit(origins, directions), photograph[..., 3].ravel()
    if not (hit | (alpha >= 128)).any():
        return 1.0  # out of frame, and the mask says so
    if hit.any() and np.median(alpha[hit]) < OPAQUE:
        raise _WrongError(
            f"view {index}: half of the object is not opaque, its median alpha is {np.median(alpha[hit])}"
        )
    opaque, union = alpha >= 128, int((hit | (alpha >= 128)).sum())
    if union < SLIVER:
        square, image = np.ones((3, 3), np.uint8), hit.reshape(photograph.shape[:2]).astype(np.uint8)
        within, around = (change(image, square).ravel() > 0 for change in (cv2.erode, cv2.dilate))
        return 1.0 - float((within & ~opaque | opaque & ~around).sum() / union)
    return float((hit & opaque).sum() / union)


def _inside(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N,) bool: away from the border, where a resampled image repeats its last pixel."""
    return ((pixels > 1.0) & (pixels < np.array(size) - 1.0)).all(axis=1)


def rounding(choices: Choices, focal: float) -> float:
    """Pixels that the digits of the file leave open, far from the origin of the world."""
    digits = np.finfo(np.float32 if choices.single else np.float64).eps
    return float(20.0 * digits * (choices.offset / choices.scale + 3.0) * focal)


def _compare_region(choices: Choices, world: World, sampler: RaySampler) -> None:
    """Where the loader chooses the region, the object lies in it: cameras and sparse points show where it is."""
    if choices.layout not in DATASETS or choices.principal == "corner":
        return
    centre = np.linalg.solve(sampler.scene.world_from_scene, np.append(world.shift, 1.0))[:3]
    size = world.scale / np.cbrt(np.linalg.det(sampler.scene.world_from_scene[:3, :3]))
    if np.linalg.norm(centre) > 0.5 or not 0.1 < size < 2.0:
        raise _WrongError(
            f"the object lies {np.linalg.norm(centre):.2g} from the middle of the region, its size {size:.2g}"
        )
