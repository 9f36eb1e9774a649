"""The peak of a stage is its own, and that of the run is still known; a commit is that of the tree, or unknown."""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
import torch

from utils import environment

MIB = 2**20


def test_a_stage_has_its_own_peak_and_hides_none(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = {"peak": 900 * MIB}
    monkeypatch.setattr(environment, "_before_stages", {})
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: memory["peak"])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: memory.update(peak=100 * MIB))
    device = torch.device("cuda", 0)
    with environment.peaks_of_stage(device) as peaks:
        memory["peak"] = 300 * MIB
    assert peaks == {"peak_gpu_memory_mib": 300.0}
    assert environment.peak_memory(device)["peak_gpu_memory_mib"] == 900.0
    memory["peak"] = 1000 * MIB
    assert environment.peak_memory(device)["peak_gpu_memory_mib"] == 1000.0


def test_a_stage_on_a_cpu_has_none() -> None:
    with environment.peaks_of_stage(torch.device("cpu")) as peaks:
        pass
    assert peaks == {}


def git(folder: Path, *args: str) -> bytes:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", "-C", str(folder), *who, *args], check=True, capture_output=True).stdout


def test_a_commit_is_that_of_the_tree_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "copy"
    inner.mkdir()
    assert environment.commit(inner) == "unknown"
    (tmp_path / "a.txt").write_text("a")
    for name in (".gitattributes", environment.ARCHIVED):
        (tmp_path / name).write_bytes((environment.ROOT / name).read_bytes())
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    head = git(tmp_path, "rev-parse", "--short", "HEAD").decode().strip()
    assert environment.commit(tmp_path) == head
    (tmp_path / "a.txt").write_text("b")
    assert environment.commit(tmp_path) == f"{head}+"
    assert environment.commit(inner) == "unknown"  # within a repository that is not its own
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    assert environment.commit(inner) == "unknown"
    (inner / environment.ARCHIVED).write_text((tmp_path / environment.ARCHIVED).read_text())
    assert environment.commit(inner) == "unknown"  # nothing has been packed
    with tarfile.open(fileobj=BytesIO(git(tmp_path, "archive", "HEAD"))) as packed:
        packed.extractall(inner, filter="data")
    assert environment.commit(inner) == head
