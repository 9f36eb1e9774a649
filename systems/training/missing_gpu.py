"""Why torch sees no GPU though a card may be there, and what to do about it, as one line; free of torch."""

import ctypes
import os
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from utils.errors import ConfigError

# The oldest driver for each major version of CUDA, on Linux and on Windows, and PyTorch's index of builds for it:
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
_DRIVERS = {13: (580, 580, "cu130"), 12: (525, 528, "cu126")}
_INDEX = "https://download.pytorch.org/whl/"
_DRIVER_PAGE = "https://www.nvidia.com/drivers"
_BUILDS = "https://pytorch.org/get-started/locally"


@dataclass(frozen=True)
class Machine:
    """What a machine shows of its cards, drivers and build of torch."""

    torch: str  # version
    cuda: str | None  # that torch was built for
    hip: str | None = None
    error: str = ""  # of torch when it is asked for a GPU
    card: str = ""  # name of the first NVIDIA card, from its driver
    driver: str = ""  # version of NVIDIA's
    vendors: frozenset[str] = frozenset()  # PCI numbers of the makers of graphics cards
    has_wsl: bool = False
    has_dxg: bool = False  # WSL's way to the card
    in_container: bool = False
    hidden: str | None = None  # what CUDA_VISIBLE_DEVICES says
    on_windows: bool = False


def refuse_missing_gpu(gpu: str) -> None:
    """Raises ConfigError for a --gpu that names a GPU where it is certain before torch is imported that it finds none.

    A driver that torch cannot use is there for it to tell."""
    if any(name.strip().isdigit() for name in gpu.split(",")) and is_without(machine := look()):
        raise no_gpu(gpu, reason(machine))


def is_without(machine: Machine, root: Path = Path("/")) -> bool:
    """Whether torch finds no GPU there for certain: it is built for none, or what it asks for one is not installed."""
    if machine.hip is not None:
        return not machine.on_windows and not (root / "dev/kfd").exists() and not machine.has_dxg
    return machine.cuda is None or not _has_library("nvcuda.dll" if machine.on_windows else "libcuda.so.1")


def no_gpu(gpu: str, why: str) -> ConfigError:
    """The error for a --gpu that names a GPU where there is none; why: see `reason`."""
    return ConfigError(f"--gpu {gpu}: {why or 'this machine has no GPU.'} Give --gpu cpu or auto to use the CPU.")


def look(root: Path = Path("/"), error: str = "") -> Machine:
    """This machine, where torch finds no GPU; root: where proc, dev and sys lie; error: see `Machine`."""
    build = runpy.run_path(str(Path(find_spec("torch").origin).with_name("version.py")))  # which imports nothing
    card, driver = _ask_driver(root / "usr/lib/wsl/lib")
    kernel = _text(root / "proc/version").lower()
    loaded = re.search(r"Module.*?\s(\d+(?:\.\d+)+)\s", _text(root / "proc/driver/nvidia/version"))
    devices = (root / "sys/bus/pci/devices").glob("*/class")
    return Machine(
        torch=build["__version__"],
        cuda=build["cuda"],
        hip=build["hip"],
        error=error,
        card=card,
        driver=driver or (loaded[1] if loaded else ""),
        vendors=frozenset(_text(path.with_name("vendor")) for path in devices if _text(path).startswith("0x03")),
        has_wsl="microsoft" in kernel,
        has_dxg=(root / "dev/dxg").exists(),
        in_container=any((root / name).exists() for name in (".dockerenv", "run/.containerenv")),
        hidden=os.environ.get("CUDA_VISIBLE_DEVICES"),
        on_windows=sys.platform == "win32",
    )


def reason(machine: Machine) -> str:
    """Why torch sees no GPU there and what to do, a sentence or two; empty where there is none that it could use."""
    if machine.hip is None and "0x1002" in machine.vendors and not machine.driver and "0x10de" not in machine.vendors:
        return (
            f"an AMD graphics chip is there, which this torch ({machine.torch}) cannot use: for some of them {_BUILDS} "
            f"has builds for ROCm, on Linux."
        )
    if not machine.driver:
        return _without_driver(machine)
    named = f"an NVIDIA card ({machine.card or 'name unknown'}, driver {machine.driver}) is there"
    if machine.cuda is None:
        return f"{named}, but this torch ({machine.torch}) is a build for the CPU: {_install(machine)}"
    needed = _oldest_driver(machine)
    if needed and _major(machine.driver) < needed:
        older = "." if _build_for(machine) is None else f"; or {_install(machine)}"
        return (
            f"{named}, but this torch ({machine.torch}, for CUDA {machine.cuda}) needs driver {needed} or newer: "
            f"update it ({_DRIVER_PAGE}){older}"
        )
    if machine.hidden is not None and (machine.hidden == "" or machine.hidden.startswith("-")):
        return f"{named}, but CUDA_VISIBLE_DEVICES={machine.hidden} hides it: unset it, or name a card such as 0."
    if not machine.card and machine.in_container:
        return f"{named}, but this container does not see it: start it with docker run --gpus all."
    return f"{named}, but torch ({machine.torch}) cannot use it: {machine.error or 'it does not say why.'}"


def _without_driver(machine: Machine) -> str:
    if machine.has_wsl:
        if not machine.has_dxg:
            return (
                "WSL shows no GPU, /dev/dxg is missing: if the machine has an NVIDIA card, use WSL 2 (in Windows: "
                "wsl --set-version NAME 2, wsl --update, wsl --shutdown)."
            )
        return (
            f"WSL has a GPU but no driver of NVIDIA: if it is an NVIDIA card, install the driver in Windows, and none "
            f"inside WSL ({_DRIVER_PAGE}), then wsl --shutdown in Windows."
        )
    if "0x10de" in machine.vendors:
        return f"an NVIDIA card is there, but its driver is not loaded: install it ({_DRIVER_PAGE}) and start anew."
    return ""


def _oldest_driver(machine: Machine) -> int | None:
    row = _DRIVERS.get(_major(machine.cuda or ""))
    return row[machine.on_windows] if row else None


def _build_for(machine: Machine) -> str | None:
    """The index of the newest build that the driver can run."""
    able = (row for row in _DRIVERS.values() if _major(machine.driver) >= row[machine.on_windows])
    return next((row[2] for row in able), None)


def _install(machine: Machine) -> str:
    build = _build_for(machine)
    if build is None:
        return f"update the driver first ({_DRIVER_PAGE}), then take a build for CUDA ({_BUILDS})."
    return f"pip install --force-reinstall torch --index-url {_INDEX}{build} ({_BUILDS} has others)."


def _major(version: str) -> int:
    found = re.match(r"\d+", version)
    return int(found[0]) if found else 0


def _ask_driver(wsl: Path) -> tuple[str, str]:
    """The name of the first NVIDIA card and the version of its driver, from nvidia-smi; empty without.

    wsl: where WSL has that program, which not every PATH holds."""
    if (program := shutil.which("nvidia-smi") or shutil.which("nvidia-smi", path=wsl)) is None:
        return "", ""
    query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, encoding="utf-8", timeout=20, check=True).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return "", ""
    name, _, version = found.partition("\n")[0].rpartition(",")
    return name.strip(), version.strip()


def _has_library(name: str) -> bool:
    """Whether the library of the driver is there, which torch opens by the same name."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
