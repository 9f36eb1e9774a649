"""Timing, results on disk and the flags that every benchmark has."""

import json
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks import common
from utils.errors import ConfigError

CPU = torch.device("cpu")


def test_a_spread_is_the_median_between_its_percentiles() -> None:
    assert common.spread([float(value) for value in range(101)]) == {"median": 50, "p10": 10, "p90": 90, "num": 101}
    with pytest.raises(ValueError, match="at least one"):
        common.spread([])


def test_calls_are_timed_apart_and_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, clock = [], SimpleNamespace(now=0.0)
    monkeypatch.setattr(common, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def call(index: int) -> None:
        seen.append(index)
        clock.now += 0.002

    assert common.time_calls(call, CPU, calls=2, budget=0.0) == pytest.approx([2.0] * 5)
    assert seen == [0, 1, 2] + [0, 1] * 6


def test_results_say_what_they_were_made_with(tmp_path: Path) -> None:
    argv = ["--config", "/home/someone/mine/a.yaml", "dataset.root_dir=/data/scenes/lego", "configs/b.yaml"]
    args = Namespace(out=tmp_path, quick=False)
    result = common.Result("ops", "ops", CPU, args, argv, config={"path": "/data/x", "url": "https://a.org/b/c"})
    result.write(rows=[1])
    result.write(more=("/data/y/z", 2))
    assert result.path.parent == tmp_path
    assert result.path.name == f"ops_{common.slug(result.environment['device'])}.json"
    content = json.loads(result.path.read_text())
    assert content["command"] == (
        "python -m benchmarks.ops --config .../a.yaml dataset.root_dir=.../lego configs/b.yaml"
    )
    assert content["config"] == {"path": ".../x", "url": "https://a.org/b/c"}
    assert content["rows"] == [1]
    assert content["more"] == [".../z", 2]
    assert content["date"][:2] == "20"
    for name in ("device", "cpu", "cpu_cores", "torch", "triton", "numba", "commit"):
        assert name in content["environment"]
    assert not {"driver", "gpu_memory_gib"} & content["environment"].keys()


def test_quick_results_do_not_lie_among_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common.tempfile, "gettempdir", lambda: str(tmp_path))
    paths = [common.Result("ops", "ops", CPU, Namespace(out=None, quick=quick), []).path for quick in (True, False)]
    assert [path.parent for path in paths] == [tmp_path, common.RESULTS]
    named = Namespace(out=tmp_path / "mine.json", quick=False)
    assert common.Result("ops", "ops", CPU, named, []).path == tmp_path / "mine.json"


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "-1"])
def test_unknown_devices_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="expected cpu, cuda"):
        common.chosen_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_asked_for_must_be_there() -> None:
    assert common.chosen_device("cpu") == common.chosen_device(None) == CPU
    with pytest.raises(ConfigError, match="sees no GPU"):
        common.chosen_device("cuda")
