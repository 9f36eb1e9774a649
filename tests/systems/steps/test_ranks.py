"""Averages over processes, against sums by hand."""

import socket
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from patience import PATIENCE

from systems.steps.ranks import Ranks, leave_with_parent


def gradients(rank: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(rank)
    return [torch.randn(shape, generator=generator) for shape in [(3, 4), (5,), ()]]


def meet(rank: int, port: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    ranks, mine = Ranks.joined(), gradients(rank)
    ranks.average(mine)
    figures = {"loss": torch.tensor(float(rank)), "rays": torch.tensor(10 + rank)}
    seeds = ranks.seed(7)
    torch.save((ranks.own, ranks.size, seeds, mine, ranks.gather(figures, ["rays"])), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_average(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = torch.multiprocessing.start_processes  # forks need not import anything again
    start(meet, (port, tmp_path), nprocs=2, start_method="fork" if sys.platform == "linux" else "spawn")
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    expected = [(a + b) / 2 for a, b in zip(gradients(0), gradients(1), strict=True)]
    for rank, (own, size, seed, mine, figures) in enumerate(found):
        assert (own, size) == (rank, 2)
        assert (seed == 7) == (rank == 0)
        for mean, wanted in zip(mine, expected, strict=True):
            torch.testing.assert_close(mean, wanted)
        assert figures == {"loss": 0.5, "rays": 21.0}
    assert all(torch.equal(a, b) for a, b in zip(found[0][3], found[1][3], strict=True))


def test_one_process_changes_nothing() -> None:
    alone, mine = Ranks.joined(), gradients(3)
    alone.average(mine)
    assert alone == Ranks(0, 1)
    assert all(torch.equal(a, b) for a, b in zip(mine, gradients(3), strict=True))
    figures = {"loss": torch.tensor(2.0)}
    assert alone.gather(figures, []) == figures
    assert alone.seed(5) == 5


def test_leaves_when_the_parent_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, parents = [], iter([10, 10, 1])
    monkeypatch.setattr("systems.steps.ranks.os.getppid", lambda: next(parents))
    monkeypatch.setattr("systems.steps.ranks.WATCHED_EVERY", 0.01)
    leave_with_parent(codes.append).join(PATIENCE)
    assert codes == [1]
