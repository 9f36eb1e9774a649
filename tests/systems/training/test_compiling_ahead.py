"""What a training launches is known ahead, and compiled on threads; what fails there is left to the launch."""

import json
import logging
import os
import random
import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from patience import PATIENCE

from models.ops import cards
from systems.configs import Experiment, read_experiment
from systems.training import compiling_ahead
from systems.training.compiling_ahead import CompilingAhead
from systems.training.devices import Devices
from systems.training.rehearsal import rehearse
from utils.registry import ROOT

CARD = cards.KNOWN["sm_90"]
TINY = {"grid_resolution": 8, "num_samples_per_ray": 16, "train_num_rays": 4, "max_train_num_rays": 8}
TINY |= {"geometry.xyz_encoding_config.n_levels": 2, "backend": "triton"}
KERNELS = "models.ops.triton."


def experiment(**model: Any) -> Experiment:
    overrides = [f"model.{key}={value}" for key, value in model.items()]
    return read_experiment([ROOT / "configs/neus-demo.yaml"], overrides)


@dataclass
class Fake:
    """A launch that takes a while to compile, and fails where it is told to."""

    kernel: str = "one:kernel"
    error: Exception | None = None
    may_go: threading.Event = field(default_factory=threading.Event)

    def compiled(self) -> Any:
        self.may_go.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        return SimpleNamespace(metadata_group={"a": f"/cache/{self.kernel}/a.cubin"})


def start(fakes: list[Fake], num_first: int, threads: int = 2, **more: Any) -> tuple[CompilingAhead, list[Any]]:
    taken: list[Any] = []
    return CompilingAhead(fakes, num_first, threads, on_all=taken.append, **more), taken


def finish(ahead: CompilingAhead) -> None:
    for thread in ahead._threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_the_first_step_waits_for_its_own_kernels_alone(caplog: pytest.LogCaptureFixture) -> None:
    fakes = [Fake("a:a"), Fake("b:b"), Fake("c:c")]
    fakes[0].may_go.set()
    ahead, taken = start(fakes, 2)
    step = threading.Thread(target=ahead.on_fit_start, args=(None, None))
    with caplog.at_level(logging.INFO):
        step.start()
        step.join(0.2)
        assert step.is_alive()
        fakes[1].may_go.set()
        step.join(PATIENCE)
    assert not step.is_alive()
    assert not taken
    assert "the first step waited" in caplog.text
    fakes[2].may_go.set()
    finish(ahead)
    assert [len(kernels) for kernels in taken] == [3]
    caplog.clear()
    ahead.wait()
    assert not caplog.text  # another attempt of the run does not repeat it


def test_what_fails_is_said_to_developers_alone_and_leaves_no_stamp(caplog: pytest.LogCaptureFixture) -> None:
    fakes = [Fake("a:a", error=RuntimeError("no ptxas")), Fake("b:b")]
    with caplog.at_level(logging.DEBUG, logger="systems"):
        ahead, taken = start(fakes, 2)
        for fake in fakes:
            fake.may_go.set()
        ahead.wait()
        finish(ahead)
    assert not taken
    assert [r.levelname for r in caplog.records if "no ptxas" in r.message] == ["DEBUG"]


def test_after_an_error_no_more_is_begun() -> None:
    fakes = [Fake(f"{i}:k") for i in range(4)]
    ahead, _ = start(fakes, 4, threads=1)
    ahead.on_exception()
    fakes[0].may_go.set()
    finish(ahead)
    assert len(ahead._done) <= 1
    ahead.wait()  # returns, although some were never compiled


def test_those_that_take_long_begin_first() -> None:
    fakes = [Fake("a:fill"), Fake("b:scatter_kernel"), Fake("c:scatter_kernel"), Fake("d:fill")]
    for fake in fakes:
        fake.may_go.set()
    begun: list[str] = []
    ahead, _ = start(fakes, 2, threads=1, on_compiled=lambda kernel: begun.append(kernel.metadata_group["a"][7]))
    finish(ahead)
    assert begun == ["b", "a", "c", "d"]  # within those of the first step, and within the others


def test_nothing_is_compiled_ahead_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling_ahead, "_begin", lambda *args: pytest.fail("begun"))
    assert compiling_ahead.compiling_ahead(experiment(), Devices.single(torch.device("cpu"))) == ()
    other = replace(Devices.single(torch.device("cuda", 0)), rank=1)
    assert compiling_ahead.compiling_ahead(experiment(), other) == ()


def test_a_model_that_cannot_be_rehearsed_trains_as_ever(monkeypatch, caplog) -> None:
    def fail(*args: Any) -> None:
        raise IndexError("of somebody's own model")

    monkeypatch.setattr(compiling_ahead, "_begin", fail)
    monkeypatch.setattr(compiling_ahead, "own_card", lambda device: CARD)
    monkeypatch.setattr(compiling_ahead, "card_of", lambda device: CARD)
    monkeypatch.setattr(compiling_ahead.ops, "uses_triton", lambda backend, tensor: True)
    monkeypatch.setattr(compiling_ahead.torch, "empty", lambda *args, **options: None)
    with caplog.at_level(logging.DEBUG, logger="systems"):
        assert compiling_ahead.compiling_ahead(experiment(), Devices.single(torch.device("cuda", 0))) == ()
    assert [r.levelname for r in caplog.records if "somebody's own" in r.message] == ["DEBUG"]


