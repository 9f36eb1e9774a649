"""Imports Lightning without what it would bring along and we do not use."""

import gc
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from lightning_utilities.core import imports

# torchmetrics, which Lightning imports, imports these where they are installed, for metrics of text, audio and images
# that nothing here asks for: ten seconds on a machine that has them all. Lightning itself would have a progress bar of
# rich, which `systems.training.progress_display` takes the place of.
_UNUSED = {"librosa", "lpips", "matplotlib", "onnxruntime", "piq", "rich", "scipy", "torch_fidelity", "torchaudio"}
_UNUSED |= {"torchvision", "transformers"}


_COMPILER = "torch._dynamo"


def import_lightning() -> None:
    """Imports pytorch_lightning; torchmetrics takes the packages of `_UNUSED` for not installed while it does.

    Nor is torch.compile's compiler imported: 750 modules, of which Lightning wants a class, to see whether a model is
    compiled, and a decorator that keeps functions from being so. Nothing is compiled here.

    Threads of OpenMP sleep while they have nothing to do, unless OMP_WAIT_POLICY says otherwise: torch and Numba have
    a pool each, and one that waited busily would take the cores from the other, and from whatever else runs."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch and Numba are imported
    check, is_installed = imports.RequirementCache.__bool__, imports.package_available

    def is_wanted(cache: imports.RequirementCache) -> bool:
        name = (cache.requirement or cache.module).split(">")[0].split("[")[0]
        return name not in _UNUSED and check(cache)

    imports.RequirementCache.__bool__ = is_wanted
    imports.package_available = lambda name: name not in _UNUSED and is_installed(name)
    try:
        with collections_off(), _stand_in_for_compiler():
            import pytorch_lightning  # noqa: F401
    finally:
        imports.RequirementCache.__bool__, imports.package_available = check, is_installed


@contextmanager
def collections_off() -> Iterator[None]:
    """Python looks for no cycles of garbage while the block runs: an import makes hardly any, and looking through all
    that it leaves, again and again, is a quarter of its time. Nor later through what is there after a first import."""
    was_on, is_first = gc.isenabled(), "torch" not in sys.modules
    gc.disable()
    try:
        yield
    finally:
        if is_first:  # else there may be a run that ended, whose cycles are still to be freed
            gc.freeze()
        if was_on:
            gc.enable()


@contextmanager
def _stand_in_for_compiler() -> Iterator[None]:
    """A module in place of torch._dynamo that is replaced by the true one as soon as more than a class is asked for."""
    if _COMPILER in sys.modules:
        yield
        return
    stand_in = ModuleType(_COMPILER)
    stand_in.OptimizedModule = type("OptimizedModule", (), {})
    stand_in.disable = lambda fn=None, *_, **__: (lambda function: function) if fn is None else fn

    def ask_the_true_one(name: str) -> Any:
        if name.startswith("__"):  # the import system's own questions
            raise AttributeError(name)
        sys.modules.pop(_COMPILER, None)
        return getattr(importlib.import_module(_COMPILER), name)

    stand_in.__getattr__ = ask_the_true_one
    sys.modules[_COMPILER] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(_COMPILER) is stand_in:
            del sys.modules[_COMPILER]
