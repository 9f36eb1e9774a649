"""A stand-in for the driver of a card that need not be there: launches are noted, not run, and compiled afterwards."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from models.ops import backends, cards

NAMES = tuple(cards.KNOWN)


@dataclass(frozen=True)
class Launch:
    """A kernel of this house with the types and constants that it is compiled for."""

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
        """Its machine code. Raises what the compiler does."""
        module, name = self.kernel.split(":")
        kernel = getattr(importlib.import_module(module), name)
        source = ASTSource(kernel, self.signature, self.constants, self.attributes)
        return triton.compile(source, target=target_of(self.card), options=self.options)


def target_of(name: str) -> GPUTarget:
    """A card as Triton names it."""
    card = cards.KNOWN[name]
    if card.is_amd:
        return GPUTarget("hip", name, 64 if name.startswith("gfx9") else 32)
    return GPUTarget("cuda", card.capability, 32)


class Driver:
    """As much of a driver as compilation asks for. Each card is a device of its own, since Triton keeps the kernels
    that it has compiled by the device."""

    card = NAMES[0]

    def get_current_target(self) -> GPUTarget:
        """What the compiler is to write code for."""
        return target_of(self.card)

    def get_current_device(self) -> int:
        """The number of the card."""
        return NAMES.index(self.card)

    def get_current_stream(self, device: int) -> int:
        """None there is, since nothing runs."""
        return 0

    def get_active_torch_device(self) -> torch.device:
        """Where the tensors are."""
        return torch.device("cpu")


@contextmanager
def noted(card: str, tiles_of: str) -> Iterator[list[Launch]]:
    """Within it, tensors of the CPU count as a card's, and kernels are not run; afterwards the list holds each that was
    to be, once for each of its variants.

    tiles_of: the card whose tiles and types the launches take."""
    found: dict[str, Launch] = {}
    own = Driver()
    own.card = card
    driver.set_active(own)

    def note(
        kernel: JITFunction,
        key: str,
        signature: dict,
        device: int,
        constants: dict,
        options: Any,
        attributes: dict,
        warmup: bool,
    ) -> None:
        name = f"{kernel.module}:{kernel.fn.__name__}"
        launch = Launch(card, name, signature, constants, attributes, dict(vars(options)))
        found[launch.key] = launch

    run, launches = JITFunction.run, []

    def run_nothing(kernel: JITFunction, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:
        run(kernel, *args, grid=grid, warmup=True, **options)
        for value in (*args, *options.values()):  # what was not computed must at least be a valid index
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, torch.Tensor) and not part.dtype.is_floating_point:
                    part.data.zero_()

    patches = mock.patch.multiple(JITFunction, run=run_nothing, _do_compile=note)
    serves = mock.patch.object(backends, "_serves", lambda backend, tensor: backend in ("triton", "reference"))
    with mock.patch.dict(os.environ, {cards.SWITCH: tiles_of}), serves, patches:
        yield launches
    launches += found.values()
