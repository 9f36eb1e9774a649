"""Reports in a real browser, from disk and without a network: no error, a mesh that is drawn and turns."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium, differing, picture, until
from finished_run import write_finished_run
from patience import PATIENCE

from scripts.compare import main
from systems.configs import read_experiment
from systems.report.page import write_report
from systems.report.results import read_results

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


class Opened:
    """A page that was opened from disk, and all that went wrong on it."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.page = browser.new_context(offline=True, **options).new_page()
        self.page.set_default_timeout(1e3 * PATIENCE)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url.split(":")[0]))
        self.page.goto(path.as_uri())
        self.settle()

    def settle(self) -> None:
        """Waits until two frames were drawn."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.page.wait_for_timeout(100)

    def until(self, true: Callable[[], object]) -> None:
        until(self.page, true)

    def canvas(self, index: int = 0) -> np.ndarray:
        """(H, W, 3) uint8, what a canvas shows."""
        return picture(self.page.locator("canvas").nth(index).screenshot())

    def drag(self, index: int, right: int, down: int) -> None:
        """Moves the pressed pointer from the middle of a canvas."""
        self.page.locator("canvas").nth(index).scroll_into_view_if_needed()
        box = self.page.locator("canvas").nth(index).bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + right, y + down, steps=3)
        self.page.mouse.up()
        self.settle()


def is_drawn(canvas: np.ndarray) -> bool:
    """Whether a tenth of it at least is no background."""
    height, width = canvas.shape[:2]
    return differing(canvas, np.broadcast_to(canvas[5, width // 2], canvas.shape)) > 0.1 * height * width


def test_a_report_opens_and_its_mesh_turns(browser: Any, tmp_path: Path) -> None:
    results = read_results(write_finished_run(tmp_path / "cow" / "a@1"))
    opened = Opened(browser, write_report(results, read_experiment([results.folder.parsed_config], [])))
    height, width = opened.canvas().shape[:2]
    opened.until(lambda: is_drawn(opened.canvas()))
    first = opened.canvas()
    opened.drag(0, 120, 20)
    opened.until(lambda: differing(first, opened.canvas()) > 0.03 * height * width)
    opened.page.locator("canvas").dblclick()
    opened.until(lambda: differing(first, opened.canvas()) < 50)
    opened.page.click("[data-mode=shape]")
    opened.until(lambda: np.ptp(opened.canvas()[height // 2, width // 2]) < 3)  # grey
    opened.page.click("[data-mode=normals]")
    pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map((button) => button.dataset.mode)"
    assert opened.page.evaluate(pressed) == ["normals"]
    opened.page.locator("canvas").hover()
    opened.page.mouse.wheel(0, 200)
    opened.until(lambda: opened.page.evaluate("scrollY") > 0)  # the wheel scrolls the page until the mesh is clicked
    opened.page.locator("canvas").click()
    opened.page.mouse.wheel(0, -600)
    opened.until(lambda: differing(opened.canvas(), first) > 0.2 * height * width)
    assert opened.page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    opened.page.wait_for_function("document.querySelector('video').readyState >= 1")
    assert set(opened.asked) <= {"file", "data"}
    assert opened.said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_and_a_finger_scrolls_past_the_mesh(browser: Any, tmp_path: Path, scheme: str) -> None:
    results = read_results(write_finished_run(tmp_path / "cow" / "a@1", up=[0.0, -1.0, 0.0]))
    path = write_report(results, read_experiment([results.folder.parsed_config], []))
    window = {"width": 390, "height": 844}
    opened = Opened(browser, path, viewport=window, has_touch=True, is_mobile=True, color_scheme=scheme)
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") == window["width"]
    beyond = (
        "[...document.querySelectorAll('td')].filter((cell) => cell.getBoundingClientRect().right > innerWidth).length"
    )
    assert page.evaluate(beyond) == 0
    assert [page.locator(words).is_visible() for words in (".by-finger", ".by-mouse")] == [True, False]
    assert min(button.bounding_box()["height"] for button in page.locator("button, .files a").all()) >= 44  # a thumb
    touch = "getComputedStyle(document.querySelector('canvas')).touchAction"
    opened.until(lambda: is_drawn(opened.canvas()))
    first = opened.canvas()
    assert (first[5, 100].max() < 64) == (scheme == "dark")
    for place, expected in (("canvas", "none"), ("h1", "auto")):
        page.locator(place).tap()
        opened.until(lambda expected=expected: page.evaluate(touch) == expected)
    page.locator("canvas").tap()
    opened.drag(0, 120, 20)
    opened.until(lambda: differing(first, opened.canvas()) > 0.03 * first.shape[0] * first.shape[1])
    page.locator("[data-up]").tap()
    assert page.locator("[data-up]").inner_text() == "up: z"  # it was that of the data
    assert opened.said == []


def test_meshes_of_a_comparison_turn_together(browser: Any, tmp_path: Path) -> None:
    runs = [str(write_finished_run(tmp_path / "cow" / name)) for name in ("a@1", "b@2")]
    assert main([*runs, "--out", str(tmp_path / "both.html")]) == 0
    opened = Opened(browser, tmp_path / "both.html")
    opened.until(lambda: is_drawn(opened.canvas(1)) and differing(opened.canvas(0), opened.canvas(1)) < 50)
    before = opened.canvas(1)
    opened.drag(0, 150, 0)
    opened.until(lambda: differing(before, opened.canvas(1)) > 0.03 * before.shape[0] * before.shape[1])
    opened.until(lambda: differing(opened.canvas(0), opened.canvas(1)) < 50)
    assert opened.said == []


def test_more_meshes_than_a_browser_keeps_contexts_are_all_drawn(browser: Any, tmp_path: Path) -> None:
    run = write_finished_run(tmp_path / "cow" / "a@1")
    assert main([*[str(run)] * 18, "--out", str(tmp_path / "many.html")]) == 0
    opened = Opened(browser, tmp_path / "many.html")
    for index in (0, 17):
        opened.until(lambda index=index: is_drawn(opened.canvas(index)))
    before = opened.canvas(0)
    opened.drag(17, 150, 0)
    opened.until(lambda: differing(before, opened.canvas(0)) > 0.03 * before.shape[0] * before.shape[1])
    assert opened.said == []  # "Too many active WebGL contexts"


def test_a_phone_shows_two_meshes_at_once_and_the_values_of_both(browser: Any, tmp_path: Path) -> None:
    runs = [str(write_finished_run(tmp_path / "cow" / f"{name * 12}@1")) for name in "ab"]
    assert main([*runs, "--out", str(tmp_path / "both.html")]) == 0
    page = Opened(browser, tmp_path / "both.html", viewport={"width": 390, "height": 844}).page
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for part, index in ((".scroll tr td", 0), (".scroll tr td", 1), ("canvas", 1)):
        box = page.locator(part).nth(index).bounding_box()
        assert box["x"] + box["width"] < 390
    assert box["y"] + box["height"] < 844
    page.evaluate("document.querySelector('.scroll').scrollLeft = 200")
    assert page.locator(".scroll th[scope]").first.bounding_box()["x"] >= 0  # names stay
