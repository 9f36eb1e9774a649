"""Takes screenshots of what a run shows: report, viewer, a comparison and its .glb in a viewer of web pages.

The comparison needs --beside, the .glb --web-viewer. Each is taken wide and on a phone, light and dark;
screens.jpg and phones.jpg put them together.

Needs Playwright and Chromium: make browser. A viewer of web pages is a script of your own choice; nothing is fetched.
Such as <model-viewer>, licence Apache-2.0: npm pack @google/model-viewer, tar xf google-model-viewer-*.tgz, and then
--web-viewer package/dist/model-viewer.min.js

Example: python scripts/screenshots.py exp/neus-demo/first@DATE --beside exp/neus-demo/second@DATE"""

import io
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
import numpy as np
from PIL import Image

from scripts.command_line import exit_code_of, make_parser
from scripts.compare import compare
from systems.report.results import read_results
from systems.runs import no_run
from utils.errors import DataError, InputError
from utils.registry import ROOT

log = logging.getLogger(__name__)
WINDOWS = {"": {"width": 1280, "height": 900}, "-phone": {"width": 390, "height": 844}}
SCHEMES = {"": "light", "-dark": "dark"}
VARIANTS = {size + scheme: (size, scheme) for size in WINDOWS for scheme in SCHEMES}
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL without a GPU
QUALITY = 82  # of JPEG
PATIENCE = 900.0  # seconds, until a page shows what it should, on a machine with much else to do
MIDDLE = 100  # pixels, half of the square in the middle of a canvas that must show more than one colour
CELLS = {"": (640, 450), "-phone": (320, 692)}  # pixels of a picture among others
GAP = 4  # pixels between them
LABEL = "xpath=//label[text()='{}']/following::input[1]"  # of the viewer's controls
WEB_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>mesh</title><link rel="icon" href="data:,"><style>
:root { color-scheme: light dark; } html, body { height: 100%; margin: 0; }
model-viewer { display: block; width: 100%; height: 100%; background: Canvas; }
</style><script type="module" src="viewer.js"></script>
<model-viewer src="mesh.glb" alt="the mesh" camera-controls camera-orbit="35deg 75deg auto" shadow-intensity="1"
 interaction-prompt="none"><div slot="progress-bar"></div></model-viewer></html>
