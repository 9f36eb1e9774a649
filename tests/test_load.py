"""Work that goes on for long leaves memory, file handles and disk as they were."""

import gc
import os
import sys
import threading
from pathlib import Path

import pytest
from sphere_scene import write_sphere_scene
from struck_runs import STEPS, go_on, run_in, start

from systems.training.reconstruction import ReconstructionSystem


@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
@pytest.mark.parametrize("cycles", [4, pytest.param(300, marks=pytest.mark.slow)])
def test_resume_cycles_leave_nothing_behind(request: pytest.FixtureRequest, tmp_path: Path, cycles: int) -> None:
    if cycles > 4 and "slow" not in request.config.option.markexpr:
        pytest.skip("minutes: pytest -m slow tests/test_load.py")
    scene = write_sphere_scene(tmp_path / "scene")
    assert start(scene, tmp_path, "checkpoint.save_top_k=1") == 0
    found = []
    for cycle in range(cycles):
        assert go_on(tmp_path, f"trainer.max_steps={STEPS + 2 * (cycle + 1)}") == 0
        gc.collect()
        systems = sum(type(thing) is ReconstructionSystem for thing in gc.get_objects())
        found.append((len(os.listdir("/proc/self/fd")), threading.active_count(), systems))
    assert all(later == found[1] for later in found[2:]), found
    assert len(list((run_in(tmp_path) / "ckpt").iterdir())) == 1
