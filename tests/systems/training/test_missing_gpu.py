"""Where torch finds no GPU beside an NVIDIA card, one line says why; these machines are simulated."""

import logging
import subprocess
from pathlib import Path

import pytest
import torch

import launch
from systems.training import missing_gpu
from systems.training.devices import pick_device
from systems.training.missing_gpu import Machine, is_without, look, reason, refuse_missing_gpu
from utils.errors import ConfigError

NVIDIA, AMD = frozenset({"0x10de"}), frozenset({"0x1002"})
CARD = {"card": "NVIDIA GeForce RTX 4060", "vendors": NVIDIA}
CPU_BUILD, CUDA_13, CUDA_12 = ("2.13.0+cpu", None), ("2.13.0", "13.0"), ("2.13.0+cu126", "12.6")


def machine(build: tuple[str, str | None], **found: object) -> Machine:
    return Machine(*build, **found)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (machine(CPU_BUILD, driver="580.88", on_windows=True, **CARD), ["RTX 4060", "build for the CPU", "whl/cu130"]),
        (machine(CPU_BUILD, driver="555.42.06", **CARD), ["build for the CPU", "whl/cu126"]),
        (machine(CPU_BUILD, driver="470.256.02", **CARD), ["build for the CPU", "update the driver first"]),
        (machine(CPU_BUILD, driver="526.10", on_windows=True, **CARD), ["update the driver first"]),
        (machine(CUDA_13, driver="560.94", **CARD), ["for CUDA 13.0", "needs driver 580 or newer", "whl/cu126"]),
        (machine(CUDA_12, driver="470.256.02", **CARD), ["needs driver 525 or newer: update it"]),
        (machine(CUDA_12, driver="526.10", on_windows=True, **CARD), ["needs driver 528 or newer: update it"]),
        (machine(CUDA_13, has_wsl=True), ["/dev/dxg is missing", "wsl --set-version"]),
        (machine(CUDA_13, has_wsl=True, has_dxg=True), ["WSL has a GPU but no driver", "in Windows, and none inside"]),
        (machine(CUDA_13, vendors=NVIDIA), ["its driver is not loaded", "nvidia.com/drivers"]),
        (machine(CUDA_13, driver="580.65", hidden="", **CARD), ["CUDA_VISIBLE_DEVICES= hides it"]),
        (machine(CUDA_13, driver="580.65", hidden="-1", **CARD), ["CUDA_VISIBLE_DEVICES=-1 hides it"]),
        (machine(CUDA_13, driver="580.65", in_container=True), ["docker run --gpus all"]),
        (
            machine(CUDA_13, driver="580.65", error="CUDA unknown error.", **CARD),
            ["cannot use it: CUDA unknown error."],
        ),
        (machine(CUDA_13, vendors=AMD), ["AMD", "ROCm"]),
    ],
)
def test_the_line_says_which_it_is_and_what_to_do(found: Machine, told: list[str]) -> None:
    line = reason(found)
    assert [text for text in told if text not in line] == []
    assert "\n" not in line
    assert line.endswith((".", "others)."))


