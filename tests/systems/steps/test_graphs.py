"""Recorded work against the same work launched piece by piece."""

import pytest
import torch
from torch.testing import assert_close

from systems.steps.graphs import MAX_GRAPHS, StepGraphs


def draws(device: torch.device, eager_runs: int) -> list[torch.Tensor]:
    """What five seeded runs of two functions, one of them every other time, leave behind."""
    generator = torch.Generator(device)
    graphs, weight, found = StepGraphs(generator, eager_runs), torch.ones(1000, device=device), []
    for step in range(5):
        generator.manual_seed(step)
        if step % 2 == 0:
            graphs.run("noise", lambda: weight.add_(torch.randn(1000, generator=generator, device=device)))
        found.append(graphs.run("sum", lambda: weight * torch.rand(1000, generator=generator, device=device)).clone())
    return found


def test_a_run_returns_the_result_of_its_function(device):
    graphs, value = StepGraphs(torch.Generator(device)), torch.zeros((), device=device)
    results = [graphs.run("count", lambda: value.add_(1.0)).item() for _ in range(6)]
    assert results == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_random_numbers_depend_on_the_seed_of_the_run_alone(device):
    recorded, eager = draws(device, eager_runs=1), draws(device, eager_runs=100)
    for a, b in zip(recorded, eager, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(recorded[3], recorded[4])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="records on a GPU only")
def test_a_key_is_recorded_after_its_eager_runs():
    calls, device = [], torch.device("cuda")
    graphs, value = StepGraphs(torch.Generator(device), eager_runs=2), torch.zeros((), device=device)
    for _ in range(6):
        graphs.run("count", lambda: (calls.append(1), value.add_(1.0)))
    assert len(calls) == 3  # two eager runs and the recording
    assert_close(value, torch.tensor(6.0, device=device))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="records on a GPU only")
def test_many_keys_keep_few_graphs():
    device = torch.device("cuda")
    graphs, value = StepGraphs(torch.Generator(device), eager_runs=0), torch.zeros((), device=device)
    for key in (*range(MAX_GRAPHS + 3), 0):
        graphs.run(key, lambda key=key: value.add_(float(key)))
    assert len(graphs._graphs) == MAX_GRAPHS
    assert value.item() == sum(range(MAX_GRAPHS + 3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="records on a GPU only")
def test_what_is_forgotten_is_recorded_again():
    calls, device = [], torch.device("cuda")
    graphs, value = StepGraphs(torch.Generator(device), eager_runs=0), torch.zeros((), device=device)
    for _ in range(2):
        graphs.run("count", lambda: (calls.append(1), value.add_(1.0)))
        graphs.clear()
        assert not graphs._graphs
    assert (len(calls), value.item()) == (2, 2.0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="records on a GPU only")
def test_graphs_share_the_memory_of_what_they_make_on_the_way():
    device, size = torch.device("cuda"), 2**26
    graphs, total = StepGraphs(torch.Generator(device), eager_runs=0), torch.zeros((), device=device)

    def add(key: int) -> torch.Tensor:
        return total.add_(torch.full((size // 4,), float(key), device=device).mul(2.0).mean())

    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved(device)
    for key in (0, 1, 2, 3, 1, 3, 2, 0):
        graphs.run(key, lambda key=key: add(key))
    assert total.item() == 24.0
    assert torch.cuda.memory_reserved(device) - before < 4 * size
