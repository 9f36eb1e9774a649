"""The viewer in a real browser while a training runs: cameras, pictures, sliders, buttons, and a second visitor."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from browser import chromium, differing, low_controls, picture, until
from patience import PATIENCE
from viewed_scene import make_viewed_model

from systems.viewer.address import find_address
from systems.viewer.page import ViserPage
from systems.viewer.requests import Mailbox, Visitor
from systems.viewer.session import Session
from systems.viewer.viewed import ViewedModel

pytestmark = pytest.mark.browser
SIZE = {"width": 900, "height": 800}
LEFT = 560  # pixels of the scene beside the controls


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


class Viewed:
    """A session beside a training that does nothing but count."""

    def __init__(self, subject: ViewedModel) -> None:
        self.steps, self.stop, self.saved = 0, threading.Event(), []
        self.held = threading.Lock()  # who has it stops the session: nothing is rendered
        self.viewed, mailbox = replace(subject, step=lambda: self.steps), Mailbox()
        self.page = ViserPage(self.viewed, mailbox, find_address("127.0.0.1", 0), range(10_001), live=True)
        self.session = Session(self.viewed, mailbox, self.page, {"save": self._save})
        self._thread = threading.Thread(target=self._train)
        self._thread.start()

    def _save(self) -> str:
        self.saved.append(self.steps)
        return f"saved step {self.steps}"

    def _train(self) -> None:
        while not self.stop.is_set():
            time.sleep(0.01)
            with self.held:
                if self.session.paused:
                    self.session.serve_idle()
                else:
                    self.steps += 1
                    self.session.serve_between_steps()

    def newest(self) -> tuple[int, Visitor]:
        """The number of the visitor who came last, and what they look at."""
        return next(reversed(self.session.mailbox.visitors().items()))

    def has_answered(self) -> bool:
        """Whether the visitor who came last was sent what was asked for last."""
        number, visitor = self.newest()
        last = self.session._last.get(number)
        is_mesh_sent = (
            visitor.show == "picture" or self.session._seen_meshes.get(number) == self.session._meshes.version
        )
        return last is not None and last.version == visitor.version and is_mesh_sent

    def close(self) -> None:
        self.stop.set()
        self._thread.join()
        self.page.close()


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewed]:
    found = Viewed(make_viewed_model(tmp_path_factory.mktemp("viewed")))
    yield found
    found.close()


class Visit:
    """A page of the viewer, and all that went wrong on it."""

    def __init__(self, browser: Any, viewed: Viewed, size: dict[str, int] = SIZE) -> None:
        self.viewed, self.page = viewed, browser.new_context(viewport=size).new_page()
        self.page.set_default_timeout(1e3 * PATIENCE)
        self.wrong: list[str] = []
        self.arrived = 0  # messages that `settled` has sent
        self.asked: set[str] = set()
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        self.page.on("request", lambda request: self.asked.add(request.url.split("/")[2]))
        self.page.goto(viewed.page.address.url)
        self.page.get_by_role("button", name="reset view").wait_for()

    def scene(self) -> np.ndarray:
        """What is drawn, without the controls and the browser's own notes."""
        return picture(self.page.screenshot())[250:, :LEFT]

    def until(self, true: Callable[[], bool]) -> None:
        until(self.page, true)

    def settled(self) -> np.ndarray:
        """The scene once the page has all that was sent and draws the same three times; for a session that is held."""
        self.arrived += 1
        self.viewed.page.show_message(f"arrived {self.arrived}")
        self.until(lambda: self.said() == f"arrived {self.arrived}")
        shots = [self.scene()]

        def is_still() -> bool:
            self.page.wait_for_timeout(200)
            shots.append(self.scene())
            return len(shots) > 2 and differing(*shots[-3:-1]) == differing(*shots[-2:]) == 0

        self.until(is_still)
        return shots[-1]

    def answer(self) -> np.ndarray:
        """The scene with what was asked for last; it may still become finer."""
        self.until(self.viewed.has_answered)
        with self.viewed.held:
            return self.settled()

    def tick(self, name: str, on: bool) -> None:
        self.page.get_by_role("checkbox", name=name, exact=True).last.set_checked(on)

    def choose(self, label: str, kind: str) -> None:
        self.page.locator(f"xpath=//label[text()='{label}']/following::input[1]").click()
        self.page.get_by_role("option", name=kind, exact=True).click()

    def open(self, tab: str) -> None:
        self.page.get_by_role("tab", name=tab).click()

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def said(self) -> str:
        return self.read("last")

    def read(self, label: str) -> str:
        return self.page.locator(
            f"xpath=//label[text()='{label}']/following::*[self::textarea or self::input][1]"
        ).input_value()

    def slide_to_end(self, name: str) -> None:
        self.page.locator(f"xpath=(//label[text()='{name}']/following::*[@role='slider'])[1]").press("End")


