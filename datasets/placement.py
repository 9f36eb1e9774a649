"""Where the pixels of a scene are: in the GPU's memory if they fit, else in pinned memory of the host."""

import logging
import weakref

import numpy as np
import torch
from torch import Tensor

from datasets.options import Placement

log = logging.getLogger(__name__)
MAX_SHARE = 0.5  # of the GPU's free memory that pixels may take; training needs the rest


def place_pixels(pixels: np.ndarray, device: torch.device, placement: Placement, name: str) -> Tensor:
    """uint8 pixels (P, C) where operations on the device can read them; logs where that is.

    auto: on the GPU if they take at most half of its free memory. In the host's memory the pixels are pinned in place,
    not copied, and a GPU reads them over the bus. Copies nothing for a CPU."""
    tensor = torch.from_numpy(pixels)
    if device.type != "cuda":
        return tensor.to(device)  # for a CPU: the same memory
    free = torch.cuda.mem_get_info(device)[0]
    fits = pixels.nbytes <= MAX_SHARE * free
    sizes = f"{pixels.nbytes / 2**30:.2f} GiB of pixels, {free / 2**30:.1f} GiB free on the GPU"
    if placement == "device" or (placement == "auto" and fits):
        log.debug("%s: %s: keeping them on the GPU", name, sizes)
        return tensor.to(device)
    log.info("%s: %s: keeping them in pinned memory of the host", name, sizes)
    return pin_in_place(tensor) if len(tensor) else tensor.to(device)


def pin_in_place(tensor: Tensor) -> Tensor:
    """The same memory, page-locked and mapped so that a GPU can read it, for as long as the tensor lives."""
    runtime, address = torch.cuda.cudart(), tensor.data_ptr()
    code = runtime.cudaHostRegister(address, tensor.numel() * tensor.element_size(), 0)
    if int(code) != 0:
        log.info("cannot pin the memory of the images in place (CUDA error %d), so copying them", int(code))
        return tensor.pin_memory()
    weakref.finalize(tensor, runtime.cudaHostUnregister, address)
    return tensor
