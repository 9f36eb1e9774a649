"""How long a test waits for what must come: a time that a fault alone takes, however slow the machine is."""

import time
from collections.abc import Callable

PATIENCE = 240.0  # seconds


def until(true: Callable[[], object], told: Callable[[], object] = lambda: "did not come true") -> None:
    """Waits until something is true; fails with what `told` says once patience has ended."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, told()
        time.sleep(0.01)
