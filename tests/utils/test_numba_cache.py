"""What Numba compiled is found by another checkout of the same sources, and by no other sources."""

import importlib.util
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import pytest
from numba.core.registry import CPUDispatcher

from utils import numba_cache

SOURCE = """
from utils.numba_cache import cached_njit

@cached_njit()
def more(x):
    return x + {number}
"""


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Makes the function of a checkout: its folder, and the number that it adds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")

    def make(name: str, number: int) -> CPUDispatcher:
        monkeypatch.setattr(numba_cache, "ROOT", tmp_path / name)
        file = tmp_path / name / "utils" / "adding.py"
        file.parent.mkdir(parents=True)
        file.write_text(SOURCE.format(number=number), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(f"adding_{name}", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.more

    return make


def hits(function: CPUDispatcher) -> int:
    return sum(function.stats.cache_hits.values())


def test_a_new_checkout_finds_what_another_compiled(checkout, tmp_path):
    first = checkout("first", 1)
    assert first(2) == 3
    assert hits(first) == 0
    assert not list((tmp_path / "first").rglob("*.nbi"))
    second = checkout("second", 1)
    assert second(2) == 3
    assert hits(second) == 1


def test_other_sources_are_compiled_and_the_earlier_ones_stay(checkout):
    assert checkout("first", 1)(2) == 3
    other = checkout("other", 2)
    assert other(2) == 4
    assert hits(other) == 0
    again = checkout("again", 1)
    assert again(2) == 3
    assert hits(again) == 1


def test_what_is_long_in_no_use_goes_when_something_new_comes(checkout, tmp_path):
    numba_dir = tmp_path / "cache" / "photosurf" / "numba"
    for name, days in (("old-1", 91), ("old-2", 89)):
        (numba_dir / name).mkdir(parents=True)
        os.utime(numba_dir / name, (time.time() - days * 86_400,) * 2)
    checkout("first", 1)
    assert sorted(path.name.partition("-")[2] for path in numba_dir.glob("old-*")) == ["2"]


def test_where_the_folder_cannot_be_made_numba_has_its_own_place(checkout, tmp_path):
    (tmp_path / "cache").write_text("a file stands here", encoding="utf-8")
    first = checkout("first", 1)
    assert first(2) == 3
    assert list((tmp_path / "first").rglob("*.nbi"))


def test_a_numba_cache_of_the_environment_is_respected(checkout, monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "given"))
    checkout("first", 1)(2)
    assert list((tmp_path / "given").rglob("*.nbi"))


def python_of(value: object) -> Callable[..., object] | None:
    """The function that was compiled, alone or behind a lock; None for anything else."""
    if isinstance(value, CPUDispatcher):
        return value.py_func
    qualname = getattr(getattr(value, "__code__", None), "co_qualname", "")
    return value.__wrapped__ if qualname.startswith("cached_parallel.") else None


def launched(value: int) -> int:
    return value


def test_functions_that_use_all_cores_run_one_at_a_time(monkeypatch):
    running, most, begun = [], [], threading.Barrier(3)

    def compiled(value: int) -> int:
        running.append(value)
        time.sleep(0.02)
        most.append(len(running))
        running.pop()
        return value + 1

    monkeypatch.setattr(numba_cache, "cached_njit", lambda **options: lambda function: compiled)
    launch = numba_cache.cached_parallel()(launched)

    def work(value: int) -> int:
        begun.wait()
        return launch(value)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(work, range(3))) == [1, 2, 3]
    assert most == [1, 1, 1]


def test_all_that_a_compiled_function_calls_lies_in_its_own_file():
    """Its cache would not notice a change elsewhere."""
    from models.ops.numba import hash, rays
    from systems.export import number_text, texturing
    from utils.mesh import hidden_space, holes, measures, rasterise, topology, visibility
    from utils.metrics import thinning

    modules = [hash, rays, number_text, texturing, hidden_space, holes, measures, rasterise, topology]
    for module in (*modules, visibility, thinning):
        compiled = {name: plain for name, value in vars(module).items() if (plain := python_of(value))}
        own = {name: plain for name, plain in compiled.items() if plain.__module__ == module.__name__}
        called = {name for plain in own.values() for name in plain.__code__.co_names}
        assert own, module.__name__
        assert called.isdisjoint(compiled.keys() - own.keys()), module.__name__
