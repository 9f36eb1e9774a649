"""The orbit video: its length, its size whatever the photographs have, and what is where in a frame."""

from collections.abc import Iterator
from types import SimpleNamespace

import imageio_ffmpeg
import numpy as np
import pytest
from scenes_on_disk import ring_of_cameras
from shapes import ball

from datasets.poses import orbit
from systems.training.evaluation import RenderedView
from systems.training.orbit_video import OrbitPlan, frames_per_second, plan_orbit, write_orbit
from utils.cameras import Camera, fit_whole
from utils.mesh import Mesh
from utils.video import write_video
from utils.visualise import normal_to_rgb, taken_apart

SIZES = [(24, 24), (256, 256), (1600, 1200), (1080, 1920), (2001, 999), (31, 7)]
FACING = normal_to_rgb(np.array([[[0.0, 0.0, 1.0]]]))[0, 0]


class Renderer:
    """Red views whose normals are z, and cameras on a ring around the origin."""

    def __init__(self, fails_at: int | None = None, sdf: bool = True) -> None:
        self.fails_at, self.sdf, self.data = fails_at, sdf, SimpleNamespace(orbit_camera=self.camera)

    def orbit_frames(self, num: int, size: tuple[int, int]) -> Iterator[RenderedView]:
        for index in range(num):
            if index == self.fails_at:
                raise RuntimeError("no memory")
            width, height = size
            rgb, normal = np.zeros((2, height, width, 3), np.float32)
            rgb[..., 0] = normal[..., 2] = 1.0
            images = {"rgb": rgb, "opacity": np.ones((height, width), np.float32)}
            yield RenderedView(images | ({"normal": normal} if self.sdf else {}), None, {})

    def camera(self, index: int, num: int, size: tuple[int, int]) -> Camera:
        intrinsics = np.array([size[1], size[1], size[0] / 2, size[1] / 2], float)
        return Camera(orbit(ring_of_cameras(7), num)[index].astype(float), intrinsics, size)


def frames_of(plan: OrbitPlan, mesh: Mesh | None = None, renderer: Renderer | None = None) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    assert write_orbit(found.extend, plan, renderer or Renderer(), mesh)
    return found


@pytest.mark.parametrize("on_gpu", [True, False])
@pytest.mark.parametrize("photograph", SIZES)
def test_an_orbit_lasts_six_to_ten_seconds_and_is_large(photograph: tuple[int, int], on_gpu: bool) -> None:
    plan = plan_orbit(None, photograph, on_gpu)
    assert 6.0 <= plan.frames / frames_per_second(plan.frames, 30) <= 10.0
    assert min(plan.size) == 480
    assert not any(length % 2 for length in plan.size)
    assert (plan.size[0] > plan.size[1]) == (photograph[0] > photograph[1])
    assert plan.of_mesh != on_gpu


def test_zero_is_no_orbit_and_a_number_is_that_many_frames() -> None:
    assert plan_orbit(0, (256, 256), True) is None
    assert plan_orbit(7, (256, 256), False).frames == 7
    assert [frames_per_second(frames, 30) for frames in (1, 60, 180, 600)] == [1.0, 10.0, 30.0, 30.0]


@pytest.mark.parametrize(("size", "shape"), [((60, 40), (40, 124, 3)), ((20, 40), (84, 20, 3))])
def test_normals_are_beside_the_colours_or_below_them(size: tuple, shape: tuple) -> None:
    frames = frames_of(OrbitPlan(2, size, False))
    assert [(frame.shape, frame.dtype) for frame in frames] == [(shape, np.uint8)] * 2
    np.testing.assert_array_equal(frames[0][0, 0], [255, 0, 0])
    np.testing.assert_array_equal(frames[0][-1, -1], FACING)
    (alone,) = frames_of(OrbitPlan(1, size, False), renderer=Renderer(sdf=False))
    assert alone.shape == (size[1], size[0], 3)


def test_on_a_cpu_the_mesh_is_drawn_in_its_colours() -> None:
    sphere = ball(1.0, 2)
    green = np.tile(np.array([[0, 200, 0]], np.uint8), (len(sphere.vertices), 1))
    plan = OrbitPlan(5, (60, 48), True)
    frames = frames_of(plan, Mesh(sphere.vertices, sphere.faces, colors=green))
    assert len(frames) == 5
    colours, normals = zip(*(taken_apart(frame, 2) for frame in frames), strict=True)
    for picture in colours:
        np.testing.assert_array_equal(picture[24, 30], [0, 200, 0])
        np.testing.assert_array_equal(picture[0, 0], 255)
    assert len({tuple(picture[24, 30]) for picture in normals}) == 5  # seen from five sides
    np.testing.assert_array_equal(frames_of(plan, Mesh(sphere.vertices, sphere.faces, colors=green)), frames)
    grey = taken_apart(frames_of(plan, Mesh(sphere.vertices, sphere.faces))[0], 2)[0][24, 30]
    assert len(set(grey.tolist())) == 1


def test_without_a_mesh_there_is_nothing_to_draw() -> None:
    assert not write_orbit(pytest.fail, OrbitPlan(5, (60, 48), True), Renderer(), None)


def test_an_error_in_a_frame_leaves_no_video(tmp_path) -> None:
    with pytest.raises(RuntimeError, match="no memory"):
        write_orbit(
            lambda frames: write_video(tmp_path / "a.mp4", frames, 30), OrbitPlan(9, (16, 16), False), Renderer(4), None
        )
    assert list(tmp_path.iterdir()) == []


def test_frames_are_a_video(tmp_path) -> None:
    plan = plan_orbit(3, (20, 10), True)
    assert write_orbit(lambda frames: write_video(tmp_path / "a.mp4", frames, 30), plan, Renderer(), None)
    meta = next(imageio_ffmpeg.read_frames(tmp_path / "a.mp4"))
    assert (meta["size"], meta["codec"], meta["pix_fmt"][:7]) == ((1284, 480), "h264", "yuv420p")


def test_a_lens_fits_whole_into_another_frame() -> None:
    own = np.array([100.0, 110.0, 30.0, 25.0])
    np.testing.assert_allclose(fit_whole(own, (60, 40), (60, 40)), own)
    np.testing.assert_allclose(fit_whole(own, (60, 40), (120, 120)), [200.0, 220.0, 60.0, 70.0])
    np.testing.assert_allclose(fit_whole(own, (60, 40), (60, 20)), [50.0, 55.0, 30.0, 12.5])
