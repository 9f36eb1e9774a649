"""What a training step launches and waits for: a trace of steady steps, and the figures taken from it."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.profiler import ProfilerActivity, profile, schedule

from benchmarks.common import progress, rounded, synchronise

ON_GPU = ("kernel", "gpu_memcpy", "gpu_memset")
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cuGraphLaunch")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cuStreamSynchronize")
READS = ("aten::item", "aten::_local_scalar_dense")
TOP = 25
SETTLE = 10  # steps that the profiler runs along with before it records
Event = dict[str, Any]


class ProfileWindow(Callback):
    """Records `steps` steps from step `begin` on, then ends the training; the figures lie in `report`.

    The profiler slows down the host, and from its subscription on each kernel of a CUDA graph too."""

    def __init__(self, begin: int, steps: int, device: torch.device) -> None:
        self.begin, self.steps, self.device = begin, steps, device
        self.report: dict[str, Any] = {}
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
        plan = schedule(wait=0, warmup=SETTLE, active=steps, repeat=1)
        self._profiler = profile(activities=activities, schedule=plan, on_trace_ready=self._read)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Has the profiler subscribe to the GPU before a CUDA graph is captured: it may not see into older ones. Each
        step is to be seen."""
        pl_module.at_once = 1
        if self.device.type == "cuda":
            os.environ["TEARDOWN_CUPTI"] = "0"  # nor into those that outlive its subscription
            with profile(activities=[ProfilerActivity.CUDA]):
                torch.ones(1, device=self.device)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Switches the profiler on and off at its steps."""
        step = trainer.global_step - self.begin
        if step == -SETTLE:
            progress(f"profiling {self.steps} steps from step {self.begin} on")
            self._profiler.start()
        elif step > -SETTLE:
            if step == 0:
                synchronise(self.device)  # so that all that the trace shows on the GPU belongs to its steps
            self._profiler.step()
        if step == self.steps:
            self._profiler.stop()
            trainer.should_stop = True

    def _read(self, profiler: profile) -> None:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            path = Path(folder) / "trace.json"
            profiler.export_chrome_trace(str(path))
            events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
        self.report = read_trace(events, self.steps)


def read_trace(events: Iterable[Event], steps: int) -> dict[str, Any]:
    """Figures per step of a Chrome trace of `steps` profiler steps with times in microseconds.

    gpu_busy_share: time in which something runs on the GPU over the whole time, under the profiler. Kernels within a
    CUDA graph count one by one, `host_launches_per_step` counts what the host launched. Host synchronisations and
    reads are per 100 steps. GPU figures are None, and the kernels none, where nothing ran on a GPU."""
    timed = [event for event in events if event.get("ph") == "X"]
    marks = [
        event for event in timed if event["name"].startswith("ProfilerStep#") and event["cat"] == "user_annotation"
    ]
    begin = min(event["ts"] for event in marks)
    host_end = max(event["ts"] + event["dur"] for event in marks)
    inside = [event for event in timed if event["ts"] >= begin]
    on_gpu = [event for event in inside if event.get("cat") in ON_GPU]
    on_host = [event for event in inside if event["ts"] <= host_end]
    calls = Counter(event["name"] for event in on_host if event.get("cat") in ("cuda_runtime", "cuda_driver", "cpu_op"))
    end = max([host_end, *(event["ts"] + event["dur"] for event in on_gpu)])
    busy = union_length([(event["ts"], event["ts"] + event["dur"]) for event in on_gpu])
    launches = sum(count for name, count in calls.items() if name.startswith(LAUNCHES))
    to_host = sum("DtoH" in event["name"] for event in on_gpu if event["cat"] == "gpu_memcpy")
    waits = {name: calls[name] for name in (*WAITS, *READS) if calls[name]} | (
        {"memcpy DtoH": to_host} if to_host else {}
    )
    return {
        "steps": steps,
        "ms_per_step": rounded((end - begin) / 1e3 / steps),
        "gpu_ms_per_step": rounded(busy / 1e3 / steps) if on_gpu else None,
        "gpu_busy_share": rounded(busy / (end - begin)) if on_gpu else None,
        "kernels_per_step": rounded(sum(event["cat"] == "kernel" for event in on_gpu) / steps),
        "host_launches_per_step": rounded(launches / steps),
        "host_waits_per_100_steps": {name: rounded(count * 100 / steps) for name, count in waits.items()},
        "kernels": _top(on_gpu, steps),
    }


def union_length(intervals: Sequence[tuple[float, float]]) -> float:
    """The length that intervals (begin, end) cover together."""
    covered, reach = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        covered += max(0.0, end - max(begin, reach))
        reach = max(reach, end)
    return covered


def _top(on_gpu: Sequence[Event], steps: int) -> list[dict[str, Any]]:
    """The names that take most of the GPU's time: microseconds and calls per step, share of all."""
    times, calls = Counter(), Counter()
    for event in on_gpu:
        times[event["name"]] += event["dur"]
        calls[event["name"]] += 1
    total = sum(times.values())
    return [
        {
            "name": name if len(name) <= 100 else name[:97] + "...",
            "us_per_step": rounded(time_us / steps),
            "calls_per_step": rounded(calls[name] / steps),
            "share": rounded(time_us / total),
        }
        for name, time_us in times.most_common(TOP)
    ]
