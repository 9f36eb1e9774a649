"""What --gpu names, and which of them is this process's own."""

import threading

import pytest
import torch

from systems.training.devices import Devices, pick_devices, wake
from utils.errors import ConfigError


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "LOCAL_RANK", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


def test_one_device_is_alone_whatever_lightning_left_in_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    found = pick_devices("cpu")
    assert found == Devices.single(torch.device("cpu"))
    assert (found.size, found.is_first) == (1, True)


def test_a_gpu_is_woken_in_a_thread_which_keeps_its_troubles_to_itself(monkeypatch) -> None:
    asked = []

    def zeros(size: int, device: torch.device) -> None:
        asked.append((device, threading.current_thread() is threading.main_thread()))
        raise RuntimeError("CUDA error")

    monkeypatch.setattr(torch, "zeros", zeros)
    for name in ("cpu", "cuda"):
        wake(torch.device(name))
    for thread in [thread for thread in threading.enumerate() if thread.name == "wake"]:
        thread.join()
    assert asked == [(torch.device("cuda"), False)]


@pytest.mark.parametrize("place", [0, 1])
def test_processes_that_lightning_starts(four_gpus: None, monkeypatch, place: int) -> None:
    monkeypatch.setenv("LOCAL_RANK", str(place))
    found = pick_devices("3,1")
    assert found == Devices(torch.device("cuda", (3, 1)[place]), (3, 1), 1, place, "here")
    assert (found.size, found.is_first) == (2, place == 0)


def test_processes_of_torchrun_on_two_machines(four_gpus: None, monkeypatch) -> None:
    given = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": 2, "WORLD_SIZE": 4, "LOCAL_RANK": 1, "RANK": 3}
    for name, value in given.items():
        monkeypatch.setenv(name, str(value))
    assert pick_devices("0,1") == Devices(torch.device("cuda", 1), (0, 1), 2, 3, "torchrun")
    with pytest.raises(ConfigError, match=r"--gpu 0: torchrun started 2 processes on this machine.*--gpu 0,1"):
        pick_devices("0")


def test_processes_of_srun_on_two_machines(four_gpus: None, monkeypatch) -> None:
    given = {"STEP_NUM_TASKS": 2, "STEP_NUM_NODES": 2, "LOCALID": 0, "PROCID": 1}
    for name, value in given.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    found = pick_devices("0")
    assert found == Devices(torch.device("cuda", 0), (0,), 2, 1, "srun")
    assert not found.is_first


@pytest.mark.parametrize(
    ("gpu", "told"),
    [("1,1", "expected each GPU once"), ("0,cpu", "no cpu among them"), ("0,7", "4 GPUs"), ("0,b", "index")],
)
def test_refused(four_gpus: None, gpu: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        pick_devices(gpu)


def test_several_gpus_where_there_is_none(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("systems.training.devices.reason", lambda machine: "")
    with pytest.raises(ConfigError, match="this machine has no GPU"):
        pick_devices("0,1")
