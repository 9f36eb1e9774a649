"""Triton kernels that do not compile for a card: said once, and from then on the reference computes in their place."""

import functools
import importlib
import logging
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)
COMPOSED = ("fields",)  # families whose operations are made of others, which compute them where there is no kernel
REFUSED: set[str] = set()  # operations, as family.function, whose kernels were refused in this process
# what a compiler says that has no error of its own kind
_COMPILERS = ("PassManager::run failed", "failed to translate", "kernel image is invalid", "no kernel image")


class KernelRefusedError(RuntimeError):
    """The kernel of a backward pass does not compile; once the step is taken again, the reference computes it."""


def is_refusal(error: Exception) -> bool:
    """Whether an error of a launch means that a kernel cannot be had for this card, and not that it went wrong."""
    errors = sys.modules.get("triton.runtime.errors")
    if errors is None or isinstance(error, errors.InterpreterError):
        return False
    own = isinstance(error, sys.modules["triton.errors"].TritonError)
    return own or (isinstance(error, RuntimeError) and any(words in str(error) for words in _COMPILERS))


def refuse(operation: str, error: Exception) -> None:
    """Remembers that the kernels of an operation cannot be had, and says so where that is new."""
    if operation in REFUSED:
        return
    REFUSED.add(operation)
    composed = operation.partition(".")[0] in COMPOSED
    log.warning(
        "the Triton kernel of %s does not compile for this card: %s (%s)",
        operation,
        "its parts are computed one by one" if composed else "plain PyTorch computes it, many times slower",
        reason(error),
    )


def reason(error: BaseException) -> str:
    """What a compiler says of the innermost cause, as one line: around it, it quotes the code that led there."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" ^")]
    return f"{type(error).__name__}: {lines[-1] if lines else 'no reason given'}"


class Guarded:
    """The operations of a family as Triton's kernels compute them on one type of device, or, those whose kernels are
    refused, `otherwise`; the reference if that is None."""

    def __init__(self, family: str, device: str, otherwise: Any = None) -> None:
        self.family, self.device, self.__name__ = family, device, f"models.ops.triton.{family}"
        self._kernels = importlib.import_module(self.__name__)
        importlib.import_module("models.ops.kernel_names").settle(self._kernels)
        self._otherwise = otherwise or importlib.import_module(f"models.ops.reference.{family}")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return functools.partial(self._call, name)

    def _call(self, name: str, *args: Any) -> Any:
        operation = f"{self.family}.{name}"
        if operation not in REFUSED:
            try:
                return getattr(self._kernels, name)(*args)
            except Exception as error:
                if not is_refusal(error):
                    raise
                refuse(operation, error)
        # as the kernels compute: losses are not scaled where they serve, so gradients of 16 bits would vanish
        full = [
            value.float() if isinstance(value, Tensor) and value.dtype == torch.float16 else value for value in args
        ]
        with torch.autocast(self.device, enabled=False):
            return getattr(self._otherwise, name)(*full)


def backward_of(*operations: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates the backward pass of operations: where its kernel is refused, all of them are, and KernelRefusedError
    is raised."""

    def decorate(backward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(backward)
        def guarded(ctx: Any, *grads: Tensor | None) -> Any:
            try:
                return backward(ctx, *grads)
            except Exception as error:
                if not is_refusal(error):
                    raise
                for operation in operations:
                    refuse(operation, error)
                raise KernelRefusedError(f"a kernel of {operations[0]} does not compile for this card") from error

        return guarded

    return decorate