def test_a_stamp_holds_while_the_kernels_lie_there(tmp_path: Path) -> None:
    stamp = tmp_path / "photosurf" / "stamp.json"
    assert not compiling_ahead._holds(stamp)
    kernels = [SimpleNamespace(metadata_group={"k.json": str(tmp_path / name / "k.json")}) for name in ("one", "two")]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    compiling_ahead._leave(stamp, kernels)
    assert compiling_ahead._holds(stamp)
    (tmp_path / "two").rmdir()
    assert not compiling_ahead._holds(stamp)
    stamp.write_text("[", encoding="utf-8")
    assert not compiling_ahead._holds(stamp)


def test_a_stamp_is_of_settings_card_and_types(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    mine, other = experiment(), cards.KNOWN["sm_86"]
    first = compiling_ahead._stamp(mine, CARD, CARD)
    assert first.parent.parent == tmp_path
    assert compiling_ahead._stamp(experiment(), CARD, CARD) == first
    assert compiling_ahead._stamp(replace(mine, seed=7), CARD, CARD) == first
    others = [(experiment(rays_per_pixel=2), CARD, CARD), (mine, other, other), (mine, CARD, other)]
    assert len({first, *(compiling_ahead._stamp(*each) for each in others)}) == 4


def test_a_rehearsal_leaves_random_numbers_and_logging_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*args: Any) -> None:
        random.random(), np.random.rand(), torch.rand(1)
        logging.getLogger("models").error("of a rehearsal")
        raise IndexError

    monkeypatch.setattr("systems.training.rehearsal._train", train)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    with pytest.raises(IndexError):
        rehearse(experiment(**TINY))
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])
    assert logging.root.manager.disable == logging.NOTSET


def in_another_process(code: str, cache: Path) -> dict[str, Any]:
    """What code leaves in `found`, where Triton compiles; in this process its kernels may be interpreted."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(cache), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-c", f"{code}\nimport json; print(json.dumps(found))"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


NOTED = """
import torch
torch.set_num_threads(1)
from models.ops.launches import noted
from systems.configs import read_experiment
from systems.training import compiling_ahead, rehearsal
from models.ops.cards import KNOWN
card = KNOWN["sm_90"]
def note(overrides):
    return compiling_ahead._rehearsed(read_experiment(["configs/neus-demo.yaml"], overrides), card)
"""


@pytest.mark.slow
def test_kernels_of_real_sizes_and_of_a_real_step_are_the_noted_ones(tmp_path, monkeypatch) -> None:
    interpreter = pytest.importorskip("triton.runtime.interpreter")
    overrides = [f"model.{key}={value}" for key, value in TINY.items()]
    code = f"""{NOTED}
tiny = sorted({{launch.kernel for launch in note({overrides})[0]}})
small, num_first = note([])
rehearsal._SMALL.clear()
rehearsal._visit_few = rehearsal.OccupancyGrid.update
real, num_real = note([])
found = {{"tiny": tiny, "small": [launch.key for launch in small], "real": [launch.key for launch in real]}}
found |= {{"first": num_first, "first of real": num_real}}
"""
    noted = in_another_process(code, tmp_path)
    assert noted["small"] == noted["real"]  # types, constants, divisibility and options of each
    assert noted["first"] == noted["first of real"] < len(noted["small"])
    if torch.cuda.is_available():
        return  # nothing is interpreted
    launched, run = set(), interpreter.InterpretedFunction.run

    def spy(kernel: Any, *args: Any, **options: Any) -> Any:
        launched.add(f"{kernel.fn.__module__}:{kernel.fn.__name__}")
        return run(kernel, *args, **options)

    monkeypatch.setattr(interpreter.InterpretedFunction, "run", spy)
    rehearse(experiment(**TINY))
    assert {*launched, f"{KERNELS}pixels:_rays_of_pixels"} == set(noted["tiny"])  # photographs ask for `auto`


@pytest.mark.slow
def test_what_is_compiled_ahead_is_what_a_launch_asks_for(tmp_path: Path) -> None:
    code = f"""{NOTED}
from triton import knobs
from triton.runtime import driver
from triton.runtime.jit import JITFunction
from models.ops import launches
hits = []
knobs.compilation.listener = lambda *, cache_hit, **rest: hits.append(cache_hit)
few = [one for one in note([])[0] if one.kernel.endswith(("samples:_clip", "rays:_fill", "pixels:_rays_of_pixels"))]
taken = []
for _ in range(2):
    ahead = compiling_ahead.CompilingAhead(few, len(few), 2, on_all=taken.append)
    ahead.wait()
    [thread.join() for thread in ahead._threads]
found = {{"hits": hits[:], "few": len(few), "ahead": sorted(kernel.hash for kernel in taken[1])}}

run, launched = JITFunction.run, []
def compile_alone(kernel, *args, grid, warmup, **options):  # by Triton's own way from a launch to a kernel
    name = f"{{kernel.module}}:{{kernel.fn.__name__}}"
    if name in {{one.kernel for one in few}}:
        launched.append(run(kernel, *args, grid=grid, warmup=True, **options).hash)
    else:
        launches._zero_indices(*args, **options)
JITFunction.run, noting = compile_alone, JITFunction._do_compile
with noted(card):
    JITFunction._do_compile = noting
    rehearsal.rehearse(read_experiment(["configs/neus-demo.yaml"], []))
found["launched"], found["more hits"] = sorted(set(launched)), hits[len(found["hits"]):]
"""
    found = in_another_process(code, tmp_path)
    assert found["hits"] == [False] * found["few"] + [True] * found["few"]
    assert found["launched"] == found["ahead"]
    assert all(found["more hits"])
