"""Who is served when, and what it costs the training; with a clock that only work moves."""

import numpy as np
import pytest
from timed_session import PIXEL, STEP, come
from viewed_scene import FRONT

from systems.viewer import session as sessions
from systems.viewer.pictures import RenderedPicture
from utils.errors import DataError


def test_without_visitors_nothing_is_done(viewed):
    assert viewed.train(100) == pytest.approx(0.0, abs=1e-9)
    assert viewed.page.status == viewed.page.pictures == []


def test_visitors_take_less_than_a_tenth_of_the_time(viewed):
    come(viewed, 1)
    come(viewed, 2)
    taken = viewed.train(4000, lambda step: viewed.mailbox.set_view(1, camera=FRONT) if step % 3 == 0 else None)
    assert 0.03 < taken / (4000 * STEP) < 0.08
    assert len({visitor for visitor, _ in viewed.page.pictures}) == 2


def test_waiting_for_steps_under_way_is_time_of_the_training(viewed, monkeypatch):
    def wait() -> None:  # as a GPU is waited for, that is ten steps behind
        viewed.clock.seconds += 10 * STEP
        viewed.session._waited += 10 * STEP

    monkeypatch.setattr(viewed.session, "_wait_for_device", wait)
    come(viewed, 1)
    viewed.train(300, lambda step: viewed.mailbox.set_view(1))
    assert len(viewed.sizes) > 50  # not one in each ten steps' twentieth


def test_a_camera_that_moves_gets_quick_pictures_and_one_at_rest_fine_ones(viewed):
    come(viewed, 1)
    viewed.train(60, lambda step: viewed.mailbox.set_view(1))
    moving = max(width * height for width, height in viewed.sizes[1:])
    viewed.train(400)
    still = max(width * height for width, height in viewed.sizes)
    assert moving * PIXEL < 0.06
    assert 0.2 < still * PIXEL < 0.5


@pytest.mark.parametrize(
    ("launch", "pixel", "seconds"),
    [(0.02, 5e-7, 3.0), (0.004, 3e-5, 60.0)],  # a GPU, which is slow for few pixels; two cores of a CPU
)
def test_a_camera_at_rest_gets_pictures_as_large_as_its_window(viewed, monkeypatch, launch, pixel, seconds):
    def render(*args: object, **options: object) -> RenderedPicture:
        size = args[5]
        viewed.clock.seconds += launch + pixel * size[0] * size[1]
        viewed.sizes.append(size)
        ends.append(viewed.clock.seconds)
        return RenderedPicture(np.zeros((size[1], size[0], 3), np.uint8), np.zeros(size[::-1], np.float32))

    ends = []
    monkeypatch.setattr(sessions, "render_picture", render)

    def wait(seconds: float) -> None:
        viewed.clock.seconds += seconds

    viewed.mailbox.wait = wait
    come(viewed, 1, (1280, 900))
    while viewed.clock.seconds < 2.0 * seconds:
        viewed.session.serve_idle()
    assert viewed.sizes[-1] == (1280, 900)
    assert ends[-1] < seconds
    assert ends[0] < 0.1  # the first one comes at once
    areas = [width * height for width, height in viewed.sizes]
    assert areas == sorted(areas)
    assert len(areas) < 8


def test_a_still_picture_of_an_unchanged_model_is_left_alone(viewed):
    come(viewed, 1, (64, 48))
    for _ in range(100):
        viewed.clock.seconds += 0.05
        viewed.mailbox.wait = lambda seconds: None
        viewed.session.serve_idle()
    assert 1 <= len(viewed.page.pictures) <= 3


def test_whoever_moves_does_not_wait_for_a_fine_picture(viewed, monkeypatch):
    viewed.mailbox.wait = lambda seconds: None
    come(viewed, 1)
    viewed.session.serve_idle()
    viewed.clock.seconds += 1.0
    whole = viewed._render

    def interrupted(*args, **kwargs):
        assert args[-1]()
        viewed.mailbox.set_view(1)
        return whole(*args, **kwargs) if args[-1]() else None

    monkeypatch.setattr(sessions, "render_picture", interrupted)
    viewed.session.serve_idle()  # begins a fine picture, and gives it up
    assert len(viewed.page.pictures) == 1
    monkeypatch.setattr(sessions, "render_picture", whole)
    viewed.session.serve_idle()
    assert len(viewed.page.pictures) == 2
    assert viewed.sizes[-1][0] * viewed.sizes[-1][1] * PIXEL < 0.1  # a quick one


def test_visitors_take_turns(viewed):
    come(viewed, 1)
    come(viewed, 2)
    viewed.train(600)
    numbers = [visitor for visitor, _ in viewed.page.pictures]
    assert abs(numbers.count(1) - numbers.count(2)) <= 1


def test_who_wants_no_picture_gets_it_taken_away_once(viewed):
    come(viewed, 1)
    viewed.mailbox.set_view(1, show="mesh")
    viewed.train(200)
    assert viewed.page.pictures == [(1, None)]


def test_buttons_do_what_they_say(viewed, tmp_path):
    come(viewed, 1)
    for command in ("pause", "save"):
        viewed.mailbox.add_command(command)
    viewed.train(1)
    assert viewed.session.paused
    assert viewed.page.said == ["save: under way", "saved"]
    viewed.mailbox.add_command("resume")
    viewed.session.serve_idle()
    assert viewed.page.paused == [True, False]


def test_what_goes_wrong_with_a_button_is_said(viewed):
    come(viewed, 1)

    def full() -> str:
        raise OSError(28, "No space left on device")

    def missing() -> str:
        raise DataError("images: no such folder")

    viewed.session.actions["save"] = full
    viewed.mailbox.add_command("save")
    viewed.train(1)
    viewed.session.actions["save"] = missing
    viewed.mailbox.add_command("save")
    viewed.train(1)
    assert "No space left on device" in viewed.page.said[1]
    assert viewed.page.said[3] == "save: images: no such folder"
