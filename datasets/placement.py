"""Where the pixels of a scene lie: in the GPU's memory where they fit, in pinned memory of the host where not."""

import logging
import weakref

import numpy as np
import torch
from torch import Tensor

from datasets.options import Placement

log = logging.getLogger(__name__)
SHARE = 0.5  # of the GPU's free memory that pixels may take; training needs the rest


def place_pixels(pixels: np.ndarray, device: torch.device, placement: Placement, name: str) -> Tensor:
    """uint8 pixels (P, C) where operations on the device can read them; says where that is.

    auto: on the GPU where they take no more than half of what is free there. In the host's memory they are not
    copied but pinned as they lie, and a GPU reads them over the bus. On a CPU nothing is moved."""
    tensor = torch.from_numpy(pixels)
    if device.type != "cuda":
        return tensor.to(device)  # of a CPU: the same memory
    free = torch.cuda.mem_get_info(device)[0]
    fits = pixels.nbytes <= SHARE * free
    sizes = f"{pixels.nbytes / 2**30:.2f} GiB of pixels, {free / 2**30:.1f} GiB free on the GPU"
    if placement == "device" or (placement == "auto" and fits):
        log.debug("%s: %s: kept there", name, sizes)
        return tensor.to(device)
    log.info("%s: %s: kept in pinned memory of the host", name, sizes)
    return pinned(tensor) if len(tensor) else tensor.to(device)


def pinned(tensor: Tensor) -> Tensor:
    """The same memory, locked and mapped so that a GPU can read it, for as long as the tensor lives."""
    runtime, address = torch.cuda.cudart(), tensor.data_ptr()
    code = runtime.cudaHostRegister(address, tensor.numel() * tensor.element_size(), 0)
    if int(code) != 0:
        log.info("the memory of the images cannot be pinned in place (CUDA error %d): they are copied", int(code))
        return tensor.pin_memory()
    weakref.finalize(tensor, runtime.cudaHostUnregister, address)
    return tensor