@pytest.fixture
def visit(browser: Any, viewed: Viewed) -> Iterator[Visit]:
    found = Visit(browser, viewed)
    yield found
    found.page.context.close()
    assert found.wrong == []
    assert found.asked <= {viewed.page.address.url.split("/")[2]}  # nothing from elsewhere


def blank(scene: np.ndarray) -> bool:
    """Whether nearly all of it is white."""
    return float((scene.min(axis=2) < 235).mean()) < 0.005


def test_cameras_and_a_picture_are_drawn(visit: Visit, viewed: Viewed) -> None:
    visit.until(lambda: not blank(visit.scene()))
    visit.until(viewed.has_answered)
    with viewed.held:  # else the picture becomes finer or coarser meanwhile
        both = visit.settled()
        visit.tick("cameras", False)
        visit.until(lambda: differing(both, visit.scene()) > 500)
        alone = visit.settled()
        assert not blank(alone)  # the rendered picture is left
        visit.tick("cameras", True)
        visit.until(lambda: differing(alone, visit.scene()) > 500)
        visit.tick("cameras", False)
        visit.until(lambda: differing(alone, visit.scene()) < 50)
    visit.tick("cameras", True)


def test_pictures_of_all_kinds_differ(visit: Visit, viewed: Viewed) -> None:
    visit.tick("cameras", False)
    seen = []
    for kind in ("normal", "depth", "error", "rgb"):
        visit.choose("picture", kind)
        visit.until(lambda kind=kind: viewed.newest()[1].picture == kind)
        seen.append(visit.answer())
        assert not blank(seen[-1])
    assert all(differing(one, other) > 1000 for one, other in combinations(seen, 2))
    visit.tick("cameras", True)


def test_a_slider_changes_the_mesh(visit: Visit, viewed: Viewed) -> None:
    visit.tick("cameras", False)
    visit.choose("show", "mesh")
    visit.open("Mesh")
    visit.until(lambda: viewed.newest()[1].show == "mesh")
    before = visit.answer()
    assert not blank(before)
    covered = (before.min(axis=2) < 235).sum()
    visit.slide_to_end("iso level")
    visit.until(lambda: (visit.scene().min(axis=2) < 235).sum() > 1.05 * covered)
    visit.open("View")
    visit.choose("show", "picture")
    visit.tick("cameras", True)


def test_export_writes_a_file_and_says_so(visit: Visit, viewed: Viewed) -> None:
    visit.open("Save")
    visit.press("export mesh")
    visit.until(lambda: "exported" in visit.said())
    files = list(viewed.viewed.save_dir.glob("view-it*-mc64.ply"))
    assert files
    assert all(file.name in visit.said() for file in files)


