"""A kernel has the same name in Triton's cache whatever a process launched before it."""

import functools
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from utils.registry import ROOT

KERNELS = """
import triton
import triton.language as tl

A, B = tl.constexpr(3.0), tl.constexpr(5.0)


@triton.jit
def scaled(x):
    return A * x


@triton.jit
def moved(x):
    return scaled(x) + B


@triton.jit
def one(out):
    tl.store(out, moved(1.0))


@triton.jit
def other(out):
    tl.store(out, scaled(1.0) + moved(1.0))
"""
CODE = """
import importlib.util
import sys
from models.ops.kernel_names import settle

def named(order):
    spec = importlib.util.spec_from_file_location("kernels", sys.argv[1])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in order:  # what was launched before
        getattr(module, name).cache_key
    settle(module)
    return [getattr(module, name).cache_key for name in ("scaled", "moved", "one", "other")]

names = named([])
assert len(set(names)) == 4, names
print(names == named(["scaled", "moved"]) == named(["scaled"]))
vars_changed = open(sys.argv[1]).read().replace("A, B = tl.constexpr(3.0)", "A, B = tl.constexpr(4.0)")
open(sys.argv[1], "w").write(vars_changed)
print(not set(names) & set(named([])))
"""


def test_names_do_not_depend_on_the_order_of_launches_but_on_constants(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    (tmp_path / "kernels.py").write_text(KERNELS)
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", CODE, str(tmp_path / "kernels.py")]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["True", "True"]


SHIPPED = """
import importlib, json, sys
from triton.runtime.jit import JITFunction

if sys.argv[1] == "a training's":
    from models.ops.cards import KNOWN
    from systems.configs import read_experiment
    from systems.training.compiling_ahead import _rehearsed

    config = ["dataset.scene=x", "dataset.root_dir=x", "model.grid_resolution=8"]
    _rehearsed(read_experiment(["configs/neus-blender.yaml"], config), KNOWN["sm_90"])
else:
    from models.ops.backends import FAMILIES
    from models.ops.kernel_names import settle

    for family in reversed(FAMILIES["triton"]):
        settle(importlib.import_module(f"models.ops.triton.{family}"))
modules = [module for name, module in sys.modules.items() if name.startswith("models.ops.triton.")]
kernels = [value for module in modules for value in vars(module).values() if isinstance(value, JITFunction)]
print(json.dumps({f"{kernel.module}:{kernel.fn.__name__}": kernel.hash for kernel in kernels}))
"""


def test_what_a_first_run_compiles_a_second_one_finds() -> None:
    """The first notes its launches before, the second has them ready and launches at once."""
    pytest.importorskip("triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    names = []
    for case in ("a training's", "any other"):
        command = [sys.executable, "-c", SHIPPED, case]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        names.append(json.loads(done.stdout))
    first, second = names
    assert len(first) > 50
    assert None not in first.values()
    assert {kernel: second[kernel] for kernel in first} == first


def test_triton_is_hashed_once_however_many_threads_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel_names = pytest.importorskip("models.ops.kernel_names")
    counts, begun = [], threading.Barrier(4)

    @functools.lru_cache
    def triton_key() -> str:
        counts.append(1)
        time.sleep(0.05)
        return "key"

    monkeypatch.setattr("triton.runtime.cache.triton_key", triton_key, raising=False)

    def ask(_: int) -> None:
        begun.wait()
        kernel_names.hash_triton()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    assert counts == [1]
