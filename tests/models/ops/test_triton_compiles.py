"""What the interpreter accepts must also compile: all kernels, for a GPU that need not be there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("compile_for_sm90.py")
SHARED_MEMORY = 100_000  # bytes of a program on GPUs of consumers


@pytest.mark.slow
def test_every_kernel_compiles_for_sm90() -> None:
    pytest.importorskip("triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "TRITON_DEFAULT_FP_FUSION" not in done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    found = {(module, kernel) for module, kernel, _ in lines}
    kernels = {
        "gather_kernel",
        "scatter_kernel",
        "_mark",
        "_composite_backward",
        "_neus_alpha_backward",
        "_concat_columns",
    }
    kernels |= {"_columns", "_columns_backward", "_compare_patches"}
    assert kernels <= {kernel for _, kernel in found}
    for module in ("mlp", "sdf"):
        assert {(module, "_forward"), (module, "_backward")} <= found
    assert max(int(shared) for _, _, shared in lines) <= SHARED_MEMORY
