"""What a training step does on a GPU can be recorded as a graph: it reads nothing on the host, and copies nothing."""

import json
import os
import subprocess
import sys

import pytest

from utils.registry import ROOT

CONFIGS = ("neus-blender", "neus-capture", "neus-dtu", "nerf-colmap")


def test_steps_of_shipped_configs_ask_nothing_of_the_host() -> None:
    pytest.importorskip("triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, str(ROOT / "tests/support/graph_rules.py"), *CONFIGS]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    # a learning rate is a number on a CPU alone, which shows that the watch sees
    assert all(value == [["lift_fresh", "models/ops/triton/adam.py"]] for value in found.values())
    assert list(found) == list(CONFIGS)
