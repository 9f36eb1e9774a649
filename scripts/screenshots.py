"""Takes screenshots of the viewer and the report of a run, for the pages of this project.

The report is taken light and dark, wide and on a phone; with --beside, so is the page that compares it with another.

Needs Playwright and Chromium: make browser.
Example: python scripts/screenshots.py exp/neus-demo/first@DATE"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
from scripts.command_line import exit_code_of, make_parser
from scripts.compare import compare
from systems.report.results import read_results
from systems.runs import no_run
from utils.errors import DataError
from utils.registry import ROOT

WINDOW = {"width": 1200, "height": 760}  # of the viewer
PAGES = {"": {"width": 1280, "height": 900}, "-phone": {"width": 390, "height": 844}}
SCHEMES = {"": "light", "-dark": "dark"}
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
    parser.add_argument("--beside", type=Path, metavar="RUN", help="another run, for compare.jpg")
    parser.add_argument("--no-viewer", action="store_true", help="the pages alone")
    args = parser.parse_args(argv)
    return exit_code_of(lambda: take_screenshots(args.run, args.out, args.beside, not args.no_viewer))


def take_screenshots(run: Path, out: Path, beside: Path | None, with_viewer: bool) -> None:
    """Writes viewer.jpg and viewer-mesh.jpg, then report.jpg and compare.jpg, each also -phone and -dark.

    Raises InputError if something is missing."""
    if not (run / "save" / "report.html").is_file():
        raise no_run(run, "expected save/report.html in it, found none. Give a run that ended with its test pass.")
    if beside is not None:
        read_results(beside)  # refused before the viewer is started
    if find_spec("playwright") is None:
        raise DataError("screenshots.py: needs playwright, which is not installed: make browser")
    from playwright.sync_api import sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as session, TemporaryDirectory() as folder:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
        browser = session.chromium.launch(executable_path=path, args=FLAGS)
        if with_viewer:
            with _served(run) as url:
                _viewer(browser.new_page(viewport=WINDOW), url, out)
        pages = {"report": run / "save" / "report.html"}
        if beside is not None:
            compare([run, beside], pages.setdefault("compare", Path(folder) / "compare.html"))
        for name, file in pages.items():
            for (size, window), (dark, scheme) in product(PAGES.items(), SCHEMES.items()):
                page = browser.new_page(viewport=window, color_scheme=scheme)
                page.goto(file.resolve().as_uri())
                page.wait_for_timeout(2000)
                _shoot(page, out / f"{name}{size}{dark}.jpg")
                page.close()
        browser.close()


@contextmanager
def _served(run: Path) -> Iterator[str]:
    """The address at which scripts/view.py shows a run meanwhile. Raises DataError if it cannot."""
    command = [sys.executable, str(ROOT / "scripts" / "view.py"), str(run), "--port", "0"]
    viewer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = viewer.stdout.readline().split(": ")[0]
        if not url:
            raise DataError(f"{run}: scripts/view.py cannot show it, for the reason above.")
        yield url
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
