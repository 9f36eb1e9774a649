"""Names that Triton keeps kernels under in its cache, the same in every process."""

from types import ModuleType

from triton.runtime.jit import JITFunction


def settle(module: ModuleType) -> None:
    """Has Triton name the kernels that a module launches, each after the functions that it calls.

    The name holds the global constants of a function and of those that it calls, but of the latter only where they have
    names already. So it depends on which kernel a process launches first, and what one has compiled another compiles
    again."""
    settled: set[int] = set()
    for space in (module, *(value for value in vars(module).values() if isinstance(value, ModuleType))):
        for value in list(vars(space).values()):
            _name(value, settled)


def _name(kernel: object, settled: set[int]) -> None:
    if not isinstance(kernel, JITFunction) or id(kernel) in settled:  # the interpreter has functions of its own
        return
    settled.add(id(kernel))
    for name in kernel.fn.__code__.co_names:
        _name(kernel.fn.__globals__.get(name), settled)
    kernel.cache_key  # noqa: B018  computed, and kept, when it is first read
