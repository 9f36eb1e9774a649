"""`pip install -r requirements.txt` needs no compiler, on any system and Python that is promised."""

import os
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from utils.packages import _NEEDED
from utils.registry import ROOT

SYSTEMS = {  # what uv calls them, and what markers see there
    "x86_64-manylinux_2_28": ("linux", "x86_64"),
    "aarch64-manylinux_2_28": ("linux", "aarch64"),
    "x86_64-pc-windows-msvc": ("win32", "AMD64"),
    "aarch64-apple-darwin": ("darwin", "arm64"),
}
WINDOWS = {"triton-windows", "psutil"}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LEFT_OUT = {  # beside PyMCubes, which no run needs
    **{("aarch64-manylinux_2_28", python): {"pycolmap", "xatlas"} for python in PYTHONS},
    **{(system, "3.14"): {"xatlas"} for system in SYSTEMS if system != "aarch64-manylinux_2_28"},
}
LINES = [
    line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
]
REQUIREMENTS = [Requirement(line) for line in LINES if line]


def installed(system: str, python: str) -> set[str]:
    """The packages of requirements.txt whose markers hold."""
    platform, machine = SYSTEMS[system]
    there = {"sys_platform": platform, "platform_machine": machine, "python_version": python}
    return {item.name for item in REQUIREMENTS if item.marker is None or item.marker.evaluate(there)}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_left_out_is_told_where_it_is_needed(system: str, python: str) -> None:
    missing = {item.name for item in REQUIREMENTS} - installed(system, python) - {"PyMCubes", *WINDOWS}
    assert missing == LEFT_OUT.get((system, python), set())
    assert missing <= set(_NEEDED)
    assert (installed(system, python) >= WINDOWS) == system.endswith("windows-msvc")


def test_the_pythons_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={PYTHONS[0]}"


@pytest.mark.network
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_wheels_alone_are_needed(system: str, python: str) -> None:
    """uv resolves for other systems with their markers, which pip takes from the machine that it runs on."""
    pytest.importorskip("uv")
    options = ["--only-binary", ":all:", "--python-platform", system, "--python-version", python, "--no-header"]
    found = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate", *options, "requirements.txt"],
        cwd=ROOT, env=os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    names = {Requirement(line).name.lower() for line in found.stdout.splitlines()}
    assert {name.lower() for name in installed(system, python)} <= names
