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
