"""Work is done in smaller pieces where memory runs out, and other errors are left alone."""

import logging

import pytest
import torch

from utils.memory import ROW, HalvingChunks, in_rows, is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(),
     RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes")],
)  # fmt: skip
def test_pieces_are_halved_for_good(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    tried, pieces = [], HalvingChunks("model.ray_chunk", 100, 10)

    def work(size: int) -> int:
        tried.append(size)
        if size > 30:
            raise error
        return size

    with caplog.at_level(logging.WARNING):
        assert pieces.run(work) == 25
        assert pieces.run(work) == 25
    assert tried == [100, 50, 25, 25]
    assert caplog.messages[-1] == "out of memory: going on with model.ray_chunk=25"


def test_the_least_size_gives_up() -> None:
    tried = []

    def work(size: int) -> None:
        tried.append(size)
        raise MemoryError

    with pytest.raises(MemoryError):
        HalvingChunks("size", 100, 30).run(work)
    assert tried == [100, 50, 30]


def test_other_errors_pass() -> None:
    def work(size: int) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        HalvingChunks("size", 100, 30).run(work)


def test_memory_behind_another_error_is_recognised() -> None:
    def record() -> None:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    with pytest.raises(RuntimeError) as caught:
        record()
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("another one"))


def test_torch_on_a_cpu_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(("num", "rows"), [(0, 0), (1, ROW), (ROW, ROW), (ROW + 1, 2 * ROW)])
def test_a_gpu_computes_whole_rows(num: int, rows: int) -> None:
    assert in_rows(num, torch.device("cuda")) == rows
    assert in_rows(num, torch.device("cpu")) == num
