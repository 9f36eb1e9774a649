"""Packages that have no wheel on every machine: what needs one says so in one line, all else works without."""

import importlib
import platform
import sys
import threading
from importlib.util import find_spec
from types import ModuleType

from utils.errors import MissingPackageError

_NEEDED = {  # for what, and what to do without
    "pycolmap": "COLMAP models, lenses with distortion, sparse points and scripts/prepare.py need it. Without it use "
    "dataset.name=transforms with undistorted images; scripts/prepare.py --transforms writes them on another machine.",
    "xatlas": "Textures need it. Without it set export.texture=none: the mesh still has colours at its vertices.",
    "pxr": "Files of USDZ need it. Without it leave usdz out of export.formats: glb holds the same.",
}
_IN = {"pxr": "usd-core"}  # what pip calls the package, where that is another name


def require(name: str) -> ModuleType:
    """A package of the table above, imported. Raises MissingPackageError where it is not installed.

    In a thread beside the one that imports torch it waits for that: both bring libraries of CUDA, and
    torch's come first."""
    try:
        if name not in sys.modules and threading.current_thread() is not threading.main_thread():
            importlib.import_module("torch")
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise _missing(name) from error


def require_installed(*packages: str) -> None:
    """Raises MissingPackageError for the first package of the table above that is not installed; imports none."""
    for name in packages:
        if find_spec(name) is None:
            raise _missing(name)


def _missing(name: str) -> MissingPackageError:
    pip = _IN.get(name, name)
    return MissingPackageError(
        f"{pip} is not installed. {_NEEDED[name]} Else pip install {pip}; where PyPI has no wheel of it for this "
        f"machine (Python {platform.python_version()}, {platform.system()}, {platform.machine()}), pip needs a C++ "
        f"compiler."
    )
