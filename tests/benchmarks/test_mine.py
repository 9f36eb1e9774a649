"""The measurement of the reader's own card: figures beside estimates, nothing personal, one line without memory."""

import getpass
import json
import os
import platform
from pathlib import Path

import pytest
import torch

from benchmarks import mine
from benchmarks.common import run_command
from models.ops.cards import KNOWN
from models.ops.roofline import CARDS
from utils.registry import ROOT

T4 = CARDS[-1]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As little as shows that it runs."""
    monkeypatch.setattr(mine, "QUICK", mine.Size(6, 1, 2, 1, 10.0, 16, mine.QUICK.overrides))


def run(out: Path, *argv: str) -> tuple[int, dict]:
    code = run_command(mine.work, ["--quick", "--device", "cpu", "--out", str(out), *argv])
    return code, json.loads(out.read_text(encoding="utf-8"))


def test_figures_stand_beside_estimates_and_tell_of_nobody(small, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(mine, "specs_of", lambda device: T4)
    out = tmp_path / "of somebody" / "card.json"
    code, found = run(out)
    told = capsys.readouterr()
    assert (code, told.out) == (0, f"{out}\n")
    for name in ("neus", "nerf"):
        part = found[name]
        assert part["ms_per_step"]["median"] > 0
        assert part["compile_seconds"] >= 0
        ratio = part["ms_per_step"]["median"] / part["estimated_ms_per_step"]
        assert part["measured_by_estimated"] == pytest.approx(ratio, rel=1e-3)
    assert found["mesh"]["faces"] > 100
    assert found["mesh"]["seconds"] > 0
    assert {"device", "torch", "triton", "commit"} <= found["environment"].keys()
    assert found["card"]["system"].startswith(platform.system())
    assert "neus-blender, ms a step" in told.err
    assert "How fast is it on my card?" in told.err
    text = out.read_text(encoding="utf-8")
    for personal in (str(ROOT), str(tmp_path), "somebody", platform.node(), os.path.expanduser("~")):
        assert personal not in text or len(personal) < 3
    assert getpass.getuser() == "root" or getpass.getuser() not in text


def test_without_memory_it_ends_in_one_line_and_keeps_the_rest(small, tmp_path, monkeypatch, capsys) -> None:
    train = mine.train

    def full(experiment, *args) -> None:
        if experiment.model.geometry.is_sdf:
            raise RuntimeError("while a graph was recorded") from torch.OutOfMemoryError("CUDA out of memory")
        train(experiment, *args)

    monkeypatch.setattr(mine, "train", full)
    code, found = run(tmp_path / "card.json")
    assert code == 2
    assert found["neus"] == {"failed": "out of memory"}
    assert found["nerf"]["ms_per_step"]["median"] > 0
    assert found["mesh"]["failed"] == "out of memory"
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: out of memory: neus and mesh could not be measured here")


def test_other_errors_are_not_taken_for_it(small, tmp_path, monkeypatch) -> None:
    def broken(*args) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(mine, "train", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        run(tmp_path / "card.json")


def test_a_card_is_told_with_what_its_estimate_is_made_of(monkeypatch) -> None:
    monkeypatch.setattr(mine, "specs_of", lambda device: T4)
    monkeypatch.setattr(mine, "card_of", lambda device: KNOWN["sm_75"])

    class Properties:
        total_memory = 16 * 2**30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    found = mine.card_figures(torch.device("cuda", 0))
    assert (found["capability"], found["memory_gib"], found["multiprocessors"]) == ("sm_75", 16.0, 40)
    assert found["specs"]["gb_per_s"] == T4.gb_per_s


def test_kernels_are_compiled_anew_and_the_cache_is_there_again(monkeypatch) -> None:
    knobs = pytest.importorskip("triton.knobs")
    monkeypatch.setenv("TRITON_CACHE_DIR", "kept")
    with mine.compiled_anew(False):
        assert os.environ["TRITON_CACHE_DIR"] == "kept"
    with mine.compiled_anew(True):
        assert Path(os.environ["TRITON_CACHE_DIR"]).is_dir()
        assert knobs.cache.dir == os.environ["TRITON_CACHE_DIR"]
    assert os.environ["TRITON_CACHE_DIR"] == "kept"
    monkeypatch.delenv("TRITON_CACHE_DIR")
    with mine.compiled_anew(True):
        assert "TRITON_CACHE_DIR" in os.environ
    assert "TRITON_CACHE_DIR" not in os.environ
