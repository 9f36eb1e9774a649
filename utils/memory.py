"""Sizes of pieces of work: what kernels are compiled for, and smaller ones where memory runs out."""

import gc
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

log = logging.getLogger(__name__)
T = TypeVar("T")
ROW = 16  # Triton compiles a kernel for sizes that are multiples of this, and again for others


def in_rows(num: int, device: torch.device) -> int:
    """How many points, rays or samples an inference computes for `num`: on a GPU the least multiple of ROW that is no
    smaller, so that its kernels are those that were compiled ahead, whatever the size of a view or a mesh."""
    return -(-num // ROW) * ROW if device.type == "cuda" else num


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or what it came of, says that a device or the host has no memory left for what was asked.

    What breaks the recording of a CUDA graph is hidden behind the error of the recording."""
    told = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # torch on a CPU
    behind = error.__cause__ or error.__context__
    known = told or isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or (behind is not None and is_out_of_memory(behind))


def free_memory() -> None:
    """Gives back what nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def pinned_empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A tensor of a shape on the host, without content, that a GPU copies to without making the host wait; in memory
    that it waits for where the system pins no more, as WSL 2 beyond a limit."""
    try:
        return torch.empty(shape, dtype=dtype, pin_memory=True)
    except RuntimeError:
        return torch.empty(shape, dtype=dtype)


class HalvingChunks:
    """The size of the pieces in which something is computed; halved for good where memory does not suffice."""

    def __init__(self, name: str, size: int, least: int) -> None:
        """name: the key that sets the size, for the log; least: size below which there is no use in trying."""
        self.name, self.size, self.least = name, size, least

    def run(self, work: Callable[[int], T]) -> T:
        """What `work` gives for the size, begun anew where memory ran out. Raises what it raises at the least size."""
        while True:
            try:
                return work(self.size)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.size <= self.least:
                    raise
            # Only now, where the error no longer holds the frames with what was computed.
            self.size = max(self.size // 2, self.least)
            free_memory()
            log.warning("out of memory: going on with %s=%d", self.name, self.size)
