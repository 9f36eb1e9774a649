"""What one visitor has alone: the start, the path, the looks of the page."""

import numpy as np
import pytest
from patience import until
from scripted_visitor import ScriptedVisitor


def test_every_control_says_what_it_does(visitor):
    visitor.control("video")
    silent = [
        message["props"]["label"]
        for message in visitor.messages
        if "hint" in message.get("props", {}) and not message["props"]["hint"]
    ]
    assert silent == []


def moved_to(visitor) -> np.ndarray:
    """Where the page is told to put the camera."""
    place = lambda message: message["type"] == "SetCameraPositionMessage" and not message["initial"]  # noqa: E731
    return np.array(visitor.wait_for(place)["position"])


def test_a_visitor_goes_back_to_the_start(visitor, page):
    visitor.set("reset view", True)
    np.testing.assert_allclose(moved_to(visitor), page._start.position(640 / 480), atol=1e-6)


@pytest.mark.parametrize("reported_before", [(), [(3.0, 3.0, 3.0)]])  # the second is what a browser does
def test_in_a_narrow_window_the_start_is_farther_off(page, reported_before):
    with ScriptedVisitor(page.address.port) as phone:
        for place in (*reported_before, tuple(page._start.position(1.0))):
            phone.stand(place, size=(390, 844))
        np.testing.assert_allclose(moved_to(phone), page._start.position(390 / 844), atol=1e-6)


def test_a_path_is_laid_played_and_asked_for_as_a_video(visitor, page):
    visitor.set("video", "render")  # without a path, nothing comes of it
    for index, place in enumerate([(0.0, -3.0, 0.0), (3.0, 0.0, 0.0), (0.0, 3.0, 0.0)]):
        visitor.stand(place)
        visitor.set("keyframe", "add")
        visitor.wait_for(lambda message, index=index: message.get("name") == f"/path/{index}")
    assert page.mailbox.take_video() is None
    visitor.set("seconds", 2.0)
    visitor.set("video size", "640 × 360")
    visitor.set("video", "render")
    found = []
    until(lambda: found.append(page.mailbox.take_video()) or found[-1] is not None)
    video = found[-1]
    assert (len(video.cameras), video.size, video.fps, video.picture) == (60, (640, 360), 30, "rgb")
    np.testing.assert_allclose(video.cameras[0].c2w[:, 3], [0.0, -3.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(video.cameras[-1].c2w[:, 3], [0.0, 3.0, 0.0], atol=1e-6)
    visitor.set("seconds", 60.0)  # in which five frames come on any machine
    visitor.set("fly", "play")
    assert all(np.linalg.norm(moved_to(visitor)) > 2.0 for _ in range(5))
    visitor.stand((4.0, 0.0, 0.0))  # heard while it flies
    until(lambda: page.mailbox.visitors()[0].camera.c2w[0, 3] == 4.0)
    visitor.set("keyframe", "clear")
    visitor.value("path", lambda value: str(value).startswith("0 keyframes"))
    visitor.set("video", "cancel")
    until(lambda: page.mailbox.is_pressed("cancel"))


def test_a_path_takes_what_its_controls_allow_and_no_more(visitor, page):
    for value in ([1.0], "x" * 50, True, 1e9):
        visitor.set("video size", value)
        visitor.set("seconds", value)
    for place in ((0.0, -3.0, 0.0), (3.0, 0.0, 0.0)):
        visitor.stand(place)
        visitor.set("keyframe", "add")
    visitor.set("video", "render")
    found = []
    until(lambda: found.append(page.mailbox.take_video()) or found[-1] is not None)
    assert (len(found[-1].cameras), found[-1].size) == (1800, (1280, 720))


def test_the_page_is_dark_for_whoever_wants_it_so(visitor, page):
    visitor.set("dark page", True)
    theme = visitor.wait_for(lambda message: message["type"] == "ThemeConfigurationMessage" and message["dark_mode"])
    assert not theme["show_share_button"]
    until(lambda: page.mailbox.visitors()[0].dark)


def test_only_one_flight_is_under_way_and_it_can_be_stopped(visitor):
    for place in ((0.0, -3.0, 0.0), (3.0, 0.0, 0.0)):
        visitor.stand(place)
        visitor.set("keyframe", "add")
    visitor.set("fly", "play")
    visitor.set("fly", "play")
    moved_to(visitor)
    visitor.set("fly", "stop")
    visitor.wait_for(lambda message: message.get("name") == "/path/line")  # drawn again
    assert [one for one in visitor.listen(0.3) if one["type"] == "SetCameraPositionMessage"] == []
