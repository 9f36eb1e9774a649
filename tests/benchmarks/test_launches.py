"""A training step launches few kernels: each takes a GPU more than a microsecond, whatever it computes."""

import os
import subprocess
import sys

import pytest

from utils.registry import ROOT


@pytest.mark.slow
def test_a_step_of_a_common_training_launches_few_kernels() -> None:
    pytest.importorskip("triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "benchmarks.cards.launches", "neus-blender"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {name: int(number) for number, name in (line.split(None, 1) for line in done.stdout.splitlines())}
    assert 40 < found["in all"] < 70
    once = ("ray_losses._rays", "losses._samples", "rays._fit", "composite._composite", "mlp._backward")
    assert [found[name] for name in once] == [1] * len(once)
