"""Names that Triton keeps kernels under in its cache, the same in every process."""

import importlib
import sys
import threading
from types import ModuleType

from triton.runtime.jit import JITFunction

_hashing = threading.Lock()


def hash_triton() -> None:
    """Has Triton hash all of itself, of which each kernel's place in its cache is made: most of a second's work, which
    it remembers. Threads that ask for it at the same time would all do it."""
    for place in ("triton.runtime.cache", "triton.compiler.compiler"):  # by version
        found = getattr(importlib.import_module(place), "triton_key", None)
        if found is not None:
            with _hashing:
                found()
            return


def settle(module: ModuleType) -> None:
    """Has Triton name the kernels of a module, and those of the modules of its package that it takes anything from,
    each after the functions that it calls.

    The name holds the global constants of a function and of those that it calls, but of the latter only where they have
    names already. So it depends on which kernel a process launches first, and what one has compiled another compiles
    again. Call it before anything asks for the hash of a kernel, which is made of its name."""
    settled: set[int] = set()
    for part in _with_parts(module):
        for value in list(vars(part).values()):
            _name(value, settled)


def _with_parts(module: ModuleType) -> list[ModuleType]:
    package = module.__name__.rpartition(".")[0] or module.__name__
    found, left = {}, [module.__name__]
    while left:
        name = left.pop()
        if name in found or not f"{name}.".startswith(f"{package}."):
            continue
        found[name] = part = module if name == module.__name__ else sys.modules[name]
        for value in vars(part).values():
            origin = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            left += [origin] if isinstance(origin, str) and origin in sys.modules else []
    return list(found.values())


def _name(kernel: object, settled: set[int]) -> None:
    if not isinstance(kernel, JITFunction) or id(kernel) in settled:  # the interpreter has functions of its own
        return
    settled.add(id(kernel))
    for name in kernel.fn.__code__.co_names:
        _name(kernel.fn.__globals__.get(name), settled)
    kernel.cache_key  # noqa: B018  computed, and kept, when it is first read