"""
LOADED = "document.querySelector('model-viewer').loaded === true"


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    parser = make_parser(__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run that ended with its test pass")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs" / "images", help="folder for the pictures (default: docs/images)"
    )
    parser.add_argument("--beside", type=Path, metavar="RUN", help="another run, to compare it with")
    parser.add_argument(
        "--web-viewer", type=Path, metavar="SCRIPT", help="the script of a <model-viewer>, for the .glb"
    )
    parser.add_argument("--no-viewer", action="store_true", help="without the viewer of this program")
    parser.add_argument("--each", action="store_true", help="also each picture that is dark or of a phone by itself")
    args = parser.parse_args(argv)
    return exit_code_of(
        lambda: take_screenshots(args.run, args.out, args.beside, args.web_viewer, not args.no_viewer, args.each)
    )


def take_screenshots(
    run: Path, out: Path, beside: Path | None, script: Path | None, with_viewer: bool, each: bool
) -> None:
    """Writes report.jpg, viewer.jpg, viewer-mesh.jpg, compare.jpg and web.jpg, and all of them as screens.jpg and
    phones.jpg; each: also those that end in -dark, -phone and -phone-dark.

    Raises InputError if something is missing, a page complains, or does not come to show what it should."""
    report = run / "save" / "report.html"
    if not report.is_file():
        raise no_run(run, "expected save/report.html in it, found none. Give a run that ended with its test pass.")
    if beside is not None:
        read_results(beside)  # refused before the viewer is started
    glb = None if script is None else _newest_glb(run, script)
    if find_spec("playwright") is None:
        raise DataError("screenshots.py: needs playwright, which is not installed: make browser")
    from playwright.sync_api import sync_playwright

    taken: dict[str, dict[str, Image.Image]] = {}  # by page and variant
    with sync_playwright() as session, TemporaryDirectory() as folder:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
        opened = partial(_opened, session.chromium.launch(executable_path=path, args=FLAGS))
        web = {"web": _web_pictures(opened, glb, script, Path(folder))} if glb else {}  # first: it may well complain
        taken["report"] = {variant: _page_picture(opened, variant, report) for variant in VARIANTS}
        if with_viewer:
            taken["viewer"], taken["viewer-mesh"] = _viewer_pictures(opened, run)
        if beside is not None:
            compare([run, beside], page := Path(folder) / "compare.html")
            taken["compare"] = {variant: _page_picture(opened, variant, page) for variant in VARIANTS}
    out.mkdir(parents=True, exist_ok=True)
    taken |= web
    for name, pictures in taken.items():
        for variant, picture in pictures.items():
            if each or not variant:
                _save(picture, out / f"{name}{variant}.jpg")
    whole = [pictures for pictures in taken.values() if len(pictures) == len(VARIANTS)]
    _save(_sheet([[pictures[dark] for dark in SCHEMES] for pictures in whole], ""), out / "screens.jpg")
    phones = [[pictures[f"-phone{dark}"] for pictures in whole] for dark in SCHEMES]
    _save(_sheet(phones, "-phone"), out / "phones.jpg")


def _newest_glb(run: Path, script: Path) -> Path:
    """The last mesh that a run left as a .glb. Raises InputError if there is none, or no script to show it."""
    if not script.is_file():
        raise InputError(f"--web-viewer {script}: no such file. --help tells where such a script can be had.")
    found = [path for path in (run / "save").glob("it*-mc*.glb") if "-lod" not in path.stem]
    if not found:
        raise DataError(
            f"{run}: no .glb in its folder save. Make one: python scripts/export.py {run} --glb --texture views"
        )
    return max(found, key=lambda path: path.stat().st_mtime)


@contextmanager
def _opened(browser: Any, variant: str, url: str) -> Iterator[Any]:
    """A page in a window of its own. Raises DataError if it complained, or asked for what is elsewhere."""
    size, scheme = VARIANTS[variant]
    kind = {"is_mobile": True, "has_touch": True} if size else {}
    context = browser.new_context(viewport=WINDOWS[size], color_scheme=SCHEMES[scheme], **kind)
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"cannot load {request.url[:200]}"))
    elsewhere = lambda address: not address.startswith((url.rpartition("/")[0], "data:", "blob:", "ws:"))  # noqa: E731
    page.route(elsewhere, lambda route: route.abort())
    page.goto(url)
    try:
        yield page
    finally:
        if wrong:
            raise DataError(f"{url}: the page complains: {'; '.join(dict.fromkeys(wrong))}")
        context.close()


def _page_picture(opened: Any, variant: str, file: Path) -> Image.Image:
    with opened(variant, file.resolve().as_uri()) as page:
        _until_drawn(page)
        page.evaluate("document.querySelectorAll('video').forEach((video) => { video.controls = false; })")  # they fade
        return _picture(page)


def _viewer_pictures(opened: Any, run: Path) -> tuple[dict[str, Image.Image], dict[str, Image.Image]]:
    """The viewer in all variants, and the mesh in it, wide and light."""
    pictures, mesh = {}, {}
    with _viewer_of(run) as url:
        for variant in VARIANTS:
            with opened(variant, url) as page:
                page.get_by_role("button", name="reset view").wait_for(timeout=1e3 * PATIENCE)
                for close in page.locator(".mantine-Notification-closeButton").all():
                    close.click()  # a note about the graphics card
                if variant.endswith("dark"):
                    page.locator(LABEL.format("dark page")).evaluate(
                        "(box) => box.click()"
                    )  # on a phone it is folded away
                _until(page, "a picture as large as its window", lambda page=page: _is_whole(page))
                page.wait_for_timeout(2e3)
                pictures[variant] = _picture(page)
                if not variant:
                    mesh[variant] = _mesh_picture(page)
    return pictures, mesh


def _mesh_picture(page: Any) -> Image.Image:
    """The mesh in the viewer; cameras in front of where it will be are hidden until it has come."""
    cameras = page.get_by_role("checkbox", name="cameras", exact=True).last
    cameras.uncheck()
    page.locator(LABEL.format("show")).click()
    page.get_by_role("option", name="mesh", exact=True).click()
    _until(page, "the mesh", lambda: page.locator(LABEL.format("size")).input_value() == "none")
    page.wait_for_timeout(1e3)  # until the picture is gone
    _until_drawn(page)
    cameras.check()
    page.get_by_role("tab", name="Path").click()
    page.wait_for_timeout(2e3)
    return _picture(page)


@contextmanager
def _viewer_of(run: Path) -> Iterator[str]:
    """The address at which scripts/view.py shows a run meanwhile. Raises DataError if it cannot."""
    command = [sys.executable, str(ROOT / "scripts" / "view.py"), str(run), "--port", "0"]
    viewer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = viewer.stdout.readline().split(": ")[0]
        if not url:
            raise DataError(f"{run}: scripts/view.py cannot show it, for the reason above.")
        yield f"{url}/"
    finally:
        viewer.terminate()
        viewer.wait()


def _is_whole(page: Any) -> bool:
    """Whether the viewer shows a picture with as many pixels as the window has."""
    box = page.locator("canvas").first.bounding_box()
    told = page.locator(LABEL.format("size")).input_value()
    return told.startswith(f"{round(box['width'])} × {round(box['height'])},")


def _web_pictures(opened: Any, glb: Path, script: Path, folder: Path) -> dict[str, Image.Image]:
    """A .glb in a viewer of web pages, served from a folder, since browsers load no models from disk."""
    shutil.copy(script, folder / "viewer.js")
    shutil.copy(glb, folder / "mesh.glb")
    (folder / "index.html").write_text(WEB_PAGE, encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pictures = {}
    try:
        for variant in VARIANTS:
            with opened(variant, f"http://127.0.0.1:{server.server_port}/index.html") as page:
                _until(page, f"{glb.name} in {script.name}", lambda page=page: page.evaluate(LOADED))
                _until_drawn(page)
                pictures[variant] = _picture(page)
    finally:
        server.shutdown()
    return pictures


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".glb": "model/gltf-binary"}

    def log_message(self, words: str, *values: Any) -> None:
        """Requests are no news."""
        log.debug(words, *values)


def _until(page: Any, what: str, holds: Any) -> None:
    """Waits until something holds. Raises DataError after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise DataError(f"{page.url}: {what} did not come within {PATIENCE:.0f} s.")
        page.wait_for_timeout(300)


