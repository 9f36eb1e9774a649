"""Takes screenshots of the viewer and the report of a run, for the pages of this project.

Needs Playwright and Chromium: make browser.
Example: python scripts/screenshots.py exp/neus-demo/first@DATE"""

import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

from scripts.command_line import exit_code_of, make_parser
from utils.errors import DataError
from utils.registry import ROOT

WINDOW = {"width": 1200, "height": 760}
PHONE = {"width": 390, "height": 844}
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL without a GPU
QUALITY = 82  # of JPEG
SECONDS = 15.0  # until a mesh is drawn
PATIENCE = 300.0  # seconds, until a picture is as large as the window


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    parser = make_parser(__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run that ended with its test pass")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs" / "images", help="folder for the pictures (default: docs/images)"
    )
    args = parser.parse_args(argv)
    return exit_code_of(lambda: take_screenshots(args.run, args.out))


def take_screenshots(run: Path, out: Path) -> None:
    """Writes viewer.jpg, viewer-mesh.jpg, report.jpg and report-phone.jpg. Raises DataError if something is missing."""
    if not (run / "save" / "report.html").is_file():
        raise DataError(
            f"{run}: expected save/report.html in it, found none. Give a run that ended with its test pass."
        )
    if find_spec("playwright") is None:
        raise DataError("screenshots.py: needs playwright, which is not installed: make browser")
    from playwright.sync_api import sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / "scripts" / "view.py"), str(run), "--port", "0"]
    viewer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = viewer.stdout.readline().split(": ")[0]
        if not url:
            raise DataError(f"{run}: scripts/view.py cannot show it, for the reason above.")
        with sync_playwright() as session:
            path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
            browser = session.chromium.launch(executable_path=path, args=FLAGS)
            page = browser.new_page(viewport=WINDOW)
            _viewer(page, url, out)
            for name, window in (("report", WINDOW), ("report-phone", PHONE)):
                page.set_viewport_size(window)
                page.goto((run / "save" / "report.html").resolve().as_uri())
                page.wait_for_timeout(2000)
                _shoot(page, out / f"{name}.jpg")
            browser.close()
    finally:
        viewer.terminate()
        viewer.wait()


def _viewer(page: Any, url: str, out: Path) -> None:
    page.goto(url)
    page.get_by_role("button", name="reset view").wait_for()
    for close in page.locator(".mantine-Notification-closeButton").all():
        close.click()  # a note about the graphics card
    page.wait_for_timeout(1e3)
    width = round(page.locator("canvas").first.bounding_box()["width"])
    size, end = page.locator("xpath=//label[text()='size']/following::input[1]"), time.monotonic() + PATIENCE
    while not size.input_value().startswith(f"{width} ×") and time.monotonic() < end:
        page.wait_for_timeout(1e3)
    page.wait_for_timeout(2e3)
    _shoot(page, out / "viewer.jpg")
    page.locator("xpath=//label[text()='show']/following::input[1]").click()
    page.get_by_role("option", name="mesh", exact=True).click()
    page.get_by_role("tab", name="Path").click()
    page.wait_for_timeout(1e3 * SECONDS)
    _shoot(page, out / "viewer-mesh.jpg")


def _shoot(page: Any, path: Path) -> None:
    page.mouse.move(5, 5)
    page.screenshot(path=path, type="jpeg", quality=QUALITY)
    print(path)


if __name__ == "__main__":
    sys.exit(main())
