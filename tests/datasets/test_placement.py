"""A host that pins no memory, as WSL 2 beyond a limit: pixels stay where they are, told once. CUDA is simulated."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datasets import placement
from datasets.placement import place_pixels
from models import ops
from models.ops.reference import pixels as reference
from utils import memory
from utils.rays import Photographs

GPU = torch.device("cuda", 0)
PIXELS = np.arange(400, dtype=np.uint8).reshape(100, 4)


class Cuda:
    """A runtime that registers no memory, and blames the next operation for it as CUDA does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int, copies: bool) -> None:
        self.registered, self.blamed, self.copies = [], 0, copies
        self._error = False
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
        monkeypatch.setattr(torch.cuda, "cudart", lambda: SimpleNamespace(cudaHostRegister=self.register))
        monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
        monkeypatch.setattr(torch, "zeros", self.zeros)
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: self.pin(tensor))
        monkeypatch.setattr(placement, "_told", [])

    def register(self, address: int, num_bytes: int, flags: int) -> int:
        self.registered.append(num_bytes)
        self._error = True
        return 2

    def pin(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.copies:
            return tensor.clone()
        self._error = True
        raise RuntimeError("CUDA error: out of memory")

    def zeros(self, num: int, device: torch.device) -> torch.Tensor:
        if self._error:
            self._error, self.blamed = False, self.blamed + 1
            raise RuntimeError("CUDA error: out of memory")
        return torch.ones(num)

    @property
    def is_clean(self) -> bool:
        return not self._error


def test_refused_memory_is_left_as_it_is_and_the_error_forgotten(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cuda = Cuda(monkeypatch, free=100, copies=False)
    for name in ("train", "test"):
        found, readable = place_pixels(PIXELS, GPU, "auto", name)
        assert (found.data_ptr(), readable) == (PIXELS.ctypes.data, False)
    assert (cuda.registered, cuda.blamed, cuda.is_clean) == ([400, 400], 4, True)
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "WSL 2" in told
    assert "a dataset.img_downscale 3 times as large" in told  # 400 / 9 bytes are at most half of 100


def test_pixels_that_would_fit_need_no_smaller_images(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Cuda(monkeypatch, free=10**6, copies=False)
    assert place_pixels(PIXELS, GPU, "host", "train")[1] is False
    assert "With dataset.pixels_on=auto" in caplog.text


def test_a_pinned_copy_serves_too_and_the_error_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(monkeypatch, free=100, copies=True)
    found, readable = place_pixels(PIXELS, GPU, "auto", "train")
    assert readable
    assert found.data_ptr() != PIXELS.ctypes.data
    assert (cuda.blamed, cuda.is_clean) == (1, True)


def test_pixels_that_no_kernel_can_read_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, rays_of_pixels = [], reference.rays_of_pixels
    monkeypatch.setattr(reference, "rays_of_pixels", lambda *args: calls.append(1) or rays_of_pixels(*args))
    cameras = torch.zeros(1, dtype=torch.int64), torch.tensor([10]), torch.eye(4)[None, :3], torch.ones(1, 4)
    batches = [
        ops.rays_of_pixels(
            Photographs(torch.from_numpy(PIXELS), *cameras, 0.0, 1.0, readable), torch.arange(100),
            torch.zeros(100, dtype=torch.int64), torch.ones(3), backend="triton",
        )
        for readable in (True, False)
    ]  # fmt: skip
    assert calls == [1]
    torch.testing.assert_close(batches[0].rgb, batches[1].rgb)


def test_the_figures_of_a_step_wait_where_nothing_can_be_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(shape: tuple[int, ...], dtype: torch.dtype, pin_memory: bool = False) -> torch.Tensor:
        if pin_memory:
            raise RuntimeError("CUDA error: out of memory")
        return torch.ones(shape, dtype=dtype)

    monkeypatch.setattr(torch, "empty", empty)
    assert memory.pinned_empty(3).tolist() == [1.0, 1.0, 1.0]
    assert memory.pinned_empty(2, 1, dtype=torch.int32).tolist() == [[1], [1]]
