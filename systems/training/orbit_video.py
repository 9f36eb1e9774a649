"""The video of a run: once around the upright object, its colours large and its normals beside or below them."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from systems.training.evaluation import RenderedView
from systems.training.frames import FrameWriter
from systems.training.rendering import Renderer
from utils.visualise import normal_to_rgb, side_by_side, to_uint8

SHORT_SIDE = 480  # pixels of the shorter side of a picture in the video
WIDEST, TALLEST = 4.0 / 3.0, 4.0 / 5.0  # width by height of a picture, whatever the photographs have
SECONDS = 6.0  # that a video lasts at least; where export.video_fps shows its frames more slowly, it lasts longer
FRAMES_ON_GPU, FRAMES_ON_CPU = 240, 48
RAYS_ON_CPU = 160 * 160  # of a frame: it is rendered that small, and enlarged


@dataclass(frozen=True)
class OrbitPlan:
    """What the orbit of a run looks like."""

    frames: int
    rendered: tuple[int, int]  # width and height in pixels of what the model renders
    shown: tuple[int, int]  # of that in the video, even numbers


def plan_orbit(wanted: int | None, photograph: tuple[int, int], on_gpu: bool) -> OrbitPlan | None:
    """The orbit for a dataset.n_test_traj_steps, None: as many frames as the device is good for; None if there is none.

    photograph: width and height. On a CPU, frames have at most RAYS_ON_CPU pixels, and no more than a photograph."""
    frames = (FRAMES_ON_GPU if on_gpu else FRAMES_ON_CPU) if wanted is None else wanted
    if not frames:
        return None
    width, height = photograph
    aspect = min(max(width / height, TALLEST), WIDEST)
    shown = _even(SHORT_SIDE * max(1.0, aspect)), _even(SHORT_SIDE / min(1.0, aspect))
    if on_gpu:
        return OrbitPlan(frames, shown, shown)
    scale = min(1.0, width / shown[0], height / shown[1], math.sqrt(RAYS_ON_CPU / (shown[0] * shown[1])))
    return OrbitPlan(frames, (max(1, round(scale * shown[0])), max(1, round(scale * shown[1]))), shown)


def frames_per_second(frames: int, most: int) -> float:
    """At which so many frames last SECONDS, or longer since there are no more than `most` in a second; at least 1."""
    return min(float(most), max(1.0, frames / SECONDS))


def orbit_frame(view: RenderedView, shown: tuple[int, int]) -> np.ndarray:
    """(H, W', 3) uint8, even sizes: the colours, and the normals of an SDF beside them, or below where W < H.

    shown: width and height of each picture, to which it is enlarged by Lanczos' filter."""
    pictures = [to_uint8(view.rgb)]
    if "normal" in view.images:
        pictures.append(normal_to_rgb(view.images["normal"], view.images["opacity"]))
    large = [cv2.resize(picture, shown, interpolation=cv2.INTER_LANCZOS4) for picture in pictures]
    if shown[0] >= shown[1]:
        return side_by_side(large)
    return side_by_side([picture.transpose(1, 0, 2) for picture in large]).transpose(1, 0, 2)


def add_orbit(writer: FrameWriter, renderer: Renderer, plan: OrbitPlan) -> None:
    """Renders the frames of the orbit for a writer, and waits until they are written."""
    for index in range(plan.frames):
        writer.add(renderer.orbit(index, plan.frames, plan.rendered))
    writer.finish()


def _even(length: float) -> int:
    return 2 * round(length / 2.0)
