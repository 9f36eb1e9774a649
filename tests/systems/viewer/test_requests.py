"""What a page may claim, and what is kept of many requests."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from systems.viewer.requests import CropBox, Mailbox, MeshSettings, parse_camera

GOOD = {"wxyz": (1.0, 0.0, 0.0, 0.0), "position": (0.0, 0.0, -3.0), "fov": 0.8, "width": 640, "height": 480}


def test_a_quaternion_turns_as_it_should():
    half = math.sqrt(0.5)
    camera = parse_camera(**GOOD | {"wxyz": (2 * half, 0.0, 0.0, 2 * half)})  # of any length: a quarter turn around z
    assert_allclose(camera.c2w, [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, -3]], atol=1e-12)


def test_a_picture_of_any_size_fills_the_window():
    camera = parse_camera(**GOOD)
    fx, fy, cx, cy = camera.intrinsics((64, 48))
    assert math.atan(24 / fy) == pytest.approx(0.4)  # half of the vertical field of view
    assert (fx, cx, cy) == pytest.approx((fy, 32.0, 24.0))
    assert_allclose(camera.intrinsics((128, 96)), 2 * camera.intrinsics((64, 48)))


@pytest.mark.parametrize(
    "nonsense",
    [
        {"wxyz": (0.0, 0.0, 0.0, 0.0)},
        {"wxyz": (1.0, 0.0, 0.0)},
        {"wxyz": None},
        {"position": (math.nan, 0.0, 0.0)},
        {"position": (1e30, 0.0, 0.0)},
        {"position": "abc"},
        {"fov": 0.0},
        {"fov": math.inf},
        {"fov": 4.0},
        {"width": 0},
        {"height": 10**9},
        {"width": "wide"},
    ],
)
def test_what_no_camera_can_have_is_refused(nonsense):
    assert parse_camera(**GOOD | nonsense) is None


def test_only_the_latest_requests_are_kept():
    box = Mailbox(now=iter(range(100)).__next__)
    box.add_visitor(1)
    for _ in range(50):
        box.set_view(1, camera=parse_camera(**GOOD))
        box.add_command("export")
    box.add_command("pause")
    box.set_view(1, picture="depth")
    assert len(box) == 1
    assert (box.visitors()[1].picture, box.visitors()[1].version) == ("depth", 51)
    assert box.visitors()[1].camera is not None
    assert box.take_commands() == ["export", "pause"]
    assert box.take_commands() == []


def test_what_is_shared_changes_for_everyone():
    box = Mailbox()
    box.add_visitor(1)
    box.add_visitor(2)
    box.set_shared(mesh=MeshSettings(0.5))
    box.set_shared(box=CropBox((0, 0, 0), (1, 1, 1)), checkpoint=2)
    assert [visitor.version for visitor in box.visitors().values()] == [2, 2]
    assert (box.mesh.level, box.box.high, box.checkpoint) == (0.5, (1, 1, 1), 2)


def test_who_has_left_is_forgotten():
    box = Mailbox()
    box.add_visitor(1)
    box.remove_visitor(1)
    box.remove_visitor(7)
    box.set_view(1, camera=parse_camera(**GOOD))
    assert len(box) == 0


def test_nobody_sleeps_longer_than_asked():
    Mailbox().wait(0.01)
    assert np.isfinite(Mailbox().now())
