"""CUDA graphs: what a step launches is recorded once, and replayed by one call of the host."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch

T = TypeVar("T")
MAX_GRAPHS = 4  # levels that open one by one would otherwise add one graph each


def is_capturable(device: torch.device, precision_plugin: Any) -> bool:
    """Whether all of a training step can stay on the device: on a GPU, and without loss scaling, which asks the host
    whether to take a step. precision_plugin: that of Lightning's trainer."""
    scaler = getattr(precision_plugin, "scaler", None)
    return device.type == "cuda" and (scaler is None or not scaler.is_enabled())


class StepGraphs:
    """Runs functions of the device alone: eagerly at first, from then on as a CUDA graph per key.

    A function must launch the same work for the same key: fixed shapes, no host reads, random numbers from `generator`
    only. What it returns lies in memory that all graphs share, so that they hold no more than the largest of them, and
    is overwritten by the next replay of any. A replay draws what an eager run with the same seed draws. On a CPU every
    run is eager."""

    def __init__(self, generator: torch.Generator, eager_runs: int = 2) -> None:
        self.generator, self.eager_runs = generator, eager_runs
        self._runs: dict[Hashable, int] = {}
        self._graphs: dict[Hashable, tuple[torch.cuda.CUDAGraph, object]] = {}
        self._pool = torch.cuda.graph_pool_handle() if generator.device.type == "cuda" else None

    def run(self, key: Hashable, function: Callable[[], T]) -> T:
        """The function's result; which function a key stands for must not change."""
        self._runs[key] = self._runs.get(key, 0) + 1
        if self.generator.device.type != "cuda" or self._runs[key] <= self.eager_runs:
            return function()  # compiles kernels and makes lasting state, which a capture must not
        if key not in self._graphs:
            if len(self._graphs) >= MAX_GRAPHS:
                self._graphs.pop(next(iter(self._graphs)))
            self._graphs[key] = self._capture(function)
        graph, result = self._graphs[key]
        graph.replay()
        return result

    def clear(self) -> None:
        """Forgets the graphs: NCCL does not let go of a group of processes as long as one holds its reductions."""
        self._graphs.clear()

    def _capture(self, function: Callable[[], T]) -> tuple[torch.cuda.CUDAGraph, T]:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        # A cast that autocast keeps for later would lie in the graph's memory.
        cast = torch.autocast("cuda", enabled=torch.is_autocast_enabled("cuda"), cache_enabled=False)
        with torch.cuda.graph(graph, self._pool, capture_error_mode="thread_local"), cast:
            return graph, function()
