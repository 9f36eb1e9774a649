"""Chromium for tests that look at pages; whoever lacks it or Playwright is told what to install."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from patience import PATIENCE

FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL without a GPU
_LOW = """() => {
  const kinds = ['button:not(.mantine-Notification-closeButton)', '[role=tab]', '[role=button]', '[role=slider]',
    '.multi-slider-thumb', 'input[type=checkbox]', 'input[role=combobox]', 'input[inputmode=decimal]']
  const found = [...document.querySelectorAll(kinds.join())].map((one) => {
    const area = one.closest('.mantine-Slider-trackContainer, .multi-slider') ?? one  // all of which a finger moves
    const box = one.getBoundingClientRect(), all = area.getBoundingClientRect(), y = box.y + box.height / 2
    const x = Math.min(Math.max(box.x + box.width / 2, all.left + 1), all.right - 1)
    const hit = (away) => area.contains(document.elementFromPoint(x, y + away))
    return {html: one.outerHTML, isSeen: y + 19 < innerHeight && hit(0), isHigh: hit(-19) && hit(19)}
  }).filter((one) => one.isSeen)
  return [found.length, found.filter((one) => !one.isHigh).map((one) => one.html)]
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips the test that asks for it where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make test-browser installs it")
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as session:
        if path is None and not Path(session.chromium.executable_path).exists():
            pytest.skip("needs Chromium: make test-browser installs it, or its path in CHROMIUM")
        found = session.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


def until(page: Any, true: Callable[[], object]) -> None:
    """Waits until something is true of a page."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "did not come true"
        page.wait_for_timeout(100)


def picture(shot: bytes) -> np.ndarray:
    """(H, W, 3) uint8 of a screenshot."""
    return cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR)


def differing(one: np.ndarray, other: np.ndarray) -> int:
    """The number of pixels that changed."""
    return int((np.abs(one.astype(int) - other).max(axis=2) > 8).sum())


def low_controls(page: Any) -> tuple[int, list[str]]:
    """How many controls of the viewer have their middle in sight, and those that take less than 40 pixels of height."""
    count, low = page.evaluate(_LOW)
    return count, low