def _until_drawn(page: Any) -> None:
    """Waits until the middle of the first canvas, if there is one, shows more than one colour and stays as it is."""
    canvas = page.locator("canvas:visible, model-viewer").first
    if canvas.count():
        seen = [np.zeros(0)]

        def is_still() -> bool:
            box = canvas.bounding_box()
            x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
            clip = {"x": x - MIDDLE, "y": y - MIDDLE, "width": 2 * MIDDLE, "height": 2 * MIDDLE}
            seen.append(np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")))
            return seen[-1].std() > 5.0 and np.array_equal(*seen[-2:])

        _until(page, "a drawn mesh", is_still)


def _picture(page: Any) -> Image.Image:
    page.mouse.move(5, 5)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def _sheet(rows: list[list[Image.Image]], size: str) -> Image.Image:
    """Pictures of one size in rows."""
    width, height = CELLS[size]
    sheet = Image.new("RGB", ((width + GAP) * len(rows[0]) - GAP, (height + GAP) * len(rows) - GAP), "grey")
    for top, row in enumerate(rows):
        for left, picture in enumerate(row):
            sheet.paste(
                picture.resize((width, height), Image.Resampling.LANCZOS), (left * (width + GAP), top * (height + GAP))
            )
    return sheet


def _save(picture: Image.Image, path: Path) -> None:
    picture.save(path, quality=QUALITY, optimize=True)
    print(path)


if __name__ == "__main__":
    sys.exit(main())
