"""How the CPU kernels are compiled and launched."""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from numba import njit

from utils.numba_cache import cached_njit

# No `nnan` and `ninf`: a NaN must stay visible and must never become an index.
FAST = {"contract", "reassoc", "nsz", "arcp"}

# Numba's fallback threading layer aborts the process when two threads (training and a viewer) launch at once.
_launching = threading.Lock()


def kernel(fastmath: set[str] | bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator for a parallel kernel over NumPy arrays: compiled at its first call, then read from disk.

    Numba's disk cache watches only the file of the kernel, so that file must hold all that the kernel calls."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        compiled = cached_njit(parallel=True, error_model="numpy", fastmath=fastmath)(function)

        @wraps(function)
        def launch(*args: Any) -> None:
            with _launching:
                compiled(*args)

        return launch

    return decorate


# A scalar function for use inside kernels, exact as PyTorch: no contraction, so both find the same cell of a point.
scalar = njit(error_model="numpy")