def test_pause_stops_the_training_and_resume_goes_on(visit: Visit, viewed: Viewed) -> None:
    visit.press("pause")
    visit.page.get_by_role("button", name="resume").wait_for()
    at = viewed.steps
    visit.open("Save")
    visit.press("save checkpoint")
    visit.until(lambda: visit.said() == f"saved step {at}")
    assert viewed.steps == at == viewed.saved[-1]
    visit.press("resume")
    visit.until(lambda: viewed.steps > at)


def test_a_second_visitor_sees_it_too(visit: Visit, browser: Any, viewed: Viewed) -> None:
    second = Visit(browser, viewed)
    second.until(lambda: not blank(second.scene()))
    second.choose("picture", "depth")
    visit.tick("cameras", False)  # shared, the picture is not
    second.until(lambda: not second.page.get_by_role("checkbox", name="cameras", exact=True).last.is_checked())
    visit.until(lambda: not blank(visit.scene()))
    visit.until(lambda: differing(visit.scene(), second.scene()) > 1000)
    second.page.context.close()
    visit.tick("cameras", True)
    visit.until(lambda: not blank(visit.scene()))
    assert second.wrong == []


def test_a_visitor_flies_along_a_path_and_gets_a_video_of_it(visit: Visit, viewed: Viewed) -> None:
    def place() -> np.ndarray:
        return viewed.newest()[1].camera.c2w

    def differs(before: np.ndarray) -> bool:
        return not np.allclose(before, place(), atol=1e-3)

    visit.tick("cameras", False)
    visit.open("Path")
    for number in (1, 2):
        visit.press("add")
        visit.until(lambda number=number: visit.read("path").startswith(f"{number} keyframe"))
        before = place()
        visit.page.mouse.move(200, 400)
        visit.page.mouse.down()
        visit.page.mouse.move(350, 420, steps=5)
        visit.page.mouse.up()
        visit.until(lambda before=before: differs(before))
    before = place()
    visit.press("reset view")
    visit.until(lambda: differs(before))
    visit.page.locator("xpath=(//label[text()='seconds']/following::*[@role='slider'])[1]").press("Home")
    start, alone = place(), visit.answer()
    visit.press("play")
    visit.until(lambda: differs(start) and differing(alone, visit.scene()) > 1000)
    visit.choose("video size", "640 × 360")
    visit.press("pause")
    visit.page.get_by_role("button", name="resume").wait_for()
    visit.press("render")
    visit.until(lambda: "render video: frame" in visit.said() or "rendered" in visit.said())
    visit.press("cancel")
    visit.until(lambda: "no file was written" in visit.said() or "rendered" in visit.said())
    visit.press("clear")
    visit.press("resume")
    visit.press("reset view")


def test_on_a_phone_the_object_fits_and_the_controls_are_folded_away(browser: Any, viewed: Viewed) -> None:
    phone = Visit(browser, viewed, {"width": 390, "height": 844})
    phone.until(lambda: not blank(picture(phone.page.screenshot())[180:600]))
    whole = viewed.page._start.position(390 / 844)  # from here all of the object is in sight
    places = lambda: [one.camera.c2w[:, 3] for one in viewed.page.mailbox.visitors().values() if one.camera]  # noqa: E731
    phone.until(lambda: any(np.allclose(place, whole, atol=1e-3) for place in places()))
    covered = phone.page.get_by_text("PhotoSurf").last.bounding_box()["y"]
    assert covered > 0.7 * 844
    phone.page.get_by_text("View · Mesh · Path · Save").click()
    phone.page.get_by_role("tab", name="Path").wait_for()
    assert phone.page.get_by_text("PhotoSurf").last.bounding_box()["y"] > 0.3 * 844  # still half of the picture
    phone.page.wait_for_timeout(500)  # until it is unfolded
    for tab, least in (("View", 9), ("Mesh", 14), ("Path", 12), ("Save", 10)):
        phone.open(tab)
        phone.page.wait_for_timeout(300)
        count, low = low_controls(phone.page)
        assert (count >= least, low) == (True, []), (tab, count)
    phone.page.context.close()
    assert phone.wrong == []
