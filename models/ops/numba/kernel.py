"""How the CPU kernels are compiled and launched."""

from collections.abc import Callable

from numba import njit

from utils.numba_cache import cached_parallel

# No `nnan` and `ninf`: a NaN must stay visible and must never become an index.
FAST = {"contract", "reassoc", "nsz", "arcp"}


def kernel(fastmath: set[str] | bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator for a parallel kernel over NumPy arrays: compiled at its first call, then read from disk.

    Numba's disk cache watches only the file of the kernel, so that file must hold all that the kernel calls."""
    return cached_parallel(fastmath=fastmath)


# A scalar function for use inside kernels, exact as PyTorch: no contraction, so both find the same cell of a point.
scalar = njit(error_model="numpy")
