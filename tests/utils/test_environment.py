"""The peak of a stage is its own, and that of the run is still known."""

import pytest
import torch

from utils import environment

MIB = 2**20


def test_a_stage_has_its_own_peak_and_hides_none(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = {"peak": 900 * MIB}
    monkeypatch.setattr(environment, "_before_stages", {})
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: memory["peak"])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: memory.update(peak=100 * MIB))
    device = torch.device("cuda", 0)
    with environment.peaks_of_stage(device) as peaks:
        memory["peak"] = 300 * MIB
    assert peaks == {"peak_gpu_memory_mib": 300.0}
    assert environment.peak_memory(device)["peak_gpu_memory_mib"] == 900.0
    memory["peak"] = 1000 * MIB
    assert environment.peak_memory(device)["peak_gpu_memory_mib"] == 1000.0


def test_a_stage_on_a_cpu_has_none() -> None:
    with environment.peaks_of_stage(torch.device("cpu")) as peaks:
        pass
    assert peaks == {}