@pytest.mark.parametrize(
    "found", [machine(CPU_BUILD), machine(CUDA_13), machine(CUDA_13, vendors=frozenset({"0x8086"}))]
)
def test_no_card_needs_no_reason(found: Machine) -> None:
    assert reason(found) == ""


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No nvidia-smi, and a torch that fails as one without a driver does."""
    monkeypatch.setattr(missing_gpu.shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("version", "driver"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n", "535.183.01"),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version: 12\n",
            "580.65.06",
        ),
    ],
)
def test_the_kernel_tells_the_driver_without_nvidia_smi(bare: None, tmp_path: Path, version: str, driver: str) -> None:
    write(tmp_path, {"proc/driver/nvidia/version": version, ".dockerenv": ""})
    found = look(tmp_path)
    assert (found.driver, found.in_container, found.has_wsl) == (driver, True, False)


def test_wsl_and_cards_on_the_bus_are_seen(bare: None, tmp_path: Path) -> None:
    bus = "sys/bus/pci/devices/0000:0"
    write(tmp_path, {"proc/version": "Linux version 6.6.87.2-microsoft-standard-WSL2", "dev/dxg": ""})
    write(tmp_path, {f"{bus}1/class": "0x030000\n", f"{bus}1/vendor": "0x10de\n"})
    write(tmp_path, {f"{bus}2/class": "0x020000\n", f"{bus}2/vendor": "0x8086\n"})
    found = look(tmp_path)
    assert (found.has_wsl, found.has_dxg, found.vendors) == (True, True, NVIDIA)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("NVIDIA GeForce RTX 3060, 591.44\nNVIDIA T4, 591.44\n", ("NVIDIA GeForce RTX 3060", "591.44")),
        (subprocess.CalledProcessError(9, "nvidia-smi"), ("", "")),
        (subprocess.TimeoutExpired("nvidia-smi", 20), ("", "")),
    ],
)
def test_nvidia_smi_is_asked(
    bare: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: object, expected: tuple[str, str]
) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if isinstance(answer, Exception):
            raise answer
        return subprocess.CompletedProcess(command, 0, answer, "")

    monkeypatch.setattr(missing_gpu.shutil, "which", lambda name, **_: name)
    monkeypatch.setattr(missing_gpu.subprocess, "run", run)
    found = look(tmp_path)
    assert (found.card, found.driver) == expected


def test_auto_falls_back_with_the_line(
    bare: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("systems.training.devices.look", lambda error: machine(CPU_BUILD, driver="580.88", **CARD))
    assert pick_device("auto") == torch.device("cpu")
    assert caplog.records[0].levelno == logging.WARNING
    assert "running on the CPU" in caplog.text
    assert "index-url https://download.pytorch.org/whl/cu130" in caplog.text
    with pytest.raises(ConfigError, match=r"--gpu 0: an NVIDIA card .* --gpu cpu or auto"):
        pick_device("0")


@pytest.mark.parametrize("is_early", [True, False])
def test_a_gpu_that_is_asked_for_in_vain_ends_the_command(
    bare: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], is_early: bool
) -> None:
    monkeypatch.setattr("systems.training.devices.look", lambda error: machine(CUDA_13))
    monkeypatch.setattr(missing_gpu, "look", lambda: machine(CUDA_13))
    monkeypatch.setattr(missing_gpu, "is_without", lambda _: is_early)
    folders = ["--exp_dir", str(tmp_path / "exp"), "--runs_dir", str(tmp_path / "runs")]
    assert launch.main(["--config", "configs/neus-demo.yaml", "--train", "--gpu", "0", *folders]) == 2
    *before, line = capsys.readouterr().err.splitlines()
    assert line == "error: --gpu 0: this machine has no GPU. Give --gpu cpu or auto to use the CPU."
    assert (before == []) == is_early
    assert list(tmp_path.iterdir()) == []


def opens(monkeypatch: pytest.MonkeyPatch, *there: str) -> None:
    def library(name: str) -> None:
        if name not in there:
            raise OSError(name)

    monkeypatch.setattr(missing_gpu.ctypes, "CDLL", library)


@pytest.mark.parametrize(
    ("found", "libraries", "files", "expected"),
    [
        (machine(CPU_BUILD, driver="580.88", **CARD), ["libcuda.so.1"], [], True),
        (machine(CUDA_13), [], [], True),
        (machine(CUDA_13), ["libcuda.so.1"], [], False),  # whether its driver is new enough is torch's to say
        (machine(CUDA_13, on_windows=True), ["libcuda.so.1"], [], True),
        (machine(CUDA_13, on_windows=True), ["nvcuda.dll"], [], False),
        (machine(("2.13.0+rocm7", None), hip="7.0"), [], [], True),
        (machine(("2.13.0+rocm7", None), hip="7.0"), [], ["dev/kfd"], False),
        (machine(("2.13.0+rocm7", None), hip="7.0", has_dxg=True), [], [], False),
        (machine(("2.13.0+rocm7", None), hip="7.0", on_windows=True), [], [], False),
    ],
)
def test_it_is_certain_only_where_torch_cannot_find_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: Machine, libraries: list, files: list, expected: bool
) -> None:
    opens(monkeypatch, *libraries)
    write(tmp_path, dict.fromkeys(files, ""))
    assert is_without(found, tmp_path) is expected


@pytest.mark.parametrize("gpu", ["auto", "cpu", "cpu,cpu"])
def test_nothing_is_asked_where_no_gpu_is_named(monkeypatch: pytest.MonkeyPatch, gpu: str) -> None:
    monkeypatch.setattr(missing_gpu, "look", lambda: pytest.fail("asked"))
    refuse_missing_gpu(gpu)


def test_the_build_is_that_of_torch(bare: None, tmp_path: Path) -> None:
    found = look(tmp_path, "CUDA unknown error.")
    assert (found.torch, found.cuda, found.hip) == (torch.__version__, torch.version.cuda, torch.version.hip)
    assert found.error == "CUDA unknown error."
