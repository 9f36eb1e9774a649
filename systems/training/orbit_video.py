"""The video of a run: once around the upright object, its colours large and its normals beside or below them.

A GPU renders the model. That would take a CPU longer than the test, so there the exported mesh is drawn, on white."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from systems.training.evaluation import RenderedView
from systems.training.frames import FrameWriter
from systems.training.rendering import Renderer
from utils.mesh import Mesh
from utils.visualise import normal_to_rgb, side_by_side

SHORT_SIDE = 480  # pixels of the shorter side of a picture in the video
WIDEST, TALLEST = 4.0 / 3.0, 4.0 / 5.0  # width by height of a picture, whatever the photographs have
SECONDS = 6.0  # that a video lasts at least; where export.video_fps shows its frames more slowly, it lasts longer
FRAMES_ON_GPU, FRAMES_ON_CPU = 180, 60


@dataclass(frozen=True)
class OrbitPlan:
    """What the orbit of a run looks like."""

    frames: int
    size: tuple[int, int]  # width and height of each picture in pixels, even numbers
    of_mesh: bool  # drawn, not rendered by the model


def plan_orbit(wanted: int | None, photograph: tuple[int, int], on_gpu: bool) -> OrbitPlan | None:
    """The orbit for a dataset.n_test_traj_steps, None: as many frames as the device is good for; None if there is none.

    photograph: width and height."""
    frames = (FRAMES_ON_GPU if on_gpu else FRAMES_ON_CPU) if wanted is None else wanted
    aspect = min(max(photograph[0] / photograph[1], TALLEST), WIDEST)
    size = _even(SHORT_SIDE * max(1.0, aspect)), _even(SHORT_SIDE / min(1.0, aspect))
    return OrbitPlan(frames, size, not on_gpu) if frames else None


def frames_per_second(frames: int, most: int) -> float:
    """At which so many frames last SECONDS, or longer since there are no more than `most` in a second; at least 1."""
    return min(float(most), max(1.0, frames / SECONDS))


def write_orbit(
    write: Callable[[Iterator[np.ndarray]], None], plan: OrbitPlan, renderer: Renderer, mesh: Mesh | None
) -> bool:
    """Makes the frames and hands them to `write`; returns whether there was something to show. mesh: in the scene."""
    if plan.of_mesh:
        if mesh is not None:
            with ThreadPoolExecutor() as pool:
                draw = partial(_drawn, mesh, plan, renderer)
                write(pool.map(draw, range(plan.frames)))
        return mesh is not None
    writer = FrameWriter(write, _rendered)
    try:
        writer.add_all(renderer.orbit_frames(plan.frames, plan.size), plan.frames)
    except BaseException:
        writer.drop()
        raise
    return True


def joined(pictures: list[np.ndarray]) -> np.ndarray:
    """(H, W', 3) uint8: pictures of the same size beside each other, or below where they are higher than wide."""
    height, width = pictures[0].shape[:2]
    if width >= height:
        return side_by_side(pictures)
    return side_by_side([picture.transpose(1, 0, 2) for picture in pictures]).transpose(1, 0, 2)


def _rendered(view: RenderedView) -> np.ndarray:
    normals = [normal_to_rgb(view.images["normal"], view.images["opacity"])] if "normal" in view.images else []
    return joined([view.rgb, *normals])


def _drawn(mesh: Mesh, plan: OrbitPlan, renderer: Renderer, index: int) -> np.ndarray:
    from utils.mesh.rasterise import camera_views  # imports Numba, which a GPU does not need

    camera = renderer.data.orbit_camera(index, plan.frames, plan.size)
    own = "shaded" if mesh.colors is None else "vertex"
    return joined(camera_views(mesh, camera, (own, "normal")))


def _even(length: float) -> int:
    return 2 * round(length / 2.0)
