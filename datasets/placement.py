"""Where the pixels of a scene are: in the GPU's memory if they fit, else in the host's, pinned if that can be."""

import contextlib
import logging
import math
import weakref

import numpy as np
import torch
from torch import Tensor

from datasets.options import Placement

log = logging.getLogger(__name__)
_told: list[str] = []  # the first scene whose pixels cannot be pinned; one line is enough
MAX_SHARE = 0.5  # of the GPU's free memory that pixels may take; training needs the rest


def place_pixels(pixels: np.ndarray, device: torch.device, placement: Placement, name: str) -> tuple[Tensor, bool]:
    """uint8 pixels (P, C), and whether operations on the device can read them there; logs where that is.

    auto: on the GPU if they take at most half of its free memory. In the host's memory the pixels are pinned in place,
    not copied, and a GPU reads them over the bus. Where the host pins no more, as WSL 2 beyond a limit, they stay as
    they are, and each batch is copied. Copies nothing for a CPU."""
    tensor = torch.from_numpy(pixels)
    if device.type != "cuda":
        return tensor.to(device), True  # for a CPU: the same memory
    free = torch.cuda.mem_get_info(device)[0]
    fits = pixels.nbytes <= MAX_SHARE * free
    sizes = f"{pixels.nbytes / 2**30:.2f} GiB of pixels, {free / 2**30:.1f} GiB free on the GPU"
    if placement == "device" or (placement == "auto" and fits) or not len(tensor):
        log.debug("%s: %s: keeping them on the GPU", name, sizes)
        return tensor.to(device), True
    if (pinned := _pinned(tensor, device)) is not None:
        log.info("%s: %s: keeping them in pinned memory of the host", name, sizes)
        return pinned, True
    log.info("%s: %s: leaving them in memory of the host that is not pinned", name, sizes)
    if not _told:
        _told.append(name)
        factor = math.ceil(math.sqrt(pixels.nbytes / (MAX_SHARE * free)))
        remedy = "dataset.pixels_on=auto" if fits else f"a dataset.img_downscale {factor} times as large"
        log.warning(
            "%s: this system pins no more memory, as WSL 2 beyond a limit, so each batch is copied, which is slower. "
            "With %s the pixels lie on the GPU.",
            *(name, remedy),
        )
    return tensor, False


def _pinned(tensor: Tensor, device: torch.device) -> Tensor | None:
    """The same memory, page-locked and mapped so that a GPU can read it, for as long as the tensor lives; else a copy
    in such memory, or None where the system gives neither."""
    runtime, address = torch.cuda.cudart(), tensor.data_ptr()
    code = runtime.cudaHostRegister(address, tensor.numel() * tensor.element_size(), 0)
    if int(code) == 0:
        weakref.finalize(tensor, runtime.cudaHostUnregister, address)
        return tensor
    log.info("cannot pin the memory of the images in place (CUDA error %d), so copying them", int(code))
    _forget_error(device)
    try:
        return tensor.pin_memory()
    except RuntimeError:  # torch.OutOfMemoryError is one
        _forget_error(device)
        return None


def _forget_error(device: torch.device) -> None:
    """CUDA keeps the error of a call that torch did not make, and the next operation is blamed for it: one that matters
    to nobody."""
    for _ in range(2):
        with contextlib.suppress(RuntimeError):
            torch.zeros(1, device=device).add_(1)
            torch.cuda.synchronize(device)
            return
