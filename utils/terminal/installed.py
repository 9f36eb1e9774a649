"""Told before anything else: a Python that is too old, packages of requirements.txt that are missing or too old.

Whatever is run as a file imports this first, so that nothing missing is met by a traceback. An old Python has to read
it, and the files that import it. What is missing ends the program with exit code 2; what is too old is only named."""

import os
import sys
from importlib.util import find_spec

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON = (3, 11)
NEEDED = (  # what is imported; what pip calls it; from which version on
    ("torch", "torch", "2.11"),
    ("pytorch_lightning", "pytorch-lightning", "2.5"),
    ("torchmetrics", "torchmetrics", "1.6"),
    ("numpy", "numpy", "2.0"),
    ("numba", "numba", "0.61"),
    ("omegaconf", "omegaconf", "2.4"),
    ("yaml", "pyyaml", "6"),
    ("cv2", "opencv-python", "4.10"),
    ("PIL", "pillow", "11.3"),
    ("jinja2", "jinja2", "3.1"),
    ("imageio", "imageio", "2.34"),
    ("imageio_ffmpeg", "imageio-ffmpeg", "0.6"),
    ("trimesh", "trimesh", "4.5"),
    ("scipy", "scipy", "1.13"),
    ("fast_simplification", "fast-simplification", "0.1.13"),
    ("tqdm", "tqdm", "4.66"),
    ("tensorboard", "tensorboard", "2.17"),
    ("viser", "viser", "1.1"),
)


def what_lacks() -> "str | None":
    """What has to be installed before anything here runs, and how; None if all is there."""
    if sys.version_info < PYTHON:
        have, need = (".".join(map(str, version)) for version in (sys.version_info[:3], PYTHON))
        newer = "Make an environment with a newer one, for example: make install PYTHON=python3.12"
        return f"Python {need} or newer is needed, {sys.executable} is {have}. {_environment_here() or newer}"
    missing = [pip for module, pip, _ in NEEDED if find_spec(module) is None]
    install = f"Install them: {sys.executable} -m pip install -r {os.path.join(ROOT, 'requirements.txt')}"
    told = f"{sys.executable} has no {', '.join(missing)}. {_environment_here() or install}"
    return told if missing else None


def what_is_old() -> "str | None":
    """Which packages are older than requirements.txt asks; None if none is."""
    have = versions()
    old = [f"{pip} {have[pip]} ({least})" for _, pip, least in NEEDED if is_older(have.get(pip, ""), least)]
    if not old:
        return None
    wanted = os.path.join(ROOT, "requirements.txt")
    told = f"older than what this was tested with (in brackets): {', '.join(old)}. What fails may fail for that reason"
    return f"{told}: {sys.executable} -m pip install -r {wanted}"


def versions() -> "dict[str, str]":
    """The versions of all that pip installed here, by what pip calls it: from the names of folders, since to read the
    files of `importlib.metadata` takes a twentieth of a second."""
    found = {}
    for place in reversed(sys.path):  # the first one counts
        folder = place or os.curdir
        names = os.listdir(folder) if os.path.isdir(folder) and os.access(folder, os.R_OK) else []
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix in (".dist-info", ".egg-info"):
                package, _, version = stem.partition("-")
                found[package.lower().replace("_", "-")] = version.partition("-")[0]
    return found


def is_older(found: str, least: str) -> bool:
    """Whether a version such as 2.11.0+cu128 comes before another; False where there is none, or none in numbers."""
    numbers = [text for text in found.split("+")[0].split(".") if text.isdigit()]
    return bool(numbers) and [int(text) for text in numbers] < [int(text) for text in least.split(".")]


def _environment_here() -> "str | None":
    """How to use the environment that make install has made, where it is not in use; None without one."""
    own = os.path.join(ROOT, ".venv", *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
    if not os.path.exists(own) or os.path.realpath(sys.prefix) == os.path.join(os.path.realpath(ROOT), ".venv"):
        return None
    return f"There is an environment in .venv: {own} {' '.join(sys.argv)}"


def _check() -> None:
    lacks = what_lacks()
    if lacks is not None:
        sys.stderr.write("error: " + lacks + "\n")
        sys.exit(2)
    old = what_is_old()
    if old is not None:
        sys.stderr.write("warning: " + old + "\n")


_check()
