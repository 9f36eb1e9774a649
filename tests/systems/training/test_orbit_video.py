"""The orbit video: its length, its size whatever the photographs have, and what is where in a frame."""

import numpy as np
import pytest

from systems.training.evaluation import RenderedView
from systems.training.orbit_video import RAYS_ON_CPU, frames_per_second, orbit_frame, plan_orbit
from utils.cameras import fit_whole
from utils.video import write_video
from utils.visualise import normal_to_rgb

SIZES = [(24, 24), (256, 256), (1600, 1200), (1080, 1920), (2001, 999), (31, 7)]


def view(width: int, height: int, sdf: bool = True) -> RenderedView:
    rgb = np.zeros((height, width, 3), np.float32)
    rgb[..., 0] = 1.0
    normal = np.zeros_like(rgb)
    normal[..., 2] = 1.0
    images = {"rgb": rgb, "opacity": np.ones((height, width), np.float32)} | ({"normal": normal} if sdf else {})
    return RenderedView(images, None, {})


@pytest.mark.parametrize("on_gpu", [True, False])
@pytest.mark.parametrize("photograph", SIZES)
def test_an_orbit_lasts_six_to_ten_seconds_and_is_large(photograph: tuple[int, int], on_gpu: bool) -> None:
    plan = plan_orbit(None, photograph, on_gpu)
    assert 6.0 <= plan.frames / frames_per_second(plan.frames, 30) <= 10.0
    assert min(plan.shown) == 480
    assert not any(length % 2 for length in plan.shown)
    width, height = plan.rendered
    assert width / height == pytest.approx(plan.shown[0] / plan.shown[1], rel=0.1)
    if on_gpu:
        assert plan.rendered == plan.shown
    else:
        assert plan.frames * width * height < 1.02 * 48 * RAYS_ON_CPU
        assert width <= photograph[0]
        assert height <= photograph[1]


def test_zero_is_no_orbit_and_a_number_is_that_many_frames() -> None:
    assert plan_orbit(0, (256, 256), True) is None
    assert plan_orbit(7, (256, 256), False).frames == 7
    assert [frames_per_second(frames, 30) for frames in (1, 60, 180, 600)] == [1.0, 10.0, 30.0, 30.0]


@pytest.mark.parametrize(("photograph", "shape"), [((60, 40), (480, 1284, 3)), ((20, 40), (1204, 480, 3))])
def test_normals_are_beside_the_colours_or_below_them(photograph: tuple, shape: tuple) -> None:
    plan = plan_orbit(None, photograph, False)
    frame = orbit_frame(view(*plan.rendered), plan.shown)
    assert (frame.shape, frame.dtype) == (shape, np.uint8)
    facing = normal_to_rgb(np.array([[[0.0, 0.0, 1.0]]]))[0, 0]
    np.testing.assert_array_equal(frame[0, 0], [255, 0, 0])
    np.testing.assert_array_equal(frame[-1, -1], facing)
    width, height = plan.shown
    assert orbit_frame(view(*plan.rendered, sdf=False), plan.shown).shape == (height, width, 3)


def test_frames_are_a_video(tmp_path) -> None:
    import imageio_ffmpeg

    write_video(tmp_path / "a.mp4", [orbit_frame(view(20, 10), (640, 480))] * 3, frames_per_second(3, 30))
    meta = next(imageio_ffmpeg.read_frames(tmp_path / "a.mp4"))
    assert (meta["size"], meta["codec"], meta["pix_fmt"][:7]) == ((1284, 480), "h264", "yuv420p")


def test_a_lens_fits_whole_into_another_frame() -> None:
    own = np.array([100.0, 110.0, 30.0, 25.0])
    np.testing.assert_allclose(fit_whole(own, (60, 40), (60, 40)), own)
    np.testing.assert_allclose(fit_whole(own, (60, 40), (120, 120)), [200.0, 220.0, 60.0, 70.0])
    np.testing.assert_allclose(fit_whole(own, (60, 40), (60, 20)), [50.0, 55.0, 30.0, 12.5])
