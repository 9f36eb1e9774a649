"""What a training would launch on a card, noted on a CPU before anything runs, so that it is compiled ahead."""

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from models.ops.backends import FAMILIES
from models.ops.cards import STOOD_IN, Card
from models.ops.kernel_names import hash_triton, settle


@dataclass(frozen=True)
class Launch:
    """A kernel with the types, constants and options that it is compiled for."""

    card: str
    kernel: str  # module:function
    signature: dict[str, Any]
    constants: dict[tuple[int, ...], Any]
    attributes: dict[tuple[int, ...], Any]
    options: dict[str, Any]

    @property
    def key(self) -> str:
        """Equal for launches that are compiled once."""
        return repr((self.card, self.kernel, self.signature, self.constants, self.attributes, self.options))

    @property
    def named_constants(self) -> dict[str, Any]:
        """Its constants that are numbers and words, by name."""
        names = list(self.signature)
        plain = {key: value for key, value in self.constants.items() if isinstance(value, int | float | str)}
        return {names[key[0]]: value for key, value in plain.items() if len(key) == 1}

    def compiled(self) -> CompiledKernel:
        """Its machine code, out of Triton's cache where it lies there. Raises what the compiler does.

        The compiler runs without the lock of the interpreter: threads compile side by side."""
        module, name = self.kernel.split(":")
        kernel = getattr(importlib.import_module(module), name)
        hash_triton()
        source = ASTSource(kernel, self.signature, self.constants, self.attributes)
        return triton.compile(source, target=target_of(self.card), options=self.options)


def target_of(card: str) -> GPUTarget:
    """A card, such as sm_90 or gfx942, as Triton names it."""
    if card.startswith("gfx"):
        return GPUTarget("hip", card, 64 if card.startswith("gfx9") else 32)
    return GPUTarget("cuda", int(card.removeprefix("sm_")), 32)


class _Driver:
    """As much of a driver as compilation asks for. Each card is a device of its own, since Triton keeps the kernels
    that it has compiled by the device."""

    def __init__(self, card: str) -> None:
        self._card = card

    def get_current_target(self) -> GPUTarget:
        """What the compiler is to write code for."""
        return target_of(self._card)

    def get_current_device(self) -> str:
        """None that is there."""
        return f"in place of {self._card}"

    def get_current_stream(self, device: str) -> int:
        """None there is, since nothing runs."""
        return 0

    def get_active_torch_device(self) -> torch.device:
        """Where the tensors are."""
        return torch.device("cpu")


@contextmanager
def noted(card: Card) -> Iterator[list[Launch]]:
    """Within it, tensors of the CPU count as a card's on this thread, and kernels are not run; the list holds each that
    was to be, in order, once for each of its variants. No other thread may launch kernels meanwhile."""
    found: dict[str, Launch] = {}
    launches: list[Launch] = []
    compile_now = JITFunction._do_compile

    def note(
        kernel: JITFunction,
        key: Any,
        signature: dict,
        device: Any,
        constants: dict,
        options: Any,
        attributes: dict,
        *rest: Any,
    ) -> CompiledKernel | None:
        if STOOD_IN.get() is None:  # another thread
            return compile_now(kernel, key, signature, device, constants, options, attributes, *rest)
        name = f"{kernel.module}:{kernel.fn.__name__}"
        launch = Launch(card.target, name, signature, constants, attributes, dict(vars(options)))
        if launch.key not in found:
            launches.append(found.setdefault(launch.key, launch))
        return None  # nothing to run

    modules = [importlib.import_module(f"models.ops.triton.{family}") for family in FAMILIES["triton"]]
    for module in modules:
        settle(module)  # before anything asks for a kernel's hash, which is made of its name
    kernels, token = list(_kernels_of(modules)), STOOD_IN.set(card)
    driver.set_active(_Driver(card.target))
    JITFunction._do_compile = note
    for kernel in kernels:
        kernel.add_pre_run_hook(_zero_indices)
    try:
        yield launches
    finally:
        for kernel in kernels:
            kernel.pre_run_hooks.remove(_zero_indices)
        for module in modules:  # what they keep may have been zeroed
            for value in vars(module).values():
                getattr(value, "cache_clear", lambda: None)()
        JITFunction._do_compile = compile_now
        driver.set_active(None)
        STOOD_IN.reset(token)


def _kernels_of(modules: Iterable[ModuleType]) -> dict[JITFunction, None]:
    """Those that modules of launches know, their own and those of the module `kernels` that they import."""
    spaces = [space for module in modules for space in (module, getattr(module, "kernels", module))]
    known = [value for space in spaces for value in vars(space).values()]
    return dict.fromkeys(value for value in known if isinstance(value, JITFunction))


def _zero_indices(*args: Any, **options: Any) -> None:
    """What a kernel does not compute must at least be a valid index."""
    for value in (*args, *options.values()):  # what was not computed must at least be a valid index
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, torch.Tensor) and not part.dtype.is_floating_point:
                part.data.zero_()
