"""Figures of a trace that is written by hand, and of a training on a CPU."""

import pytest
import torch

from benchmarks.experiments import train
from benchmarks.profiling import ProfileWindow, read_trace, union_length
from systems.configs import Experiment

CPU = torch.device("cpu")


def event(cat: str, name: str, ts: float, dur: float) -> dict:
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur}


def test_lengths_of_intervals_that_overlap_count_once() -> None:
    assert union_length([]) == 0.0
    assert union_length([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.5, 2.5)]) == 4.0


def test_a_trace_gives_busy_share_launches_and_waits() -> None:
    events = [
        {"ph": "M", "name": "process_name"},
        event("kernel", "before", 0.0, 50.0),
        event("user_annotation", "ProfilerStep#10", 100.0, 100.0),
        event("user_annotation", "ProfilerStep#11", 200.0, 100.0),
        event("gpu_user_annotation", "ProfilerStep#10", 100.0, 400.0),
        event("cuda_runtime", "cudaLaunchKernel", 110.0, 1.0),
        event("cuda_driver", "cuLaunchKernelEx", 120.0, 1.0),
        event("cuda_runtime", "cudaGraphLaunch", 210.0, 1.0),
        event("cuda_runtime", "cudaStreamSynchronize", 220.0, 30.0),
        event("cpu_op", "aten::item", 215.0, 40.0),
        event("cuda_runtime", "cudaDeviceSynchronize", 310.0, 80.0),  # of the profiler, behind the last step
        event("kernel", "wide", 130.0, 60.0),
        event("kernel", "wide", 230.0, 60.0),
        event("kernel", "late", 340.0, 60.0),
        event("gpu_memcpy", "Memcpy DtoH (Device -> Pageable)", 180.0, 20.0),  # half of it beside a kernel
        event("gpu_memset", "Memset (Device)", 300.0, 10.0),
    ]
    found = read_trace(events, 2)
    assert found["ms_per_step"] == 0.15  # the GPU ends at 400, after the host
    assert found["gpu_ms_per_step"] == 0.1
    assert found["gpu_busy_share"] == pytest.approx(2.0 / 3.0, rel=1e-4)
    assert found["kernels_per_step"] == 1.5
    assert found["host_launches_per_step"] == 1.5
    assert found["host_waits_per_100_steps"] == {"cudaStreamSynchronize": 50, "aten::item": 50, "memcpy DtoH": 50}
    wide, late = found["kernels"][:2]
    assert wide == {"name": "wide", "us_per_step": 60.0, "calls_per_step": 1.0, "share": pytest.approx(0.57143)}
    assert late["us_per_step"] == 30.0
    assert "before" not in [row["name"] for row in found["kernels"]]


def test_a_training_is_profiled_in_its_steady_part(experiment: Experiment) -> None:
    window = ProfileWindow(20, 3, CPU)
    train(experiment, CPU, [window])
    report = window.report
    assert report["steps"] == 3
    assert report["ms_per_step"] > 0.0
    assert report["gpu_busy_share"] is None
    assert report["kernels"] == []
    assert report["host_waits_per_100_steps"]["aten::item"] >= 100
