"""Launches compiled side by side: what each kernel takes of a card's shared memory, and what it spills."""

import contextlib
import io
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any
from unittest import mock

import torch
from triton import knobs
from triton.compiler import CompiledKernel
from triton.runtime.cache import get_cache_manager

from benchmarks.cards.steps import CASES, run_case
from models.ops.cards import KNOWN, SWITCH
from models.ops.launches import Launch, noted
from models.ops.refusals import is_refusal, reason

_LOG = "figures.txt"  # beside a kernel in Triton's cache, so that what is unchanged is not compiled again
_SPILLED = re.compile(r"(\d+) bytes spill stores|\.vgpr_spill_count:\s+(\d+)")
_REGISTERS = re.compile(r"Used (\d+) registers|\.vgpr_count:\s+(\d+)")
_SHOWN = ("HIDDEN", "INPUTS", "NUM_HIDDEN", "FIRST", "FORWARD", "BACKWARD", "BLOCK", "warps")


@dataclass(frozen=True)
class Figures:
    """What the compiler says of a kernel for a card."""

    card: str
    kernel: str  # file.function
    variant: str  # the constants that tell it from others of that name
    shared_memory: int | None = None  # bytes of a program; None: it does not compile
    spilled: int | None = None  # bytes of a thread that are written where registers do not suffice, once each
    registers: int | None = None  # of a thread, 32 bits each
    seconds: float = 0.0  # to compile; 0 for what was in Triton's cache
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def launches(
    cards: Iterable[str], cases: Iterable[str] = CASES, kernels: Sequence[str] = (), tiles_of: str | None = None
) -> list[Launch]:
    """Those of cases for cards, each once; of some kernels alone, by parts of their names, if any are given.

    tiles_of: the card whose tiles all of them take; None: each its own."""
    found: dict[str, Launch] = {}
    for card in cards:
        for case in cases:
            with mock.patch.dict(os.environ, {SWITCH: tiles_of or card}), noted(KNOWN[card]) as seen:
                run_case(case)
            found |= {launch.key: launch for launch in seen}
    return [launch for launch in found.values() if not kernels or any(part in launch.kernel for part in kernels)]


def compile_all(every: Sequence[Launch], jobs: int, tell: Callable[[int, Figures], None]) -> list[Figures]:
    """Figures of launches, in their order, by so many processes; tell: how many are done, and the newest."""
    found: dict[int, Figures] = {}
    with ProcessPoolExecutor(jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        running = {pool.submit(compile_one, launch): index for index, launch in enumerate(every)}
        for done in as_completed(running):
            found[running[done]] = done.result()
            tell(len(found), found[running[done]])
    return [found[index] for index in range(len(every))]


def compile_one(launch: Launch) -> Figures:
    """Figures of a launch; what the compiler says where it fails is one of them."""
    where, name = launch.kernel.split(".")[-1].split(":")
    told = launch.named_constants | {"warps": launch.options["num_warps"]}
    variant = " ".join(f"{key}={told[key]}" for key in _SHOWN if key in told)
    figures = {"card": launch.card, "kernel": f"{where}.{name}", "variant": variant}
    begun = time.perf_counter()
    try:
        kernel, log, is_new = _with_log(launch)
    except Exception as error:
        if not is_refusal(error):
            raise
        return Figures(**figures, error=reason(error)[:200])
    seconds = time.perf_counter() - begun if is_new else 0.0
    numbers = {"spilled": _number(_SPILLED, log), "registers": _number(_REGISTERS, log)}
    if launch.card.startswith("gfx") and numbers["spilled"] is not None:
        numbers["spilled"] *= 4  # it counts registers
    return Figures(**figures, shared_memory=kernel.metadata.shared, seconds=round(seconds, 1), **numbers)


def _with_log(launch: Launch) -> tuple[CompiledKernel, str, bool]:
    """A kernel, what the assembler said of it, and whether it was compiled now."""
    log = io.StringIO()
    with contextlib.redirect_stdout(log), knobs.nvidia.scope():
        knobs.nvidia.dump_ptxas_log = True
        kernel = launch.compiled()
        cache = get_cache_manager(kernel.hash)
        kept = cache.get_file(_LOG)
        if kept is None and "cubin" in kernel.asm and not log.getvalue():
            with knobs.compilation.scope():  # it was compiled by a training, which keeps no log
                knobs.compilation.always_compile = True
                kernel = launch.compiled()
    if kept is not None:
        with open(kept, encoding="utf-8") as file:
            return kernel, file.read(), False
    text = log.getvalue() if "cubin" in kernel.asm else kernel.asm["amdgcn"]
    found = "\n".join(line for line in text.splitlines() if _SPILLED.search(line) or _REGISTERS.search(line))
    cache.put(found, _LOG, binary=False)
    return kernel, found, True


def _number(pattern: re.Pattern, text: str) -> int | None:
    found = pattern.search(text)
    return None if found is None else int(next(group for group in found.groups() if group is not None))
