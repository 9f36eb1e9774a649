"""Fixtures that all tests share; without a GPU, Triton's kernels run in its interpreter."""

import os

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton and models.ops are imported


def available_devices() -> list:
    """The devices of this machine, as test parameters: the CPU, and CUDA where there is one."""
    cuda = [pytest.param("cuda", marks=pytest.mark.gpu)] if torch.cuda.is_available() else []
    return ["cpu", *cuda]


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random numbers in each test, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(params=available_devices())
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each available device in turn."""
    return torch.device(request.param)
