"""Brings the figures of a step from the device to the log without making the host wait."""

from collections.abc import Mapping

import torch
from torch import Tensor

from utils.memory import pinned_empty


class Readout:
    """Copies the figures of a step to the host while the next steps run; one set at a time."""

    def __init__(self) -> None:
        self._under_way: tuple[int, list[str], Tensor, torch.cuda.Event | None] | None = None

    def send(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Starts the copy of the scalars of a step; a copy that is still under way is dropped."""
        numbers = torch.stack([value.detach().float().reshape(()) for value in values.values()])
        arrival = None
        if numbers.device.type == "cuda":
            host = pinned_empty(len(numbers))
            numbers = host.copy_(numbers, non_blocking=True)
            arrival = torch.cuda.Event()
            arrival.record()
        self._under_way = step, list(values), numbers, arrival

    def take(self, wait: bool = False) -> tuple[int, dict[str, float]] | None:
        """The step and its figures, once, if they have arrived; None otherwise. wait: waits for them."""
        if self._under_way is None:
            return None
        step, names, numbers, arrival = self._under_way
        if arrival is not None:
            if not wait and not arrival.query():
                return None
            arrival.synchronize()
        self._under_way = None
        return step, dict(zip(names, numbers.tolist(), strict=True))
