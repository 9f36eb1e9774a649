"""What the curves say of time and memory, beside the figures of the training."""

import time

import torch

from utils.environment import peak_memory

_MIB_PER_GIB = 1024.0


class Meters:
    """Read when figures are logged: the host asks neither the device nor anything that waits for it."""

    def __init__(self, device: torch.device, step: int) -> None:
        """step: the last one so far."""
        self._device = device
        self.restart(step)

    def restart(self, step: int) -> None:
        """Leaves out the time before now, as that of a validation pass."""
        self._last_step, self._last_time = step, time.perf_counter()

    def read(self, step: int, rays: float) -> dict[str, float]:
        """Rays per second and milliseconds per step since the figures before arrived, or since `restart`; the largest
        memory so far of the process and, on a GPU, of torch there. {} for a step that was read. rays: of this step."""
        now, steps = time.perf_counter(), step - self._last_step
        if steps <= 0:
            return {}
        seconds = now - self._last_time
        self._last_step, self._last_time = step, now
        peaks = peak_memory(self._device)
        memory = {"process": peaks["peak_memory_mib"], "device": peaks.get("peak_gpu_memory_mib")}
        return {
            "perf/rays_per_s": rays * steps / seconds,
            "time/step_ms": 1e3 * seconds / steps,
            **{f"memory/{of}_peak_gib": mib / _MIB_PER_GIB for of, mib in memory.items() if mib is not None},
        }
