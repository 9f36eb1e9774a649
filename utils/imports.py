"""Imports Lightning without what it would bring along and we do not use, and has libraries loaded before."""

import ctypes
import gc
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_utilities.core.imports import RequirementCache

# torchmetrics, which Lightning imports, imports these where they are installed, for metrics of text, audio and images
# that nothing here asks for: ten seconds on a machine that has them all. Lightning itself would have a progress bar of
# rich, which `systems.training.progress_display` takes the place of.
_UNUSED = {"librosa", "lpips", "matplotlib", "onnxruntime", "piq", "rich", "scipy", "torch_fidelity", "torchaudio"}
_UNUSED |= {"torchvision", "transformers"}


_COMPILER = "torch._dynamo"


@contextmanager
def libraries_ahead(gpu: str) -> Iterator[None]:
    """Loads the libraries of torch, and makes the context of a GPU, in threads; the block has Python meanwhile.

    Half of the import of torch is the loader of the system at work, which its import has Python wait for. Whatever
    goes wrong here goes wrong again, and is told, where libraries or GPU are used. gpu: as in --gpu; one of several
    processes makes no context, since its GPU is chosen later. On Linux alone; the end of the block waits for them."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see `import_lightning`
    name = "0" if gpu == "auto" else gpu
    works = [Thread(target=_load_torch, name="libraries")]
    if name.isdecimal() and not {"LOCAL_RANK", "SLURM_LOCALID"} & os.environ.keys():
        works.append(Thread(target=_make_context, args=(int(name),), name="context"))
    works = works if sys.platform == "linux" and "torch" not in sys.modules else []
    for work in works:
        work.start()
    try:
        yield
    finally:
        for work in works:
            work.join()  # a process that ended while libraries are loaded would crash


def _load_torch() -> None:
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return
    loader = ctypes.CDLL(None).dlopen  # called so, it does not hold the lock of the interpreter, as ctypes.CDLL does
    loader.restype = ctypes.c_void_p
    for name, mode in (("libtorch_global_deps.so", os.RTLD_GLOBAL), ("libtorch.so", os.RTLD_LOCAL)):  # torch's order
        if not loader(os.fsencode(Path(found.origin).parent / "lib" / name), ctypes.c_int(os.RTLD_NOW | mode)):
            return


def _make_context(index: int) -> None:
    """That of a GPU which the driver shares among all that a process does there."""
    device, context = ctypes.c_int(), ctypes.c_void_p()
    with suppress(OSError, AttributeError):  # no driver of NVIDIA's
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) == 0 and driver.cuDeviceGet(ctypes.byref(device), index) == 0:
            driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)


def import_lightning() -> None:
    """Imports pytorch_lightning; torchmetrics takes the packages of `_UNUSED` for not installed while it does.

    Nor is torch.compile's compiler imported: 750 modules, of which Lightning wants a class, to see whether a model is
    compiled, and a decorator that keeps functions from being so. Nothing is compiled here.

    Threads of OpenMP sleep while they have nothing to do, unless OMP_WAIT_POLICY says otherwise: torch and Numba have
    a pool each, and one that waited busily would take the cores from the other, and from whatever else runs."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch and Numba are imported
    from lightning_utilities.core import imports  # most of a tenth of a second, in which libraries can be loaded

    check, is_installed = imports.RequirementCache.__bool__, imports.package_available

    def is_wanted(cache: "RequirementCache") -> bool:
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
